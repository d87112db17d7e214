//! What strangers without a token can make this server do, and what they cannot keep from others.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use futures::future::join_all;
use mcp_auth::{
    AccessToken, Asker, AuthError, IntrospectionConfig, InvalidReason, TokenVerifier,
    UnavailableReason, VerifierConfig,
};
use mcp_test_support::{Algorithm, Gate, Issuer, SigningKey};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{RESOURCE, config_for, issuer, verifier, verifier_with, verify};

/// A verifier that may fetch once in `cooldown` because of a token.
fn cooling(issuer: &Issuer, cooldown: Duration) -> TokenVerifier {
    let mut policy = VerifierConfig::default();
    policy.keys.cooldown = cooldown;
    policy.keys.spacing = Duration::ZERO;
    verifier_with(config_for(issuer), policy)
}

/// Tokens of a made-up key, each with another name for it.
fn made_up(issuer: &Issuer) -> impl Fn(usize) -> String + use<> {
    let (key, token) = (
        Arc::new(SigningKey::generate(Algorithm::Es256)),
        issuer.token(),
    );
    move |number| {
        let token = token.clone().signed_by(Arc::clone(&key));
        token.header("kid", format!("made-up-{number}")).mint()
    }
}

/// Asks until a token is accepted; whatever else it gets must not send its user to log in.
async fn until_accepted(verifier: &TokenVerifier, token: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = verify(verifier, token).await {
        let retry = matches!(error, AuthError::Unavailable { .. });
        assert!(retry && Instant::now() < deadline, "{error:?}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_new_key_works_within_the_cooldown_while_strangers_make_up_others() {
    let issuer = issuer().await;
    let verifier = cooling(&issuer, Duration::from_millis(200));
    verify(&verifier, &issuer.token().mint()).await.unwrap();
    let forged = made_up(&issuer);
    let flood = tokio::spawn({
        let verifier = verifier.clone();
        async move {
            for number in 0.. {
                verify(&verifier, &forged(number)).await.unwrap_err();
                tokio::task::yield_now().await;
            }
        }
    });
    for _ in 0..3 {
        issuer.rotate_with_overlap();
        until_accepted(&verifier, &issuer.token().mint()).await;
    }
    flood.abort();
}

#[tokio::test]
async fn made_up_keys_have_a_label_of_their_own_and_cost_one_fetch_a_cooldown() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer);
    verify(&verifier, &issuer.token().mint()).await.unwrap();
    let forged = made_up(&issuer);
    let mut labels = Vec::new();
    for number in 0..400 {
        let refused = verify(&verifier, &forged(number)).await.unwrap_err();
        labels.push(refused.label());
    }
    let known: Vec<_> = labels
        .iter()
        .filter(|label| !["unknown_key", "unknown_key_cooldown"].contains(*label))
        .collect();
    assert!(known.is_empty(), "{known:?}");
    assert_eq!(labels[..2], ["unknown_key", "unknown_key_cooldown"]);
    let fetched = issuer.count(Issuer::JWKS_PATH);
    assert!(fetched <= 5, "{fetched} fetches");
}

#[tokio::test]
async fn whose_key_is_gone_learns_it_although_strangers_keep_the_cooldown_going() {
    let issuer = issuer().await;
    let verifier = cooling(&issuer, Duration::from_millis(300));
    verify(&verifier, &issuer.token().mint()).await.unwrap();
    let forged = made_up(&issuer);
    verify(&verifier, &forged(0)).await.unwrap_err();
    // Withdrawn: its users have to log in again, and only a 401 tells them.
    let withdrawn = forged(1);
    let first = verify(&verifier, &withdrawn).await.unwrap_err();
    assert_eq!(first.label(), "unknown_key_cooldown");
    let fetched = issuer.count(Issuer::JWKS_PATH);
    for number in 2.. {
        verify(&verifier, &forged(number)).await.unwrap_err();
        if issuer.count(Issuer::JWKS_PATH) > fetched {
            break;
        }
        tokio::task::yield_now().await;
    }
    // What the issuer was asked may be answered a moment later.
    let second = loop {
        let second = verify(&verifier, &withdrawn).await;
        if second.as_ref().map_err(AuthError::label) != Err("unknown_key_cooldown") {
            break second;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(second, Err(InvalidReason::UnknownKey.into()));
}

#[tokio::test]
async fn who_guesses_the_name_of_a_key_to_come_makes_no_token_of_it_bad() {
    let issuer = issuer().await;
    let verifier = cooling(&issuer, Duration::from_millis(300));
    verify(&verifier, &issuer.token().mint()).await.unwrap();
    let guess = |number: usize| {
        let stranger = Arc::new(SigningKey::generate(Algorithm::Rs256));
        let token = issuer.token().signed_by(stranger);
        token.header("kid", "2027-01").subject(&number.to_string())
    };
    for number in 0..3 {
        verify(&verifier, &guess(number).mint()).await.unwrap_err();
    }
    let coming = Arc::new(SigningKey::generate(Algorithm::Rs256));
    let mut jwk = coming.jwk();
    jwk["kid"] = json!("2027-01");
    issuer.publish(json!({ "keys": [jwk] }).to_string());
    let good = issuer.token().signed_by(coming).header("kid", "2027-01");
    until_accepted(&verifier, &good.mint()).await;
}

#[tokio::test]
async fn a_key_that_is_replaced_under_its_old_name_is_fetched_at_once() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let issuer = issuer().await;
        let verifier = verifier(&issuer);
        let old = issuer.token();
        verify(&verifier, &old.mint()).await.unwrap();
        let kid = issuer.key(Algorithm::Rs256).kid().to_owned();
        let new = Arc::new(SigningKey::generate(algorithm));
        let mut jwk = new.jwk();
        jwk["kid"] = json!(kid);
        issuer.publish(json!({ "keys": [jwk] }).to_string());
        // A stranger with a made-up name comes first: he spends another budget.
        verify(&verifier, &made_up(&issuer)(0)).await.unwrap_err();
        let token = issuer.token().signed_by(new).header("kid", kid).mint();
        verify(&verifier, &token).await.unwrap();
        let fetched = issuer.count(Issuer::JWKS_PATH);
        for number in 0..100 {
            let forged = issuer.token().subject(&number.to_string()).tampered();
            let refused = verify(&verifier, &forged.mint()).await.unwrap_err();
            assert!(matches!(refused, AuthError::InvalidToken(_)), "{refused:?}");
        }
        let fetched = issuer.count(Issuer::JWKS_PATH) - fetched;
        assert!(
            fetched <= 2,
            "{fetched} fetches for a hundred forged tokens"
        );
    }
}

