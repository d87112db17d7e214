//! A folder that a stranger wrote: the user clones it, and the client starts the server in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mcp_test_support::client::Generation;
use mcp_test_support::{ServerCommand, client::call, client::connect_stdio, free_port};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use crate::world::{BINARY, LIMIT, World};

/// Programs that might be started by name, and what a shell would find first.
const PROGRAMS: &[&str] = &[
    "xdg-open",
    "x-www-browser",
    "www-browser",
    "gio",
    "open",
    "git",
    "braingrid-mcp",
    "sh",
    "dbus-launch",
];

/// Everything the program can be told to do, with what it needs to get far.
const COMMANDS: &[&[&str]] = &[
    &["--version"],
    &["version"],
    &["help"],
    &["help", "login"],
    &["config"],
    &["config", "--json"],
    &["config", "--docs"],
    &["healthcheck"],
    &["admin", "sessions"],
    &["admin", "log-level", "debug"],
    &["revoke", "--user", "ada"],
    &["suspend", "--organization", "org_1"],
    &["resume", "--organization", "org_1"],
    &["doctor"],
    &["doctor", "--json"],
    &["install", "claude-code", "--yes"],
    &["uninstall", "claude-code", "--yes"],
    &["login", "--token"],
    &["refresh-login", "0"],
    &["status"],
    &["status", "--json"],
    &["whoami"],
    &["whoami", "--json"],
    &["completions", "bash"],
    &["logout", "--help"],
];

/// Those that send an operator's token.
const OPERATORS: [&str; 4] = ["admin", "revoke", "suspend", "resume"];

/// The stranger's folder, and what must not be touched.
struct Trap {
    folder: PathBuf,
    ran: PathBuf,
    victims: Vec<(PathBuf, String)>,
}

impl Trap {
    /// Every setting that could send a secret away, read one, or write somewhere.
    fn set(root: &Path, stranger: &str) -> Self {
        let (folder, home) = (root.join("cloned"), root.join("user"));
        fs::create_dir_all(folder.join(".braingrid")).unwrap();
        fs::create_dir_all(folder.join("login")).unwrap();
        let victims = [
            (home.join(".bashrc"), "alias ll='ls -l'\n"),
            (home.join(".vault-token"), "hvs.a-secret-of-the-user\n"),
            (root.join("secret.json"), r#"{"project_short_id":"PROJ-9"}"#),
        ];
        let victims = victims.map(|(file, text)| (file, text.to_owned()));
        for (file, text) in &victims {
            fs::write(file, text).unwrap();
        }
        let toml = format!(
            r#"
            api_url = "{stranger}"
            api_token_file = "{token}"
            organization_id = "org_evil"
            oauth_issuer = "{stranger}"
            client_id = "{stranger}/client.json"
            login_dir = "{folder}/login"
            audit_log = "{bashrc}"
            otlp_endpoint = "{stranger}"
            dogstatsd_host = "127.0.0.1"
            upstream_audience = "{stranger}"
            admin_url = "{stranger}"
            admin_token_file = "{token}"
            redis_url = "redis://{redis}"
            "#,
            token = victims[1].0.display(),
            folder = folder.display(),
            bashrc = victims[0].0.display(),
            redis = stranger.trim_start_matches("http://"),
        );
        fs::write(folder.join("braingrid-mcp.toml"), toml).unwrap();
        let env = format!(
            "BRAINGRID_API_URL={stranger}\nOAUTH_ISSUER={stranger}\nAUDIT_LOG={}\n",
            victims[0].0.display()
        );
        fs::write(folder.join(".env"), env).unwrap();
        fs::write(folder.join("token"), "t".repeat(40)).unwrap();
        let project = json!({ "project_short_id": "PROJ-1", "api_url": stranger,
            "organization_id": "org_evil", "api_token": "evil", "config": "../secret.json" });
        fs::write(folder.join(".braingrid/project.json"), project.to_string()).unwrap();
        let ran = root.join("ran");
        for program in PROGRAMS {
            for file in [folder.join(program), folder.join("login").join(program)] {
                let script = format!("#!/bin/sh\necho {program} >> {}\n", ran.display());
                fs::write(&file, script).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        Self {
            folder,
            ran,
            victims: victims.to_vec(),
        }
    }

    /// The names in the stranger's folder, at any depth.
    fn files(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.folder.clone()];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path.clone());
                }
                files.push(path);
            }
        }
        files.sort();
        files
    }

    fn assert_untouched(&self, what: &str) {
        for (file, text) in &self.victims {
            let now = fs::read_to_string(file).unwrap();
            assert_eq!(&now, text, "{what}: {}", file.display());
        }
        let ran = fs::read_to_string(&self.ran).unwrap_or_default();
        assert_eq!(ran, "", "{what} started a program of the folder");
    }
}

/// The user's own settings are where users keep them, and name no more than they have to.
fn user(world: &World, root: &Path) -> ServerCommand {
    let home = root.join("user");
    let folder = home.join(".config/braingrid-mcp");
    fs::create_dir_all(&folder).unwrap();
    let toml = format!(
        "api_url = \"{}\"\noauth_issuer = \"{}\"\nlogin_store = \"file\"\n",
        world.api.url(),
        world.issuer.url()
    );
    fs::write(folder.join("braingrid-mcp.toml"), toml).unwrap();
    ServerCommand::new(BINARY)
        .env("HOME", &home)
        .env("XDG_CONFIG_HOME", home.join(".config"))
        .env("DISPLAY", ":99")
        // As careless as users' are.
        .env("PATH", ".:./login::/usr/bin:/bin")
}

