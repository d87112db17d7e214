//! Metrics on real traffic: what Prometheus, a collector and a Datadog agent get, and that nobody
//! waits for one that is away.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mcp_test_support::{
    Collector, DogStatsd, Exposition, ServerCommand, ServerProcess, StatsdLine,
    api::{Fault, Operation, Times},
    client::{Generation, RawStdio},
};
use serde_json::json;

use crate::admin::Operators;
use crate::world::{LIMIT, World, client_of, idea};

const ADA: &str = "user_ada_secret";
const ORGANIZATION: &str = "org_ada_secret";

/// Calls that succeed, fail and are refused; the tokens they came with.
async fn traffic(world: &World, server: &ServerProcess) -> Vec<String> {
    let token = world.token(ADA, ORGANIZATION);
    let client = client_of(server);
    for generation in Generation::BOTH {
        let call = |tool: &str, arguments| client.call(generation, tool, &arguments).bearer(&token);
        let list = call("list_projects", json!({}));
        assert_eq!(list.send().await.unwrap().status, 200);
        let mut wanted = idea("Log in with a passkey");
        wanted["allow_duplicate"] = true.into();
        let write = call("create_project_requirement", wanted);
        assert_eq!(write.send().await.unwrap().status, 200);
        let missing = call("get_project", json!({"project_id": "PROJ-99"}));
        assert_eq!(missing.send().await.unwrap().status, 200);
        let unknown = call("ada@example.com", json!({}));
        unknown.send().await.unwrap();
    }
    world
        .api
        .inject(Operation::GetProfile, Fault::Status(402), Times::Next(1));
    let profile = client.call(Generation::BOTH[0], "get_profile", &json!({}));
    profile.bearer(&token).send().await.unwrap();
    let expired = world.issuer.token().expires_in(-3_600).subject(ADA).mint();
    let refused = [
        ("claude-code/2.1.7 (cli)", Some(expired.clone())),
        ("claude-code/2.1.7 (cli)", Some(expired.clone())),
        ("ada@example.com", Some("made-up".to_owned())),
        ("ada@example.com", None),
    ];
    for (agent, token) in refused {
        let call = client.call(Generation::BOTH[0], "list_projects", &json!({}));
        let call = call.header("user-agent", agent);
        let call = match &token {
            Some(token) => call.bearer(token),
            None => call,
        };
        assert_eq!(call.send().await.unwrap().status, 401);
    }
    vec![token, expired]
}

fn secrets(tokens: &[String]) -> impl Iterator<Item = &str> {
    let names = [ADA, ORGANIZATION, "ada@example.com", "made-up"];
    tokens.iter().map(String::as_str).chain(names)
}

