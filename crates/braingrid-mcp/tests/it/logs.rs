//! The log as operators meet it: the access line, standard error, and that nobody waits for it.

use std::process::Stdio;

use mcp_test_support::{
    Source,
    client::{Generation, RawHttp},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

/// The documented fields of an access line, in their order, without those of the log itself.
fn fields(line: &Value) -> Vec<&str> {
    let of_the_log = ["timestamp", "level", "message", "target"];
    let names = line.as_object().unwrap().keys().map(String::as_str);
    names.filter(|name| !of_the_log.contains(name)).collect()
}

#[tokio::test]
async fn a_request_has_one_access_line_with_the_documented_fields() {
    let world = World::small().await;
    let mut server = world.server().await;
    let token = world.token("user_ada", "org_ada");
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let call = call
        .bearer(&token)
        .header("x-request-id", "given-by-a-proxy")
        .header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"));
    call.send().await.unwrap();
    let refused = client_of(&server).call(Generation::Legacy, "list_projects", &json!({}));
    refused.send().await.unwrap();
    let lines = server.wait_access_log(2, LIMIT).await;
    assert_eq!(lines.len(), 2, "one each, and none for the probe");

    let [called, refused] = lines.as_slice() else {
        panic!("{lines:#?}");
    };
    let all = [
        "auth_us",
        "client_address",
        "client_request_id",
        "duration_us",
        "handler_us",
        "http_method",
        "mcp_method",
        "outcome",
        "protocol_version",
        "request_id",
        "route",
        "status",
        "tier",
        "tool",
        "trace_id",
    ];
    assert_eq!(fields(called), all);
    for (name, value) in [
        ("level", json!("INFO")),
        ("message", json!("request")),
        ("http_method", json!("POST")),
        ("mcp_method", json!("tools/call")),
        ("outcome", json!("ok")),
        ("protocol_version", json!("2026-07-28")),
        ("client_request_id", json!("given-by-a-proxy")),
        ("client_address", json!("127.0.0.1")),
        ("route", json!("mcp")),
        ("status", json!(200)),
        ("tier", json!("verification")),
        ("tool", json!("list_projects")),
        ("trace_id", json!(trace)),
    ] {
        assert_eq!(called[name], value, "{name}");
    }
    let micros = |name: &str| called[name].as_u64().unwrap();
    assert!(micros("auth_us") + micros("handler_us") <= micros("duration_us"));

    assert_eq!(called["request_id"].as_str().unwrap().len(), 36);

    let known = [
        "auth_us",
        "client_address",
        "duration_us",
        "http_method",
        "outcome",
        "request_id",
        "route",
        "status",
    ];
    assert_eq!(fields(refused), known, "what is not known is left out");
    assert_eq!(refused["outcome"], "no_token");
    assert!(server.stop(LIMIT).await.unwrap().success());
    let elsewhere = |line: &mcp_test_support::Captured| line.source == Source::Stdout;
    assert_eq!(server.output().count(elsewhere), 0, "{}", server.text());
}

#[tokio::test]
async fn a_client_that_hangs_up_leaves_its_line() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let gate = mcp_test_support::Gate::closed();
    let held = mcp_test_support::api::Fault::Held(gate.clone());
    let operation = mcp_test_support::api::Operation::ListProjects;
    world
        .api
        .inject(operation, held, mcp_test_support::api::Times::Always);
    let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let calling = tokio::spawn(call.bearer(&world.token("user_ada", "org_ada")).send());
    let asked = |requests: &[mcp_test_support::api::Recorded]| !requests.is_empty();
    assert!(world.api.requests().wait_until(asked, LIMIT).await);
    calling.abort();
    let lines = server.wait_access_log(1, LIMIT).await;
    assert_eq!(lines[0]["outcome"], "client_left", "{lines:#?}");
    assert_eq!(lines[0]["status"], 499);
    assert_eq!(lines[0]["tool"], "list_projects");
    gate.open();
}

#[tokio::test]
async fn people_get_lines_that_are_no_json() {
    let world = World::small().await;
    let mut server = world
        .start(&world.command().env("LOG_FORMAT", "pretty"))
        .await;
    let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    call.send().await.unwrap();
    assert!(server.stop(LIMIT).await.unwrap().success());
    let lines = server.output().entries();
    let access = lines.iter().find(|line| line.text.contains("no_token"));
    let access = access.expect("an access line");
    assert_eq!(access.source, Source::Stderr);
    assert!(!access.text.starts_with('{'), "{}", access.text);
    assert!(
        access.text.contains("outcome=\"no_token\""),
        "{}",
        access.text
    );
}

#[tokio::test]
async fn a_log_that_nobody_reads_holds_up_no_request() {
    let world = World::small().await;
    let port = mcp_test_support::free_port().unwrap();
    let command = world
        .command()
        .env("PORT", port.to_string())
        .env("LOG_LEVEL", "trace");
    let mut child = command
        .command()
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let unread = child.stderr.take().unwrap();
    let http = RawHttp::new(format!("http://127.0.0.1:{port}/mcp"));
    // A pipe holds 64 KiB; a refusal writes some 500 bytes.
    let refused = || async {
        let call = http.call(Generation::Modern, "list_projects", &json!({}));
        call.send().await
    };
    let deadline = tokio::time::Instant::now() + LIMIT;
    while refused().await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "it listens");
        tokio::task::yield_now().await;
    }
    for _ in 0..400 {
        let answer = tokio::time::timeout(LIMIT, refused()).await;
        assert_eq!(answer.expect("nobody waits").unwrap().status, 401);
    }
    drop(unread);
    child.kill().await.unwrap();
}
