//! What a verifier tells about its issuers.

use mcp_auth::AccessToken;
use mcp_test_support::{Issuer, IssuerMode};

use crate::world::{config_for, impatient, issuer, verifier, verifier_with, verify};

#[tokio::test]
async fn fetches_and_keys_of_an_issuer_are_counted() {
    let issuer = issuer().await;
    let verifier = verifier_with(config_for(&issuer), impatient());
    let cold = verifier.status().remove(0);
    assert_eq!((cold.keys, cold.keys_age, cold.fetched), (0, None, 0));
    issuer.set_mode(IssuerMode::Error500);
    verify(&verifier, &issuer.token().mint()).await.unwrap_err();
    issuer.set_mode(IssuerMode::Normal);
    verify(&verifier, &issuer.token().mint()).await.unwrap();
    let warm = verifier.status().remove(0);
    assert_eq!(warm.issuer, issuer.url());
    assert_eq!((warm.fetched, warm.fetches_failed), (1, 1));
    assert!(warm.keys > 0 && warm.keys_age.is_some(), "{warm:?}");
}

#[tokio::test]
async fn a_token_names_a_configured_issuer_or_none() {
    let (ours, theirs) = (issuer().await, issuer().await);
    let verifier = verifier(&ours);
    let named = |token: String| {
        let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
        verifier.issuer_named_by(&token).map(str::to_owned)
    };
    assert_eq!(
        named(ours.token().expires_in(-3_600).mint()).as_deref(),
        Some(ours.url().as_str())
    );
    assert_eq!(named(theirs.token().mint()), None);
    assert_eq!(named("opaque".to_owned()), None);
}

#[tokio::test]
async fn what_was_issued_is_told_from_what_was_made_up() {
    let (ours, theirs) = (issuer().await, issuer().await);
    let verifier = verifier(&ours);
    let issued = |token: String| {
        verifier.was_issued(&AccessToken::parse(&format!("Bearer {token}")).unwrap())
    };
    let expired = ours.token().expires_in(-3_600).mint();
    assert!(!issued(expired.clone()), "no keys, no proof");
    verify(&verifier, &ours.token().mint()).await.unwrap();
    assert!(issued(expired.clone()));
    let asked = ours.count(Issuer::JWKS_PATH);
    let (rest, _) = expired.rsplit_once('.').unwrap();
    assert!(!issued(format!("{rest}.AAAA")));
    assert!(!issued(ours.token().audience("https://else.test").mint()));
    assert!(!issued(theirs.token().mint()));
    assert!(!issued("opaque".to_owned()));
    assert_eq!(ours.count(Issuer::JWKS_PATH), asked);
}
