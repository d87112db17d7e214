//! The end of the time a stop has: whoever waits is answered, and nothing that hangs holds it up.

use mcp_test_support::{
    Captured, Collector, ServerProcess, Source,
    api::{Fault, Operation, Recorded, Times},
    client::{Generation, RawStdio},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{LIMIT, World, client_of, idea};

const UNKNOWN: &str = "Outcome unknown: this server stopped while create_requirement was under way, \
    and it may have been done. Check with list_project_requirements before you repeat it.";
const NOT_FINISHED: &str = "Not finished: this server stopped before list_projects was done. Nothing \
    was changed: repeat the call.";

/// A world whose API takes what is asked of it and does not answer.
async fn silent_world() -> World {
    let world = World::small().await;
    for operation in [Operation::SpecifyRequirement, Operation::ListProjects] {
        world.api.inject(operation, Fault::Hang, Times::Always);
    }
    world
}

/// Waits until the API has got so many requests.
async fn asked(world: &World, requests: usize) {
    let held = [Operation::SpecifyRequirement, Operation::ListProjects];
    let is_held = |it: &&Recorded| {
        it.operation
            .is_some_and(|operation| held.contains(&operation))
    };
    let asked = |seen: &[Recorded]| seen.iter().filter(is_held).count() >= requests;
    assert!(world.api.requests().wait_until(asked, LIMIT).await);
}

async fn says(server: &ServerProcess, text: &str) {
    assert!(server.said(text, LIMIT).await, "{}", server.text());
}

/// What a model reads of a result.
fn text_of(message: &Value) -> &str {
    assert_eq!(message["result"]["isError"], true, "{message:#}");
    message["result"]["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn what_is_still_running_is_answered_before_the_server_ends() {
    let world = silent_world().await;
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let command = world
        .command()
        .env("DRAIN_TIMEOUT", "2s")
        .env("AUDIT_LOG", &audit);
    let mut server = world.start(&command).await;
    let token = world.token("user_ada", "org_ada");
    let client = client_of(&server);
    let mut calls = Vec::new();
    for generation in Generation::BOTH {
        let create = |name: &str| {
            let rough = idea(&format!("a rough idea of {generation:?}, {name}"));
            json!({"name": "create_requirement", "arguments": rough})
        };
        let mut watched = create("watched");
        watched["_meta"] = json!({"progressToken": "p"});
        let create = create("alone");
        let list = json!({"name": "list_projects", "arguments": {}});
        for (params, text) in [(create, UNKNOWN), (watched, UNKNOWN), (list, NOT_FINISHED)] {
            let request = client.request(generation, "tools/call", params);
            calls.push((tokio::spawn(request.bearer(&token).send()), text));
        }
    }
    // The one of two that is under way, and the one that does not begin any more.
    let message = |id: u64, tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments});
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params})
    };
    let batch = json!([
        message(1, "create_requirement", idea("a rough idea")),
        message(2, "list_projects", json!({})),
        message(3, "create_requirement", idea("a rough idea")),
    ]);
    let batch = client
        .request(Generation::Legacy, "tools/call", json!({}))
        .header("mcp-protocol-version", "2025-03-26")
        .bearer(&token)
        .body(batch.to_string());
    let batch = tokio::spawn(batch.send());
    asked(&world, 7).await;

    let status = server.stop(LIMIT).await.unwrap();
    for (call, text) in calls {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(text_of(answer.json.as_ref().unwrap()), text);
    }
    let answer = batch.await.unwrap().unwrap();
    let answers: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(text_of(&answers[0]), UNKNOWN);
    assert_eq!(text_of(&answers[1]), NOT_FINISHED);
    assert!(
        text_of(&answers[2]).contains("Nothing was changed"),
        "{answers:#?}"
    );
    // Not 143, with which it is ended when something did not end in time.
    assert_eq!(status.code(), Some(0), "{}", server.text());
    assert_eq!(world.api.count(Operation::SpecifyRequirement), 5);

    let records = std::fs::read_to_string(&audit).unwrap();
    let count = |text: &str| records.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("\"event\":\"intent\""), 5, "{records}");
    assert_eq!(count("\"outcome\":\"outcome_unknown\""), 5, "{records}");
    assert_eq!(count("\"outcome\":\"stopped\""), 1, "{records}");
}

