//! Calls that take minutes report that they go on, to clients that asked for it.

use mcp_test_support::{
    Gate,
    api::{Fault, Operation, Times},
    client::{Generation, RawStdio},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

const TOKEN: &str = "a token of the client";

fn params(tool: &str, with_token: bool) -> Value {
    let mut params = json!({
        "name": tool,
        "arguments": {
            "project_id": 1,
            "requirement_id": 2,
            "message": "Let shoppers pay by invoice.",
        },
    });
    let unused = if tool == "create_requirement" {
        "requirement_id"
    } else {
        "message"
    };
    params["arguments"].as_object_mut().unwrap().remove(unused);
    if with_token {
        params["_meta"] = json!({ "progressToken": TOKEN });
    }
    params
}

/// A world in which both slow operations wait for the gate, and a requirement without tasks.
async fn slow_world(organization: &str) -> (World, String, Gate) {
    let world = World::small().await;
    let token = world.token("user_ada", organization);
    let gate = Gate::closed();
    for operation in [
        Operation::SpecifyRequirement,
        Operation::BreakdownRequirement,
    ] {
        world
            .api
            .inject(operation, Fault::Held(gate.clone()), Times::Always);
    }
    (world, token, gate)
}

fn has_progress(messages: &[Value]) -> usize {
    messages
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .count()
}

/// Progress that grows, under the client's token, and then the answer and nothing more.
fn check(messages: &[Value]) {
    let (answer, notes) = messages.split_last().unwrap();
    assert_eq!(answer["result"]["isError"], false, "{answer:#}");
    assert!(notes.len() >= 2, "{notes:#?}");
    let mut before = -1.0;
    for note in notes {
        assert_eq!(note["method"], "notifications/progress", "{note:#}");
        assert_eq!(note["params"]["progressToken"], TOKEN, "{note:#}");
        let progress = note["params"]["progress"].as_f64().unwrap();
        assert!(progress > before, "{notes:#?}");
        before = progress;
    }
}

fn messages_of(stream: &str) -> Vec<Value> {
    stream
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok())
        .collect()
}

async fn over_http(tool: &'static str, generation: Generation) {
    let (world, token, gate) = slow_world("org_http").await;
    let server = world.server().await;
    let http = client_of(&server);
    let spec = json!({"project_id": 1, "name": "Invoices", "content": "x"});
    let made = http.call(generation, "capture_project_requirement", &spec);
    made.bearer(&token).send().await.unwrap();
    let request = http.request(generation, "tools/call", params(tool, true));
    let mut answer = request.bearer(&token).open().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut stream = String::new();
    while let Some(part) = answer.chunk().await.unwrap() {
        stream += std::str::from_utf8(&part).unwrap();
        if has_progress(&messages_of(&stream)) >= 2 {
            gate.open();
        }
    }
    check(&messages_of(&stream));
}

async fn over_stdio(tool: &'static str, generation: Generation) {
    let (world, token, gate) = slow_world("org_stdio").await;
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", &token);
    let mut stdio = RawStdio::start(&command).unwrap();
    if generation == Generation::Legacy {
        stdio.initialize().await.unwrap();
    }
    let spec = json!({"project_id": 1, "name": "Invoices", "content": "x"});
    let spec = json!({"name": "capture_project_requirement", "arguments": spec});
    stdio.request(generation, "tools/call", spec).await.unwrap();
    stdio.output().clear();
    let message = generation.message(77, "tools/call", params(tool, true));
    stdio.send_line(&message.to_string()).await.unwrap();
    let said = |lines: &[mcp_test_support::Captured]| -> Vec<Value> {
        lines
            .iter()
            .filter(|line| line.source == mcp_test_support::Source::Stdout)
            .map(|line| serde_json::from_str(&line.text).unwrap())
            .collect()
    };
    let two = |lines: &[mcp_test_support::Captured]| has_progress(&said(lines)) >= 2;
    assert!(stdio.output().wait_until(two, LIMIT).await);
    gate.open();
    stdio.answer(77, LIMIT).await.unwrap();
    check(&said(&stdio.output().entries()));
}

#[tokio::test]
async fn slow_calls_report_progress_over_every_transport() {
    let mut tasks = tokio::task::JoinSet::new();
    for tool in ["create_requirement", "breakdown_project_requirement"] {
        for generation in Generation::BOTH {
            tasks.spawn(over_http(tool, generation));
            tasks.spawn(over_stdio(tool, generation));
        }
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn nothing_is_reported_to_who_did_not_ask() {
    let (world, token, gate) = slow_world("org_ada").await;
    let server = world.server().await;
    for generation in Generation::BOTH {
        let params = params("create_requirement", false);
        let request = client_of(&server).request(generation, "tools/call", params);
        world.api.requests().clear();
        let call = tokio::spawn(request.bearer(&token).send());
        let arrived = |seen: &[mcp_test_support::api::Recorded]| !seen.is_empty();
        assert!(world.api.requests().wait_until(arrived, LIMIT).await);
        gate.open();
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert!(answer.structured().is_some(), "{}", answer.body);
    }
}

/// The only test that waits as long as a server does before it begins an answer (5 s).
#[tokio::test]
async fn a_slow_call_gives_a_sign_of_life_to_who_asked_for_nothing() {
    let (world, token, gate) = slow_world("org_ada").await;
    let server = world.server().await;
    let mut begun = tokio::task::JoinSet::new();
    for generation in Generation::BOTH {
        for (accepted, kind, sign) in [
            (
                "application/json, text/event-stream",
                "text/event-stream",
                ": waiting\n\n",
            ),
            ("application/json", "application/json", "\n"),
        ] {
            let params = params("create_requirement", false);
            let request = client_of(&server).request(generation, "tools/call", params);
            let request = request.header("accept", accepted).bearer(&token);
            begun.spawn(async move {
                let mut answer = request.open().await.unwrap();
                assert_eq!(answer.status(), 200);
                assert_eq!(answer.headers()["content-type"], kind);
                assert_eq!(answer.chunk().await.unwrap().unwrap(), sign);
                answer
            });
        }
    }
    let begun = begun.join_all().await;
    gate.open();
    for answer in begun {
        let rest = answer.text().await.unwrap().replace(": waiting\n\n", "");
        let message = rest.trim_start_matches("event: message\ndata: ");
        let message: Value = serde_json::from_str(message).unwrap();
        assert_eq!(message["result"]["isError"], false, "{message:#}");
    }
}
