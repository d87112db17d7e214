//! Where a login is kept.

use std::path::PathBuf;

use super::*;

#[tokio::test]
async fn without_a_keychain_a_file_is_used_with_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::small().await;
    // No session bus, no keychain.
    let command = command(&world, &["login", "--token"])
        .env("BRAINGRID_LOGIN_STORE", "auto")
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let ran = run_with_input(&command, &world.token("user_ada", "org_ada")).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let file = login_file(&world);
    assert!(ran.stderr.contains("Warning: no keychain"), "{ran:?}");
    assert!(ran.stderr.contains(&file.display().to_string()), "{ran:?}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ran = run(&command.clone().env("BRAINGRID_LOGIN_STORE", "keychain")).await;
    assert_ne!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn a_real_keychain_keeps_the_tokens_out_of_the_file() {
    let Some(session) = keychain_session() else {
        eprintln!("SKIPPED: no gnome-keyring-daemon and dbus-run-session to make a keychain with");
        return;
    };
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let script = format!(
        r#"printf '\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
        printf '%s' '{token}' | "$0" login --token || exit 10
        "$0" status || exit 11
        "$0" whoami || exit 12
        grep -c access_token "$BRAINGRID_LOGIN_DIR/login.json"
        "$0" logout || exit 13
        "$0" status"#
    );
    let home = world.home.path();
    let command = ServerCommand::new(session)
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home)
        .env("BRAINGRID_API_URL", world.api.url())
        .env("OAUTH_ISSUER", world.issuer.url())
        .env("BRAINGRID_LOGIN_STORE", "keychain")
        .env("BRAINGRID_LOGIN_DIR", home.join("login"));
    let words = ["--", "sh", "-c", &script, crate::world::BINARY];
    let command = words.iter().fold(command, ServerCommand::arg);
    let ran = run(&command).await;
    assert_eq!(ran.code, Some(77), "logged out at the end: {ran:?}");
    assert!(ran.stdout.contains("the system's keychain"), "{ran:?}");
    assert!(ran.stdout.contains("org_ada"), "{ran:?}");
    assert!(
        ran.stdout.contains("\n0\n"),
        "no token in the file: {ran:?}"
    );
    assert!(ran.stdout.contains("Not logged in"), "{ran:?}");
}

#[tokio::test]
async fn no_token_of_a_login_is_ever_written_to_a_log() {
    let world = World::small().await;
    log_in(&world).await;
    let mut secrets = tokens(&world);
    age(&world, 60);
    let command = world
        .stdio_command()
        .env("LOG_LEVEL", "trace")
        .env("RUST_LOG", "trace");
    let mut stdio = RawStdio::start(&command).unwrap();
    call(&mut stdio).await.unwrap();
    assert_eq!(world.issuer.grants("refresh_token"), 1);
    secrets.extend(tokens(&world));
    stdio.close(LIMIT).await.unwrap();
    for words in [&["status"][..], &["status", "--json"], &["whoami"]] {
        let ran = run(&self::command(&world, words)).await;
        let shown = ran.stdout + &ran.stderr;
        assert!(secrets.iter().all(|it| !shown.contains(it)), "{words:?}");
    }
    let lines = stdio.output().entries();
    assert!(lines.iter().any(|line| line.source == Source::Stderr));
    for line in lines {
        let clean = secrets.iter().all(|secret| !line.text.contains(secret));
        assert!(clean, "{}", line.text);
    }
}

/// The tokens that are kept now.
fn tokens(world: &World) -> Vec<String> {
    let record: Value = serde_json::from_slice(&std::fs::read(login_file(world)).unwrap()).unwrap();
    let token = |name: &str| record["credential"][name].as_str().unwrap().to_owned();
    vec![token("access_token"), token("refresh_token")]
}

/// The program that gives a command a session bus of its own, where a keychain can be had too.
fn keychain_session() -> Option<PathBuf> {
    let found = |name: &str| {
        let folders = ["/usr/bin", "/usr/local/bin"];
        let mut files = folders
            .iter()
            .map(|folder| PathBuf::from(folder).join(name));
        files.find(|file| file.exists())
    };
    found("gnome-keyring-daemon")?;
    found("dbus-run-session")
}
