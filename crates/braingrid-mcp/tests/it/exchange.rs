//! Token exchange with the built binary: a client's token ends at this server, and what the issuer
//! refuses leads to whoever can mend it.

use std::collections::BTreeSet;

use futures::future::join_all;
use mcp_test_support::{
    Api, ExchangeAnswer, ExchangeClient, Exposition, Issuer, ServerCommand, ServerProcess,
    api::{Fault, Operation, Times},
    client::{Generation, RawAnswer},
    payload_of,
};
use serde_json::{Value, json};

use crate::{
    admin::Operators,
    world::{LIMIT, World, client_of, idea},
};

const API: &str = "https://api.braingrid.test";
pub(crate) const CLIENT: &str = "client_mcp";
const SECRET: &str = "s3cret-of-the-client";

/// The command of a server whose issuer exchanges tokens, and nothing else is said about the API.
pub(crate) fn command(world: &World) -> ServerCommand {
    command_with(world, "")
}

/// The same with more in its table.
fn command_with(world: &World, more: &str) -> ServerCommand {
    world
        .issuer
        .let_exchange(CLIENT, ExchangeClient::Post(SECRET.to_owned()));
    std::fs::write(world.home.path().join("secret"), SECRET).unwrap();
    let upstream = format!(
        "mode = \"exchange\"\nresource = \"{API}\"\nclient_id = \"{CLIENT}\"\n\
         client_secret_file = \"secret\"\n{more}"
    );
    by_table(world, &upstream)
}

fn shared_by_table(world: &World) -> ServerCommand {
    let audience = world.resource();
    by_table(
        world,
        &format!("mode = \"same-audience\"\naudience = \"{audience}\"\n"),
    )
}

/// A server whose issuer has a table with these keys.
fn by_table(world: &World, upstream: &str) -> ServerCommand {
    let issuer = world.issuer.url();
    let toml = format!(
        "[[issuers]]\nissuer = \"{issuer}\"\npreset = \"workos\"\n\n[issuers.upstream]\n{upstream}"
    );
    let file = world.home.path().join("issuers.toml");
    std::fs::write(&file, toml).unwrap();
    let command = world.command().without_env("OAUTH_ISSUER");
    let command = command.without_env("UPSTREAM_AUDIENCE");
    command.arg("--config").arg(file)
}

/// The same exchange by variables alone.
fn command_by_environment(world: &World) -> ServerCommand {
    let secret = world.home.path().join("secret");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    world
        .issuer
        .let_exchange(CLIENT, ExchangeClient::Post(SECRET.to_owned()));
    let command = world.command().without_env("UPSTREAM_AUDIENCE");
    command
        .env("OAUTH_PRESET", "workos")
        .env("UPSTREAM_MODE", "exchange")
        .env("UPSTREAM_RESOURCE", API)
        .env("UPSTREAM_CLIENT_ID", CLIENT)
        .env("UPSTREAM_CLIENT_SECRET_FILE", secret)
}

async fn server(world: &World) -> ServerProcess {
    world.start(&command(world)).await
}

async fn call(
    server: &ServerProcess,
    generation: Generation,
    token: &str,
    tool: &str,
    arguments: &Value,
) -> RawAnswer {
    let request = client_of(server).call(generation, tool, arguments);
    request.bearer(token).send().await.unwrap()
}

async fn list(server: &ServerProcess, token: &str) -> RawAnswer {
    call(
        server,
        Generation::Modern,
        token,
        "list_projects",
        &json!({}),
    )
    .await
}

fn exchanges(issuer: &Issuer) -> usize {
    issuer.exchanges().entries().len()
}

#[tokio::test]
async fn no_request_to_the_api_carries_a_token_that_a_client_sent() {
    let world = World::shared().await;
    let server = server(&world).await;
    let mut sent = BTreeSet::new();
    for user in ["user_ada", "user_bob"] {
        for number in 0..2 {
            let token = world.token(user, "org_ada");
            for generation in Generation::BOTH {
                call(&server, generation, &token, "list_projects", &json!({})).await;
                let title = idea(&format!("{user} {number} {generation:?}"));
                call(&server, generation, &token, "create_requirement", &title).await;
            }
            // Refused, repeated, read back.
            for (operation, fault) in [
                (Operation::ListProjects, Fault::Status(401)),
                (Operation::ListProjects, Fault::Close),
                (Operation::ListProjects, Fault::RetryAfter(503, 0)),
            ] {
                world.api.inject(operation, fault, Times::Next(1));
                let answer = list(&server, &token).await;
                assert!(answer.structured().is_some(), "{}", answer.body);
            }
            let lost = Fault::CloseAfterWrite;
            let title = idea(&format!("{user} {number} lost"));
            world
                .api
                .inject(Operation::SpecifyRequirement, lost, Times::Next(1));
            for _ in 0..2 {
                call(
                    &server,
                    Generation::Modern,
                    &token,
                    "create_requirement",
                    &title,
                )
                .await;
            }
            sent.insert(token);
        }
    }
    let asked = world.api.requests().entries();
    assert!(asked.len() >= 4 * 8, "{asked:?}");
    for request in asked {
        let token = request.token().unwrap();
        assert!(!sent.contains(token), "{request:?}");
        let claims = payload_of(token).unwrap();
        assert_eq!(
            (&claims["aud"], &claims["act"]["sub"]),
            (&API.into(), &CLIENT.into())
        );
    }
    assert_eq!(sent.len(), 4);
    assert_eq!(
        exchanges(&world.issuer),
        2 * sent.len(),
        "one, and one for the 401"
    );
    let seen = server.text();
    assert!(!seen.contains(SECRET), "{seen}");
    for token in &sent {
        assert!(!seen.contains(token.as_str()), "{seen}");
    }
}

