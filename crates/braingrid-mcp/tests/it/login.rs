//! The user's own login, from the terminal to the tools: the built binary, a stand-in issuer that
//! lets everybody in, and a person with a browser played by an HTTP client.

mod binding;
mod failing;
mod keeping;
mod obtaining;
mod refreshing;
mod terminal;

use std::{process::Stdio, time::Duration};

use mcp_test_support::{
    Captured, Journal, ServerCommand, ServerProcess, Source,
    client::{Generation, RawStdio},
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::world::{BINARY, LIMIT, World};

/// What a command printed, and its exit code.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs a command to its end.
async fn run(command: &ServerCommand) -> Ran {
    run_with_input(command, "").await
}

async fn run_with_input(command: &ServerCommand, input: &str) -> Ran {
    let mut child = command
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await;
    let output = output.expect("the command ends").unwrap();
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// `braingrid-mcp` with these words.
fn command(world: &World, words: &[&str]) -> ServerCommand {
    let command = world.stdio_command();
    words.iter().fold(command, ServerCommand::arg)
}

/// A login that was started and printed the address to open.
async fn start_login(world: &World) -> (ServerProcess, String) {
    let login = command(world, &["login", "--no-browser"]).spawn().unwrap();
    let url = address(login.output()).await;
    (login, url)
}

/// The first address on a line of its own.
async fn address(output: &Journal<Captured>) -> String {
    let found = |lines: &[Captured]| {
        let mut lines = lines.iter().map(|line| line.text.trim().to_owned());
        lines.find(|line| line.starts_with("http"))
    };
    output
        .wait_until(|lines| found(lines).is_some(), LIMIT)
        .await;
    let entries = output.entries();
    found(&entries).expect("an address is printed")
}

/// What a person's browser does: it follows the redirects, and shows the last page.
async fn browse(url: &str) -> (u16, String) {
    let page = browser().get(url).send().await.unwrap();
    (page.status().as_u16(), page.text().await.unwrap())
}

fn browser() -> reqwest::Client {
    reqwest::Client::builder().timeout(LIMIT).build().unwrap()
}

/// Logs in in the browser.
async fn log_in(world: &World) {
    let (mut login, url) = start_login(world).await;
    let (status, page) = browse(&url).await;
    assert_eq!(status, 200, "{page}");
    let ended = login.wait(LIMIT).await.unwrap();
    assert!(ended.success(), "{}", login.text());
}

/// A server of the local user.
fn stdio(world: &World) -> RawStdio {
    RawStdio::start(&world.stdio_command()).unwrap()
}

/// Calls a tool that asks BrainGrid; the text of its answer, or of its error.
async fn call(stdio: &mut RawStdio) -> Result<String, String> {
    call_tool(stdio, "list_projects").await
}

async fn call_tool(stdio: &mut RawStdio, tool: &str) -> Result<String, String> {
    let params = json!({ "name": tool, "arguments": {} });
    let asked = stdio.request(Generation::Modern, "tools/call", params);
    let answer = asked.await.unwrap();
    let result = &answer["result"];
    let text = result["content"][0]["text"].as_str().unwrap_or_default();
    if result["isError"] == Value::Bool(true) || text.is_empty() {
        return Err(format!("{text}{}", answer["error"]));
    }
    Ok(text.to_owned())
}

/// The file of the login.
fn login_file(world: &World) -> std::path::PathBuf {
    world.home.path().join("login/login.json")
}

/// Makes the login's access token old: it ends in so many seconds.
fn age(world: &World, left: i64) {
    let file = login_file(world);
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let end = i64::try_from(now).unwrap() + left;
    record["credential"]["expires_at"] = end.into();
    record["credential"]["obtained_at"] = (end - 3_600).into();
    std::fs::write(file, record.to_string()).unwrap();
}

/// What a refresh of this login leaves behind that was cut short.
fn leave_a_note(world: &World) {
    let file = login_file(world);
    let record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let note = json!({ "stamp": record["stamp"] }).to_string();
    std::fs::write(file.with_file_name("refresh.json"), note).unwrap();
}

/// Soon enough to notice, long enough for a busy machine.
const SHORT: Duration = Duration::from_secs(5);
