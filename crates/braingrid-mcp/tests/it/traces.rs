//! Traces on real traffic: where they come from, what is in them, where they go on, and that a
//! collector that is away or hangs is nobody's concern.

use std::time::{Duration, Instant};

use mcp_test_support::{
    Captured, Collector, ServerCommand, ServerProcess,
    api::Operation,
    client::{Generation, RawStdio},
    collector::Span,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::world::{LIMIT, World, client_of, idea};

/// A trace as a client names it, and the client's span in it.
struct Named {
    trace: String,
    span: String,
}

impl Named {
    fn new(seed: u8) -> Self {
        Self {
            trace: format!("{seed:02x}").repeat(16),
            span: format!("{seed:02x}").repeat(8),
        }
    }

    fn header(&self) -> String {
        format!("00-{}-{}-01", self.trace, self.span)
    }

    /// Of a client that does not trace this request.
    fn untraced(&self) -> String {
        format!("00-{}-{}-00", self.trace, self.span)
    }
}

fn traced(command: ServerCommand, collector: &Collector) -> ServerCommand {
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
}

/// Waits until a new server has fetched the issuer's keys.
async fn keys_are_here(server: &ServerProcess) {
    let fetched = |lines: &[Captured]| {
        let mut lines = lines.iter();
        lines.any(|line| line.text.contains("issuer keys fetched"))
    };
    assert!(server.output().wait_until(fetched, LIMIT).await);
}

/// The one span of this trace with this name.
fn span(spans: &[Span], trace: &str, name: &str) -> Span {
    let fits = |span: &&Span| span.trace_id == trace && span.name == name;
    let found: Vec<_> = spans.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{name} in {spans:#?}");
    found[0].clone()
}

fn has(span: &Span, name: &str, value: impl Into<Value>) {
    let found = span.attributes.get(name);
    assert_eq!(found, Some(&value.into()), "{name} of {span:#?}");
}

/// `traceparent` of the last request to this operation: trace and span.
fn passed_on(world: &World, operation: Operation) -> (String, String) {
    let (trace, span, _) = passed_on_with_flags(world, operation);
    (trace, span)
}

/// The same, and the flags.
fn passed_on_with_flags(world: &World, operation: Operation) -> (String, String, String) {
    let requests = world.api.requests().entries();
    let last = requests
        .iter()
        .rfind(|request| request.operation == Some(operation));
    let header = last.unwrap().headers.get("traceparent").unwrap();
    let mut fields = header.to_str().unwrap().split('-').skip(1);
    let mut field = || fields.next().unwrap().to_owned();
    (field(), field(), field())
}

#[tokio::test]
async fn a_call_is_one_trace_from_the_client_to_braingrid() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = traced(world.command(), &collector)
        .env("OTEL_SERVICE_NAME", "planning")
        .env("OTEL_RESOURCE_ATTRIBUTES", "team=tools");
    let mut server = world.start(&command).await;
    keys_are_here(&server).await;
    // The token's key is new: it has to be fetched within the request.
    world.issuer.rotate();
    let token = world.token("user_ada", "org_ada");
    let (cold, warm) = (Named::new(0xa1), Named::new(0xb2));
    for (named, generation) in [(&cold, Generation::Modern), (&warm, Generation::Legacy)] {
        let call = client_of(&server).call(
            generation,
            "create_requirement",
            &idea(&format!("a rough idea of {generation:?}")),
        );
        let call = call.bearer(&token).header("traceparent", &named.header());
        let answer = call.header("tracestate", "vendor=1").send().await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let passed_on = passed_on(&world, Operation::SpecifyRequirement);
    assert!(server.stop(LIMIT).await.unwrap().success());
    let spans = collector.spans().entries();

    let request = span(&spans, &cold.trace, "POST /mcp");
    assert_eq!(
        (request.kind, &request.parent_span_id),
        ("server", &cold.span)
    );
    assert_eq!(request.trace_state, "vendor=1");
    has(&request, "http.request.method", "POST");
    has(&request, "http.route", "/mcp");
    has(&request, "http.response.status_code", 200);
    has(&request, "mcp.session.tier", "verification");
    assert_eq!(request.resource["service.name"], "planning");
    assert_eq!(request.resource["team"], "tools");
    assert_eq!(
        request.resource["deployment.environment.name"],
        "production"
    );

    let resolve = span(&spans, &cold.trace, "session.resolve");
    assert_eq!(resolve.parent_span_id, request.span_id);
    has(&resolve, "mcp.session.tier", "verification");
    let fetch = span(&spans, &cold.trace, "auth.keys.fetch");
    assert_eq!(fetch.parent_span_id, resolve.span_id);
    has(&fetch, "oauth.issuer", world.issuer.url());
    has(&fetch, "oauth.keys.cause", "unknown_key");

    let name = "tools/call create_requirement";
    let tool = span(&spans, &cold.trace, name);
    assert_eq!(
        (tool.kind, &tool.parent_span_id),
        ("server", &request.span_id)
    );
    has(&tool, "mcp.method.name", "tools/call");
    has(&tool, "mcp.protocol.version", "2026-07-28");
    has(&tool, "gen_ai.operation.name", "execute_tool");
    has(&tool, "gen_ai.tool.name", "create_requirement");
    has(&tool, "jsonrpc.request.id", "1");
    has(&tool, "network.transport", "tcp");
    has(&tool, "mcp.request.outcome", "ok");
    assert!(!tool.is_error && !tool.attributes.contains_key("error.type"));

    let api = span(&spans, &cold.trace, "specify_requirement");
    assert_eq!((api.kind, &api.parent_span_id), ("client", &tool.span_id));
    has(&api, "http.request.method", "POST");
    has(&api, "http.response.status_code", 201);
    has(&api, "server.address", "127.0.0.1");

    // Known by now: nothing to find out, and the second call reached BrainGrid in its own trace.
    let request = span(&spans, &warm.trace, "POST /mcp");
    has(&request, "mcp.session.tier", "memory");
    has(&request, "mcp.protocol.version", "2025-11-25");
    let in_trace = spans.iter().filter(|span| span.trace_id == warm.trace);
    assert_eq!(in_trace.count(), 3, "request, tool and API call");
    let tool = span(&spans, &warm.trace, name);
    let api = span(&spans, &warm.trace, "specify_requirement");
    assert_eq!(api.parent_span_id, tool.span_id);
    assert_eq!(passed_on, (warm.trace, api.span_id));
}

#[tokio::test]
async fn a_session_from_another_instance_shows_the_store() {
    let world = World::shared().await;
    let collector = Collector::start().await.unwrap();
    let first = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let list = |server| client_of(server).call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(
        list(&first).bearer(&token).send().await.unwrap().status,
        200
    );
    crate::sessions::stored_sessions(&world, 1).await;
    world.issuer.stop().await;

    let mut second = world.start(&traced(world.command(), &collector)).await;
    let named = Named::new(0xc3);
    let call = list(&second).bearer(&token);
    let answer = call.header("traceparent", &named.header()).send().await;
    assert_eq!(answer.unwrap().status, 200);
    second.stop(LIMIT).await.unwrap();
    let spans = collector.spans().entries();
    let resolve = span(&spans, &named.trace, "session.resolve");
    has(&resolve, "mcp.session.tier", "store");
    let redis = span(&spans, &named.trace, "GET");
    assert_eq!(
        (redis.kind, &redis.parent_span_id),
        ("client", &resolve.span_id)
    );
    has(&redis, "db.system.name", "redis");
}

#[tokio::test]
async fn a_trace_named_in_the_message_wins_and_the_one_around_it_is_linked() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let mut server = world.start(&traced(world.command(), &collector)).await;
    let token = world.token("user_ada", "org_ada");
    let (around, inside, both) = (Named::new(0x11), Named::new(0x22), Named::new(0x33));
    for (header, meta) in [(&around, &inside), (&both, &both)] {
        let params = json!({
            "name": "list_projects",
            "arguments": {},
            "_meta": {"traceparent": meta.header()},
        });
        let call = client_of(&server).request(Generation::Modern, "tools/call", params);
        let call = call.bearer(&token).header("traceparent", &header.header());
        assert_eq!(call.send().await.unwrap().status, 200);
    }
    let lines = server.wait_access_log(2, LIMIT).await;
    assert_eq!(lines[0]["trace_id"], inside.trace.as_str());
    server.stop(LIMIT).await.unwrap();
    let spans = collector.spans().entries();

    let request = span(&spans, &around.trace, "POST /mcp");
    let tool = span(&spans, &inside.trace, "tools/call list_projects");
    assert_eq!(tool.parent_span_id, inside.span);
    assert_eq!(tool.links, [(request.trace_id, request.span_id)]);
    // The same in both places: one below the other.
    let request = span(&spans, &both.trace, "POST /mcp");
    let tool = span(&spans, &both.trace, "tools/call list_projects");
    assert_eq!(request.parent_span_id, both.span);
    assert_eq!(tool.parent_span_id, request.span_id);
    assert!(tool.links.is_empty());
}

/// An introspection endpoint that answers one question.
async fn answers_once(answer: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        // The form comes last and is short: it is there once its second member is.
        while !String::from_utf8_lossy(&request).contains("token_type_hint=") {
            stream.read_buf(&mut request).await.unwrap();
        }
        let (body, head) = (answer.to_string(), "HTTP/1.1 200 OK\r\nconnection: close");
        let json = format!(
            "content-type: application/json\r\ncontent-length: {}",
            body.len()
        );
        let answer = format!("{head}\r\n{json}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    url
}

#[tokio::test]
async fn asking_about_an_opaque_token_is_a_span() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let endpoint = answers_once(json!({
        "active": true, "sub": "user_ada", "org_id": "org_ada", "aud": world.resource(),
        "exp": u32::MAX,
    }));
    let (folder, issuer) = (tempfile::tempdir().unwrap(), world.issuer.url());
    let file = folder.path().join("config");
    let config = format!(
        "[[issuers]]\nissuer = \"{issuer}\"\nintrospection_endpoint = \"{}\"\n\
         introspection_client_id = \"us\"\nintrospection_client_secret = \"a secret\"\n",
        endpoint.await
    );
    std::fs::write(&file, config).unwrap();
    let command = world.command().without_env("OAUTH_ISSUER");
    let command = traced(command.env("BRAINGRID_CONFIG", &file), &collector);
    let mut server = world.start(&command).await;
    let (known, gone) = (Named::new(0xd1), Named::new(0xd2));
    for (named, token, status) in [(&known, "opaque-one", 200), (&gone, "opaque-two", 503)] {
        let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        let call = call.bearer(token).header("traceparent", &named.header());
        assert_eq!(call.send().await.unwrap().status, status);
    }
    server.stop(LIMIT).await.unwrap();
    let spans = collector.spans().entries();

    let resolve = span(&spans, &known.trace, "session.resolve");
    let asked = span(&spans, &known.trace, "auth.introspect");
    assert_eq!(
        (asked.kind, &asked.parent_span_id),
        ("client", &resolve.span_id)
    );
    has(&asked, "oauth.issuer", issuer);
    assert!(!asked.is_error && !asked.attributes.contains_key("error.type"));
    let asked = span(&spans, &gone.trace, "auth.introspect");
    assert!(asked.is_error && asked.attributes.contains_key("error.type"));
}

#[tokio::test]
async fn over_stdio_the_trace_comes_with_the_message() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let token = world.token("user_ada", "org_ada");
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    let mut stdio = RawStdio::start(&traced(command, &collector)).unwrap();
    let named = Named::new(0x44);
    let params = json!({
        "name": "list_projects",
        "arguments": {},
        "_meta": {"traceparent": named.header()},
    });
    let answer = stdio.request(Generation::Modern, "tools/call", params);
    assert!(answer.await.unwrap()["result"].is_object());
    assert!(stdio.close(LIMIT).await.unwrap().success());
    let spans = collector.spans().entries();
    let tool = span(&spans, &named.trace, "tools/call list_projects");
    assert_eq!((tool.kind, &tool.parent_span_id), ("server", &named.span));
    has(&tool, "network.transport", "pipe");
    let api = span(&spans, &named.trace, "list_projects");
    assert_eq!(api.parent_span_id, tool.span_id);
    let passed_on = passed_on(&world, Operation::ListProjects);
    assert_eq!(passed_on, (named.trace, api.span_id));
}