#[tokio::test]
async fn two_hundred_first_calls_at_two_instances_are_one_exchange_and_a_third_needs_none() {
    let world = World::shared().await;
    let (one, two) = (server(&world).await, server(&world).await);
    let third = server(&world).await;
    let token = world.token("user_ada", "org_ada");
    let calls = [&one, &two].into_iter().cycle().take(200);
    let calls = join_all(calls.map(|server| list(server, &token))).await;
    assert!(calls.iter().all(|answer| answer.status == 200));
    assert_eq!(exchanges(&world.issuer), 1);
    let form = world.issuer.exchanges().entries().remove(0).form;
    assert_eq!(form.get("resource").map(String::as_str), Some(API));
    let before = world.issuer.requests().entries().len();
    assert!(list(&one, &token).await.structured().is_some());
    assert_eq!(world.issuer.requests().entries().len(), before);
    let stored = crate::sessions::stored_sessions(&world, 1);
    stored.await;
    world.issuer.stop().await;
    assert!(list(&third, &token).await.structured().is_some());
    assert_eq!(exchanges(&world.issuer), 1);
}

#[tokio::test]
async fn a_token_of_one_address_of_the_api_is_sent_to_no_other() {
    let world = World::shared().await;
    let token = world.token("user_ada", "org_ada");
    let first = server(&world).await;
    assert_eq!(list(&first, &token).await.status, 200);
    let stored = crate::sessions::stored_sessions(&world, 1);
    stored.await;
    drop(first);
    let moved = Api::start().await.unwrap();
    let elsewhere = command(&world).env("BRAINGRID_API_URL", moved.url());
    let elsewhere = world.start(&elsewhere).await;
    assert_eq!(list(&elsewhere, &token).await.status, 200);
    assert_eq!(exchanges(&world.issuer), 2);
    let sent = |api: &Api| {
        let asked = api.requests().entries();
        let tokens = asked.iter().filter_map(|it| it.token().map(str::to_owned));
        tokens.collect::<BTreeSet<_>>()
    };
    let (before, after) = (sent(&world.api), sent(&moved));
    assert!(!before.is_empty() && !after.is_empty());
    assert!(before.is_disjoint(&after));
}

#[tokio::test]
async fn every_refusal_of_the_issuer_has_its_answer() {
    let world = World::small().await;
    let (server, operators) = Operators::start(&world, command(&world)).await;
    for (code, status, told) in [
        ("invalid_grant", 401, "invalid_token"),
        ("access_denied", 403, "does not let this user act"),
        ("invalid_target", 403, "audience or resource"),
        ("invalid_scope", 403, "scopes"),
        ("invalid_request", 401, "invalid_token"),
        ("invalid_client", 503, "again"),
        ("unauthorized_client", 503, "again"),
    ] {
        let body = json!({ "error": code }).to_string();
        world
            .issuer
            .answer_exchanges(ExchangeAnswer::Fixed(400, body));
        let token = world.token(&format!("user_{code}"), "org_ada");
        let answer = list(&server, &token).await;
        let headers = format!("{:?}", answer.headers);
        assert_eq!(answer.status, status, "{code}: {}", answer.body);
        assert!(
            format!("{headers}{}", answer.body).contains(told),
            "{code}: {}",
            answer.body
        );
        let challenged = answer.headers.contains_key("www-authenticate");
        assert_eq!(
            challenged,
            status == 401 || challenged && status == 403,
            "{code}"
        );
        assert_eq!(
            answer.headers.contains_key("retry-after"),
            status == 503,
            "{code}"
        );
    }
    assert!(world.api.requests().entries().is_empty());
    assert!(server.said("tokens cannot be exchanged", LIMIT).await);
    let metrics = Exposition::parse(&operators.get("/metrics").await.text).unwrap();
    let count = |outcome| {
        let labels = [("issuer", &*world.issuer.url()), ("outcome", outcome)];
        metrics.sum("mcp_server_exchanges_total", &labels)
    };
    let counts = ["ok", "refused", "failed"].map(count);
    assert_eq!(counts.map(|it| it.to_string()), ["0", "5", "2"]);
}

