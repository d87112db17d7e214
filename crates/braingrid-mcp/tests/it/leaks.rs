//! What must never come out: tokens, keys, credentials, people and their words, in anything the
//! server emits (log, spans, metrics, audit log, errors, Redis) under good and hostile traffic.
//!
//! The audit log names people and organizations, that is what it is for; nothing else does.

use mcp_test_support::{
    Collector, ServerProcess, TokenBuilder,
    api::{Fault, Operation, Times},
    client::{Generation, RawStdio},
    random_hex,
};
use serde_json::{Value, json};

use crate::{
    sessions::stored_sessions,
    world::{LIMIT, World, client_of, idea},
};

const SUBJECT: &str = "user_ada_subject_secret";
const ORGANIZATION: &str = "org_ada_organization_secret";
const EMAIL: &str = "ada@email-secret.test";
const IDEA: &str = "an idea that nobody else may read";
const ANSWER: &str = "what BrainGrid said in confidence";
const OPAQUE: &str = "opaque-token-secret-that-nobody-issued";
const HEADER: &str = "a-header-that-is-a-secret-of-its-client";
const REDIS_PASSWORD: &str = "redis-password-secret";
const CLIENT_SECRET: &str = "introspection-client-secret";
const COLLECTOR_KEY: &str = "collector-key-secret";

/// What went in, by what it is.
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    /// None of them is in this, which is called `place`. `except` is what may be.
    fn none_in(&self, place: &str, text: &str, except: &[&str]) {
        for (what, secret) in &self.0 {
            if except.contains(what) {
                continue;
            }
            let line = text.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{what} is in {place}: {line:?}");
        }
    }
}

fn person(token: TokenBuilder) -> TokenBuilder {
    token
        .subject(SUBJECT)
        .organization(ORGANIZATION)
        .claim("email", EMAIL)
        .scope("r w")
}