#[tokio::test]
async fn what_one_client_spends_is_not_missed_by_another() {
    let issuer = issuer().await;
    let mut policy = VerifierConfig::default();
    policy.keys.cooldown = Duration::from_hours(1);
    policy.keys.spacing = Duration::ZERO;
    let verifier = verifier_with(config_for(&issuer), policy);
    let ask = async |token: String, client: u128| {
        let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
        let client = Asker::new(client);
        verifier.verify_for(&token, client, SystemTime::now()).await
    };
    ask(issuer.token().mint(), 1).await.unwrap();
    let forged = made_up(&issuer);
    for number in 0..100 {
        ask(forged(number), 1).await.unwrap_err();
        let tampered = issuer.token().subject(&number.to_string()).tampered();
        ask(tampered.mint(), 1).await.unwrap_err();
    }
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 3, "one for each kind");
    issuer.rotate_with_overlap();
    ask(issuer.token().mint(), 2).await.unwrap();
    let kid = issuer.key(Algorithm::Rs256).kid().to_owned();
    let new = Arc::new(SigningKey::generate(Algorithm::Rs256));
    let mut jwk = new.jwk();
    jwk["kid"] = json!(kid);
    issuer.publish(json!({ "keys": [jwk] }).to_string());
    let replaced = issuer.token().signed_by(new).header("kid", kid);
    ask(replaced.mint(), 2).await.unwrap();
}

/// An introspection endpoint that answers when the gate opens, and the tokens it was asked about.
async fn held_endpoint(gate: &Gate) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, gate) = (Arc::clone(&asked), gate.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, gate.clone(), Arc::clone(&seen)));
        }
    });
    (url, asked)
}

async fn answer(mut stream: TcpStream, gate: Gate, seen: Arc<Mutex<Vec<String>>>) {
    let mut request = String::new();
    while !request.contains("token_type_hint=") {
        let mut bytes = [0; 4096];
        let Ok(length @ 1..) = stream.read(&mut bytes).await else {
            return;
        };
        request.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }
    let token = request.rsplit("token=").next().unwrap();
    let token = token.split('&').next().unwrap().to_owned();
    let body = if token == "good" {
        json!({"active": true, "sub": "u", "aud": RESOURCE, "org_id": "o"})
    } else {
        json!({"active": false})
    };
    seen.lock().unwrap().push(token);
    gate.passed().await;
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
}

#[tokio::test]
async fn three_thousand_made_up_tokens_of_one_client_hold_up_no_good_one_of_another() {
    let issuer = issuer().await;
    let gate = Gate::closed();
    let (endpoint, questions) = held_endpoint(&gate).await;
    let mut config = config_for(&issuer);
    let secret = "secret".to_owned().into();
    config.introspection = Some(IntrospectionConfig::new(endpoint, "id", secret));
    let verifier = verifier_with(config, VerifierConfig::default());
    let ask = |token: String, client: u128| {
        let verifier = verifier.clone();
        async move {
            let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
            let client = Asker::new(client);
            verifier.verify_for(&token, client, SystemTime::now()).await
        }
    };
    let strangers: Vec<_> = (0..3_000)
        .map(|number| tokio::spawn(ask(format!("made-up-{number}"), 1)))
        .collect();
    let deadline = Instant::now() + Duration::from_secs(20);
    let refused = || strangers.iter().filter(|it| it.is_finished()).count();
    while questions.lock().unwrap().len() < 32 || refused() < 3_000 - 32 - 256 {
        assert!(Instant::now() < deadline, "the queue has no end");
        tokio::task::yield_now().await;
    }
    let mut good = Box::pin(ask("good".to_owned(), 2));
    assert!(futures::poll!(&mut good).is_pending(), "it stands in line");
    gate.open();
    good.await.unwrap();
    let questions = questions.lock().unwrap().clone();
    let before = questions.iter().position(|token| token == "good").unwrap();
    assert!(before < 32 + 8, "{before} were asked about before it");
    let mut busy = 0;
    for answer in join_all(strangers).await {
        match answer.unwrap().unwrap_err() {
            AuthError::InvalidToken(InvalidReason::Inactive) => {}
            AuthError::Unavailable {
                reason: UnavailableReason::IntrospectionBusy,
                retry_after,
            } if retry_after > Duration::ZERO => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(busy, 3_000 - 32 - 256);
}