#[tokio::test]
async fn what_goes_wrong_is_in_the_span() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let mut server = world.start(&traced(world.command(), &collector)).await;
    let token = world.token("user_ada", "org_ada");
    let traces = [0x51, 0x52, 0x53].map(Named::new);
    let calls = [
        ("no_such_tool", json!({}), Some(token.clone())),
        (
            "get_project_requirement",
            json!({"project_id": "PROJ-1", "requirement_id": "REQ-999"}),
            Some(token),
        ),
        ("list_projects", json!({}), None),
    ];
    for ((tool, arguments, token), named) in calls.into_iter().zip(&traces) {
        let call = client_of(&server).call(Generation::Modern, tool, &arguments);
        let mut call = call.header("traceparent", &named.header());
        if let Some(token) = token {
            call = call.bearer(&token);
        }
        call.send().await.unwrap();
    }
    server.stop(LIMIT).await.unwrap();
    let spans = collector.spans().entries();

    let unknown = span(&spans, &traces[0].trace, "tools/call");
    has(&unknown, "error.type", "-32602");
    has(&unknown, "rpc.response.status_code", "-32602");
    assert!(!unknown.is_error, "the client's mistake");
    let failed = span(
        &spans,
        &traces[1].trace,
        "tools/call get_project_requirement",
    );
    has(&failed, "error.type", "tool_error");
    has(&failed, "mcp.request.outcome", "not_found");
    assert!(failed.is_error);
    let refused = span(&spans, &traces[2].trace, "POST /mcp");
    has(&refused, "http.response.status_code", 401);
    has(&refused, "error.type", "no_token");
    assert!(!refused.is_error);
}