/// The parts of a token, each of which would be a leak.
fn parts(what: [&'static str; 3], token: &str) -> Vec<(&'static str, String)> {
    let mut parts = token.split('.').skip(1);
    let (claims, signature) = (parts.next().unwrap(), parts.next().unwrap());
    let [whole, of_claims, of_signature] = what;
    vec![
        (whole, token.to_owned()),
        (of_claims, claims.to_owned()),
        (of_signature, signature.to_owned()),
    ]
}

struct Tokens {
    good: String,
    forged: String,
    expired: String,
    weak: String,
}

impl Tokens {
    fn of(world: &World) -> Self {
        let token = || person(world.issuer.token());
        Self {
            good: token().mint(),
            forged: token().tampered().mint(),
            expired: token().expires_in(-3_600).mint(),
            weak: token().scope("r").mint(),
        }
    }
}

/// Everything that went in.
fn secrets(world: &World, tokens: &Tokens) -> Secrets {
    let mut secrets = vec![
        ("the subject", SUBJECT.to_owned()),
        ("the organization", ORGANIZATION.to_owned()),
        ("the e-mail address", EMAIL.to_owned()),
        ("the idea", IDEA.to_owned()),
        ("BrainGrid's answer", ANSWER.to_owned()),
        ("the opaque token", OPAQUE.to_owned()),
        ("the header", HEADER.to_owned()),
        ("the password of Redis", REDIS_PASSWORD.to_owned()),
        ("the client secret", CLIENT_SECRET.to_owned()),
        ("the collector's key", COLLECTOR_KEY.to_owned()),
        ("the encryption key", world.encryption_key.clone()),
    ];
    secrets.extend(parts(
        ["a token", "its claims", "its signature"],
        &tokens.good,
    ));
    let names = ["a forged token", "its claims", "its signature"];
    secrets.extend(parts(names, &tokens.forged));
    let names = ["an expired token", "its claims", "its signature"];
    secrets.extend(parts(names, &tokens.expired));
    Secrets(secrets)
}

#[tokio::test]
async fn nothing_that_went_in_comes_out_where_it_must_not() {
    let world = World::shared().await;
    let collector = Collector::start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (audit, file) = (folder.path().join("audit"), folder.path().join("config"));
    let issuer = world.issuer.url();
    let config = format!(
        "[[issuers]]\nissuer = \"{issuer}\"\nintrospection_endpoint = \"{issuer}/introspect\"\n\
         introspection_client_id = \"us\"\nintrospection_client_secret = \"{CLIENT_SECRET}\"\n"
    );
    std::fs::write(&file, config).unwrap();
    let loud = |command: mcp_test_support::ServerCommand| {
        command
            .env("LOG_LEVEL", "trace")
            .env("RUST_LOG", "trace")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .env(
                "OTEL_EXPORTER_OTLP_HEADERS",
                format!("authorization={COLLECTOR_KEY}"),
            )
    };
    let command = loud(world.command())
        .without_env("OAUTH_ISSUER")
        .env("BRAINGRID_CONFIG", &file)
        .env("AUDIT_LOG", &audit)
        .env("TOOL_SCOPES", "read=r, write=w");
    let mut server = world.start(&command).await;

    let tokens = Tokens::of(&world);
    let said = traffic(&world, &server, &tokens).await;
    stored_sessions(&world, 1).await;
    let stored = world.redis().keys_and_values().await.unwrap();
    server.stop(LIMIT).await.unwrap();

    // A store that refuses, a collector that is away, and the local transport.
    let port = world.redis().port();
    let refused = loud(world.command())
        .env(
            "REDIS_URL",
            format!("redis://us:{REDIS_PASSWORD}@127.0.0.1:{port}"),
        )
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let mut other = world.start(&refused).await;
    let call = client_of(&other).call(Generation::Modern, "create_requirement", &idea(IDEA));
    call.bearer(&tokens.good).send().await.unwrap();
    other.stop(LIMIT).await.unwrap();
    let local = loud(world.stdio_command()).env("BRAINGRID_API_TOKEN", &tokens.good);
    let mut stdio = RawStdio::start(&local).unwrap();
    for body in hostile(Generation::Modern, &tokens.good) {
        stdio.send_line(&body.replace('\n', " ")).await.unwrap();
    }
    let params = json!({"name": "create_requirement", "arguments": idea(IDEA)});
    let answer = stdio.request(Generation::Modern, "tools/call", params);
    answer.await.unwrap();
    stdio.close(LIMIT).await.unwrap();

    let secrets = secrets(&world, &tokens);
    let output = server.text();
    assert!(
        output.contains("\"access\""),
        "there is something to look at"
    );
    secrets.none_in("the output", &output, &[]);
    let output = other.text();
    assert!(
        output.contains("not written to the store"),
        "it was refused: {output}"
    );
    secrets.none_in("the output without a store", &output, &[]);
    let lines = stdio.output().entries();
    let stderr = lines
        .iter()
        .filter(|line| line.source == mcp_test_support::Source::Stderr);
    let stderr: Vec<_> = stderr.map(|line| line.text.as_str()).collect();
    secrets.none_in("the output over stdio", &stderr.join("\n"), &[]);

    assert!(!collector.spans().entries().is_empty());
    assert!(!collector.points().entries().is_empty());
    for body in collector.bodies() {
        let text = String::from_utf8_lossy(&body).into_owned();
        secrets.none_in("what was exported", &text, &[]);
    }

    let written = std::fs::read_to_string(&audit).unwrap();
    assert!(written.contains(SUBJECT) && written.contains("insufficient_scope"));
    let who = ["the subject", "the organization"];
    secrets.none_in("the audit log", &written, &who);
    secrets.none_in("an answer to strangers", &said, &[]);

    for (key, value) in &stored {
        let text = String::from_utf8_lossy(value);
        secrets.none_in("Redis", &format!("{key}\n{text}"), &[]);
    }
}

/// Good and hostile traffic; gives what strangers were told.
async fn traffic(world: &World, server: &ServerProcess, tokens: &Tokens) -> String {
    let mut said = String::new();
    for generation in Generation::BOTH {
        let client = client_of(server);
        // What is meant to be done, and what BrainGrid has to say about it.
        for (fault, tool) in [
            (None, "create_requirement"),
            (
                Some(Fault::StatusWithBody(422, json!({"message": ANSWER}))),
                "create_requirement",
            ),
            (Some(Fault::Garbage), "create_requirement"),
            (Some(Fault::Close), "create_requirement"),
            (Some(Fault::Status(401)), "list_projects"),
        ] {
            if let Some(fault) = fault {
                let times = Times::Next(1);
                world
                    .api
                    .inject(Operation::SpecifyRequirement, fault.clone(), times);
                world.api.inject(Operation::ListProjects, fault, times);
            }
            let call = client
                .call(generation, tool, &idea(IDEA))
                .bearer(&tokens.good);
            call.send().await.unwrap();
            world.api.clear_faults();
        }
        // What is not.
        for token in [
            &tokens.forged,
            &tokens.expired,
            &tokens.weak,
            &OPAQUE.to_owned(),
        ] {
            let call = client.call(generation, "create_requirement", &idea(IDEA));
            said += &call.bearer(token).send().await.unwrap().body;
        }
        for name in [
            "user-agent",
            "origin",
            "mcp-protocol-version",
            "mcp-name",
            "traceparent",
            "accept",
            "content-type",
        ] {
            let call = client.call(generation, "list_projects", &json!({}));
            let call = call.bearer(&tokens.good).header(name, HEADER);
            call.send().await.unwrap();
        }
        for body in hostile(generation, &tokens.good) {
            // Its own words may come back to whoever sent them.
            let call = client.request(generation, "tools/call", json!({}));
            call.bearer(&tokens.good).body(body).send().await.unwrap();
        }
    }
    let elsewhere = format!("{}/{OPAQUE}?token={}", server.base_url(), tokens.good);
    mcp_test_support::http_client()
        .get(elsewhere)
        .send()
        .await
        .unwrap();
    said
}

/// Bodies that put secrets where names, ids and numbers belong.
fn hostile(generation: Generation, token: &str) -> Vec<String> {
    let call = |tool: &str, arguments: Value| {
        let params = json!({"name": tool, "arguments": arguments});
        generation.message(1, "tools/call", params)
    };
    let with_id = |id: &str| {
        let mut message = call("list_projects", json!({}));
        message["id"] = json!(id);
        message
    };
    let with_meta = |name: &str| {
        let meta = json!({name: token});
        let params = json!({"name": "list_projects", "arguments": {}, "_meta": meta});
        generation.message(1, "tools/call", params)
    };
    let messages = [
        call(token, json!({})),
        call(EMAIL, json!({})),
        call("get_project_requirement", json!({"requirement_id": IDEA})),
        call("create_requirement", json!({"message": {"no": IDEA}})),
        call("create_requirement", json!({EMAIL: IDEA, "message": 7})),
        with_id(token),
        with_id(EMAIL),
        with_meta("traceparent"),
        with_meta("progressToken"),
        with_meta("io.modelcontextprotocol/protocolVersion"),
        generation.message(1, token, json!({})),
        generation.message(1, EMAIL, json!({ "x": IDEA })),
        generation.message(1, "tools/list", json!({ "cursor": token })),
    ];
    let mut bodies: Vec<_> = messages.iter().map(Value::to_string).collect();
    bodies.push(format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{IDEA}"
    ));
    bodies.push(format!(
        "[{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{EMAIL}\"}}]"
    ));
    bodies.push(token.to_owned());
    bodies
}

/// The search itself: it finds what it looks for.
#[test]
#[should_panic(expected = "the key is in a log")]
fn a_leak_is_found() {
    let secrets = Secrets(vec![("the key", random_hex(32))]);
    let leaked = format!("one line\nanother with {} in it", secrets.0[0].1);
    secrets.none_in("a log", &leaked, &[]);
}