#[tokio::test]
async fn prometheus_gets_the_calls_and_the_auth_funnel() {
    let world = World::shared().await;
    let command = world.command().env("AUDIT_LOG", "stdout");
    let (server, operators) = Operators::start(&world, command).await;
    let tokens = traffic(&world, &server).await;
    let text = operators.get("/metrics").await.text;
    let metrics = Exposition::parse(&text).unwrap();

    let count = |labels: &[(&str, &str)]| {
        metrics.sum("mcp_server_operation_duration_seconds_count", labels)
    };
    let of = |tool| ("gen_ai_tool_name", tool);
    let call = ("mcp_method_name", "tools/call");
    for revision in ["2025-11-25", "2026-07-28"] {
        let revision = ("mcp_protocol_version", revision);
        assert_near(
            count(&[call, of("list_projects"), revision, ("outcome", "ok")]),
            1.0,
        );
        assert_near(count(&[call, of("create_requirement"), revision]), 1.0);
        let failed = ("error_type", "tool_error");
        let missing = [
            of("get_project"),
            revision,
            failed,
            ("outcome", "not_found"),
        ];
        assert_near(count(&missing), 1.0);
    }
    assert_near(count(&[("outcome", "invalid_params")]), 2.0);

    let api =
        |labels: &[(&str, &str)]| metrics.sum("http_client_request_duration_seconds_count", labels);
    let listed = [
        ("operation", "list_projects"),
        ("http_request_method", "GET"),
    ];
    assert_near(api(&listed), 2.0);
    let unpaid = [
        ("operation", "get_profile"),
        ("error_type", "payment_required"),
    ];
    assert_near(api(&unpaid), 1.0);
    let http = "http_server_request_duration_seconds_count";
    assert_near(
        metrics.sum(http, &[("http_response_status_code", "401")]),
        4.0,
    );

    let refused = |labels: &[(&str, &str)]| metrics.sum("mcp_server_auth_refusals_total", labels);
    let issuer = world.issuer.url();
    let expired = [
        ("reason", "expired"),
        ("issuer", issuer.as_str()),
        ("client", "claude-code"),
    ];
    assert_near(refused(&expired), 2.0);
    let made_up = [
        ("reason", "malformed"),
        ("issuer", "other"),
        ("client", "other"),
    ];
    assert_near(refused(&made_up), 1.0);
    assert_near(refused(&[("reason", "no_token"), ("client", "other")]), 1.0);
    let signed_out = |reason| metrics.sum("mcp_server_signout_total", &[("reason", reason)]);
    assert_near(signed_out("expired"), 1.0);
    assert_near(signed_out("unknown_key"), 0.0);
    let tier = |tier| metrics.sum("mcp_server_auth_resolutions_total", &[("tier", tier)]);
    assert_near(tier("verification"), 1.0);
    assert_near(tier("memory"), 8.0);
    let fetches = |outcome| {
        let labels = [("issuer", issuer.as_str()), ("outcome", outcome)];
        metrics.sum("mcp_server_keys_fetches_total", &labels)
    };
    assert_near(fetches("ok"), 1.0);
    assert_near(fetches("failed"), 0.0);
    assert_near(metrics.sum("mcp_server_store_circuit_open", &[]), 0.0);
    assert!(metrics.kinds.contains_key("mcp_server_store_circuit_open"));
    let bucket = "mcp_server_operation_duration_seconds_bucket";
    assert!(
        metrics.sum(bucket, &[("le", "300")]) > 0.0,
        "our own bounds"
    );
    let exported = metrics.kinds.keys().filter(|name| *name != "target_info");
    let mut documented = documented();
    // There where events are taken in, and seen by the tests of these.
    documented.remove("mcp_server_provider_events_total");
    documented.retain(|name| !is_of_own_server(name));
    assert_eq!(exported.cloned().collect::<BTreeSet<_>>(), documented);
    for secret in secrets(&tokens) {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

/// Whether a metric is about our own authorization server, which is there where it is configured.
pub(crate) fn is_of_own_server(name: &str) -> bool {
    ["mcp_server_authorization_", "mcp_server_provider_request_"]
        .iter()
        .any(|begin| name.starts_with(begin))
}

/// The metrics that the documentation lists.
pub(crate) fn documented() -> BTreeSet<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/observability.md");
    let page = std::fs::read_to_string(page).unwrap();
    let kinds = [" | counter, ", " | gauge, ", " | histogram, "];
    let rows = page
        .lines()
        .filter(|line| kinds.iter().any(|kind| line.contains(kind)));
    let rows = rows.filter_map(|line| line.strip_prefix("| `"));
    let names = rows
        .filter_map(|row| row.split_once('`'))
        .map(|(name, _)| name);
    names.map(str::to_owned).collect()
}

/// Equal, as counts are.
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.01, "{found}, not {expected}");
}