#[tokio::test]
async fn an_api_that_refuses_every_token_is_given_one_fresh_one() {
    let world = World::small().await;
    let server = server(&world).await;
    world
        .api
        .inject(Operation::ListProjects, Fault::Status(401), Times::Always);
    let token = world.token("user_ada", "org_ada");
    for _ in 0..5 {
        let answer = list(&server, &token).await;
        assert_eq!(answer.status, 200, "no login mends that: {}", answer.body);
        assert!(answer.structured().is_none(), "{}", answer.body);
    }
    assert_eq!(exchanges(&world.issuer), 2);
    let told = server.text().matches("BrainGrid did not accept").count();
    assert!((1..5).contains(&told), "{told} lines of 5 calls");
}

#[tokio::test]
async fn variables_alone_are_enough_to_exchange() {
    let world = World::small().await;
    let server = world.start(&command_by_environment(&world)).await;
    let token = world.token("user_ada", "org_ada");
    let answer = list(&server, &token).await;
    assert!(answer.structured().is_some(), "{}", answer.body);
    assert_eq!(exchanges(&world.issuer), 1);
    let asked = world.api.requests().entries();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|it| it.token() != Some(&token)));
    let said = server.text();
    assert!(
        said.contains("token exchange: ") && !said.contains(SECRET),
        "{said}"
    );
}

#[tokio::test]
async fn the_mode_is_told_at_start() {
    let world = World::small().await;
    let exchanging = server(&world).await.text();
    assert!(exchanging.contains("token exchange: "), "{exchanging}");
    assert!(!exchanging.contains("same-audience"), "{exchanging}");
    let chosen = world.command().env("UPSTREAM_MODE", "same-audience");
    for sharing in [
        world.server().await.text(),
        world.start(&chosen).await.text(),
        world.start(&shared_by_table(&world)).await.text(),
    ] {
        assert_eq!(sharing.matches("same-audience mode: ").count(), 1);
        assert!(sharing.contains("UPSTREAM_MODE=exchange"), "{sharing}");
    }
}

/// What `doctor` says of the exchange with this token: check, verdict, text and remedy of each line.
async fn doctor(world: &World, token: &str) -> String {
    doctor_of(world, command(world), token).await
}

async fn doctor_of(world: &World, command: ServerCommand, token: &str) -> String {
    let file = world.home.path().join("token");
    std::fs::write(&file, token).unwrap();
    let doctor = command.arg("doctor").arg("--json");
    let doctor = doctor.arg("--token-file").arg(file);
    let output = doctor.command().output().await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.contains(token) && !said.contains(SECRET), "{said}");
    let report: Value = serde_json::from_str(&said).expect(&said);
    let findings = report["findings"].as_array().unwrap().iter();
    let part = |it: &Value, name: &str| it[name].as_str().unwrap_or_default().to_owned();
    let ours = findings.filter(|it| part(it, "check").contains("exchange"));
    let lines = ours.map(|it| {
        ["check", "verdict", "says", "fix"]
            .map(|name| part(it, name))
            .join(": ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn doctor_exchanges_a_token_and_names_the_value_that_is_missing() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let well = doctor(&world, &token).await;
    assert!(well.contains("token exchange: good: "), "{well}");
    assert!(well.contains("exchanged token: good: "), "{well}");
    let asked = world.api.requests().entries();
    assert!(
        asked.iter().all(|it| it.token() != Some(&token)),
        "{asked:?}"
    );
    for (status, code, words) in [
        (400, "invalid_target", API),
        (400, "invalid_scope", "scopes in [issuers.upstream]"),
        (400, "access_denied", "consent"),
        (401, "invalid_client", "compare client_id"),
        (400, "unauthorized_client", "token exchange grant"),
        (400, "invalid_grant", "log in anew"),
        (503, "down", "token endpoint"),
    ] {
        let answer = ExchangeAnswer::Fixed(status, json!({ "error": code }).to_string());
        world.issuer.answer_exchanges(answer);
        let told = doctor(&world, &token).await;
        assert!(
            told.starts_with("token exchange: problem: "),
            "{code}: {told}"
        );
        assert!(told.contains(words), "{code}: {told}");
    }
    world.issuer.answer_exchanges(ExchangeAnswer::Right);
    for (status, words) in [(401, "expects in aud"), (403, "organization")] {
        let fault = Fault::Status(status);
        world
            .api
            .inject(Operation::GetProfile, fault, Times::Always);
        let told = doctor(&world, &token).await;
        assert!(told.contains("token exchange: good"), "{told}");
        assert!(told.contains("exchanged token: problem: "), "{told}");
        assert!(told.contains(words), "{told}");
        world.api.clear_faults();
    }
    let told = doctor_of(
        &world,
        command_with(&world, "scopes = [\"read\", \"write\"]\n"),
        &token,
    );
    let narrower = json!({"access_token": "opaque", "token_type": "Bearer", "scope": "read"});
    let narrower = ExchangeAnswer::Fixed(200, narrower.to_string());
    world.issuer.answer_exchanges(narrower);
    let told = told.await;
    assert!(told.contains("token exchange: warning: "), "{told}");
    assert!(told.contains("without the scopes \"write\""), "{told}");
    let ended = world.issuer.token().organization("org_ada");
    let told = doctor(&world, &ended.expires_in(-7_300).mint()).await;
    assert!(told.contains("not_checked: not tried"), "{told}");
}
