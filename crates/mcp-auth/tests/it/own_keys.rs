//! An issuer whose keys are configured as text: nobody is asked for anything, ever.

use std::{sync::Arc, time::Duration};

use mcp_auth::{
    AccessToken, ConfigError, IssuerConfig, TokenVerifier, VerifierConfig, examine, http_client,
};
use mcp_test_support::{Algorithm, Issuer, SigningKey, TokenBuilder};
use serde_json::json;

use crate::world::{RESOURCE, impatient, verify};

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(Algorithm::EdDsa))
}

fn key_set(keys: &[&SigningKey]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    json!({ "keys": keys }).to_string()
}

fn config(issuer: &str, keys: &[&SigningKey]) -> IssuerConfig {
    let mut config = IssuerConfig::new(issuer, [RESOURCE]);
    config.jwks = Some(key_set(keys));
    config
}

fn build(config: IssuerConfig, policy: VerifierConfig) -> Result<TokenVerifier, ConfigError> {
    TokenVerifier::new(vec![config], http_client().unwrap(), policy)
}

fn token(issuer: &str, key: &Arc<SigningKey>) -> TokenBuilder {
    TokenBuilder::new(issuer, &[RESOURCE.to_owned()], Arc::clone(key))
}

#[tokio::test]
async fn keys_at_hand_are_warm_do_not_age_and_ask_nobody() {
    let issuer = Issuer::start().await.unwrap();
    let (key, previous, unknown) = (key(), key(), key());
    let mut policy = impatient();
    policy.keys.stale_for = Duration::ZERO;
    let verifier = build(config(&issuer.url(), &[&key, &previous]), policy).unwrap();
    assert!(verifier.is_warm());
    verifier.warm_up().await;
    for key in [&key, &previous] {
        let minted = token(&issuer.url(), key).mint();
        let parsed = AccessToken::parse(&format!("Bearer {minted}")).unwrap();
        assert!(verifier.keys_warm(&parsed));
        assert_eq!(
            verify(&verifier, &minted).await.unwrap().subject(),
            "user_1"
        );
    }
    let status = verifier.status().remove(0);
    assert_eq!((status.keys, status.fetched), (2, 0));
    assert_eq!(status.keys_age, Some(Duration::ZERO));
    for (bad, label) in [
        (token(&issuer.url(), &unknown), "unknown_key"),
        (token(&issuer.url(), &key).tampered(), "signature"),
        (token(&issuer.url(), &key).expires_in(-600), "expired"),
    ] {
        let refused = verify(&verifier, &bad.mint()).await.unwrap_err();
        assert_eq!(refused.label(), label);
    }
    assert!(issuer.requests().entries().is_empty());
}

#[tokio::test]
async fn a_set_without_a_key_that_can_be_used_is_refused_at_once() {
    let encryption = json!({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}).to_string();
    for (text, says) in [
        ("", "no JSON Web Key Set"),
        ("[]", "no JSON Web Key Set"),
        (r#"{"keys": []}"#, "holds no key"),
        (&encryption, "type is not RSA"),
    ] {
        let mut config = IssuerConfig::new("https://mcp.test", [RESOURCE]);
        config.jwks = Some(text.to_owned());
        let refused = build(config, VerifierConfig::default()).unwrap_err();
        assert!(refused.to_string().contains(says), "{refused}");
    }
}

#[tokio::test]
async fn an_operator_is_told_of_keys_at_hand_without_a_question() {
    let (key, issuer) = (key(), Issuer::start().await.unwrap());
    let examined = examine(&config(&issuer.url(), &[&key]), &http_client().unwrap()).await;
    assert_eq!(examined.metadata, Ok(None));
    assert_eq!(examined.keys, Some(Ok(vec!["EdDSA".to_owned()])));
    assert!(issuer.requests().entries().is_empty());
}
