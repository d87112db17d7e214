//! The stand-in issuer's tokens and key set, checked with a verifier that is not ours.

use std::{collections::HashMap, sync::Arc, time::Duration};

use jsonwebtoken::{DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use mcp_test_support::{Algorithm, Gate, Issuer, IssuerMode, SigningKey, http_client};
use serde_json::Value;

const AUDIENCE: &str = "http://127.0.0.1:8080/mcp";

async fn issuer() -> Issuer {
    let issuer = Issuer::start().await.unwrap();
    issuer.set_audience([AUDIENCE]);
    issuer
}

async fn get(url: &str) -> reqwest::Result<reqwest::Response> {
    http_client()
        .get(url)
        .timeout(Duration::from_secs(5))
        .send()
        .await
}

async fn key_set(issuer: &Issuer) -> JwkSet {
    get(&issuer.jwks_url()).await.unwrap().json().await.unwrap()
}

fn verify(token: &str, keys: &JwkSet) -> Result<HashMap<String, Value>, String> {
    let header = decode_header(token).map_err(|error| error.to_string())?;
    let kid = header.kid.ok_or("no kid")?;
    let key = DecodingKey::from_jwk(keys.find(&kid).ok_or("unknown kid")?).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[AUDIENCE]);
    validation.validate_nbf = true;
    decode(token, &key, &validation)
        .map(|data| data.claims)
        .map_err(|error| error.to_string())
}

#[tokio::test]
async fn token_of_every_algorithm_verifies_over_the_served_key_set() {
    let issuer = issuer().await;
    let keys = key_set(&issuer).await;
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let token = issuer.token().subject("user_ada").organization("org_ada");
        let claims = verify(&token.signed_by(issuer.key(algorithm)).mint(), &keys).unwrap();
        assert_eq!(claims["sub"], "user_ada", "{algorithm:?}");
        assert_eq!(claims["org_id"], "org_ada");
        assert_eq!(claims["iss"], issuer.url());
    }
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 1);
}

#[tokio::test]
async fn broken_tokens_do_not_verify() {
    let issuer = issuer().await;
    let keys = key_set(&issuer).await;
    let foreign = Arc::new(SigningKey::generate(Algorithm::Rs256));
    let kid = issuer.key(Algorithm::Rs256).kid().to_owned();
    let token = || issuer.token();
    for (case, token) in [
        ("tampered", token().tampered()),
        ("expired", token().expires_in(-3600)),
        ("not yet valid", token().not_before_in(3600)),
        ("audience", token().audience("https://elsewhere.example")),
        ("none", token().unsigned()),
        ("hmac", token().hmac_with_public_key()),
        ("unknown kid", token().signed_by(foreign.clone())),
        ("stolen kid", token().signed_by(foreign).header("kid", kid)),
        ("no kid", token().without_header("kid")),
    ] {
        assert!(verify(&token.mint(), &keys).is_err(), "{case}");
    }
    assert!(verify(&token().mint(), &keys).is_ok());
}

#[tokio::test]
async fn rotation_replaces_or_overlaps() {
    let issuer = issuer().await;
    let before = issuer.token().mint();
    issuer.rotate_with_overlap();
    let overlap = key_set(&issuer).await;
    assert!(verify(&before, &overlap).is_ok());
    assert!(verify(&issuer.token().mint(), &overlap).is_ok());
    issuer.rotate();
    let after = key_set(&issuer).await;
    assert!(verify(&before, &after).is_err());
    assert!(verify(&issuer.token().mint(), &after).is_ok());
}

#[tokio::test]
async fn discovery_names_the_issuer_and_the_key_set() {
    let issuer = issuer().await;
    for path in [Issuer::OPENID_PATH, Issuer::METADATA_PATH] {
        let url = format!("{}{path}", issuer.url());
        let document: Value = get(&url).await.unwrap().json().await.unwrap();
        assert_eq!(document["issuer"], issuer.url());
        assert_eq!(document["jwks_uri"], issuer.jwks_url());
        assert_eq!(issuer.count(path), 1);
    }
}

#[tokio::test]
async fn stopped_issuer_refuses_connections_and_comes_back_with_its_keys() {
    let issuer = issuer().await;
    let keys = key_set(&issuer).await;
    issuer.stop().await;
    assert!(get(&issuer.jwks_url()).await.unwrap_err().is_connect());
    issuer.come_back().await.unwrap();
    assert_eq!(key_set(&issuer).await, keys);
}

#[tokio::test]
async fn modes_change_the_answers() {
    let issuer = issuer().await;
    issuer.set_mode(IssuerMode::Error500);
    assert_eq!(get(&issuer.jwks_url()).await.unwrap().status(), 500);
    issuer.set_mode(IssuerMode::Garbage);
    let garbage = get(&issuer.jwks_url()).await.unwrap();
    assert_eq!(garbage.status(), 200);
    assert!(garbage.json::<Value>().await.is_err());

    let gate = Gate::closed();
    issuer.set_mode(IssuerMode::Held(gate.clone()));
    let url = issuer.jwks_url();
    let held = tokio::spawn(async move { get(&url).await });
    assert!(
        issuer
            .requests()
            .wait_until(|paths| paths.len() == 3, Duration::from_secs(5))
            .await
    );
    assert!(!held.is_finished());
    gate.open();
    assert_eq!(held.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn scripts_control_it_over_http() {
    let issuer = issuer().await;
    let control = |path: &str, body: Value| {
        http_client()
            .post(format!("{}/__stand-in/{path}", issuer.url()))
            .json(&body)
            .send()
    };
    let answer = control("mode", serde_json::json!({ "mode": "error500" }))
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(get(&issuer.jwks_url()).await.unwrap().status(), 500);
    control("mode", serde_json::json!({ "mode": "normal" }))
        .await
        .unwrap();
    let answer = control("token", serde_json::json!({ "sub": "user_x" }))
        .await
        .unwrap();
    let minted: Value = answer.json().await.unwrap();
    let token = minted["token"].as_str().expect("a token");
    assert_eq!(
        verify(token, &key_set(&issuer).await).unwrap()["sub"],
        "user_x"
    );
}
