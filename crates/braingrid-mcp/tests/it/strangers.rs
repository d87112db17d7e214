//! Strangers with tokens they made up, against the whole server: what they cost, what the operators
//! see of it, and that nobody with a good token notices.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use mcp_test_support::{
    Algorithm, Exposition, Gate, Issuer, ServerProcess, SigningKey,
    client::{Generation, RawAnswer},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::admin::Operators;
use crate::world::{LIMIT, World, client_of};

async fn list(server: &ServerProcess, token: &str) -> RawAnswer {
    let call = client_of(server).call(Generation::Modern, "tools/list", &json!({}));
    call.bearer(token).send().await.unwrap()
}

/// Calls until it works; nothing on the way may send the user to log in.
async fn until_served(server: &ServerProcess, token: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        let answer = list(server, token).await;
        if answer.status == 200 {
            return;
        }
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(answer.header("retry-after").is_some());
        assert!(answer.header("www-authenticate").is_none());
        assert!(Instant::now() < deadline, "{}", answer.body);
    }
}

#[tokio::test]
async fn made_up_keys_cost_little_and_hold_up_no_rotation() {
    let world = World::shared().await;
    let key = mcp_test_support::random_hex(32);
    let command = world.command().env("ENCRYPTION_KEYS_PREVIOUS", key);
    let (server, operators) = Operators::start(&world, command).await;
    let good = world.token("user_ada", "org_ada");
    until_served(&server, &good).await;
    world.redis().reset_stats().await.unwrap();
    let fetched = world.issuer.count(Issuer::JWKS_PATH);

    let stranger = Arc::new(SigningKey::generate(Algorithm::Es256));
    for number in 0..400 {
        let token = world.issuer.token().signed_by(Arc::clone(&stranger));
        let token = token.header("kid", format!("made-up-{number}"));
        let answer = list(&server, &token.mint()).await;
        assert!(
            [401, 503].contains(&answer.status.as_u16()),
            "{}",
            answer.body
        );
    }
    let stats = world.redis().commandstats().await.unwrap();
    assert_eq!(stats.get("get"), None, "{stats:?}");
    let fetched = world.issuer.count(Issuer::JWKS_PATH) - fetched;
    assert!((1..=12).contains(&fetched), "{fetched} fetches");
    let text = operators.get("/metrics").await.text;
    let metrics = Exposition::parse(&text).unwrap();
    let refused =
        |reason: &str| metrics.sum("mcp_server_auth_refusals_total", &[("reason", reason)]);
    let (told, cooling) = (refused("unknown_key"), refused("unknown_key_cooldown"));
    assert!(told >= 1.0 && cooling >= 1.0, "{told} {cooling}");
    assert!((told + cooling - 400.0).abs() < 0.5, "{told} {cooling}");
    assert!(refused("unavailable") < 0.5, "what pages");
    assert!(metrics.sum("mcp_server_auth_refused_tokens_total", &[]) < 0.5);

    // In the middle of it the issuer gets a new key.
    world.issuer.rotate_with_overlap();
    until_served(&server, &world.token("user_bob", "org_bob")).await;
    assert_eq!(list(&server, &good).await.status, 200);
}

#[tokio::test]
async fn a_key_replaced_under_its_old_name_sends_nobody_to_log_in() {
    let world = World::small().await;
    let server = world.warm_server().await;
    until_served(&server, &world.token("user_ada", "org_ada")).await;
    let kid = world.issuer.key(Algorithm::Rs256).kid().to_owned();
    let new = Arc::new(SigningKey::generate(Algorithm::Rs256));
    let mut jwk = new.jwk();
    jwk["kid"] = json!(kid);
    world.issuer.publish(json!({ "keys": [jwk] }).to_string());
    let token = world
        .issuer
        .token()
        .subject("user_bob")
        .organization("org_bob");
    let token = token.signed_by(new).header("kid", kid);
    until_served(&server, &token.mint()).await;
}

