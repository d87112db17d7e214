//! What the token endpoint may say, and who has to act on it: never a login where that mends nothing.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_auth::{AuthError, ExchangeConfig, UpstreamToken};
use mcp_test_support::{ExchangeAnswer, ExchangeClient, Gate, Issuer};
use serde_json::{Value, json};

use crate::exchange::{exchange_of, exchanged, subject, subject_named, world};

/// What the token endpoint answers, and the label of what comes of it.
type Row = (u16, Value, &'static str);

async fn verdict_of(answer: ExchangeAnswer) -> Result<UpstreamToken, AuthError> {
    let (issuer, config) = world().await;
    issuer.answer_exchanges(answer);
    exchanged(&issuer, config).await
}

fn label_of(verdict: Result<UpstreamToken, AuthError>) -> (u16, &'static str) {
    let error = verdict.unwrap_err();
    let status = match &error {
        AuthError::InvalidToken(_) => 401,
        AuthError::Forbidden(_) => 403,
        AuthError::Unavailable { .. } => 503,
        _ => 0,
    };
    assert!(!error.to_string().contains("pe3r"), "{error}");
    (status, error.label())
}

fn error(code: &str) -> Value {
    json!({ "error": code, "error_description": "pe3r" })
}

#[tokio::test]
async fn every_refusal_has_its_status_and_its_reason() {
    let rows: Vec<(u16, Row)> = vec![
        (401, (400, error("invalid_grant"), "not_exchanged")),
        (401, (401, error("invalid_grant"), "not_exchanged")),
        (401, (200, error("invalid_grant"), "not_exchanged")),
        (401, (400, error("invalid_token"), "not_exchanged")),
        (
            401,
            (
                400,
                json!({"error": "invalid_grant", "suberror": "bad_token"}),
                "not_exchanged",
            ),
        ),
        (403, (400, error("invalid_target"), "upstream_target")),
        (403, (400, error("invalid_resource"), "upstream_target")),
        (403, (400, error("invalid_scope"), "upstream_scope")),
        (403, (400, error("access_denied"), "upstream_denied")),
        (403, (403, error("access_denied"), "upstream_denied")),
        (403, (400, error("interaction_required"), "upstream_denied")),
        (403, (400, error("invalid_request"), "upstream_request")),
        (
            403,
            (
                400,
                json!({"error": "invalid_grant", "suberror": "consent_required"}),
                "upstream_denied",
            ),
        ),
        (503, (401, error("invalid_client"), "exchange_client")),
        (503, (400, error("invalid_client"), "exchange_client")),
        (503, (400, error("unauthorized_client"), "exchange_client")),
        (
            503,
            (400, error("unsupported_grant_type"), "exchange_client"),
        ),
        (503, (401, json!({}), "exchange_client")),
        (503, (429, error("invalid_grant"), "exchange_busy")),
        (503, (400, error("slow_down"), "exchange_busy")),
        (503, (500, error("invalid_grant"), "exchange_unavailable")),
        (503, (503, error("access_denied"), "exchange_unavailable")),
        (503, (400, error("server_error"), "exchange_unavailable")),
        (503, (400, error("pe3r"), "exchange_unavailable")),
        (503, (403, json!({}), "exchange_unavailable")),
        (503, (413, json!({}), "exchange_unavailable")),
        (503, (204, json!({}), "exchange_unavailable")),
        (503, (200, json!({}), "exchange_unavailable")),
        (503, (200, json!([]), "exchange_unavailable")),
    ];
    for (status, (answered, body, label)) in rows {
        let verdict = verdict_of(ExchangeAnswer::Fixed(answered, body.to_string())).await;
        assert_eq!(label_of(verdict), (status, label), "{answered} {body}");
    }
}

/// A good answer with these members changed.
fn token_with(changes: Value) -> ExchangeAnswer {
    let mut body = json!({
        "access_token": "upstream", "token_type": "Bearer", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    let members = body.as_object_mut().unwrap();
    members.extend(changes.as_object().unwrap().clone());
    ExchangeAnswer::Fixed(200, body.to_string())
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_none() {
    for changes in [
        json!({"access_token": ""}),
        json!({"access_token": 7}),
        json!({"access_token": null}),
        json!({"access_token": "two words"}),
        json!({"access_token": "line\r\nfeed"}),
        json!({"access_token": "x".repeat(20_000)}),
        json!({"access_token": "x".repeat(200_000)}),
        json!({"token_type": "DPoP"}),
        json!({"token_type": "N_A"}),
        json!({"issued_token_type": "urn:ietf:params:oauth:token-type:refresh_token"}),
        json!({"expires_in": 0}),
        json!({"expires_in": -5}),
        json!({"expires_in": "soon"}),
        json!({"expires_in": []}),
    ] {
        let verdict = verdict_of(token_with(changes.clone())).await;
        assert_eq!(
            label_of(verdict),
            (503, "exchange_unavailable"),
            "{changes}"
        );
    }
}

#[tokio::test]
async fn answers_are_read_as_issuers_write_them() {
    for (changes, lifetime) in [
        (json!({}), 300),
        (json!({"token_type": "bearer"}), 300),
        (json!({"token_type": null, "issued_token_type": null}), 300),
        (
            json!({"issued_token_type": "urn:ietf:params:oauth:token-type:jwt"}),
            300,
        ),
        (json!({"expires_in": "300"}), 300),
        (json!({"expires_in": 300.5}), 300),
        (json!({"expires_in": null}), 300),
        (json!({"expires_in": 1e300}), 86_400),
        (json!({"error": null, "refresh_token": {}, "scope": 7}), 300),
    ] {
        let before = SystemTime::now();
        let token = verdict_of(token_with(changes.clone())).await.unwrap();
        assert_eq!(token.expose(), "upstream");
        let left = token.expires_at().duration_since(before).unwrap();
        assert!(
            (lifetime - 1..=lifetime + 30).contains(&left.as_secs()),
            "{changes}: {left:?}"
        );
    }
}

#[tokio::test]
async fn who_acts_is_read_from_the_token_or_its_answer_and_nothing_there_costs_a_token() {
    let encoded = |text: &[u8]| URL_SAFE_NO_PAD.encode(text);
    let jwt = |claims: &str| format!("e30.{}.c2ln", encoded(claims.as_bytes()));
    let deep = "{\"act\":".repeat(1_000);
    let outer = json!({"sub": "in_the_answer", "act": {"sub": "before"}});
    for (token, act, expected) in [
        (
            jwt(r#"{"act":{"sub":"mcp","act":{"sub":"b"}}}"#),
            json!(null),
            Some("mcp"),
        ),
        (jwt(r#"{"act":{"sub":"mcp"}}"#), outer.clone(), Some("mcp")),
        ("opaque".to_owned(), outer.clone(), Some("in_the_answer")),
        (jwt(r#"{"act":"mcp"}"#), outer, Some("in_the_answer")),
        (jwt(r#"{"act":[]}"#), json!([]), None),
        (jwt("{}"), json!("mcp"), None),
        (jwt(&deep), json!({}), None),
        (format!("e30.{}.c2ln", encoded(b"\xff")), json!(7), None),
        ("a.b.c.d.e".to_owned(), json!(null), None),
    ] {
        let answer = token_with(json!({"access_token": token, "act": act}));
        let given = verdict_of(answer).await.unwrap();
        assert_eq!(given.expose(), token);
        let actor = given.actor().and_then(|actor| actor.subject.as_deref());
        assert_eq!(actor, expected, "{token}");
        let shown = format!("{given:?}");
        assert!(expected.is_none_or(|name| !shown.contains(name)), "{shown}");
    }
}

#[tokio::test]
async fn scopes_that_were_not_granted_are_named_until_they_are() {
    let (issuer, mut config) = world().await;
    config.scopes = vec!["read".to_owned(), "write".to_owned()];
    let (token, principal) = subject(&issuer).await;
    let exchange = exchange_of(config);
    for (scope, missing) in [
        (json!("openid read"), vec!["write"]),
        (json!("write read"), vec![]),
        (json!("other"), vec!["read", "write"]),
        (json!(null), vec![]),
    ] {
        issuer.answer_exchanges(token_with(json!({ "scope": scope })));
        let given = exchange.exchange(&token, &principal, SystemTime::now());
        assert_eq!(given.await.unwrap().expose(), "upstream", "it is one");
        assert_eq!(*exchange.missing_scopes(), missing);
    }
}

#[tokio::test]
async fn the_clients_own_token_is_none_of_the_api() {
    let (issuer, config) = world().await;
    let (token, principal) = subject(&issuer).await;
    issuer.answer_exchanges(token_with(json!({"access_token": token.expose()})));
    let exchange = exchange_of(config);
    let verdict = exchange.exchange(&token, &principal, SystemTime::now());
    assert_eq!(label_of(verdict.await), (503, "exchange_unavailable"));
}

#[tokio::test]
async fn garbage_redirects_and_silence_prove_nothing() {
    let elsewhere = world().await.0;
    let target = format!("{}{}", elsewhere.url(), Issuer::TOKEN_PATH);
    let unavailable = (503, "exchange_unavailable");
    let garbage = ExchangeAnswer::Fixed(200, "<html>pe3r".to_owned());
    for answer in [garbage, ExchangeAnswer::Redirect(target)] {
        assert_eq!(
            label_of(verdict_of(answer.clone()).await),
            unavailable,
            "{answer:?}"
        );
    }
    assert_eq!(
        elsewhere.count(Issuer::TOKEN_PATH),
        0,
        "no redirect is followed"
    );
    let (issuer, mut config) = world().await;
    issuer.answer_exchanges(ExchangeAnswer::Held(Gate::closed()));
    config.timeout = Duration::from_millis(300);
    assert_eq!(label_of(exchanged(&issuer, config).await), unavailable);
}

#[tokio::test]
async fn wrong_credentials_of_this_server_are_not_the_users_fault() {
    let (issuer, config) = world().await;
    let another = ExchangeClient::Basic("another".to_owned());
    issuer.let_exchange(&config.client_id, another);
    let verdict = exchanged(&issuer, config).await;
    assert_eq!(label_of(verdict), (503, "exchange_client"));
}

/// Exchanges again and again for so many users; how often the issuer was asked.
async fn asked_while_it_answers(answer: ExchangeAnswer, users: usize) -> usize {
    let (issuer, config): (Issuer, ExchangeConfig) = world().await;
    issuer.answer_exchanges(answer);
    let mut all = Vec::new();
    for user in 0..users {
        all.push(subject_named(&issuer, &format!("user_{user}")).await);
    }
    let exchange = exchange_of(config);
    for (token, principal) in all.iter().cycle().take(20) {
        let refused = exchange.exchange(token, principal, SystemTime::now());
        assert!(refused.await.is_err());
    }
    issuer.exchanges().entries().len()
}

#[tokio::test]
async fn an_issuer_that_fails_several_users_is_left_alone() {
    for (status, code) in [
        (500, "server_error"),
        (401, "invalid_client"),
        (429, "slow_down"),
        (200, "temporarily_unavailable"),
    ] {
        let answer = ExchangeAnswer::Fixed(status, error(code).to_string());
        let asked = asked_while_it_answers(answer.clone(), 3).await;
        assert!((5..20).contains(&asked), "{code}: {asked}");
        let asked = asked_while_it_answers(answer, 1).await;
        assert_eq!(asked, 20, "{code}: nobody else pays for one user's token");
    }
}

#[tokio::test]
async fn what_is_said_of_tokens_is_no_outage_whoever_brings_them() {
    let answer = |status: u16, code: &str| ExchangeAnswer::Fixed(status, error(code).to_string());
    for answer in [
        answer(400, "invalid_grant"),
        answer(400, "invalid_request"),
        answer(400, "unauthorized_client"),
        answer(400, "pe3r"),
        ExchangeAnswer::Fixed(401, String::new()),
        ExchangeAnswer::Fixed(403, "<html>pe3r".to_owned()),
        ExchangeAnswer::Fixed(404, String::new()),
        token_with(json!({"expires_in": 0})),
        token_with(json!({"access_token": "x".repeat(20_000)})),
        token_with(json!({"access_token": "x".repeat(200_000)})),
    ] {
        assert_eq!(asked_while_it_answers(answer.clone(), 20).await, 20);
    }
}

#[tokio::test]
async fn tokens_are_renewed_at_different_parts_of_their_lives() {
    let (issuer, config) = world().await;
    let exchange = exchange_of(config);
    let now = SystemTime::now();
    let mut parts = BTreeSet::new();
    for user in 0..20 {
        let (token, principal) = subject_named(&issuer, &format!("user_{user}")).await;
        let token = exchange.exchange(&token, &principal, now).await.unwrap();
        let part = token.renew_at().duration_since(now).unwrap().as_secs();
        assert!((210..=275).contains(&part), "{part}");
        parts.insert(part / 3);
    }
    assert!(parts.len() > 3, "{parts:?}");
}

#[tokio::test]
async fn no_issuer_sees_a_token_of_another_one() {
    let (issuer, config) = world().await;
    let (token, principal) = subject(&world().await.0).await;
    let exchange = exchange_of(config);
    let verdict = exchange.exchange(&token, &principal, SystemTime::now());
    assert_eq!(label_of(verdict.await), (403, "upstream_denied"));
    assert!(issuer.exchanges().entries().is_empty());
}
