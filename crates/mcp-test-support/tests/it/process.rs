//! Child processes: environment, output, signals.

use std::{os::unix::process::ExitStatusExt, time::Duration};

use mcp_test_support::{
    Captured, ServerCommand, Source,
    client::{Generation, RawStdio},
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(10);

fn shell(script: &str) -> ServerCommand {
    ServerCommand::new("/bin/sh").arg("-c").arg(script)
}

#[tokio::test]
async fn environment_is_cleared_and_output_captured_with_its_source() {
    let command = shell("echo \"$GREETING ${CARGO_PKG_NAME:-nothing}\"; echo oops >&2; exit 3");
    let mut process = command.env("GREETING", "hello").spawn().unwrap();
    assert_eq!(process.wait(LIMIT).await.unwrap().code(), Some(3));
    let line = |source, text: &str| Captured {
        source,
        text: text.into(),
    };
    let written = process.output().entries();
    assert!(written.contains(&line(Source::Stdout, "hello nothing")));
    assert!(written.contains(&line(Source::Stderr, "oops")));
}

#[tokio::test]
async fn access_log_is_read_in_both_json_forms() {
    let flat = r#"{"target":"access","tier":"memory","duration_us":12}"#;
    let nested = r#"{"target":"access","fields":{"tier":"store","duration_us":34}}"#;
    let other = r#"{"target":"server","tier":"none"}"#;
    let script = format!("echo '{flat}'; echo '{other}'; echo '{nested}'; echo no json");
    let mut process = shell(&script).spawn().unwrap();
    let lines = process.wait_access_log(2, LIMIT).await;
    process.wait(LIMIT).await.unwrap();
    let tiers: Vec<_> = lines.iter().map(|line| &line["tier"]).collect();
    assert_eq!(tiers, ["memory", "store"]);
    assert_eq!(lines[1]["duration_us"], 34);
}

#[tokio::test]
async fn signals_arrive() {
    let script = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done";
    let up = |lines: &[Captured]| lines.iter().any(|line| line.text == "up");
    let mut polite = shell(script).spawn().unwrap();
    assert!(polite.output().wait_until(up, LIMIT).await);
    assert_eq!(polite.stop(LIMIT).await.unwrap().code(), Some(0));
    assert!(polite.text().contains("bye"));

    let mut killed = shell(script).spawn().unwrap();
    assert!(killed.output().wait_until(up, LIMIT).await);
    killed.kill().await.unwrap();
    assert_eq!(killed.wait(LIMIT).await.unwrap().signal(), Some(9));
}

#[tokio::test]
async fn server_that_ends_at_once_is_reported_with_its_words() {
    let command = ServerCommand::http("/bin/sh", 1);
    let command = command.arg("-c").arg("echo broken setting >&2; exit 78");
    let process = command.spawn().unwrap();
    let error = process.wait_ready(LIMIT).await.unwrap_err().to_string();
    assert!(error.contains("broken setting"), "{error}");
}

#[tokio::test]
async fn stdio_client_matches_answers_by_id_and_ends_the_server_with_its_input() {
    // Answers every line with a result for request 1, after some noise.
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
    let server = shell(&format!(
        "read line; echo '{{}}'; echo '{answer}'; cat >/dev/null"
    ));
    let mut client = RawStdio::start(&server).unwrap();
    let got = client.request(Generation::Modern, "tools/list", json!({}));
    assert_eq!(got.await.unwrap()["result"], json!({}));
    assert!(client.close(LIMIT).await.unwrap().success());
}