#[tokio::test]
async fn without_a_collector_the_clients_trace_travels_on_as_it_is() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let disabled = traced(world.command(), &collector).env("OTEL_SDK_DISABLED", "true");
    let token = world.token("user_ada", "org_ada");
    for command in [world.command(), disabled] {
        let server = world.start(&command).await;
        for generation in Generation::BOTH {
            let named = Named::new(0x66);
            // A write goes on in a task of its own.
            let call =
                client_of(&server).call(generation, "create_requirement", &idea("a rough idea"));
            let call = call.bearer(&token).header("traceparent", &named.header());
            assert_eq!(call.send().await.unwrap().status, 200);
            let passed_on = passed_on(&world, Operation::SpecifyRequirement);
            assert_eq!(passed_on, (named.trace, named.span));
        }
        let lines = server.wait_access_log(2, LIMIT).await;
        assert_eq!(lines[0]["trace_id"], "66".repeat(16));
    }
    assert!(collector.requests().entries().is_empty());

    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    let mut stdio = RawStdio::start(&command).unwrap();
    let named = Named::new(0x77);
    let meta = json!({"traceparent": named.header()});
    let params = json!({"name": "list_projects", "arguments": {}, "_meta": meta});
    let answer = stdio.request(Generation::Modern, "tools/call", params);
    assert!(answer.await.unwrap()["result"].is_object());
    let passed_on = passed_on(&world, Operation::ListProjects);
    assert_eq!(passed_on, (named.trace, named.span));
}