#[tokio::test]
async fn whatever_clients_send_the_series_stay_few() {
    let world = World::small().await;
    let (server, operators) = Operators::start(&world, world.command()).await;
    let token = world.token(ADA, ORGANIZATION);
    let client = client_of(&server);
    let series = async || Exposition::parse(&operators.get("/metrics").await.text).unwrap();
    let attack = async |n: usize| {
        let tool = format!("tool_{n}");
        let call = client.call(Generation::BOTH[n % 2], &tool, &json!({}));
        call.bearer(&token).send().await.unwrap();
        let call = client.request(Generation::BOTH[n % 2], &format!("method/{n}"), json!({}));
        call.bearer(&token).send().await.unwrap();
        let stranger = world.issuer.token();
        let stranger = stranger.claim("iss", format!("https://issuer-{n}.test"));
        let call = client.call(Generation::BOTH[0], "info", &json!({}));
        let call = call.header("user-agent", &format!("agent-{n}"));
        let call = call.header("mcp-protocol-version", &format!("1999-01-{n}"));
        call.bearer(&stranger.mint()).send().await.unwrap();
    };
    for n in 0..2 {
        attack(n).await;
    }
    let few = series().await.samples.len();
    for n in 2..40 {
        attack(n).await;
    }
    let many = series().await;
    assert_eq!(
        many.samples.len(),
        few,
        "no label holds what a client makes up"
    );
    assert!(few < 600, "{few} series");
}