#[tokio::test]
async fn a_key_that_cannot_be_used_is_the_administrators_business() {
    let world = World::small().await;
    let key = world.issuer.key(Algorithm::Rs256);
    let mut broken = key.jwk();
    broken["e"] = json!("AQ");
    let other = world.issuer.key(Algorithm::Es256).jwk();
    let keys = json!({ "keys": [broken, other] });
    world.issuer.publish(keys.to_string());
    let server = world.warm_server().await;
    let answer = list(&server, &world.token("user_ada", "org_ada")).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("administrator"), "{}", answer.body);
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert!(!challenge.contains("invalid_token"), "{challenge}");
    let unusable = "issuer key cannot be used";
    assert!(server.said(unusable, LIMIT).await);
    let log = server.text();
    let line = log.lines().find(|line| line.contains(unusable));
    let line = line.expect("the log names the key and its fault");
    assert!(
        line.contains(key.kid()) && line.contains("exponent"),
        "{line}"
    );
}

/// An introspection endpoint that answers once the gate is open, and the tokens it was asked about.
async fn held_endpoint(resource: String, gate: &Gate) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    let questions = Arc::new(Mutex::new(Vec::new()));
    let (seen, gate) = (Arc::clone(&questions), gate.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(introspect(
                stream,
                resource.clone(),
                gate.clone(),
                Arc::clone(&seen),
            ));
        }
    });
    (url, questions)
}

async fn introspect(
    mut stream: TcpStream,
    resource: String,
    gate: Gate,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut request = Vec::new();
    while !String::from_utf8_lossy(&request).contains("token_type_hint=") {
        stream.read_buf(&mut request).await.unwrap();
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let token = request.rsplit("token=").next().unwrap();
    let token = token.split('&').next().unwrap().to_owned();
    let active = token == "good";
    seen.lock().unwrap().push(token);
    gate.passed().await;
    let body = json!({"active": active, "sub": "user_ada", "org_id": "org_ada", "aud": resource});
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}");
    let answer = format!("{head}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn opaque_tokens_of_one_address_hold_up_none_of_another() {
    let world = World::small().await;
    let gate = Gate::closed();
    let (endpoint, questions) = held_endpoint(world.resource(), &gate).await;
    let (folder, issuer) = (tempfile::tempdir().unwrap(), world.issuer.url());
    let file = folder.path().join("config");
    let config = format!(
        "[[issuers]]\nissuer = \"{issuer}\"\nintrospection_endpoint = \"{endpoint}\"\n\
         introspection_client_id = \"us\"\nintrospection_client_secret = \"a secret\"\n",
    );
    std::fs::write(&file, config).unwrap();
    let command = world.command().without_env("OAUTH_ISSUER");
    let command = command.env("BRAINGRID_CONFIG", &file);
    let command = command.env("TRUSTED_PROXIES", "loopback");
    let (server, operators) = Operators::start(&world, command).await;
    let ask = |token: String, address: &str| {
        let call = client_of(&server).call(Generation::Modern, "tools/list", &json!({}));
        let call = call.bearer(&token).header("x-forwarded-for", address);
        tokio::spawn(async move { call.send().await.unwrap().status })
    };
    let waiting = async |requests: f64| {
        let deadline = Instant::now() + LIMIT;
        loop {
            let text = operators.get("/metrics").await.text;
            let metrics = Exposition::parse(&text).unwrap();
            let waiting = metrics.sum("mcp_server_introspections_waiting", &[]);
            if (waiting - requests).abs() < 0.5 {
                return;
            }
            assert!(Instant::now() < deadline, "{waiting} requests wait");
        }
    };
    // One network of IPv6 is one client.
    let strangers: Vec<_> = (0..100)
        .map(|number| {
            ask(
                format!("made-up-{number}"),
                &format!("2001:db8::{number:x}"),
            )
        })
        .collect();
    // The others are asked about.
    waiting(100.0 - 32.0).await;
    let good = ask("good".to_owned(), "203.0.113.7");
    waiting(101.0 - 32.0).await;
    gate.open();
    assert_eq!(good.await.unwrap(), 200);
    for stranger in strangers {
        assert_eq!(stranger.await.unwrap(), 401);
    }
    let questions = questions.lock().unwrap();
    let before = questions.iter().position(|token| token == "good").unwrap();
    // The 32 that end together hand on 32 turns, one of them its own, and those arrive in any order.
    assert!(before < 32 + 32, "{before} were asked about before it");
}