#[tokio::test]
async fn a_collector_that_is_away_or_hangs_is_noticed_by_no_request() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    for hangs in [true, false] {
        let collector = Collector::start().await.unwrap();
        if hangs {
            collector.hang();
        } else {
            collector.stop().await;
        }
        let command = traced(world.command(), &collector)
            .env("OTEL_BSP_SCHEDULE_DELAY", "10")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", "8")
            .env("OTEL_METRIC_EXPORT_INTERVAL", "50")
            .env("AUDIT_LOG", "otlp");
        let mut server = world.start(&command).await;
        for round in 0..40 {
            let begun = Instant::now();
            let call = client_of(&server).call(
                Generation::Modern,
                "create_requirement",
                &idea("a rough idea"),
            );
            let answer = call.bearer(&token).send().await.unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(
                begun.elapsed() < Duration::from_secs(5),
                "call {round} waited for the collector, whose time is 10 s"
            );
            if round == 0 && hangs {
                let asked = |requests: &[String]| !requests.is_empty();
                assert!(collector.requests().wait_until(asked, LIMIT).await);
            }
        }
        let begun = Instant::now();
        assert!(server.stop(LIMIT).await.unwrap().success());
        assert!(
            begun.elapsed() < Duration::from_secs(15),
            "3 s for the audit log, 3 s for the rest: {:?}",
            begun.elapsed()
        );
    }
}

