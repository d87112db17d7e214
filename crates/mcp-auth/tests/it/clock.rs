//! A clock that is wrong, ours or theirs.

use mcp_auth::{AuthError, InvalidReason, TokenVerifier, VerifierConfig, http_client};
use mcp_test_support::{Issuer, TokenBuilder};

use crate::world::{config_for, issuer, verifier, verify};

async fn judged(verifier: &TokenVerifier, token: TokenBuilder) -> &'static str {
    match verify(verifier, &token.mint()).await {
        Ok(_) => "good",
        Err(error) => {
            let passing = matches!(error, AuthError::Unavailable { .. });
            assert_eq!(passing, error.label() == "clock_differs", "{error}");
            error.label()
        }
    }
}

#[tokio::test]
async fn a_token_that_only_our_clock_refuses_is_kept() {
    // Their clock is set, ours is not: from here it looks the same.
    for (offset, token, expected) in [
        // Ours is two hours ahead of theirs, or behind.
        (
            -7_200,
            (|token| token) as fn(TokenBuilder) -> TokenBuilder,
            "clock_differs",
        ),
        (-7_200, |token| token.expires_in(60), "clock_differs"),
        (-7_200, |token| token.expires_in(-600), "expired"),
        (-7_200, |token| token.without("iat"), "clock_differs"),
        (7_200, |token| token.not_before_in(0), "clock_differs"),
        (7_200, |token| token.not_before_in(600), "not_yet_valid"),
        (7_200, |token| token, "good"),
        // What differs by less than the leeway explains nothing.
        (-60, |token| token.expires_in(-60), "expired"),
        (0, |token| token.expires_in(-600), "expired"),
        (0, |token| token.not_before_in(600), "not_yet_valid"),
    ] {
        let issuer = issuer().await;
        issuer.set_clock_offset(offset);
        let found = judged(&verifier(&issuer), token(issuer.token())).await;
        assert_eq!(
            found,
            expected,
            "{offset}: {:?}",
            token(issuer.token()).mint()
        );
    }
}

#[tokio::test]
async fn a_wrong_date_alone_refuses_nobody() {
    let issuer = issuer().await;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let sound = || issuer.token().claim("iat", now).claim("exp", now + 600);
    for offset in [-100_000, -7_200, 7_200, 100_000] {
        issuer.set_clock_offset(offset);
        let verifier = verifier(&issuer);
        verifier.warm_up().await;
        assert_eq!(judged(&verifier, sound()).await, "good", "{offset}");
        let over = sound().claim("iat", now - 900).claim("exp", now - 600);
        assert_eq!(judged(&verifier, over).await, "expired", "{offset}");
    }
}

#[tokio::test]
async fn one_issuer_with_a_wrong_clock_does_not_speak_for_the_others() {
    let (wrong, right) = (issuer().await, issuer().await);
    wrong.set_clock_offset(-7_200);
    let issuers = vec![config_for(&wrong), config_for(&right)];
    let client = http_client().unwrap();
    let verifier = TokenVerifier::new(issuers, client, VerifierConfig::default()).unwrap();
    verifier.warm_up().await;
    assert_eq!(judged(&verifier, wrong.token()).await, "expired");
    assert_eq!(judged(&verifier, right.token()).await, "good");
    let seen: Vec<_> = verifier
        .status()
        .into_iter()
        .map(|it| it.clock_ahead)
        .collect();
    assert!((7_195..=7_260).contains(&seen[0].unwrap()), "{seen:?}");
    assert!((-5..=60).contains(&seen[1].unwrap()), "{seen:?}");
}

#[tokio::test]
async fn refused_tokens_ask_for_the_time_once_a_minute() {
    let issuer = issuer().await;
    let verifier = verifier(&issuer);
    for seconds in 0..20 {
        let expired = issuer.token().expires_in(-3_600 - seconds).mint();
        let refused = verify(&verifier, &expired).await;
        assert_eq!(refused, Err(InvalidReason::Expired.into()));
    }
    assert_eq!(issuer.count("/"), 1);
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 0);
}
