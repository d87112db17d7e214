//! Keys: one fetch for many, background refresh, staleness, unknown keys.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use mcp_auth::{AuthError, InvalidReason, VerifierConfig};
use mcp_test_support::{Algorithm, Gate, Issuer, IssuerMode, SigningKey};

use crate::world::{config_for, impatient, issuer, verifier, verifier_with, verify};

#[tokio::test]
async fn every_algorithm_of_the_issuer_verifies() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer);
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let token = issuer
            .token()
            .subject("u")
            .signed_by(issuer.key(algorithm))
            .mint();
        let principal = verify(&verifier, &token).await.unwrap();
        assert_eq!(principal.subject(), "u");
        assert_eq!(principal.issuer(), issuer.url());
    }
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 1);
}

#[tokio::test]
async fn an_algorithm_that_is_not_allowed_is_refused_without_a_fetch() {
    let issuer = issuer().await;
    let mut config = config_for(&issuer);
    config.algorithms = vec!["ES256".to_owned()];
    let verifier = verifier_with(config, VerifierConfig::default());
    let token = issuer.token().mint();
    assert_eq!(
        verify(&verifier, &token).await,
        Err(InvalidReason::Algorithm.into())
    );
    assert!(issuer.requests().entries().is_empty());
}

#[tokio::test]
async fn two_hundred_waiters_share_one_fetch_and_a_lost_leader_fails_nobody() {
    let issuer = issuer().await;
    let gate = Gate::closed();
    issuer.set_mode(IssuerMode::Held(gate.clone()));
    let verifier = verifier(&issuer);
    let token = issuer.token().mint();
    let leader = tokio::spawn({
        let (verifier, token) = (verifier.clone(), token.clone());
        async move { verify(&verifier, &token).await }
    });
    let asked = |seen: &[String]| !seen.is_empty();
    assert!(
        issuer
            .requests()
            .wait_until(asked, Duration::from_secs(10))
            .await
    );
    let waiters = join_all((0..200).map(|_| {
        let (verifier, token) = (verifier.clone(), token.clone());
        tokio::spawn(async move { verify(&verifier, &token).await })
    }));
    leader.abort();
    gate.open();
    for waiter in waiters.await {
        assert!(waiter.unwrap().is_ok());
    }
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 1);
}

#[tokio::test]
async fn a_token_that_arrives_while_its_new_key_is_being_fetched_is_not_turned_away() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer);
    verify(&verifier, &issuer.token().mint()).await.unwrap();
    issuer.rotate_with_overlap();
    let gate = Gate::closed();
    issuer.set_mode(IssuerMode::Held(gate.clone()));
    issuer.requests().clear();
    let begin = |subject: &str| {
        let (verifier, token) = (verifier.clone(), issuer.token().subject(subject).mint());
        tokio::spawn(async move { verify(&verifier, &token).await })
    };
    let first = begin("u");
    let asked = |seen: &[String]| !seen.is_empty();
    assert!(
        issuer
            .requests()
            .wait_until(asked, Duration::from_secs(10))
            .await
    );
    // The fetch under way was begun before these arrived: it proves that the key is there.
    let others: Vec<_> = (0..20).map(|number| begin(&format!("u{number}"))).collect();
    tokio::task::yield_now().await;
    gate.open();
    for verified in others.into_iter().chain([first]) {
        verified.await.unwrap().unwrap();
    }
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 1);
}

#[tokio::test]
async fn old_keys_are_refreshed_in_the_background_and_outlive_an_outage() {
    let issuer = issuer().await;
    let verifier = verifier_with(config_for(&issuer), impatient());
    let token = issuer.token().mint();
    verify(&verifier, &token).await.unwrap();
    // Every use finds the keys aged: the answer comes from them, the refresh goes on behind it.
    verify(&verifier, &token).await.unwrap();
    let refreshed = |seen: &[String]| {
        seen.iter()
            .filter(|path| *path == Issuer::JWKS_PATH)
            .count()
            >= 2
    };
    assert!(
        issuer
            .requests()
            .wait_until(refreshed, Duration::from_secs(10))
            .await
    );
    issuer.stop().await;
    for _ in 0..5 {
        verify(&verifier, &token).await.unwrap();
    }
}