#[tokio::test]
async fn the_sampler_decides_what_is_sent_and_not_what_travels_on() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = traced(world.command(), &collector).env("OTEL_TRACES_SAMPLER", "always_off");
    let mut server = world.start(&command).await;
    let token = world.token("user_ada", "org_ada");
    let named = Named::new(0x88);
    let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let call = call.bearer(&token).header("traceparent", &named.header());
    assert_eq!(call.send().await.unwrap().status, 200);
    let (trace, _) = passed_on(&world, Operation::ListProjects);
    assert_eq!(trace, named.trace);
    server.stop(LIMIT).await.unwrap();
    assert!(collector.spans().entries().is_empty());
    assert!(!collector.points().entries().is_empty(), "metrics still");
}

#[tokio::test]
async fn a_request_that_is_not_traced_has_no_span_and_its_trace_travels_on() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = traced(world.command(), &collector).env("TRACES_PER_SECOND", "0");
    let mut server = world.start(&command).await;
    keys_are_here(&server).await;
    world.issuer.rotate();
    let client = Named::new(0x91);
    for (at, generation) in Generation::BOTH.into_iter().enumerate() {
        // New to the server: finding out who it is has no span either, nor has fetching the key.
        let token = world.token("user_ada", ["org_ada", "org_bob"][at]);
        let call = |idea: &Value| {
            let call = client_of(&server).call(generation, "create_requirement", idea);
            call.bearer(&token)
        };
        assert_eq!(
            call(&idea("a rough idea")).send().await.unwrap().status,
            200
        );
        let (trace, _, flags) = passed_on_with_flags(&world, Operation::SpecifyRequirement);
        assert_eq!(flags, "00");
        let lines = server.wait_access_log(2 * at + 1, LIMIT).await;
        assert_eq!(lines[2 * at]["trace_id"], trace.as_str());

        let call = call(&idea("another idea")).header("traceparent", &client.untraced());
        assert_eq!(call.send().await.unwrap().status, 200);
        let (trace, _, flags) = passed_on_with_flags(&world, Operation::SpecifyRequirement);
        assert_eq!((&trace, &*flags), (&client.trace, "00"));
        let lines = server.wait_access_log(2 * at + 2, LIMIT).await;
        assert_eq!(lines[2 * at + 1]["trace_id"], trace.as_str());
    }
    server.stop(LIMIT).await.unwrap();
    assert!(collector.spans().entries().is_empty());
    assert!(!collector.points().entries().is_empty(), "metrics still");
}

