//! What people write and what they are told: settings as typed, scopes as named, programs as called.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use mcp_test_support::client::{Generation, RawHttp};
use serde_json::{Value, json};

use crate::world::{BINARY, World, client_of};

fn run(arguments: &[&str], environment: &[(&str, &str)], home: &Path) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().env("HOME", home);
    command.envs(environment.iter().copied()).current_dir(home);
    command.output().unwrap()
}

#[test]
fn a_mistyped_setting_ends_with_78_and_names_what_to_change() {
    let home = tempfile::tempdir().unwrap();
    for (name, value, told) in [
        ("REDIS_URL", "redis://u:hun#ter2@cache:6379", "%23 for #"),
        ("REDIS_URL", "redis://u:hun/ter2@cache:6379", "%2F for /"),
        ("REDIS_URL", "\"redis://cache:6379\"", "quotation mark (\")"),
        ("REDIS_URL", "cache:6379", "redis:// in front"),
        ("REDIS_URL", "https://cache:6379", "rediss://"),
        ("REDIS_URL", "redis://cache:99999", "1 to 65535"),
        ("OAUTH_ISSUER", "'https://auth.test'", "quotation mark (')"),
        ("OAUTH_ISSUER", "“https://auth.test”", "quotation mark (“)"),
        ("OAUTH_ISSUER", "auth.test", "write https://auth.test"),
        ("MCP_HOST", "mcp.test:8443", "write https://mcp.test:8443"),
        ("ALLOWED_ORIGINS", "*.example.com", "name each origin"),
        ("BRAINGRID_TOOLS", "*", "no wildcards"),
        ("ENCRYPTION_KEY", "x", "openssl rand -hex 32"),
        ("PORT", "8080/tcp", "0 to 65535"),
        ("BIND", "localhost:8080", "PORT"),
    ] {
        let given = [
            ("MCP_TRANSPORT", "http"),
            ("UPSTREAM_AUDIENCE", "api"),
            (name, value),
        ];
        let output = run(&["config"], &given, home.path());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(78), "{name}={value}: {said}");
        assert!(said.contains(told), "{name}={value}: {told} in {said}");
        assert!(!said.contains("hun") && !said.contains("ter2"), "{said}");
    }
}

#[tokio::test]
async fn scopes_are_named_and_required_of_nobody() {
    let world = World::small().await;
    let command = world.command().env("OAUTH_SCOPES", "openid profile email");
    let server = world.start(&command).await;
    let stranger = client_of(&server).initialize().send().await.unwrap();
    assert_eq!(stranger.status, 401);
    let challenge = stranger.header("www-authenticate").unwrap();
    assert!(
        challenge.contains("scope=\"openid profile email\""),
        "{challenge}"
    );
    assert_eq!(
        metadata(&server.base_url()).await["scopes_supported"],
        json!(["openid", "profile", "email"])
    );
    let token = world.issuer.token().without("scope").mint();
    let answer = client_of(&server)
        .call(Generation::Modern, "list_projects", &json!({}))
        .bearer(&token)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "no token needs a scope");
}

#[tokio::test]
async fn scopes_that_tools_need_are_named_beside_them() {
    let world = World::small().await;
    let command = world
        .command()
        .env("OAUTH_SCOPES", "openid")
        .env("TOOL_SCOPES", "read=req:read openid");
    let server = world.start(&command).await;
    let named = &metadata(&server.base_url()).await["scopes_supported"];
    assert_eq!(*named, json!(["openid", "req:read"]));
}

