//! The audit log: what is in it, where it goes, and that it cannot be had where it must not be.

use mcp_test_support::{
    Collector, Gate, ServerProcess, Source,
    api::{Fault, Operation, Recorded, Times},
    client::{Generation, RawStdio},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of, idea};

pub(crate) fn parsed(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A write, a read, a write that fails, a refusal of somebody, one of nobody, and a first request.
async fn traffic(world: &World, server: &ServerProcess) {
    let token = |scope: &str| {
        let token = world.issuer.token().subject("user_ada");
        let token = token.claim("client_id", "client_claude");
        let agent = json!({"sub": "agent_7", "iss": "https://agents.test"});
        token
            .organization("org_ada")
            .scope(scope)
            .claim("act", agent)
            .mint()
    };
    let missing = json!({"project_id": "PROJ-1", "requirement_id": "REQ-999", "name": "new"});
    let calls = [
        ("create_requirement", idea("a rough idea"), Some("w")),
        ("list_projects", json!({}), Some("w")),
        ("update_project_requirement", missing, Some("w")),
        ("create_requirement", idea("a rough idea"), Some("r")),
        ("create_requirement", idea("a rough idea"), Some("")),
        ("create_requirement", idea("a rough idea"), None),
    ];
    for (tool, arguments, scope) in calls {
        let mut call = client_of(server).call(Generation::Modern, tool, &arguments);
        if let Some(scope) = scope {
            let good = (!scope.is_empty()).then(|| token(scope));
            call = call.bearer(good.as_deref().unwrap_or("not-a-token"));
            call = call.header("x-request-id", "chosen-by-a-client");
        }
        call.send().await.unwrap();
    }
}

fn outcomes(records: &[Value]) -> Vec<(&str, &str)> {
    records.iter().map(outcome).collect()
}

fn outcome(record: &Value) -> (&str, &str) {
    let text = |name: &str| record[name].as_str().unwrap();
    (text("event"), text("outcome"))
}

const EXPECTED: &[(&str, &str)] = &[
    ("intent", "pending"),
    ("tool_call", "ok"),
    ("intent", "pending"),
    ("tool_call", "not_found"),
    ("refusal", "insufficient_scope"),
    ("refusal", "malformed"),
];

#[tokio::test]
async fn writes_and_refusals_are_appended_to_a_file() {
    let world = World::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for instance in ["one", "two"] {
        let path = folder.path().join(instance);
        let command = world
            .command()
            .env("AUDIT_LOG", &path)
            // Both instances do the same, and both are to do it.
            .env("WRITE_JOURNAL_WINDOW", "0")
            .env("TOOL_SCOPES", "write=w");
        let mut server = world.start(&command).await;
        traffic(&world, &server).await;
        let lines = server.wait_access_log(6, LIMIT).await;
        assert!(server.stop(LIMIT).await.unwrap().success());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("a rough idea"), "{text}");
        let records = parsed(&text);
        assert_eq!(outcomes(&records), EXPECTED);

        let [intent, done, _, _, somebody, nobody] = records.as_slice() else {
            panic!("{text}");
        };
        for same in [
            "call_id",
            "subject",
            "organization",
            "tool",
            "arguments",
            "request_id",
        ] {
            assert!(done[same].is_string(), "{same}: {done}");
            assert_eq!(intent[same], done[same], "{same}");
        }
        assert_eq!(done["subject"], "user_ada");
        assert_eq!(done["organization"], "org_ada");
        let agent = json!({"subject": "agent_7", "issuer": "https://agents.test"});
        for named in [intent, done, somebody] {
            assert_eq!(named["client"], "client_claude", "{named}");
            assert_eq!(named["actor"], agent, "{named}");
            assert!(named.get("client_actor").is_none(), "it is the same token");
        }
        assert_eq!(done["tool"], "create_requirement");
        assert_eq!(done["request_id"], lines[0]["request_id"]);
        for record in &records {
            assert_eq!(
                record["client_request_id"], "chosen-by-a-client",
                "{record}"
            );
            assert_eq!(record["client_address"], "127.0.0.1", "{record}");
        }
        assert!(done["time"].as_str().unwrap().ends_with('Z'), "{done}");
        digests.push(done["arguments"].as_str().unwrap().to_owned());
        assert_eq!(somebody["subject"], "user_ada");
        assert_eq!(somebody["tool"], "create_requirement");
        assert_eq!(nobody["request_id"], lines[4]["request_id"]);
        for known in [
            "call_id",
            "subject",
            "client",
            "actor",
            "organization",
            "tool",
            "arguments",
        ] {
            assert!(nobody.get(known).is_none(), "{nobody}");
        }
    }
    assert!(digests[0].starts_with("hmac-sha256:"), "{digests:?}");
    assert_eq!(digests[0], digests[1], "the same key, the same arguments");
}

