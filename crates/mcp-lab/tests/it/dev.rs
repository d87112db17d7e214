//! What `cargo xtask dev` prints is tried as a user would: the address goes to a client, the client
//! finds the login, the user presses the buttons.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test file"
)]

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use mcp_lab::dev_login::{self, LoggedIn};
use mcp_test_support::{
    client::{self, Generation},
    http_client, signal,
};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

const COMMAND: &str = "claude mcp add --transport http braingrid ";
const LAST: &str = "Everything stays up until Ctrl-C.";
/// What fits on a screen.
const SUMMARY_LINES: usize = 25;

/// It, running, and what it printed.
struct Dev {
    child: Child,
    printed: Vec<String>,
    _state: TempDir,
}

impl Dev {
    async fn start(flags: &[&str]) -> Self {
        let state = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
            .args(["dev", "--port", "0", "--server"])
            .arg(super::server().unwrap())
            .arg("--state")
            .arg(state.path())
            .args(flags)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            printed.push(line);
            if printed.last().is_some_and(|line| line == LAST) {
                break;
            }
        }
        Self {
            child,
            printed,
            _state: state,
        }
    }

    /// What follows these words in a line.
    fn after(&self, words: &str) -> &str {
        let mut lines = self.printed.iter();
        let found = lines.find_map(|line| Some(line.split_once(words)?.1.trim()));
        found.unwrap_or_else(|| panic!("no {words:?} in {:#?}", self.printed))
    }

    /// As Ctrl-C does; nothing is left of it.
    async fn stop(mut self) {
        if let Some(pid) = self.child.id() {
            // One that has ended by itself is as good.
            let _ = signal(pid, Signal::SIGTERM);
        }
        assert!(self.child.wait().await.unwrap().success());
    }

    /// Whom the API was asked for.
    async fn subjects(&self) -> Vec<Value> {
        let api = self.after("BrainGrid API").split_once(' ').unwrap().0;
        let asked = http_client().get(format!("{api}/__stand-in/requests"));
        let asked: Value = asked.send().await.unwrap().json().await.unwrap();
        let asked = asked["requests"].as_array().unwrap().iter();
        asked.map(|request| request["subject"].clone()).collect()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Of a test that failed. It stops the servers; killed, it would leave them.
        if let Some(pid) = self.child.id() {
            let _ = signal(pid, Signal::SIGTERM);
        }
    }
}

async fn creates(url: &str, token: &str) {
    let mcp = client::connect_http(url, Some(token), Generation::Modern)
        .await
        .unwrap();
    let idea = json!({ "message": "Log in from the printed command", "project": "PROJ-1" });
    let result = client::call(&mcp, "create_requirement", idea)
        .await
        .unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    mcp.cancel().await.unwrap();
}

/// The client's next access token, from the instance at this address.
async fn refreshed(login: &LoggedIn, port: u16) -> String {
    let mut endpoint = login.token_endpoint.clone();
    endpoint.set_port(Some(port)).unwrap();
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", login.refresh_token.as_str()),
        ("client_id", login.client_id.as_str()),
    ];
    let tokens = dev_login::tokens(&http_client(), &endpoint, &form).await;
    tokens.unwrap()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_printed_command_leads_to_a_login_that_works_on_all_instances() {
    let dev = Dev::start(&["--redis", "--replicas", "2"]).await;
    let url = dev.after(COMMAND);
    assert!(url.ends_with("/mcp") && !url.contains(' '), "{url}");
    let summary = dev.printed.iter().rev();
    let summary = summary
        .take_while(|line| *line != "Connect a client")
        .count();
    assert!(summary < SUMMARY_LINES, "{:#?}", dev.printed);
    assert!(!dev.printed.iter().any(|line| line.contains("eyJ")));

    let before = dev.subjects().await.len();
    let login = dev_login::log_in(url, "An app of mine", &["Allow", "Sign in"]).await;
    let login = login.unwrap();
    let (consent, provider) = (&login.pages[0], &login.pages[1]);
    assert!(url.starts_with(&consent.url.origin().ascii_serialization()));
    assert!(consent.html.contains("An app of mine"), "{}", consent.html);
    let idp = dev.after("identity").split_once(' ').unwrap().0;
    assert_eq!(provider.url.origin().ascii_serialization(), idp);
    assert!(provider.html.contains("user_ada"), "{}", provider.html);

    creates(url, &login.access_token).await;
    let endpoints = dev.printed.iter().filter_map(|line| {
        let (_, rest) = line.split_once("MCP endpoint     ")?;
        rest.split_once("/mcp   pid")
    });
    let second: url::Url = endpoints
        .map(|(base, _)| base)
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    let token = refreshed(&login, second.port().unwrap()).await;
    assert_ne!(token, login.access_token);
    creates(&format!("{second}mcp"), &token).await;
    let asked = dev.subjects().await.split_off(before);
    assert!(
        asked.len() >= 2 && asked.iter().all(|it| it == "user_ada"),
        "{asked:?}"
    );
    dev.stop().await;
}

#[tokio::test]
async fn a_script_has_a_token_and_the_log() {
    let dev = Dev::start(&[]).await;
    let token_file = dev.after("$(cat ").split_once(')').unwrap().0.to_owned();
    let token = std::fs::read_to_string(token_file).unwrap();
    creates(dev.after("MCP endpoint").split(' ').next().unwrap(), &token).await;
    written(&PathBuf::from(dev.after("log  ")), "\"tools/call\"").await;
    dev.stop().await;
}

/// Waits until the file says so.
async fn written(file: &Path, text: &str) {
    let says = async {
        let mut again = tokio::time::interval(Duration::from_millis(10));
        while !std::fs::read_to_string(file).unwrap().contains(text) {
            again.tick().await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(10), says).await;
    said.unwrap_or_else(|_| panic!("no {text} in {}", file.display()));
}

#[tokio::test]
async fn the_demonstration_works_by_exchange_too() {
    let dev = Dev::start(&["--exchange", "--once"]).await;
    assert!(
        dev.after("| Created in").starts_with("PROJ-1"),
        "{:#?}",
        dev.printed
    );
    dev.stop().await;
}
