//! The listener for operators: what it shows and changes, and whom it keeps out.

mod openapi;
mod pages;
mod people;
mod rights;
mod shell;

use std::path::PathBuf;

use mcp_test_support::{ServerCommand, ServerProcess, client::Generation};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

/// The token of somebody who may change things, and of somebody who may not.
const WRITE: &str = "write-0123456789abcdef0123456789abcdef";
const READ: &str = "read-0123456789abcdef0123456789abcdef0";

/// An operator's side of one server.
pub(crate) struct Operators {
    base: String,
    http: reqwest::Client,
    tokens: tempfile::TempDir,
}

/// What the listener answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Operators {
    /// Starts a server that has the listener, on any port, and knows two operators.
    pub(crate) async fn start(world: &World, command: ServerCommand) -> (ServerProcess, Self) {
        let tokens = tempfile::tempdir().unwrap();
        let file = tokens.path().join("tokens");
        let known = format!("ada write {WRITE}\ngrafana read {READ}\n");
        std::fs::write(&file, known).unwrap();
        let command = command.env("ADMIN_TOKENS_FILE", &file);
        Self::start_with(world, command, tokens).await
    }

    async fn start_with(
        world: &World,
        command: ServerCommand,
        tokens: tempfile::TempDir,
    ) -> (ServerProcess, Self) {
        let command = command.env("ADMIN_BIND", "127.0.0.1:0");
        let server = world.start(&command).await;
        server.said("issuer keys fetched", LIMIT).await;
        let address = server.text().lines().find_map(|line| {
            let line: Value = serde_json::from_str(line).ok()?;
            let told = line["message"] == "listening for operators";
            told.then(|| line["address"].as_str().unwrap().to_owned())
        });
        let base = format!("http://{}", address.expect("the listener is announced"));
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let this = Self { base, http, tokens };
        (server, this)
    }

    fn tokens_file(&self) -> PathBuf {
        self.tokens.path().join("tokens")
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    /// The same as somebody who may see everything.
    async fn read(&self, path: &str) -> Answer {
        self.send(self.request("GET", path).bearer_auth(READ)).await
    }

    async fn put(&self, path: &str, body: &str) -> Answer {
        let request = self.request("PUT", path).bearer_auth(WRITE);
        self.send(request.body(body.to_owned())).await
    }

    /// Changes something, as somebody who may.
    async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = self.request("POST", path).bearer_auth(WRITE);
        self.send(request.json(body)).await
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.http.request(method, format!("{}{path}", self.base))
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }
}

#[tokio::test]
async fn there_is_none_unless_it_is_asked_for() {
    let world = World::small().await;
    let server = world.server().await;
    assert!(!server.text().contains("listening for operators"));
    let main = reqwest::get(format!("{}/metrics", server.base_url())).await;
    assert_eq!(main.unwrap().status(), 404);
}

#[tokio::test]
async fn readiness_shows_the_parts_and_is_decided_by_draining_alone() {
    let world = World::shared().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let detail = operators.get("/ready").await.json();
    assert_eq!(detail["status"], "ready");
    assert_eq!(detail["issuers"][0]["issuer"], world.issuer.url());
    assert_eq!(detail["issuers"][0]["fetched"], 1);
    assert_eq!(detail["store"]["answers"], true);
    assert_eq!(detail["braingrid_api"]["circuit"], "closed");
    world.redis().pause().unwrap();
    let answer = operators.get("/ready").await;
    assert_eq!(
        (answer.status, &answer.json()["store"]["answers"]),
        (200, &json!(false))
    );

    let build = operators.get("/build").await.json();
    assert_eq!(build["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(operators.get("/health").await.status, 200);
    assert_eq!(operators.get("/").await.json()["paths"][0], "/metrics");
    assert_eq!(operators.get("/etc/passwd").await.status, 404);
    assert_eq!(operators.put("/metrics", "").await.status, 405);
    drop(server);
}

#[tokio::test]
async fn the_log_level_is_changed_while_it_runs() {
    let world = World::small().await;
    let command = world.command().env("LOG_LEVEL", "info");
    let (server, operators) = Operators::start(&world, command).await;
    assert_eq!(operators.get("/log-level").await.json()["level"], "info");
    let refused = async || {
        let call = client_of(&server).call(Generation::BOTH[0], "info", &json!({}));
        call.bearer("made-up").send().await.unwrap();
    };
    refused().await;
    assert!(!server.text().contains("request refused"));
    let changed = operators.put("/log-level", r#"{"level": "debug"}"#).await;
    assert_eq!(
        (changed.status, &changed.json()["level"]),
        (200, &json!("debug"))
    );
    refused().await;
    assert!(server.said("request refused", LIMIT).await);
    let wrong = operators.put("/log-level", "mcp_core=loud").await;
    assert_eq!(wrong.status, 400, "{}", wrong.text);
    assert_eq!(operators.get("/log-level").await.json()["level"], "debug");
    assert_eq!(
        operators
            .put("/log-level", "info,mcp_session=trace")
            .await
            .status,
        200
    );
    let huge = "x".repeat(100_000);
    assert_eq!(operators.put("/log-level", &huge).await.status, 413);
}

#[tokio::test]
async fn pages_and_foreign_names_are_kept_out() {
    let world = World::small().await;
    let command = world
        .command()
        .env("ADMIN_ALLOWED_HOSTS", "metrics.internal");
    let (_server, operators) = Operators::start(&world, command).await;
    let asked = async |header: &str, value: &str| {
        let request = operators.http.get(format!("{}/metrics", operators.base));
        operators.send(request.header(header, value)).await.status
    };
    assert_eq!(asked("host", "rebound.example").await, 403);
    assert_eq!(asked("host", "rebound.example:9464").await, 403);
    assert_eq!(asked("host", "localhost").await, 200);
    assert_eq!(asked("host", "metrics.internal:9464").await, 200);
    assert_eq!(asked("origin", "https://rebound.example").await, 403);
    assert_eq!(asked("origin", "null").await, 403);
    assert_eq!(asked("origin", &operators.base).await, 200, "its own pages");
}