#[tokio::test]
async fn keys_are_not_believed_for_ever() {
    let issuer = issuer().await;
    let mut policy = impatient();
    policy.keys.stale_for = Duration::ZERO;
    let verifier = verifier_with(config_for(&issuer), policy);
    let token = issuer.token().mint();
    verify(&verifier, &token).await.unwrap();
    issuer.stop().await;
    let error = verify(&verifier, &token).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    issuer.come_back().await.unwrap();
    verify(&verifier, &token).await.unwrap();
}

#[tokio::test]
async fn a_thousand_unknown_keys_cause_one_fetch_and_sign_no_good_token_out() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer);
    let good = issuer.token().mint();
    verify(&verifier, &good).await.unwrap();
    let stranger = Arc::new(SigningKey::generate(Algorithm::Es256));
    let attacks = join_all((0..1000).map(|number| {
        let kid = format!("unknown-{number}");
        let token = issuer
            .token()
            .signed_by(Arc::clone(&stranger))
            .header("kid", kid)
            .mint();
        let verifier = verifier.clone();
        tokio::spawn(async move { verify(&verifier, &token).await })
    }));
    for attack in attacks.await {
        let error = attack.unwrap().unwrap_err();
        let proven = error == AuthError::InvalidToken(InvalidReason::UnknownKey);
        assert!(
            proven || matches!(error, AuthError::Unavailable { .. }),
            "{error:?}"
        );
    }
    assert_eq!(
        issuer.count(Issuer::JWKS_PATH),
        2,
        "one at first, one for a thousand"
    );
    verify(&verifier, &good).await.unwrap();

    // A key published within the pause: nobody may call its tokens bad.
    issuer.rotate_with_overlap();
    let fresh = issuer.token().mint();
    let error = verify(&verifier, &fresh).await.unwrap_err();
    assert_eq!(error.label(), "unknown_key_cooldown");
}

#[tokio::test]
async fn a_token_without_kid_survives_a_rotation() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer);
    let token = || issuer.token().without_header("kid").mint();
    verify(&verifier, &token()).await.unwrap();
    issuer.rotate();
    verify(&verifier, &token()).await.unwrap();
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 2);
}

#[tokio::test]
async fn several_issuers_are_each_bound_to_their_own_keys_and_audiences() {
    let (first, second) = (issuer().await, issuer().await);
    let mut other = config_for(&second);
    other.audiences = vec!["https://other.test".to_owned()];
    let issuers = vec![config_for(&first), other];
    let client = mcp_auth::http_client().unwrap();
    let verifier =
        mcp_auth::TokenVerifier::new(issuers, client, VerifierConfig::default()).unwrap();
    verify(&verifier, &first.token().mint()).await.unwrap();
    let foreign_audience = second.token().mint();
    assert_eq!(
        verify(&verifier, &foreign_audience).await,
        Err(InvalidReason::Audience.into())
    );
    let own_audience = second.token().claim("aud", "https://other.test").mint();
    verify(&verifier, &own_audience).await.unwrap();
    // The second issuer's key under the first one's name.
    let key = second.key(Algorithm::Rs256);
    let kid = first.key(Algorithm::Rs256).kid().to_owned();
    let confused = first.token().signed_by(key).header("kid", kid).mint();
    assert_eq!(
        verify(&verifier, &confused).await,
        Err(InvalidReason::Signature.into())
    );
}

#[tokio::test]
async fn a_configured_key_set_needs_no_discovery() {
    let issuer = issuer().await;
    let mut config = config_for(&issuer);
    config.jwks_uri = Some(issuer.jwks_url());
    let verifier = verifier_with(config, VerifierConfig::default());
    verify(&verifier, &issuer.token().mint()).await.unwrap();
    assert_eq!(issuer.requests().entries(), [Issuer::JWKS_PATH]);
}

#[tokio::test]
async fn documents_that_are_no_documents_are_an_outage_not_a_refusal() {
    for mode in [IssuerMode::Garbage, IssuerMode::Error500] {
        let issuer = issuer().await;
        issuer.set_mode(mode);
        let verifier = verifier_with(config_for(&issuer), impatient());
        let token = issuer.token().mint();
        let error = verify(&verifier, &token).await.unwrap_err();
        assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
        issuer.set_mode(IssuerMode::Normal);
        verify(&verifier, &token).await.unwrap();
    }
}