#[tokio::test]
async fn a_client_that_traces_decides_within_what_the_sampler_allows() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let (yes, no) = (Named::new(0xa8), Named::new(0xa9));
    let whole = ["POST /mcp", "list_projects", "tools/call list_projects"];
    for (variable, value, expected) in [
        ("TRACES_PER_SECOND", "0", vec![]),
        ("TRACES_PER_SECOND", "100", vec![&yes]),
        ("OTEL_TRACES_SAMPLER", "parentbased_always_off", vec![&yes]),
        ("OTEL_TRACES_SAMPLER", "always_on", vec![&yes, &no]),
    ] {
        let collector = Collector::start().await.unwrap();
        let command = traced(world.command(), &collector).env(variable, value);
        let mut server = world.start(&command).await;
        let list = || client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        // Known afterwards.
        list().bearer(&token).send().await.unwrap();
        for header in [yes.header(), no.untraced()] {
            let call = list().bearer(&token).header("traceparent", &header);
            assert_eq!(call.send().await.unwrap().status, 200);
        }
        server.stop(LIMIT).await.unwrap();
        let spans = collector.spans().entries();
        for named in [&yes, &no] {
            let of_trace = spans.iter().filter(|span| span.trace_id == named.trace);
            let mut names: Vec<_> = of_trace.map(|span| span.name.as_str()).collect();
            names.sort_unstable();
            let traced = expected.iter().any(|it| it.trace == named.trace);
            assert_eq!(names, if traced { &whole[..] } else { &[] }, "{value}");
        }
    }
}

#[tokio::test]
async fn a_message_decides_for_itself_where_it_names_a_trace() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command =
        traced(world.command(), &collector).env("OTEL_TRACES_SAMPLER", "parentbased_always_off");
    let mut server = world.start(&command).await;
    let token = world.token("user_ada", "org_ada");
    let (inside, around) = (Named::new(0xe1), Named::new(0xe2));
    for meta in [inside.header(), inside.untraced()] {
        let params = json!({
            "name": "list_projects", "arguments": {}, "_meta": {"traceparent": meta},
        });
        let call = client_of(&server).request(Generation::Modern, "tools/call", params);
        let call = call
            .bearer(&token)
            .header("traceparent", &around.untraced());
        assert_eq!(call.send().await.unwrap().status, 200);
        let (trace, _, flags) = passed_on_with_flags(&world, Operation::ListProjects);
        assert_eq!(trace, inside.trace);
        assert!(meta.ends_with(&flags));
    }
    server.stop(LIMIT).await.unwrap();
    let spans = collector.spans().entries();
    let tool = span(&spans, &inside.trace, "tools/call list_projects");
    assert_eq!(tool.parent_span_id, inside.span);
    let [(linked, _)] = &*tool.links else {
        panic!("{tool:#?}")
    };
    assert_eq!(*linked, around.trace);
    let api = span(&spans, &inside.trace, "list_projects");
    assert_eq!(api.parent_span_id, tool.span_id);
    assert_eq!(spans.len(), 2);
}

#[tokio::test]
async fn a_stranger_who_says_that_he_traces_fills_no_collector() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = traced(world.command(), &collector).env("TRACES_PER_SECOND", "0");
    let mut server = world.start(&command).await;
    let named = Named::new(0xb1);
    for token in [None, Some("not-a-token")] {
        let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        let call = call.header("traceparent", &named.header());
        let call = match token {
            Some(token) => call.bearer(token),
            None => call,
        };
        assert_eq!(call.send().await.unwrap().status, 401);
    }
    server.stop(LIMIT).await.unwrap();
    assert!(collector.spans().entries().is_empty());
}