#[tokio::test]
async fn a_request_that_is_not_all_there_is_sent_away() {
    let world = World::small().await;
    let command = world.command().env("DRAIN_TIMEOUT", "1s");
    let mut server = world.start(&command).await;
    let token = world.token("user_ada", "org_ada");
    let address = server.base_url().replace("http://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\naccept: application/json, text/event-stream\r\n\
         content-length: 100\r\nexpect: 100-continue\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    // It asks for the body: so it waits for it.
    let mut asked = [0; 12];
    stream.read_exact(&mut asked).await.unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100");
    let status = server.stop(LIMIT).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 503"), "{answer}");
    assert_eq!(status.code(), Some(0), "{}", server.text());
}

#[tokio::test]
async fn connections_are_told_to_go_elsewhere_when_the_stop_begins() {
    let world = silent_world().await;
    let command = world.command().env("DRAIN_TIMEOUT", "1h");
    let mut server = world.start(&command).await;
    let token = world.token("user_ada", "org_ada");
    let address = server.base_url().replace("http://", "");
    let health = format!("GET /health HTTP/1.1\r\nhost: {address}\r\n\r\n");
    let answer_of = async |stream: &mut TcpStream| {
        let mut bytes = [0; 4096];
        let length = stream.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..length]).to_lowercase()
    };
    let mut idle = TcpStream::connect(&address).await.unwrap();
    idle.write_all(health.as_bytes()).await.unwrap();
    let answer = answer_of(&mut idle).await;
    assert!(
        answer.contains("200 ok") && !answer.contains("connection: close"),
        "{answer}"
    );
    let mut unused = TcpStream::connect(&address).await.unwrap();
    // With prior knowledge: HTTP/2 without TLS.
    let http2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let url = format!("{}/health", server.base_url());
    assert_eq!(http2.get(&url).send().await.unwrap().status(), 200);
    let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let call = tokio::spawn(call.bearer(&token).send());
    asked(&world, 1).await;

    server.terminate().unwrap();
    says(&server, "draining").await;
    assert_eq!(
        answer_of(&mut idle).await,
        "",
        "an idle connection is closed"
    );
    unused.write_all(health.as_bytes()).await.unwrap();
    let answer = answer_of(&mut unused).await;
    assert!(
        answer.contains("200 ok") && answer.contains("connection: close"),
        "{answer}"
    );
    server.terminate().unwrap();
    assert!(call.await.unwrap().unwrap().body.contains("Not finished"));
    assert_eq!(server.wait(LIMIT).await.unwrap().code(), Some(143));
}