#[tokio::test]
async fn a_collector_gets_names_units_and_labels() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = world
        .command()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let mut server = world.start(&command).await;
    let tokens = traffic(&world, &server).await;
    assert!(server.stop(LIMIT).await.unwrap().success());
    let operations = collector.metric("mcp.server.operation.duration");
    let calls = operations
        .iter()
        .filter(|point| point.unit == "s" && point.attributes["mcp.method.name"] == "tools/call");
    let tools: Vec<_> = calls
        .filter_map(|point| point.attributes.get("gen_ai.tool.name")?.as_str())
        .collect();
    assert!(tools.contains(&"create_requirement"), "{tools:?}");
    let refusals = collector.metric("mcp.server.auth.refusals");
    assert_eq!(refusals.len(), 3, "{refusals:?}");
    for body in collector.bodies() {
        let text = String::from_utf8_lossy(&body);
        let metrics = text.contains("mcp.server.operation.duration");
        for secret in secrets(&tokens).filter(|_| metrics) {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}

/// A server that tells this agent.
fn telling(world: &World, agent: &DogStatsd) -> ServerCommand {
    let address = agent.address();
    world
        .command()
        .env("DD_AGENT_HOST", address.ip().to_string())
        .env("DD_DOGSTATSD_PORT", address.port().to_string())
        .env("DD_ENV", "staging")
        .env("DD_VERSION", "1.2.3")
}

#[tokio::test]
async fn a_datadog_agent_gets_every_tool_call_at_the_latest_at_the_end() {
    let world = World::small().await;
    let agent = DogStatsd::start("127.0.0.1").await.unwrap();
    let mut server = world.start(&telling(&world, &agent)).await;
    let tokens = traffic(&world, &server).await;
    assert!(server.stop(LIMIT).await.unwrap().success());
    let whole = |lines: &[StatsdLine]| {
        lines
            .iter()
            .any(|it| it.name == "mcp.server.session.verifications")
    };
    assert!(agent.lines().wait_until(whole, LIMIT).await);
    let lines = agent.lines().entries();
    let calls = |name: &str, tool: &str, status: &str| {
        let tagged = |line: &&StatsdLine| {
            line.name == name
                && line.tags["tool"] == tool
                && line.tags["status"] == status
                && line.tags["env"] == "staging"
                && line.tags["service"] == "braingrid-mcp"
                && line.tags["version"] == "1.2.3"
        };
        lines.iter().filter(tagged).cloned().collect::<Vec<_>>()
    };
    for (tool, status) in [
        ("list_projects", "ok"),
        ("create_requirement", "ok"),
        ("get_project", "error"),
    ] {
        let counted = calls("mcp.server.tool.call.count", tool, status);
        assert_near(counted.iter().map(|line| line.value).sum(), 2.0);
        assert!(counted.iter().all(|line| line.kind == "c"));
        let timed = calls("mcp.server.tool.call.duration", tool, status);
        assert_eq!(timed.len(), 2, "{tool} {lines:?}");
        assert!(
            timed
                .iter()
                .all(|line| line.kind == "ms" && line.value >= 0.0)
        );
    }
    let sum = |name: &str, tag: &str, value: &str| {
        let fits = |line: &&StatsdLine| {
            line.name == name && line.tags.get(tag).is_some_and(|found| found == value)
        };
        lines
            .iter()
            .filter(fits)
            .map(|line| line.value)
            .sum::<f64>()
    };
    assert_near(sum("mcp.server.signout", "reason", "expired"), 1.0);
    assert_near(sum("mcp.server.auth.refusals", "reason", "expired"), 2.0);
    let api = "mcp.server.http.client.request.duration.count";
    assert_near(sum(api, "operation", "list_projects"), 2.0);
    for line in &lines {
        assert!(line.name.starts_with("mcp.server."), "{}", line.text);
        for secret in secrets(&tokens) {
            assert!(!line.text.contains(secret), "{}", line.text);
        }
    }
}

#[tokio::test]
async fn an_agent_may_be_reached_over_ipv6() {
    let Ok(agent) = DogStatsd::start("::1").await else {
        // A machine without IPv6.
        return;
    };
    let world = World::small().await;
    let mut server = world.start(&telling(&world, &agent)).await;
    traffic(&world, &server).await;
    assert!(server.stop(LIMIT).await.unwrap().success());
    let told = |lines: &[StatsdLine]| {
        lines
            .iter()
            .any(|it| it.name == "mcp.server.tool.call.count")
    };
    assert!(agent.lines().wait_until(told, LIMIT).await);
}

#[tokio::test]
async fn far_ends_that_are_away_or_hang_are_no_requests_business() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    collector.hang();
    let nobody = DogStatsd::start("127.0.0.1").await.unwrap().address();
    let command = world
        .command()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
        .env("OTEL_METRIC_EXPORT_INTERVAL", "50")
        .env("DD_AGENT_HOST", "agent.invalid")
        .env("DD_DOGSTATSD_PORT", nobody.port().to_string());
    let mut server = world.start(&command).await;
    let asked = |paths: &[String]| paths.iter().any(|path| path.ends_with("/v1/metrics"));
    assert!(collector.requests().wait_until(asked, LIMIT).await);
    let begun = Instant::now();
    traffic(&world, &server).await;
    // Thirteen calls: each exporter's own time limit is longer than that.
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "{:?}",
        begun.elapsed()
    );
    assert!(server.stop(LIMIT).await.unwrap().success());
}

#[tokio::test]
async fn a_local_server_tells_an_agent_too() {
    let world = World::small().await;
    let agent = DogStatsd::start("127.0.0.1").await.unwrap();
    let address = agent.address();
    let command = world
        .stdio_command()
        .env("BRAINGRID_API_TOKEN", world.token(ADA, ORGANIZATION))
        .env("DD_AGENT_HOST", address.ip().to_string())
        .env("DD_DOGSTATSD_PORT", address.port().to_string());
    let mut stdio = RawStdio::start(&command).unwrap();
    let params = json!({ "name": "list_projects", "arguments": {} });
    let answer = stdio.request(Generation::Modern, "tools/call", params);
    answer.await.unwrap();
    assert!(stdio.close(LIMIT).await.unwrap().success());
    let told = |lines: &[StatsdLine]| {
        let of_call = |line: &StatsdLine| {
            line.tags
                .get("tool")
                .is_some_and(|it| it == "list_projects")
        };
        lines
            .iter()
            .any(|it| it.name == "mcp.server.tool.call.count" && of_call(it))
    };
    assert!(agent.lines().wait_until(told, LIMIT).await);
}
