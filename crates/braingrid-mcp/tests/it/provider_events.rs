//! What identity providers tell over HTTP: each source signs out whom it is about and nobody else, on every
//! instance; what is not proven changes nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_fleet::Denies;
use mcp_test_support::{
    Exposition, ServerCommand, ServerProcess, TokenBuilder, free_port, workos_signature,
};
use reqwest::Response;
use serde_json::{Value, json};

use crate::{
    audit::parsed,
    denied::{answered, called, deny, user},
    world::{LIMIT, World},
};

const SECRET: &str = "whsec-0123456789abcdef";
const TOKEN: &str = "token-0123456789abcdef";
const AUDIENCE: &str = "https://mcp.test/events";
const LOGOUT: &str = "http://schemas.openid.net/event/backchannel-logout";
const SECEVENT: &str = "https://schemas.openid.net/secevent/";

/// One that takes all sources in.
fn listening(world: &World) -> ServerCommand {
    world
        .command()
        .env("WORKOS_WEBHOOK_SECRET", SECRET)
        .env("AUTH0_EVENTS_TOKEN", TOKEN)
        .env("BACKCHANNEL_LOGOUT_CLIENTS", "our-client")
        .env("SECURITY_EVENTS_TRANSMITTER", world.issuer.url())
        .env("SECURITY_EVENTS_AUDIENCES", AUDIENCE)
        .env("SECURITY_EVENTS_TOKEN", TOKEN)
}