#[tokio::test]
async fn nothing_that_hangs_holds_up_the_end() {
    let world = World::shared().await;
    let collector = Collector::start().await.unwrap();
    let command = world
        .command()
        .env("DRAIN_TIMEOUT", "2s")
        .env("AUDIT_LOG", "otlp")
        .env("DD_AGENT_HOST", "no-such-host.invalid")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let mut server = world.start(&command).await;
    let token = world.token("user_ada", "org_ada");
    let call = async || {
        let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        call.bearer(&token).send().await.unwrap()
    };
    assert!(call().await.structured().is_some());
    collector.hang();
    world.redis().pause().unwrap();
    let other = world.token("user_bob", "org_bob");
    let create = client_of(&server).call(
        Generation::Modern,
        "create_requirement",
        &idea("a rough idea"),
    );
    assert!(
        create
            .bearer(&other)
            .send()
            .await
            .unwrap()
            .structured()
            .is_some()
    );
    let status = server.stop(LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", server.text());
    for text in [
        "audit records are missing",
        "the last spans did not reach",
        "stopped",
    ] {
        assert!(server.text().contains(text), "{text}: {}", server.text());
    }
    world.redis().resume().unwrap();
}

#[tokio::test]
async fn a_stop_during_the_start_is_a_stop() {
    let world = World::small().await;
    let mut servers: Vec<_> = (0..5).map(|_| world.command().spawn().unwrap()).collect();
    for server in &servers {
        // The first line: it hears signals from here on.
        let line = |lines: &[Captured]| !lines.is_empty();
        assert!(server.output().wait_until(line, LIMIT).await);
        server.terminate().unwrap();
    }
    for server in &mut servers {
        let status = server.wait(LIMIT).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", server.text());
    }
}

/// How a client ends its server.
#[derive(Debug, Clone, Copy)]
enum End {
    Terminate,
    Interrupt,
    /// As Claude Code does.
    InterruptThenTerminate,
    /// As the SDKs do.
    CloseThenTerminate,
}

#[tokio::test]
async fn a_local_client_is_answered_however_it_ends_its_server() {
    for (end, code) in [
        (End::Terminate, 0),
        (End::Interrupt, 0),
        (End::InterruptThenTerminate, 143),
        (End::CloseThenTerminate, 0),
    ] {
        let world = silent_world().await;
        let folder = tempfile::tempdir().unwrap();
        let audit = folder.path().join("audit");
        let command = world
            .stdio_command()
            .env("BRAINGRID_API_TOKEN", world.token("user_ada", "org_ada"))
            .env("AUDIT_LOG", &audit);
        let mut stdio = RawStdio::start(&command).unwrap();
        for (id, tool, arguments) in [
            (7, "create_requirement", idea("a rough idea")),
            (8, "list_projects", json!({})),
        ] {
            let params = json!({"name": tool, "arguments": arguments});
            let message = Generation::Modern.message(id, "tools/call", params);
            stdio.send_line(&message.to_string()).await.unwrap();
        }
        asked(&world, 2).await;
        match end {
            End::Terminate => stdio.terminate().unwrap(),
            End::Interrupt => stdio.interrupt().unwrap(),
            End::InterruptThenTerminate => {
                stdio.interrupt().unwrap();
                let heard = |lines: &[Captured]| {
                    lines.iter().any(|line| line.text.contains("second signal"))
                };
                assert!(stdio.output().wait_until(heard, LIMIT).await);
                stdio.terminate().unwrap();
            }
            End::CloseThenTerminate => {
                stdio.end_input();
                stdio.terminate().unwrap();
            }
        }
        let status = stdio.wait(LIMIT).await.unwrap();
        let create = stdio.answer(7, LIMIT).await.unwrap();
        assert_eq!(text_of(&create), UNKNOWN, "{end:?}");
        let list = stdio.answer(8, LIMIT).await.unwrap();
        assert_eq!(text_of(&list), NOT_FINISHED, "{end:?}");
        assert_eq!(
            status.code(),
            Some(code),
            "{end:?}: {:?}",
            stdio.output().entries()
        );
        let stdout = stdio.output().entries();
        let answers = stdout.iter().filter(|line| line.source == Source::Stdout);
        assert_eq!(answers.count(), 2, "{end:?}");
        let records = std::fs::read_to_string(&audit).unwrap();
        assert!(records.contains("outcome_unknown"), "{end:?}: {records}");
    }
}

#[tokio::test]
async fn a_write_that_waits_for_nobody_any_more_is_on_record_too() {
    let world = silent_world().await;
    let folder = tempfile::tempdir().unwrap();
    let audit = folder.path().join("audit");
    let command = world
        .command()
        .env("DRAIN_TIMEOUT", "1s")
        .env("AUDIT_LOG", &audit);
    let mut server = world.start(&command).await;
    let call = client_of(&server).call(
        Generation::Legacy,
        "create_requirement",
        &idea("a rough idea"),
    );
    let call = tokio::spawn(call.bearer(&world.token("user_ada", "org_ada")).send());
    asked(&world, 1).await;
    call.abort();
    assert!(call.await.is_err());
    assert_eq!(
        server.stop(LIMIT).await.unwrap().code(),
        Some(0),
        "{}",
        server.text()
    );
    let records = std::fs::read_to_string(&audit).unwrap();
    assert!(records.contains("outcome_unknown"), "{records}");
}
