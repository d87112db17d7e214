//! One test per finding of `doctor`: the link is broken for real, and the line says what to do.

mod provider;

use std::{fs, path::Path, sync::Arc};

use mcp_test_support::{
    IssuerMode, RedisServer, ServerCommand,
    api::{Fault, Operation, Times},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::world::{BINARY, LIMIT, World};

/// Whether this build can log in.
const LOGIN: bool = cfg!(feature = "login");

/// What the doctor said, and how it ended.
struct Report {
    code: Option<i32>,
    json: Value,
    text: String,
}

impl Report {
    /// All that was said about one link: verdict, text and fix.
    fn about(&self, check: &str) -> String {
        let findings = self.json["findings"].as_array().unwrap().iter();
        let lines = findings.filter(|finding| finding["check"] == check);
        let lines = lines.map(|finding| {
            let part = |name: &str| finding[name].as_str().unwrap_or_default();
            format!("{}: {} → {}", part("verdict"), part("says"), part("fix"))
        });
        let lines: Vec<_> = lines.collect();
        assert!(!lines.is_empty(), "nothing about {check}: {:#}", self.json);
        lines.join("\n")
    }

    /// Expects one thing to fix, told with these words.
    fn needs_fix(&self, check: &str, words: &[&str]) {
        let told = self.about(check);
        assert!(told.starts_with("problem: "), "{told}");
        for word in words {
            assert!(told.contains(word), "no {word:?} in {told}");
        }
        assert_eq!(self.code, Some(1), "{}", self.text);
        assert_eq!(self.json["ok"], false);
    }

    fn is(&self, check: &str, verdict: &str, words: &str) {
        let told = self.about(check);
        assert!(
            told.starts_with(&format!("{verdict}: ")) && told.contains(words),
            "{told}"
        );
    }
}

/// A home with nothing in it, or with what a test puts there.
fn home() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

async fn run(command: &ServerCommand, home: &Path, json: bool) -> (Option<i32>, String) {
    let command = command.clone().env("HOME", home).arg("doctor");
    let command = if json { command.arg("--json") } else { command };
    let mut command = command.command();
    let output = command.current_dir(home).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(!complaint.contains("panicked"), "{complaint}");
    (output.status.code(), text)
}

async fn doctor_in(command: &ServerCommand, home: &Path) -> Report {
    let (code, text) = run(command, home, true).await;
    let json = serde_json::from_str(&text).expect(&text);
    Report { code, json, text }
}

async fn doctor(command: &ServerCommand) -> Report {
    doctor_in(command, home().path()).await
}

/// A stdio server with a good token.
fn stdio(world: &World) -> ServerCommand {
    let token = world.token("user_ada", "org_ada");
    world.stdio_command().env("BRAINGRID_API_TOKEN", token)
}

/// Answers every request on a free port of this machine with what the handler makes of it.
async fn answering(handler: impl Fn(&str) -> String + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let handler = Arc::new(handler);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let handler = Arc::clone(&handler);
            tokio::spawn(async move {
                let mut request = vec![0; 8_192];
                while let Ok(length @ 1..) = stream.read(&mut request).await {
                    let answer = handler(&String::from_utf8_lossy(&request[..length]));
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn http_answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// Something in front of a server: its metadata is right, and a POST gets this answer.
async fn front(world: &World, to_a_post: &'static str) -> ServerCommand {
    let issuer = world.issuer.url();
    let port = answering(move |request| {
        if request.starts_with("POST") {
            return to_a_post.to_owned();
        }
        let host = host_of(request);
        let resource = format!("http://{host}/mcp");
        let metadata = json!({ "resource": resource, "authorization_servers": [issuer] });
        http_answer("200 OK", "", &metadata.to_string())
    })
    .await;
    world
        .command()
        .env("MCP_HOST", format!("http://127.0.0.1:{port}"))
}

fn host_of(request: &str) -> &str {
    let mut lines = request.lines();
    lines.find_map(|line| line.strip_prefix("host: ")).unwrap()
}

#[tokio::test]
async fn a_good_local_set_up_is_well() {
    let world = World::small().await;
    let home = home();
    let arguments = ["install", "cursor", "--yes"];
    let mut install = tokio::process::Command::new(BINARY);
    install.args(arguments).env("HOME", home.path());
    assert!(install.output().await.unwrap().status.success());
    let report = doctor_in(&stdio(&world), home.path()).await;
    assert_eq!(
        (report.code, &report.json["ok"]),
        (Some(0), &json!(true)),
        "{}",
        report.text
    );
    for check in [
        "configuration",
        "credential",
        "clock",
        "BrainGrid API",
        "client set-up",
    ] {
        report.is(check, "good", "");
    }
    for check in [
        "issuer metadata",
        "issuer keys",
        "Redis",
        "encryption keys",
        "public URL",
        "challenge",
        "Origin rule",
    ] {
        report.is(check, "not_needed", "not needed for stdio");
    }
    let (code, text) = run(&stdio(&world), home.path(), false).await;
    assert_eq!(code, Some(0));
    assert!(text.ends_with("All is well.\n"), "{text}");
}

#[tokio::test]
async fn a_good_hosted_set_up_is_well() {
    let world = World::shared().await;
    let _server = world.server_at_public_url().await;
    let report = doctor(&world.command_at_public_url()).await;
    assert_eq!(report.code, Some(0), "{:#}", report.json);
    // The stand-ins share an audience without sharing an origin.
    report.is("configuration", "warning", "UPSTREAM_AUDIENCE");
    for check in [
        "clock",
        "issuer metadata",
        "issuer keys",
        "Redis",
        "encryption keys",
        "BrainGrid API",
        "public URL",
        "challenge",
        "Origin rule",
    ] {
        report.is(check, "good", "");
    }
    report.is("credential", "not_needed", "every caller brings a token");
    let mut left = world.redis().keys_and_values().await.unwrap();
    // The server counts its instances.
    left.retain(|(key, _)| !key.starts_with("mcp:limit-instances:"));
    assert!(left.is_empty(), "nothing is left there");
}

#[tokio::test]
async fn every_mistake_in_the_configuration_is_told_with_its_fix() {
    let world = World::small().await;
    let command = stdio(&world)
        .env("LOG_FORMAT", "xml")
        .env("LOG_LEVEL", "loud");
    let report = doctor(&command).await;
    report.needs_fix(
        "configuration",
        &["LOG_FORMAT", "use json or pretty", "LOG_LEVEL"],
    );
    report.is("BrainGrid API", "not_checked", "");
    let report = doctor(&stdio(&world).env("MCP_TRANSPROT", "http")).await;
    report.is("configuration", "warning", "MCP_TRANSPORT");
    assert_eq!(report.code, Some(0), "a warning is no failure");
}

#[tokio::test]
async fn without_a_credential() {
    let world = World::small().await;
    let command = world
        .stdio_command()
        .env("OAUTH_ISSUER", world.issuer.url());
    let report = doctor(&command).await;
    report.needs_fix("credential", &["there is none", "BRAINGRID_API_TOKEN"]);
    report.is(
        "issuer metadata",
        if LOGIN { "good" } else { "not_needed" },
        "",
    );
    report.is("BrainGrid API", "not_checked", "no credential");
}

#[tokio::test]
async fn a_token_that_ended() {
    let world = World::small().await;
    let token = world.issuer.token().expires_in(-7_300).mint();
    let report = doctor(&world.stdio_command().env("BRAINGRID_API_TOKEN", token)).await;
    report.needs_fix("credential", &["ended 2 h ago", "new token"]);
}

#[cfg(feature = "login")]
#[tokio::test]
async fn a_login_that_is_kept_and_one_that_is_damaged() {
    let world = World::small().await;
    let home = home();
    let command = world
        .stdio_command()
        .env("OAUTH_ISSUER", world.issuer.url())
        .env("BRAINGRID_LOGIN_STORE", "file")
        .env("BRAINGRID_LOGIN_DIR", home.path());
    let token = home.path().join("token");
    fs::write(&token, world.token("user_ada", "org_ada")).unwrap();
    let login = command.clone().arg("login").arg("--token").arg(&token);
    let output = login.command().output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = doctor_in(&command, home.path()).await;
    report.is("credential", "good", "a login in the file");
    report.is("BrainGrid API", "good", "knows you");
    fs::write(home.path().join("login.json"), "{").unwrap();
    let report = doctor_in(&command, home.path()).await;
    report.needs_fix("credential", &["damaged", "braingrid-mcp login"]);
    world.issuer.stop().await;
    let report = doctor_in(&command, home.path()).await;
    report.needs_fix("issuer metadata", &["no answer", "nobody can log in"]);
}

#[tokio::test]
async fn a_clock_that_is_off() {
    let world = World::small().await;
    for (offset, words) in [(300, "behind http"), (-300, "ahead of http")] {
        world.issuer.set_clock_offset(offset);
        let report = doctor(&world.command()).await;
        report.needs_fix("clock", &[words, &world.issuer.url(), "timedatectl"]);
    }
    world.issuer.set_clock_offset(30);
    doctor(&world.command())
        .await
        .is("clock", "warning", "behind");
}

#[tokio::test]
async fn an_issuer_that_is_away() {
    let world = World::small().await;
    world.issuer.stop().await;
    let report = doctor(&world.command()).await;
    report.needs_fix("issuer metadata", &["no answer", "firewall"]);
    report.is("issuer keys", "not_checked", "");
}

#[tokio::test]
async fn an_issuer_that_spells_itself_otherwise() {
    let world = World::small().await;
    let spelled = format!("{}/", world.issuer.url());
    let report = doctor(&world.command().env("OAUTH_ISSUER", spelled)).await;
    let exact = format!("configure it as {} ", world.issuer.url());
    report.needs_fix("issuer metadata", &["another issuer", &exact, "exactly as"]);
}

#[tokio::test]
async fn an_issuer_without_metadata() {
    let world = World::small().await;
    world.issuer.set_mode(IssuerMode::Error500);
    let report = doctor(&world.command()).await;
    report.needs_fix("issuer metadata", &["status 500", "OAUTH_JWKS_URI"]);
    world.issuer.set_mode(IssuerMode::Normal);
    let command = world
        .command()
        .env("OAUTH_JWKS_URI", world.issuer.jwks_url());
    let report = doctor(&command).await;
    report.is("issuer metadata", "not_needed", "key set is configured");
    report.is("issuer keys", "good", "RS256");
}

#[tokio::test]
async fn an_issuer_without_code_challenges_and_without_keys() {
    let world = World::small().await;
    let port = answering(|request| {
        let issuer = format!("http://{}", host_of(request));
        let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") });
        let is_keys = request.starts_with("GET /keys");
        let body = if is_keys {
            json!({ "keys": [] })
        } else {
            metadata
        };
        http_answer("200 OK", "", &body.to_string())
    })
    .await;
    let command = world
        .command()
        .env("OAUTH_ISSUER", format!("http://127.0.0.1:{port}"));
    let report = doctor(&command).await;
    report.is("issuer metadata", "warning", "S256");
    report.needs_fix("issuer keys", &["no usable signature key", "jwks_uri"]);
}

#[tokio::test]
async fn an_issuer_with_keys_elsewhere_or_of_another_kind() {
    let world = World::small().await;
    let port = answering(|request| {
        let issuer = format!("http://{}", host_of(request));
        let metadata = json!({ "issuer": issuer, "jwks_uri": "https://elsewhere.test/keys" });
        http_answer("200 OK", "", &metadata.to_string())
    })
    .await;
    let issuer = format!("http://127.0.0.1:{port}");
    let report = doctor(&world.command().env("OAUTH_ISSUER", issuer)).await;
    report.needs_fix("issuer metadata", &["another host", "OAUTH_JWKS_URI"]);

    let home = home();
    let issuer = world.issuer.url();
    let file = format!("[[issuers]]\nissuer = \"{issuer}\"\nalgorithms = [\"ES384\"]\n");
    let path = home.path().join("braingrid-mcp.toml");
    fs::write(&path, file).unwrap();
    let command = world.command().without_env("OAUTH_ISSUER");
    let report = doctor_in(&command.env("BRAINGRID_CONFIG", path), home.path()).await;
    report.needs_fix("issuer keys", &["configured algorithms", "accepted here"]);
}

#[tokio::test]
async fn a_redis_that_is_away() {
    let mut world = World::shared().await;
    let command = world.command();
    world.redis.as_mut().unwrap().kill();
    let report = doctor(&command).await;
    report.needs_fix("Redis", &["REDIS_URL", "stay in this process"]);
    report.is("encryption keys", "good", "one key");
}

#[tokio::test]
async fn a_redis_that_wants_a_password_or_grants_too_little() {
    let world = World::shared().await;
    for (refusal, words) in [
        ("-NOAUTH Authentication required.\r\n", "user and password"),
        ("-NOPERM this user has no permissions\r\n", "mcp:*"),
        ("-OOM command not allowed\r\n", "memory"),
        ("-BUSY a script is running\r\n", "Redis's own log"),
    ] {
        let port = answering(move |commands| {
            let count = commands.split('*').skip(1).count();
            refusal.repeat(count)
        })
        .await;
        let url = format!("redis://127.0.0.1:{port}");
        let report = doctor(&world.command().env("REDIS_URL", url)).await;
        report.needs_fix("Redis", &[words]);
    }
}

#[tokio::test]
async fn a_redis_that_may_evict_what_must_stay() {
    let world = World::shared().await;
    let set = async |name, value| {
        let set = ["CONFIG", "SET", name, value];
        world.redis().command(&set).await.unwrap();
    };
    set("maxmemory", "64mb").await;
    doctor(&world.command())
        .await
        .is("Redis", "good", "sealed record");
    set("maxmemory-policy", "allkeys-lru").await;
    let report = doctor(&world.command()).await;
    report.is("Redis", "warning", "allkeys-lru");
    let server = world.server().await;
    assert!(
        server.said("FACTS_REDIS_URL", LIMIT).await,
        "{}",
        server.text()
    );
    // Another one for the facts, which keeps them.
    let other = RedisServer::start().await.unwrap();
    let apart = world.command().env("FACTS_REDIS_URL", other.url());
    doctor(&apart).await.is("Redis", "good", "sealed record");
    let nowhere = world
        .command()
        .env("FACTS_REDIS_URL", "redis://127.0.0.1:1");
    doctor(&nowhere)
        .await
        .needs_fix("Redis", &["FACTS_REDIS_URL"]);
}

#[tokio::test]
async fn encryption_keys_that_are_guessed_or_out_of_place() {
    let world = World::shared().await;
    let report = doctor(&world.command().env("ENCRYPTION_KEY", "00".repeat(32))).await;
    report.needs_fix("configuration", &["ENCRYPTION_KEY", "openssl rand -hex 32"]);
    let twice = world
        .command()
        .env("ENCRYPTION_KEYS_PREVIOUS", &world.encryption_key);
    doctor(&twice)
        .await
        .is("encryption keys", "warning", "ENCRYPTION_KEYS_PREVIOUS");
}

#[tokio::test]
async fn an_api_that_refuses_the_token() {
    let world = World::small().await;
    let refused = Fault::Status(401);
    world
        .api
        .inject(Operation::GetProfile, refused, Times::Always);
    let report = doctor(&stdio(&world)).await;
    report.needs_fix("BrainGrid API", &["does not accept", "new token"]);
}

#[tokio::test]
async fn an_api_that_is_away() {
    let world = World::small().await;
    world.api.stop().await;
    for command in [stdio(&world), world.command()] {
        let report = doctor(&command).await;
        report.needs_fix("BrainGrid API", &["BRAINGRID_API_URL", "firewall"]);
    }
    let report = doctor(&stdio(&world)).await;
    report.is("clock", "not_checked", "nobody answered");
}

#[tokio::test]
async fn an_api_that_is_unwell() {
    let world = World::small().await;
    let port = answering(|_| http_answer("503 Service Unavailable", "", "")).await;
    let command = world
        .command()
        .env("BRAINGRID_API_URL", format!("http://127.0.0.1:{port}"));
    doctor(&command).await.needs_fix("BrainGrid API", &["503"]);
}

#[tokio::test]
async fn a_user_without_an_organization() {
    let world = World::small().await;
    let profile = r#"{"id":"user_eve","email":"eve@example.com","name":"Eve"}"#;
    let port = answering(move |_| http_answer("200 OK", "", profile)).await;
    let token = world.issuer.token().subject("user_eve").mint();
    let command = world
        .stdio_command()
        .env("BRAINGRID_API_TOKEN", token)
        .env("BRAINGRID_API_URL", format!("http://127.0.0.1:{port}"));
    let report = doctor(&command).await;
    report.is("BrainGrid API", "good", "a user without an organization");
}

#[tokio::test]
async fn a_public_url_where_nobody_answers() {
    let world = World::small().await;
    let report = doctor(&world.command_at_public_url()).await;
    report.needs_fix(
        "public URL",
        &["does not answer", "--transport http", "MCP_HOST"],
    );
    report.is("challenge", "not_checked", "");
    report.is("Origin rule", "not_checked", "");
}

#[tokio::test]
async fn a_public_url_that_nobody_knows_yet() {
    let world = World::small().await;
    let command = world.command().without_env("MCP_HOST").env("PORT", "0");
    let report = doctor(&command).await;
    for check in ["public URL", "challenge", "Origin rule"] {
        report.is(check, "not_checked", "chooses the port");
    }
}

#[tokio::test]
async fn a_public_url_where_something_else_answers() {
    let world = World::small().await;
    let at = |port: u16| {
        world
            .command()
            .env("MCP_HOST", format!("http://127.0.0.1:{port}"))
    };
    let port = answering(|_| http_answer("404 Not Found", "", "")).await;
    doctor(&at(port))
        .await
        .needs_fix("public URL", &["404", "/.well-known"]);
    let port = answering(|_| http_answer("403 Forbidden", "", "")).await;
    doctor(&at(port))
        .await
        .needs_fix("public URL", &["Host", "ALLOWED_HOSTS"]);
    let other = r#"{"resource":"https://other.test/mcp","authorization_servers":[]}"#;
    let port = answering(move |_| http_answer("200 OK", "", other)).await;
    doctor(&at(port))
        .await
        .needs_fix("public URL", &["another resource", "MCP_HOST"]);
}

#[tokio::test]
async fn a_server_that_runs_with_an_older_configuration() {
    let world = World::small().await;
    let _server = world.server_at_public_url().await;
    let command = world.command_at_public_url();
    let report = doctor(&command.env("OAUTH_ISSUER", "http://127.0.0.1:9")).await;
    report.needs_fix("public URL", &["other authorization servers", "restart"]);
}

#[tokio::test]
async fn a_proxy_that_answers_for_the_server() {
    let world = World::small().await;
    for (answer, words) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "answers 200",
        ),
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
            "WWW-Authenticate",
        ),
    ] {
        let report = doctor(&front(&world, answer).await).await;
        report.needs_fix("challenge", &[words, "proxy"]);
        report.needs_fix("Origin rule", &["not 403", "Origin"]);
    }
}

#[tokio::test]
async fn a_proxy_that_does_not_pass_a_post_on() {
    let world = World::small().await;
    let report = doctor(&front(&world, "this is no HTTP\r\n\r\n").await).await;
    report.needs_fix("challenge", &["does not answer a POST", "proxy"]);
}

#[tokio::test]
async fn clients_that_are_not_set_up_or_set_up_wrongly() {
    let world = World::small().await;
    let home = home();
    let command = stdio(&world);
    let about = async || doctor_in(&command, home.path()).await;
    about()
        .await
        .is("client set-up", "warning", "braingrid-mcp install");
    let file = home.path().join(".cursor/mcp.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let entry = |entry: Value| {
        let text = json!({ "mcpServers": { "braingrid": entry } }).to_string();
        fs::write(&file, text).unwrap();
    };
    entry(json!({ "command": "/gone/braingrid-mcp" }));
    about()
        .await
        .needs_fix("client set-up", &["/gone/", "braingrid-mcp install cursor"]);
    entry(json!({ "command": "/bin/sh" }));
    about().await.is("client set-up", "warning", "/bin/sh");
    entry(json!({ "url": "https://mcp.example.com/mcp" }));
    about()
        .await
        .is("client set-up", "good", "https://mcp.example.com/mcp");
    fs::write(&file, "{").unwrap();
    about()
        .await
        .needs_fix("client set-up", &["Cursor cannot read", "mcp.json"]);
}

#[tokio::test]
async fn no_secret_is_ever_printed() {
    let world = World::shared().await;
    let home = home();
    let token = world.token("user_ada", "org_ada");
    let mut secrets = vec![
        token.clone(),
        world.encryption_key.clone(),
        "hunter2".to_owned(),
    ];
    secrets.extend(token.split('.').skip(1).map(str::to_owned));
    let redis = format!("redis://:hunter2@127.0.0.1:{}", world.redis().port());
    let hosted = world.command().env("REDIS_URL", redis);
    let local = world.stdio_command().env("BRAINGRID_API_TOKEN", &token);
    let wrong = local
        .clone()
        .env("BRAINGRID_API_TOKEN", "hunter2 with spaces");
    fs::write(home.path().join(".claude.json"), "hunter2").unwrap();
    for command in [hosted, local, wrong] {
        let command = command.env("LOG_LEVEL", "trace").env("RUST_LOG", "trace");
        for json in [true, false] {
            let (_, text) = run(&command, home.path(), json).await;
            assert!(text.contains("configuration"), "{text}");
            for secret in &secrets {
                assert!(!text.contains(secret.as_str()), "{text}");
            }
        }
    }
}

#[tokio::test]
async fn the_readme_shows_what_doctor_prints() {
    let world = World::small().await;
    let home = home();
    fs::create_dir(home.path().join(".cursor")).unwrap();
    let gone = json!({ "mcpServers": { "braingrid": { "command": "/opt/old/braingrid-mcp" } } });
    fs::write(home.path().join(".cursor/mcp.json"), gone.to_string()).unwrap();
    let (_, text) = run(&stdio(&world), home.path(), false).await;
    let folder = home.path().canonicalize().unwrap();
    let shown = text
        .replace(folder.to_str().unwrap(), "~")
        .replace(home.path().to_str().unwrap(), "~")
        .replace(BINARY, "braingrid-mcp")
        .replace(&world.api.url(), "https://app.braingrid.ai");
    let readme = include_str!("../../../../README.md");
    let (_, block) = readme.split_once("<!-- doctor -->\n\n```text\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    assert_eq!(block, shown, "the README's block should be:\n{shown}");
}

/// A token in a file of its own.
fn token_file(home: &Path, token: &str) -> std::path::PathBuf {
    let file = home.join("token");
    fs::write(&file, format!("{token}\n")).unwrap();
    file
}

#[tokio::test]
async fn one_call_is_walked_through_the_public_url() {
    let world = World::small().await;
    let _server = world.server_at_public_url().await;
    let home = home();
    let call = |token: String| {
        let file = token_file(home.path(), &token);
        world
            .command_at_public_url()
            .arg("doctor")
            .arg("--token-file")
            .arg(file)
    };
    let good = call(world.token("user_ada", "org_ada"));
    let report = doctor_of(&good, home.path()).await;
    assert_eq!(report.code, Some(0), "{:#}", report.json);
    report.is("token", "good", &world.resource());
    report.is("initialize", "good", "braingrid-mcp");
    report.is("tools/list", "good", "tools");
    report.is("tools/call", "good", "get_profile was answered");

    let elsewhere = world
        .issuer
        .token()
        .audience("https://elsewhere.test")
        .mint();
    let report = doctor_of(&call(elsewhere), home.path()).await;
    report.needs_fix(
        "token",
        &["https://elsewhere.test", &world.resource(), "RFC 8707"],
    );
    report.needs_fix("initialize", &["401"]);
    let ended = world
        .issuer
        .token()
        .organization("org_ada")
        .expires_in(-7_300)
        .mint();
    let report = doctor_of(&call(ended), home.path()).await;
    report.needs_fix("initialize", &["401", "access log"]);
    let fault = Fault::Status(401);
    world
        .api
        .inject(Operation::GetProfile, fault, Times::Always);
    let refused = call(world.token("user_ada", "org_ada"));
    let report = doctor_of(&refused, home.path()).await;
    report.needs_fix("tools/call", &["get_profile", "UPSTREAM_AUDIENCE"]);
    assert!(
        !report.text.contains("eyJ"),
        "the token is in {}",
        report.text
    );
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_named_with_its_fault() {
    let world = World::small().await;
    let short = json!({ "kty": "RSA", "kid": "short\u{1b}-1", "n": "AQAB", "e": "AQAB" });
    world.issuer.publish(json!({ "keys": [short] }).to_string());
    let report = doctor(&world.command()).await;
    report.needs_fix("issuer keys", &["key short-1: its modulus is shorter"]);
    let good = world.issuer.key(mcp_test_support::Algorithm::Es256).jwk();
    world
        .issuer
        .publish(json!({ "keys": [good, short] }).to_string());
    let report = doctor(&world.command()).await;
    report.is("issuer keys", "warning", "ES256; key short-1: its modulus");
}

#[tokio::test]
async fn the_token_of_a_service() {
    let world = World::small().await;
    let _server = world.server_at_public_url().await;
    let home = home();
    let token = world
        .issuer
        .token()
        .organization("org_ada")
        .subject("robot");
    let file = token_file(home.path(), &token.claim("client_id", "robot").mint());
    let command = world.command_at_public_url().arg("doctor");
    let report = doctor_of(&command.arg("--token-file").arg(file), home.path()).await;
    report.needs_fix("initialize", &["403", "service_principals = true"]);
}

/// A person logs in as a client would, and the call goes through; nothing is kept.
#[cfg(feature = "login")]
#[tokio::test]
async fn a_login_as_a_client_makes_one_call() {
    use std::process::Stdio;
    use tokio::io::AsyncBufReadExt as _;
    let world = World::small().await;
    let _server = world.server_at_public_url().await;
    let home = home();
    let command = world.command_at_public_url().env("OAUTH_SCOPES", "openid");
    let command = command.env("HOME", home.path()).env("BROWSER", "false");
    let mut command = command.arg("doctor").arg("--login").arg("--json").command();
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.current_dir(home.path()).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(child.stderr.take().unwrap()).lines();
    let url = loop {
        let line = lines
            .next_line()
            .await
            .unwrap()
            .expect("an address is printed");
        if line.trim().starts_with("http") {
            break line.trim().to_owned();
        }
    };
    let asked = url::Url::parse(&url).unwrap();
    let asked = |name: &str| {
        let found = asked.query_pairs().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.into_owned())
            .unwrap_or_default()
    };
    assert_eq!(asked("resource"), world.resource());
    assert_eq!(asked("scope"), "openid offline_access");
    let page = reqwest::get(&url).await.unwrap();
    assert!(page.status().is_success());
    let output = child.wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json: Value = serde_json::from_str(&text).expect(&text);
    let report = Report {
        code: output.status.code(),
        json,
        text,
    };
    report.is("tools/call", "good", "get_profile was answered");
    report.is("token", "good", &world.resource());
    assert_eq!(report.code, Some(0), "{}", report.text);
    assert!(!report.text.contains("eyJ"), "{}", report.text);
    assert!(fs::read_dir(home.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn an_audience_that_no_token_has() {
    let world = World::small().await;
    let command = world
        .command_at_public_url()
        .env("UPSTREAM_AUDIENCE", "https://api.test");
    let _server = world.start(&command).await;
    let home = home();
    let file = token_file(home.path(), &world.token("user_ada", "org_ada"));
    let command = command.arg("doctor").arg("--token-file").arg(file);
    let report = doctor_of(&command, home.path()).await;
    report.needs_fix("token", &["UPSTREAM_AUDIENCE is https://api.test"]);
    report.needs_fix("initialize", &["403", "UPSTREAM_AUDIENCE"]);
}

#[tokio::test]
async fn an_issuer_where_no_client_can_register_and_no_login_lasts() {
    let world = World::small().await;
    let port = answering(|request| {
        let issuer = format!("http://{}", host_of(request));
        let metadata = json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/keys"),
            "grant_types_supported": ["authorization_code"],
        });
        http_answer("200 OK", "", &metadata.to_string())
    })
    .await;
    let issuer = format!("http://127.0.0.1:{port}");
    let report = doctor(&world.command().env("OAUTH_ISSUER", issuer)).await;
    report.needs_fix(
        "client registration",
        &["registration_endpoint", "client id"],
    );
    report.needs_fix("refresh", &["no refresh tokens", "refresh_token grant"]);

    let report = doctor(&world.command()).await;
    report.is("client registration", "good", "register themselves");
    report.is("refresh", "warning", "OAUTH_SCOPES=openid,profile,email");
    let named = world.command().env("OAUTH_SCOPES", "openid");
    doctor(&named).await.is("refresh", "good", "offline_access");
}

/// A command that has its arguments already.
async fn doctor_of(command: &ServerCommand, home: &Path) -> Report {
    let mut command = command.clone().env("HOME", home).arg("--json").command();
    let output = command.current_dir(home).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let json = serde_json::from_str(&text).expect(&text);
    let code = output.status.code();
    Report { code, json, text }
}