#[tokio::test]
async fn a_collector_can_take_it_and_counts_what_was_written() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = world
        .command()
        .env("AUDIT_LOG", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("TOOL_SCOPES", "write=w");
    let mut server = world.start(&command).await;
    traffic(&world, &server).await;
    assert!(server.stop(LIMIT).await.unwrap().success());
    let logs = collector.logs().entries();
    let kinds: Vec<_> = logs
        .iter()
        .map(|log| {
            let text = |name: &str| log.attributes[name].as_str().unwrap();
            (text("audit.event"), text("audit.outcome"))
        })
        .collect();
    assert_eq!(kinds, EXPECTED);
    assert!(logs.iter().all(|log| log.event_name == "mcp.audit"));
    for (name, value) in [
        ("enduser.id", "user_ada"),
        ("audit.client", "client_claude"),
        ("audit.actor.subject", "agent_7"),
        ("audit.actor.issuer", "https://agents.test"),
    ] {
        assert_eq!(logs[0].attributes[name], value, "{name}");
        assert_eq!(logs[4].attributes[name], value, "of a refusal: {name}");
        assert!(!logs[5].attributes.contains_key(name), "of nobody: {name}");
    }
    let tool = |span: &&mcp_test_support::collector::Span| span.name.starts_with("tools/call");
    let spans = collector.spans().entries();
    let tool = spans.iter().find(tool).unwrap();
    assert_eq!(logs[0].trace_id, tool.trace_id, "in the trace of its call");
}