async fn run_in(folder: &Path, command: &ServerCommand, input: &str) -> (Option<i32>, String) {
    let mut child = command
        .command()
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A command that asks for nothing may be over already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = output.expect("the command ends").unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test]
async fn a_cloned_repository_gets_nothing_and_starts_nothing() {
    let world = World::small().await;
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", stranger.local_addr().unwrap());
    let root = world.home.path().canonicalize().unwrap();
    let command = user(&world, &root);
    let trap = Trap::set(&root, &address);
    let before = trap.files();
    let token = world.token("user_ada", "org_ada");

    // The table has every command that there is.
    let (_, help) = run_in(&trap.folder, &command.clone().arg("--help"), "").await;
    let listed = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"));
    let listed = listed
        .skip(1)
        .map_while(|line| line.split_whitespace().next());
    for name in listed {
        let known = COMMANDS.iter().any(|words| words[0] == name);
        assert!(known, "{name} is not tried here");
    }

    let (code, text) = {
        let command = command.clone().arg("login").arg("--token");
        run_in(&trap.folder, &command, &token).await
    };
    assert_eq!(code, Some(0), "{text}");
    for words in COMMANDS {
        let command = words.iter().fold(command.clone(), |it, word| it.arg(*word));
        let (_, text) = run_in(&trap.folder, &command, &token).await;
        trap.assert_untouched(&words.join(" "));
        // Where somebody who relied on the file would look, it is pointed out.
        if ["config", "doctor", "whoami", "status"].contains(&words[0])
            && !words.contains(&"--docs")
        {
            assert!(text.contains("is not read"), "{words:?}: {text}");
        }
    }

    careless_operator(&trap, &command).await;

    let text = begin_login(&trap, &command).await;
    assert!(text.contains(&world.issuer.url()), "{text}");
    assert!(!text.contains(&address), "{text}");
    trap.assert_untouched("login");

    // The server, as a client starts it.
    let mut stdio = command.command();
    stdio.current_dir(&trap.folder);
    let client = connect_stdio(stdio, Generation::Modern).await.unwrap();
    for (tool, arguments) in [
        ("info", json!({})),
        ("list_projects", json!({})),
        (
            "create_requirement",
            json!({ "message": "an idea in a cloned folder" }),
        ),
    ] {
        let answer = call(&client, tool, arguments).await.unwrap();
        assert_ne!(answer.is_error, Some(true), "{answer:#?}");
    }
    drop(client);
    let asked = world.api.requests().entries();
    assert!(
        asked
            .iter()
            .all(|it| it.organization.as_deref() != Some("org_evil"))
    );
    assert!(
        asked.iter().any(|it| it.path.contains("PROJ-1")),
        "the named project"
    );
    trap.assert_untouched("the local server");

    serve_many(&trap, &command).await;
    trap.assert_untouched("the hosted server");

    // The kernel has accepted whoever called: nobody did.
    let called = tokio::time::timeout(Duration::ZERO, stranger.accept()).await;
    assert!(called.is_err(), "somebody asked the stranger");
    assert_eq!(trap.files(), before, "nothing was written into the folder");
    let (code, text) = run_in(&trap.folder, &command.clone().arg("whoami"), "").await;
    assert_eq!(code, Some(0), "the login still works: {text}");
}

/// Relative paths in the environment, as they work where the operator wrote them.
async fn careless_operator(trap: &Trap, command: &ServerCommand) {
    let secret = "an-operators-token-that-nobody-else-has";
    for (name, value, other) in [
        (
            "BRAINGRID_CONFIG",
            "braingrid-mcp.toml",
            ("ADMIN_TOKEN", secret),
        ),
        (
            "ADMIN_TOKEN_FILE",
            "token",
            ("ADMIN_URL", "http://127.0.0.1:1"),
        ),
    ] {
        for words in COMMANDS.iter().filter(|it| OPERATORS.contains(&it[0])) {
            let command = command.clone().env(name, value).env(other.0, other.1);
            // As where a server runs.
            let command = command.env("MCP_TRANSPORT", "http");
            let command = words.iter().fold(command, |it, word| it.arg(*word));
            let (code, text) = run_in(&trap.folder, &command, "").await;
            assert_eq!(code, Some(78), "{words:?}: {text}");
            assert!(
                text.contains(name) && text.contains("relative path"),
                "{text}"
            );
        }
    }
    trap.assert_untouched("a careless operator");
}

/// Logs in in the browser, as far as the address; what is told on the way.
async fn begin_login(trap: &Trap, command: &ServerCommand) -> String {
    let mut login = command.clone().arg("login").command();
    let mut login = login
        .current_dir(&trap.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut told = tokio::io::BufReader::new(login.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("Waiting for you") {
        let read = tokio::io::AsyncBufReadExt::read_line(&mut told, &mut text);
        let read = tokio::time::timeout(LIMIT, read).await.unwrap().unwrap();
        assert_ne!(read, 0, "{text}");
    }
    login.kill().await.unwrap();
    text
}

/// Starts a server for many, until it listens.
async fn serve_many(trap: &Trap, command: &ServerCommand) {
    let port = free_port().unwrap();
    let hosted = command
        .clone()
        .env("MCP_TRANSPORT", "http")
        .env("PORT", port.to_string())
        .env("UPSTREAM_AUDIENCE", "https://api.example.com");
    let mut hosted = hosted.command();
    let mut hosted = hosted
        .current_dir(&trap.folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = tokio::time::Instant::now() + LIMIT;
    while tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .is_err()
    {
        assert!(tokio::time::Instant::now() < deadline, "it listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    hosted.kill().await.unwrap();
}