async fn post(
    server: &ServerProcess,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<String>,
) -> Response {
    let url = format!("{}/events/{path}", server.base_url());
    let mut request = mcp_test_support::http_client().post(url).body(body.into());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

async fn workos(server: &ServerProcess, body: &Value) -> Response {
    let body = body.to_string();
    let signature = workos_signature(SECRET, &body, 0);
    let headers = [("workos-signature", signature.as_str())];
    post(server, "workos", &headers, body).await
}

async fn auth0(server: &ServerProcess, body: &Value) -> Response {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    post(server, "auth0", &headers, body.to_string()).await
}

async fn logout(server: &ServerProcess, token: &str) -> Response {
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = format!("logout_token={token}");
    post(server, "backchannel-logout", &form, body).await
}

async fn set(server: &ServerProcess, token: &str) -> Response {
    let headers = [
        ("content-type", "application/secevent+jwt"),
        ("authorization", TOKEN),
    ];
    post(server, "set", &headers, token).await
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

/// So many seconds ago.
fn ago(seconds: u64) -> String {
    let at = SystemTime::now() - Duration::from_secs(seconds);
    jiff::Timestamp::try_from(at).unwrap().to_string()
}

/// A token of two minutes ago: older than what the tests tell of, which is a minute old.
fn token(world: &World, subject: &str, organization: &str) -> TokenBuilder {
    let token = world.issuer.token().subject(subject);
    token.organization(organization).claim("iat", now() - 120)
}

fn logout_token(world: &World, subject: &str) -> TokenBuilder {
    let token = world.issuer.token().audience("our-client").subject(subject);
    token
        .header("typ", "logout+jwt")
        .claim("events", json!({ LOGOUT: {} }))
        .claim("iat", now() - 60)
}

fn event_token(world: &World, kind: &str, subject: &str) -> TokenBuilder {
    let subject = json!({"format": "iss_sub", "iss": world.issuer.url(), "sub": subject});
    let token = world.issuer.token().without("sub").without("exp");
    token
        .audience(AUDIENCE)
        .header("typ", "secevent+jwt")
        .claim("sub_id", subject)
        .claim("events", json!({ format!("{SECEVENT}{kind}"): {} }))
        .claim("iat", now() - 60)
}

fn deleted(id: &str, subject: &str) -> Value {
    json!({"id": id, "event": "user.deleted", "created_at": ago(60), "data": {"id": subject}})
}

#[tokio::test]
async fn each_source_signs_out_whom_it_is_about_on_every_instance_and_nobody_else() {
    let world = World::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let admin = free_port().unwrap();
    let command = listening(&world)
        .env("AUDIT_LOG", folder.path().join("audit"))
        .env("ADMIN_BIND", format!("127.0.0.1:{admin}"));
    let mut one = world.start(&command).await;
    let two = world.server().await;
    let names = ["workos", "member", "auth0", "logout", "set", "other"];
    for server in [&one, &two] {
        for name in names {
            let token = token(&world, name, "org_1").mint();
            assert_eq!(called(server, &token).await.status, 200, "{name}");
        }
    }
    assert_eq!(workos(&one, &deleted("e1", "workos")).await.status(), 200);
    let membership = json!({
        "id": "e2", "event": "organization_membership.deleted", "created_at": ago(60),
        "data": {"id": "om", "user_id": "member", "organization_id": "org_1"},
    });
    assert_eq!(workos(&one, &membership).await.status(), 200);
    let blocked = json!({
        "specversion": "1.0", "id": "e3", "type": "user.updated", "time": ago(60),
        "data": {"object": {"user_id": "auth0", "blocked": true}},
    });
    assert_eq!(auth0(&one, &blocked).await.status(), 200);
    let answer = logout(&one, &logout_token(&world, "logout").mint()).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let revoked = event_token(&world, "caep/event-type/session-revoked", "set").mint();
    let answer = set(&one, &revoked).await;
    assert_eq!(answer.status(), 202);
    assert_eq!(answer.text().await.unwrap(), "");
    for server in [&one, &two] {
        for name in &names[..5] {
            answered(server, &token(&world, name, "org_1").mint(), 401).await;
            // A new login is welcome.
            let again = token(&world, name, "org_1").claim("iat", now()).mint();
            assert_eq!(called(server, &again).await.status, 200, "{name}");
        }
        let other = token(&world, "other", "org_1").mint();
        assert_eq!(called(server, &other).await.status, 200);
        let elsewhere = token(&world, "member", "org_2").mint();
        assert_eq!(called(server, &elsewhere).await.status, 200);
    }
    // The same again is acknowledged, or refused where that is the rule, and is not done again.
    assert_eq!(workos(&one, &deleted("e1", "workos")).await.status(), 200);
    assert_eq!(set(&one, &revoked).await.status(), 202);

    let metrics = reqwest::get(format!("http://127.0.0.1:{admin}/metrics")).await;
    let metrics = Exposition::parse(&metrics.unwrap().text().await.unwrap()).unwrap();
    for (source, outcome, count) in [
        ("workos", "denied", 2.0),
        ("workos", "known", 1.0),
        ("auth0", "denied", 1.0),
        ("backchannel_logout", "denied", 1.0),
        ("security_event", "denied", 1.0),
        ("security_event", "known", 1.0),
    ] {
        let labels = [("source", source), ("outcome", outcome)];
        let counted = metrics.sum("mcp_server_provider_events_total", &labels);
        assert!(
            (counted - count).abs() < 0.1,
            "{source} {outcome}: {counted}"
        );
    }
    one.stop(LIMIT).await.unwrap();
    let audit = std::fs::read_to_string(folder.path().join("audit")).unwrap();
    let records = parsed(&audit);
    let events = records.iter().filter(|it| it["event"] == "provider_event");
    let events: Vec<_> = events.collect();
    assert_eq!(events.len(), 5, "{events:?}");
    let member = json!({
        "kind": "member", "issuer": world.issuer.url(), "subject": "member", "organization": "org_1",
    });
    assert_eq!(events[1]["target"], member);
    assert_eq!(events[1]["action"], "workos");
    assert_eq!(events[1]["cause"], "webhook");
    assert!(!audit.contains(SECRET) && !one.text().contains(SECRET) && !one.text().contains(TOKEN));
}

#[tokio::test]
async fn webhooks_that_are_forged_or_old_are_refused_and_change_nothing() {
    let world = World::small().await;
    let server = world.start(&listening(&world)).await;
    let ada = token(&world, "ada", "org_1").mint();
    let body = deleted("e1", "ada").to_string();
    for (secret, from_now) in [
        ("whsec-another-secret", 0),
        (SECRET, -301),
        (SECRET, 301),
        ("", 0),
    ] {
        let signature = workos_signature(secret, &body, from_now);
        let headers = [("workos-signature", signature.as_str())];
        let refused = post(&server, "workos", &headers, body.as_str()).await;
        assert_eq!(refused.status(), 401, "{secret} {from_now}");
    }
    assert_eq!(
        post(&server, "workos", &[], body.as_str()).await.status(),
        401
    );
    let old = json!({
        "id": "e9", "event": "user.deleted", "created_at": ago(8 * 86_400), "data": {"id": "ada"},
    });
    assert_eq!(workos(&server, &old).await.status(), 401);

    let entry = json!({
        "specversion": "1.0", "id": "e3", "type": "user.deleted", "time": ago(60),
        "data": {"object": {"user_id": "ada"}},
    });
    for authorization in ["Bearer token-of-somebody-else", "Bearer ", ""] {
        let headers = [("authorization", authorization)];
        let refused = post(&server, "auth0", &headers, entry.to_string()).await;
        assert_eq!(refused.status(), 401, "{authorization}");
    }

    // A session alone is not listened to unless that is chosen.
    let session = json!({
        "id": "e4", "event": "session.revoked", "created_at": ago(60), "data": {"user_id": "ada"},
    });
    assert_eq!(workos(&server, &session).await.status(), 200);
    // Strangers fill no log, whatever they send.
    let told = server
        .text()
        .matches("an event of a provider was refused")
        .count();
    assert!((1..=3).contains(&told), "{told}");
    assert_eq!(called(&server, &ada).await.status, 200);
}

#[tokio::test]
async fn signed_events_that_are_forged_old_or_used_before_are_refused_and_change_nothing() {
    let world = World::small().await;
    let server = world.start(&listening(&world)).await;
    let ada = token(&world, "ada", "org_1").mint();
    let good = || logout_token(&world, "ada");
    let old = good().claim("iat", now() - 700);
    let for_others = good().audience("another-client");
    for forged in [good().tampered(), good().unsigned(), old, for_others] {
        let refused = logout(&server, &forged.mint()).await;
        assert_eq!(refused.status(), 400, "{forged:?}");
        assert_eq!(refused.headers()["cache-control"], "no-store");
    }
    let plain = [("content-type", "text/plain")];
    let form = format!("logout_token={}", good().mint());
    let refused = post(&server, "backchannel-logout", &plain, form).await;
    assert_eq!(refused.status(), 400);

    let good = || event_token(&world, "caep/event-type/session-revoked", "ada");
    for (forged, code) in [
        (good().tampered(), "invalid_key"),
        (good().audience("somebody"), "invalid_audience"),
        (good().claim("iss", "https://b.test"), "invalid_issuer"),
        (good().without("events"), "invalid_request"),
        (good().claim("iat", now() - 8 * 86_400), "invalid_request"),
    ] {
        let refused = set(&server, &forged.mint()).await;
        assert_eq!(refused.status(), 400, "{code}");
        assert_eq!(refused.headers()["content-language"], "en");
        let body: Value = refused.json().await.unwrap();
        assert_eq!(body["err"], code, "{body}");
        assert!(body["description"].is_string());
    }
    let typed = [("content-type", "application/secevent+jwt")];
    let refused = post(&server, "set", &typed, good().mint()).await;
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["err"], "authentication_failed");

    // It is used once; what nobody asked about is taken in, and does nothing.
    let once = logout_token(&world, "bob").mint();
    assert_eq!(logout(&server, &once).await.status(), 200);
    assert_eq!(logout(&server, &once).await.status(), 400);
    let hello = event_token(&world, "ssf/event-type/verification", "ada");
    assert_eq!(set(&server, &hello.mint()).await.status(), 202);
    assert_eq!(called(&server, &ada).await.status, 200);
}

#[tokio::test]
async fn an_event_that_the_store_was_not_told_has_to_come_again_and_then_holds() {
    let mut world = World::shared().await;
    let one = world.start(&listening(&world)).await;
    let two = world.server().await;
    let ada = token(&world, "ada", "org_1").mint();
    assert_eq!(called(&two, &ada).await.status, 200);
    let logged_out = logout_token(&world, "ada").mint();
    world.redis.as_mut().unwrap().kill();
    let answer = logout(&one, &logged_out).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
    // Here it holds already.
    assert_eq!(called(&one, &ada).await.status, 401);
    assert_eq!(called(&two, &ada).await.status, 200);
    world.redis.as_mut().unwrap().restart().await.unwrap();
    let started = std::time::Instant::now();
    loop {
        let answer = logout(&one, &logged_out).await;
        if answer.status() == 200 {
            break;
        }
        assert_eq!(answer.status(), 503);
        assert!(started.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    answered(&two, &ada, 401).await;
}

#[tokio::test]
async fn nothing_that_a_provider_says_lifts_what_an_operator_said() {
    let world = World::shared().await;
    let server = world.start(&listening(&world)).await;
    let fresh = token(&world, "ada", "org_1").claim("iat", now()).mint();
    deny(&world, user(&world, "ada"), Denies::UntilLifted).await;
    answered(&server, &fresh, 401).await;
    let unblocked = json!({
        "specversion": "1.0", "id": "e1", "type": "user.updated", "time": ago(0),
        "data": {"object": {"user_id": "ada", "blocked": false}},
    });
    assert_eq!(auth0(&server, &unblocked).await.status(), 200);
    let enabled = event_token(&world, "risc/event-type/account-enabled", "ada");
    assert_eq!(set(&server, &enabled.mint()).await.status(), 202);
    assert_eq!(called(&server, &fresh).await.status, 401);
}

#[tokio::test]
async fn nothing_is_listened_to_unless_it_is_configured() {
    let world = World::small().await;
    let server = world.server().await;
    for path in ["workos", "auth0", "backchannel-logout", "set"] {
        assert_eq!(post(&server, path, &[], "").await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn events_are_posted_and_short() {
    let world = World::small().await;
    let server = world.start(&listening(&world)).await;
    for path in ["workos", "auth0", "backchannel-logout", "set"] {
        let long = post(&server, path, &[], "x".repeat(70_000)).await;
        assert_eq!(long.status(), 413, "{path}");
        let url = format!("{}/events/{path}", server.base_url());
        assert_eq!(reqwest::get(url).await.unwrap().status(), 405, "{path}");
    }
}