#[tokio::test]
async fn standard_output_can_have_it_but_not_over_stdio() {
    let world = World::small().await;
    let command = world.command().env("AUDIT_LOG", "stdout");
    let mut server = world.start(&command.env("TOOL_SCOPES", "write=w")).await;
    traffic(&world, &server).await;
    assert!(server.stop(LIMIT).await.unwrap().success());
    let lines = server.output().entries();
    let stdout = lines.iter().filter(|line| line.source == Source::Stdout);
    let records: Vec<Value> = stdout
        .map(|line| serde_json::from_str(&line.text).unwrap())
        .collect();
    assert_eq!(outcomes(&records), EXPECTED);

    for (target, code, said) in [
        ("stdout", 78, "belongs to MCP"),
        ("otlp", 78, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("on", 78, "no place"),
        ("/no/such/folder/audit", 70, "AUDIT_LOG"),
    ] {
        let command = world.stdio_command().env("AUDIT_LOG", target);
        let mut server = command.spawn().unwrap();
        let status = server.wait(LIMIT).await.unwrap();
        assert_eq!(status.code(), Some(code), "{target}: {}", server.text());
        assert!(server.text().contains(said), "{target}: {}", server.text());
    }
}

#[tokio::test]
async fn a_local_call_names_the_organization_it_found_out() {
    let world = World::small().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let command = world
        .stdio_command()
        .env("BRAINGRID_API_TOKEN", world.token("user_ada", "org_ada"))
        .env("AUDIT_LOG", &path);
    let mut stdio = RawStdio::start(&command).unwrap();
    let params = json!({"name": "create_requirement", "arguments": idea("a rough idea")});
    let answer = stdio.request(Generation::Modern, "tools/call", params);
    assert!(answer.await.unwrap()["result"].is_object());
    assert!(stdio.close(LIMIT).await.unwrap().success());
    let records = parsed(&std::fs::read_to_string(&path).unwrap());
    assert_eq!(
        outcomes(&records),
        [("intent", "pending"), ("tool_call", "ok")]
    );
    assert_eq!(records[1]["organization"], "org_ada");
}

/// Held for ever once the API has it.
async fn hold_a_write(world: &World, server: &ServerProcess) {
    let held = Fault::Held(Gate::closed());
    world
        .api
        .inject(Operation::SpecifyRequirement, held, Times::Next(1));
    let call = client_of(server).call(
        Generation::Modern,
        "create_requirement",
        &idea("a rough idea"),
    );
    let token = world.token("user_ada", "org_ada");
    tokio::spawn(call.bearer(&token).send());
    wait_until_sent(world).await;
}

async fn wait_until_sent(world: &World) {
    let sent = |seen: &[Recorded]| {
        seen.iter()
            .any(|it| it.operation == Some(Operation::SpecifyRequirement))
    };
    assert!(world.api.requests().wait_until(sent, LIMIT).await);
}

#[tokio::test]
async fn a_killed_server_leaves_the_intent_of_a_write_that_was_sent() {
    let world = World::small().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let mut server = world.start(&world.command().env("AUDIT_LOG", &path)).await;
    hold_a_write(&world, &server).await;
    server.kill().await.unwrap();
    let records = parsed(&std::fs::read_to_string(&path).unwrap());
    assert_eq!(outcomes(&records), [("intent", "pending")]);
    assert_eq!(records[0]["tool"], "create_requirement");
    assert_eq!(records[0]["subject"], "user_ada");

    let path = folder.path().join("local");
    let world = World::small().await;
    let held = Fault::Held(Gate::closed());
    world
        .api
        .inject(Operation::SpecifyRequirement, held, Times::Next(1));
    let command = world
        .stdio_command()
        .env("BRAINGRID_API_TOKEN", world.token("user_ada", "org_ada"))
        .env("AUDIT_LOG", &path);
    let mut stdio = RawStdio::start(&command).unwrap();
    let params = json!({"name": "create_requirement", "arguments": idea("a rough idea")});
    let call = Generation::Modern.message(7, "tools/call", params);
    stdio.send_line(&call.to_string()).await.unwrap();
    wait_until_sent(&world).await;
    drop(stdio);
    let records = parsed(&std::fs::read_to_string(&path).unwrap());
    assert_eq!(outcomes(&records)[0], ("intent", "pending"));
}

#[tokio::test]
async fn a_collector_has_the_intent_before_the_write_is_sent() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = world
        .command()
        .env("AUDIT_LOG", "otlp")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let mut server = world.start(&command).await;
    hold_a_write(&world, &server).await;
    let logs = collector.logs().entries();
    assert_eq!(logs.len(), 1);
    assert_eq!(logs[0].attributes["audit.event"], "intent");
    assert!(logs[0].attributes["audit.call_id"].is_string());
    server.kill().await.unwrap();
}

#[tokio::test]
async fn an_audit_log_that_takes_nothing_stops_no_write_and_is_counted() {
    let collector = Collector::start().await.unwrap();
    collector.hang();
    for (target, said) in [
        ("/dev/full", "audit records could not be written"),
        ("otlp", "the audit log is slow"),
    ] {
        let world = World::small().await;
        let command = world
            .command()
            .env("AUDIT_LOG", target)
            .env(
                "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                format!("{}/v1/logs", collector.url()),
            )
            .env("ADMIN_BIND", "127.0.0.1:0");
        let mut server = world.start(&command).await;
        let token = world.token("user_ada", "org_ada");
        let call = client_of(&server).call(
            Generation::Modern,
            "create_requirement",
            &idea("a rough idea"),
        );
        let answer = call.bearer(&token).send().await.unwrap();
        assert!(answer.structured().is_some(), "{target}: {}", answer.body);
        assert_eq!(
            world.api.writes().entries(),
            [Operation::SpecifyRequirement],
            "{target}"
        );
        assert!(
            server.said(said, LIMIT).await,
            "{target}: {}",
            server.text()
        );
        assert!(server.stop(LIMIT).await.unwrap().success());
        assert!(
            server.text().contains("audit records are missing"),
            "{target}: {}",
            server.text()
        );
    }
}
