//! Opaque tokens are asked about; the stand-in here is a few lines of HTTP.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use mcp_auth::{AuthError, IntrospectionConfig, InvalidReason, VerifierConfig};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::world::{RESOURCE, config_for, issuer, verifier_with, verify};

/// Answers every POST with `answer`, and counts. It checks the credentials it is asked with.
async fn endpoint(status: u16, answer: Value) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 8192];
            let mut length = 0;
            // The form comes last and is short: it is there once its first member is.
            while !String::from_utf8_lossy(&request[..length]).contains("token_type_hint=") {
                length += stream.read(&mut request[length..]).await.unwrap();
            }
            let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
            assert!(
                request.contains("authorization: basic b3vylwlkonmlmjzjcmv0"),
                "{request}"
            );
            assert!(request.contains("token=opaque"), "{request}");
            count.fetch_add(1, Ordering::SeqCst);
            let body = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            stream
                .write_all(format!("{head}{body}").as_bytes())
                .await
                .unwrap();
        }
    });
    (url, asked)
}

async fn ask(status: u16, answer: Value) -> (Result<mcp_auth::Principal, AuthError>, usize) {
    let issuer = issuer().await;
    let (url, asked) = endpoint(status, answer).await;
    let mut config = config_for(&issuer);
    config.introspection = Some(IntrospectionConfig::new(
        url,
        "our-id",
        "s&cret".to_owned().into(),
    ));
    let verifier = verifier_with(config, VerifierConfig::default());
    let verdict = verify(&verifier, "opaque-token").await;
    let asked_for_keys = issuer.requests().entries();
    let keys = asked_for_keys.iter().filter(|it| *it != "/").count();
    assert_eq!(keys, 0, "no key is needed");
    (verdict, asked.load(Ordering::SeqCst))
}

fn active() -> Value {
    json!({"active": true, "sub": "u", "aud": RESOURCE, "org_id": "o", "scope": "b a",
           "exp": u32::MAX})
}

#[tokio::test]
async fn an_active_token_is_believed_for_a_minute() {
    let (principal, asked) = ask(200, active()).await;
    let principal = principal.unwrap();
    assert_eq!(
        (principal.subject(), principal.organization()),
        ("u", Some("o"))
    );
    assert_eq!(principal.scopes(), ["a", "b"]);
    assert!(principal.expires_at() <= SystemTime::now() + Duration::from_mins(1));
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn what_is_not_active_or_not_ours_is_invalid() {
    let refused = |reason: InvalidReason| Err(AuthError::from(reason));
    assert_eq!(
        ask(200, json!({"active": false})).await.0,
        refused(InvalidReason::Inactive)
    );
    assert_eq!(
        ask(200, json!({"active": "False", "error": null})).await.0,
        refused(InvalidReason::Inactive)
    );
    let mut foreign = active();
    foreign["aud"] = json!("https://other.test");
    assert_eq!(ask(200, foreign).await.0, refused(InvalidReason::Audience));
    let mut another = active();
    another["iss"] = json!("https://another.test");
    assert_eq!(ask(200, another).await.0, refused(InvalidReason::Issuer));
    let mut unnamed = active();
    unnamed.as_object_mut().unwrap().remove("aud");
    assert_eq!(ask(200, unnamed).await.0, refused(InvalidReason::Audience));
}

#[tokio::test]
async fn an_endpoint_that_fails_is_no_verdict() {
    for (status, answer) in [
        (500, active()),
        (401, json!({"error": "invalid_client"})),
        (200, json!([])),
        (200, json!({"error": "invalid_client"})),
        (200, json!({})),
        (200, json!({"active": null})),
        (200, json!({"active": 1})),
    ] {
        let (verdict, _) = ask(status, answer.clone()).await;
        let label = verdict.unwrap_err().label();
        assert_eq!(label, "unavailable", "{status} {answer}");
    }
}

#[tokio::test]
async fn an_endpoint_that_dislikes_one_token_is_no_outage() {
    let error = json!({"error": "invalid_request"});
    for (status, label) in [
        (400, "introspection_refused"),
        (404, "introspection_refused"),
        (429, "introspection_busy"),
    ] {
        let refused = ask(status, error.clone()).await.0.unwrap_err();
        assert!(matches!(refused, AuthError::Unavailable { .. }));
        assert_eq!(refused.label(), label, "{status}");
    }
}

#[tokio::test]
async fn answers_are_read_as_issuers_write_them() {
    for changes in [
        json!({"active": "true"}),
        json!({"exp": "4294967295", "iat": "1700000000", "nbf": null}),
        json!({"exp": null, "iat": null, "iss": null, "cnf": null, "scope": null}),
        json!({"exp": 0, "nbf": 0}),
        json!({"exp": -1}),
        json!({"username": [], "token_type": null, "jti": 7, "client_id": null}),
        json!({"error": null}),
    ] {
        let mut answer = active();
        let members = answer.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        let (principal, _) = ask(200, answer).await;
        assert_eq!(principal.unwrap().subject(), "u", "{changes}");
    }
    let mut expired = active();
    expired["exp"] = json!("1700000000");
    assert_eq!(
        ask(200, expired).await.0,
        Err(InvalidReason::Expired.into())
    );
}

#[tokio::test]
async fn without_an_endpoint_opaque_tokens_are_invalid() {
    let issuer = issuer().await;
    let verifier = verifier_with(config_for(&issuer), VerifierConfig::default());
    let verdict = verify(&verifier, "opaque-token").await;
    assert_eq!(verdict, Err(InvalidReason::Malformed.into()));
}

#[tokio::test]
async fn what_is_active_and_no_bearer_access_token_is_invalid() {
    for (member, value, expected) in [
        ("token_type", json!("refresh_token"), InvalidReason::Type),
        ("token_use", json!("refresh_token"), InvalidReason::Type),
        ("typ", json!("Refresh"), InvalidReason::Type),
        ("cnf", json!({"jkt": "x"}), InvalidReason::KeyBound),
    ] {
        let mut answer = active();
        answer[member] = value;
        let (verdict, _) = ask(200, answer).await;
        assert_eq!(verdict, Err(expected.into()), "{member}");
    }
}
