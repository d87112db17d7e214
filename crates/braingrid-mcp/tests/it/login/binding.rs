//! A login belongs to the issuer, the API and the organization it was made for.

use mcp_test_support::{Api, Issuer};

use super::*;

/// Logs in with a token in these settings.
async fn log_in_with_token(command: &ServerCommand, token: &str) -> Ran {
    let command = command.clone().arg("login").arg("--token");
    run_with_input(&command, token).await
}

/// How many requests brought a token.
fn sent(api: &Api) -> usize {
    let asked = api.requests().entries();
    asked.iter().filter(|it| it.token().is_some()).count()
}

fn at(world: &World, api: &Api) -> ServerCommand {
    world.stdio_command().env("BRAINGRID_API_URL", api.url())
}

#[tokio::test]
async fn a_login_is_sent_nowhere_but_where_it_was_made_for() {
    let world = World::small().await;
    world.api.set_membership("user_ada", "org_ada");
    log_in(&world).await;
    let stranger = Api::start().await.unwrap();
    let other_issuer = Issuer::start().await.unwrap();
    let cases = [
        (at(&world, &stranger), "--api-url"),
        (
            world
                .stdio_command()
                .env("OAUTH_ISSUER", other_issuer.url()),
            "OAUTH_ISSUER=",
        ),
        (
            world
                .stdio_command()
                .env("BRAINGRID_ORGANIZATION_ID", "org_b"),
            "--organization-id org_b",
        ),
    ];
    let asked = sent(&world.api);
    for (command, remedy) in cases {
        let made_for = world.api.url();
        let mut texts = Vec::new();
        for words in ["whoami", "status", "doctor"] {
            let ran = run(&command.clone().arg(words)).await;
            assert_ne!(ran.code, Some(0), "{ran:?}");
            texts.push(ran.stdout + &ran.stderr);
        }
        let mut stdio = RawStdio::start(&command).unwrap();
        texts.push(call(&mut stdio).await.unwrap_err());
        for text in texts {
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains(&made_for), "what it is for: {text}");
            assert!(text.contains("sent nowhere else"), "{text}");
            assert!(text.contains(remedy), "what to run: {text}");
        }
        // Nor does a logout end it.
        let ran = run(&command.clone().arg("logout")).await;
        assert!(ran.stdout.contains("There was no login"), "{ran:?}");
    }
    assert_eq!(sent(&stranger), 0);
    assert_eq!(other_issuer.grants("refresh_token"), 0);
    assert_eq!(sent(&world.api), asked);
    let ran = run(&command(&world, &["whoami"])).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn logins_for_staging_and_production_live_side_by_side() {
    let world = World::small().await;
    log_in(&world).await;
    let staging = Api::start().await.unwrap();
    let at_staging = at(&world, &staging);
    let ran = log_in_with_token(&at_staging, &world.token("user_ci", "org_ci")).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let subject = |api: &Api| api.requests().entries().pop().unwrap().subject;
    call(&mut stdio(&world)).await.unwrap();
    call(&mut RawStdio::start(&at_staging).unwrap())
        .await
        .unwrap();
    assert_eq!(subject(&world.api).as_deref(), Some("user_ada"));
    assert_eq!(subject(&staging).as_deref(), Some("user_ci"));
    // Each is refreshed in its own place.
    age(&world, -10);
    call(&mut stdio(&world)).await.unwrap();
    assert_eq!(world.issuer.grants("refresh_token"), 1);
    let ran = run(&command(&world, &["status"])).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains(&staging.url()), "{ran:?}");
    let ran = run(&command(&world, &["status", "--json"])).await;
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(status["api"], world.api.url(), "{status:#}");
    assert_eq!(status["others"][0]["api"], staging.url(), "{status:#}");

    let ran = run(&command(&world, &["logout"])).await;
    // The program is not in PATH: it is named as a shell finds it.
    for words in ["status", "logout --all"] {
        assert!(
            ran.stderr.contains(&format!("`{BINARY} {words}`")),
            "{ran:?}"
        );
    }
    assert_eq!(run(&command(&world, &["whoami"])).await.code, Some(77));
    let ran = run(&at_staging.clone().arg("whoami")).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    log_in(&world).await;
    let ran = run(&command(&world, &["logout", "--all"])).await;
    assert_eq!(ran.stdout.lines().count(), 2, "{ran:?}");
    assert_eq!(world.issuer.live_refresh_tokens(), 0);
    let left = std::fs::read_dir(world.home.path().join("login")).unwrap();
    let left = left.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        std::path::Path::new(&name)
            .extension()
            .is_some_and(|it| it == "json")
    });
    assert_eq!(left.count(), 0);
}

/// As the versions kept it that did not say what it is for.
fn make_old(world: &World) {
    let file = login_file(world);
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for new in ["for", "confirmed"] {
        record.as_object_mut().unwrap().remove(new);
        let credential = record["credential"].as_object_mut().unwrap();
        credential.remove(new);
    }
    std::fs::write(file, record.to_string()).unwrap();
}

#[tokio::test]
async fn a_login_of_an_older_version_goes_on_only_where_that_is_safe() {
    let world = World::small().await;
    // Its token does not say where it may be sent, so it is for BrainGrid's own address.
    log_in(&world).await;
    make_old(&world);
    let asked = sent(&world.api);
    let error = call(&mut stdio(&world)).await.unwrap_err();
    assert!(error.contains("https://app.braingrid.ai"), "{error}");
    assert!(error.contains("older version"), "{error}");
    assert_eq!(sent(&world.api), asked);
    // One that says so goes on, and its refresh writes down what it is for.
    std::fs::remove_file(login_file(&world)).unwrap();
    world.issuer.set_audience([world.api.url().as_str()]);
    log_in(&world).await;
    make_old(&world);
    let ran = run(&command(&world, &["status"])).await;
    assert!(ran.stdout.contains("assumed"), "{ran:?}");
    age(&world, -10);
    call(&mut stdio(&world)).await.unwrap();
    let ran = run(&command(&world, &["status"])).await;
    assert!(ran.stdout.contains(&world.api.url()), "{ran:?}");
    assert!(!ran.stdout.contains("assumed"), "{ran:?}");
    assert_eq!(world.issuer.grants("authorization_code"), 2);
}

#[tokio::test]
async fn a_folder_that_others_can_write_is_closed_or_refused() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    let world = World::small().await;
    log_in(&world).await;
    let folder = world.home.path().join("login");
    let open = |path: &std::path::Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(&folder, 0o777);
    let ran = run(&command(&world, &["status"])).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(
        folder.metadata().unwrap().permissions().mode() & 0o777,
        0o700
    );
    open(world.home.path(), 0o777);
    let asked = sent(&world.api);
    let error = call(&mut stdio(&world)).await.unwrap_err();
    assert!(error.contains("chmod go-w"), "{error}");
    let ran = run(&command(&world, &["whoami"])).await;
    assert_eq!(ran.code, Some(77), "{ran:?}");
    open(world.home.path(), 0o700);
    // Only root can give a file away.
    for path in [&login_file(&world), &folder] {
        if chown(path, Some(12_345), None).is_ok() {
            let error = call(&mut stdio(&world)).await.unwrap_err();
            assert!(error.contains("another user"), "{error}");
            assert!(*path == folder || error.contains(BINARY), "{error}");
            chown(path, Some(0), None).unwrap();
        }
    }
    assert_eq!(sent(&world.api), asked);
    call(&mut stdio(&world)).await.unwrap();
}
