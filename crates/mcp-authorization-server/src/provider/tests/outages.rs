//! A provider that is unwell: what is said, and how often it is asked.

use mcp_test_support::{Gate, ProviderFault};

use super::*;

const TOKEN: &str = IdentityProvider::TOKEN_PATH;

fn trouble(error: ProviderError) -> Trouble {
    match error {
        ProviderError::Unavailable {
            trouble,
            retry_after,
        } => {
            let bounds = Duration::from_secs(2)..=Duration::from_mins(1);
            assert!(bounds.contains(&retry_after), "{retry_after:?}");
            trouble
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_no_answer_makes_the_login_wait_and_is_bounded() {
    let (idp, mut config) = open_id().await;
    config.timeout = A_MOMENT;
    let provider = provider(config);
    let tokens = log_in(&provider).await.unwrap().tokens;
    for (fault, expected) in [
        (ProviderFault::Garbage, Trouble::Unreadable),
        (ProviderFault::Huge, Trouble::NoAnswer(FetchError::TooLarge)),
        (ProviderFault::Hang, Trouble::NoAnswer(FetchError::Timeout)),
        (
            ProviderFault::Held(Gate::closed()),
            Trouble::NoAnswer(FetchError::Timeout),
        ),
        (
            ProviderFault::Fixed(503, String::new()),
            Trouble::Status(503),
        ),
        (
            ProviderFault::LosesAnswers(1),
            Trouble::NoAnswer(FetchError::Broken),
        ),
    ] {
        provider.breaker.close();
        let code = code_of(&provider).await;
        idp.break_path(TOKEN, fault.clone());
        let failed = redeem(&provider, &code).await.unwrap_err();
        assert_eq!(trouble(failed), expected, "{fault:?}");
        idp.heal();
    }
    // What was lost is lost; what was only slow is there.
    idp.break_path(TOKEN, ProviderFault::Slow(Duration::from_millis(1)));
    refresh(&provider, &tokens).await.unwrap();
}

#[tokio::test]
async fn no_secret_follows_a_redirect() {
    let (idp, provider) = world().await;
    let (elsewhere, _) = open_id().await;
    let code = code_of(&provider).await;
    let there = elsewhere.at(TOKEN);
    idp.break_path(TOKEN, ProviderFault::Redirect(there));
    let sentence = misconfigured(redeem(&provider, &code).await.unwrap_err());
    assert!(sentence.contains("token endpoint"), "{sentence}");
    assert_eq!(elsewhere.requests().entries(), Vec::<String>::new());
}

#[tokio::test]
async fn a_provider_that_is_gone_is_found_again() {
    let (idp, provider) = world().await;
    let tokens = log_in(&provider).await.unwrap().tokens;
    idp.stop().await;
    let failed = refresh(&provider, &tokens).await.unwrap_err();
    assert_eq!(trouble(failed), Trouble::NoAnswer(FetchError::NotSent));
    idp.come_back().await.unwrap();
    refresh(&provider, &tokens).await.unwrap();
}

#[tokio::test]
async fn after_failures_in_a_row_the_provider_is_left_alone() {
    let (idp, provider) = world().await;
    let tokens = log_in(&provider).await.unwrap().tokens;
    // What it says to one user says nothing about the next.
    for _ in 0..FAILURES {
        let refused = redeem(&provider, "a made-up code").await;
        assert_eq!(refused, Err(ProviderError::InvalidGrant));
    }
    idp.break_path(TOKEN, ProviderFault::Garbage);
    for _ in 0..FAILURES {
        let failed = refresh(&provider, &tokens).await.unwrap_err();
        assert_eq!(trouble(failed), Trouble::Unreadable);
    }
    let asked = idp.requests().entries().len();
    let failed = refresh(&provider, &tokens).await.unwrap_err();
    assert_eq!(trouble(failed), Trouble::LeftAlone);
    let failed = redeem(&provider, "a code").await.unwrap_err();
    assert_eq!(trouble(failed), Trouble::LeftAlone);
    assert_eq!(idp.requests().entries().len(), asked);
    idp.heal();
    provider.breaker.close();
    refresh(&provider, &tokens).await.unwrap();
}

#[tokio::test]
async fn without_the_issuers_keys_nobody_can_tell() {
    let (idp, provider) = world().await;
    idp.break_path(IdentityProvider::KEYS_PATH, ProviderFault::Garbage);
    let failed = log_in(&provider).await.unwrap_err();
    assert_eq!(trouble(failed), Trouble::Keys);
}

#[tokio::test]
async fn a_wait_that_the_provider_asks_for_is_kept_within_bounds() {
    let waits = [0, 7, 100_000].map(Duration::from_secs);
    let waits = waits.map(|wait| match Trouble::Busy.for_a(wait) {
        ProviderError::Unavailable { retry_after, .. } => retry_after.as_secs(),
        other => panic!("{other:?}"),
    });
    assert_eq!(waits, [2, 7, 60]);
}

#[tokio::test]
async fn nothing_that_is_shown_holds_a_secret() {
    let (_idp, config) = open_id().await;
    let config_shown = format!("{config:?}");
    let provider = provider(config);
    let login = log_in(&provider).await.unwrap();
    let shown = format!("{config_shown} {provider:?} {login:?}");
    let refresh_token = login.tokens.refresh_token.unwrap();
    for hidden in [
        IdentityProvider::CLIENT_SECRET,
        login.tokens.access_token.as_str(),
        refresh_token.as_str(),
    ] {
        assert!(!shown.contains(hidden), "{shown}");
    }
}