async fn metadata(base: &str) -> Value {
    let url = format!("{base}/.well-known/oauth-protected-resource/mcp");
    let answer = mcp_test_support::http_client().get(url).send().await;
    answer.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn known_clients_may_name_their_origin() {
    let world = World::small().await;
    let command = world
        .command()
        .env("ALLOWED_ORIGINS", "known-clients,https://app.example.com");
    let server = world.start(&command).await;
    let from = async |origin: &str| {
        let hello = RawHttp::new(server.mcp_url()).initialize();
        hello.header("origin", origin).send().await.unwrap().status
    };
    for origin in [
        "https://claude.ai",
        "https://claude.com",
        "https://chatgpt.com",
        "https://chat.openai.com",
        "https://app.example.com",
    ] {
        assert_eq!(from(origin).await, 401, "{origin} is told where to log in");
    }
}

#[test]
fn what_to_run_is_named_as_this_user_can_run_it() {
    let home = tempfile::tempdir().unwrap();
    let said = |path: &str| {
        let given = [
            ("PATH", path),
            ("BRAINGRID_LOGIN_STORE", "file"),
            ("BRAINGRID_API_URL", "http://127.0.0.1:9"),
        ];
        let doctor = run(&["doctor"], &given, home.path());
        let installed = run(&["install", "cursor", "--yes"], &given, home.path());
        assert!(installed.status.success(), "{installed:?}");
        let removed = run(&["uninstall", "cursor", "--yes"], &given, home.path());
        assert!(removed.status.success(), "{removed:?}");
        [doctor, installed].map(|output| String::from_utf8(output.stdout).unwrap())
    };
    let folder = Path::new(BINARY).parent().unwrap().to_str().unwrap();
    let commands = [
        cfg!(feature = "login").then_some("login"),
        Some("install CLIENT"),
    ];
    for command in commands.into_iter().flatten() {
        let full = format!("`{BINARY} {command}`");
        let short = format!("`braingrid-mcp {command}`");
        for (path, expected, other) in [("", &full, &short), (folder, &short, &full)] {
            let said = said(path).concat();
            assert!(said.contains(expected), "{expected} in {said}");
            assert!(!said.contains(other), "{other} in {said}");
        }
    }
    // Another program of that name is found first.
    let other = home.path().join("bin");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("braingrid-mcp"), "").unwrap();
    let path = format!("{}:{folder}", other.display());
    let text = said(&path).concat();
    assert!(
        text.contains(&format!("`{BINARY} install CLIENT`")),
        "{text}"
    );
}

#[test]
fn a_projects_entry_works_for_everybody_who_has_the_project() {
    let home = tempfile::tempdir().unwrap();
    for (client, file) in [
        ("claude-code", ".mcp.json"),
        ("cursor", ".cursor/mcp.json"),
        ("vscode", ".vscode/mcp.json"),
        ("codex", ".codex/config.toml"),
        ("gemini", ".gemini/settings.json"),
    ] {
        let project = tempfile::tempdir_in(home.path()).unwrap();
        let arguments = [
            "install",
            client,
            "--scope=project",
            "--yes",
            "--oauth-issuer=https://auth.example.com",
            "--client-id=mcp",
            "--api-url=https://api.example.com",
        ];
        let mut command = Command::new(BINARY);
        let command = command.args(arguments).env_clear().env("HOME", home.path());
        let output = command.current_dir(project.path()).output().unwrap();
        assert!(output.status.success(), "{client}: {output:?}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("needs braingrid-mcp in their PATH"), "{said}");
        let written = fs::read_to_string(project.path().join(file)).unwrap();
        assert!(!written.contains(BINARY), "{client}: {written}");
        for word in [
            "\"braingrid-mcp\"",
            "--oauth-issuer",
            "https://auth.example.com",
            "--client-id",
            "--api-url",
        ] {
            assert!(written.contains(word), "{client}: {word} in {written}");
        }
    }
    let desktop = ["install", "claude-desktop", "--scope=project", "--yes"];
    let output = run(&desktop, &[], home.path());
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("leave --scope out"), "{said}");
    let file = [
        "install",
        "cursor",
        "--scope=project",
        "--yes",
        "--config=a.toml",
    ];
    let output = run(&file, &[], home.path());
    assert_eq!(output.status.code(), Some(64));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("a path of this machine"), "{said}");
}

#[test]
fn a_client_file_with_a_byte_order_mark_keeps_it_and_works() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".cursor/mcp.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let before = "\u{feff}{\"mcpServers\": {}}\r\n";
    fs::write(&file, before).unwrap();
    let output = run(&["install", "cursor", "--yes"], &[], home.path());
    assert!(output.status.success(), "{output:?}");
    assert!(fs::read_to_string(&file).unwrap().contains("braingrid"));
    let output = run(&["uninstall", "cursor", "--yes"], &[], home.path());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), before);
}
