//! Refreshes, and tokens that are given back.

use mcp_test_support::ProviderFault;
use serde_json::json;

use super::*;

const TOKEN: &str = IdentityProvider::TOKEN_PATH;

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_ends_the_old_ones() {
    let (idp, provider) = world().await;
    let tokens = log_in(&provider).await.unwrap().tokens;
    let fresh = refresh(&provider, &tokens).await.unwrap();
    assert_ne!(fresh.access_token, tokens.access_token);
    assert_ne!(fresh.refresh_token, tokens.refresh_token);
    assert!(idp.takes(&fresh.access_token));
    assert_eq!(fresh.scope, tokens.scope);
    let old = refresh(&provider, &tokens).await;
    assert_eq!(old, Err(ProviderError::InvalidGrant));
    let asked = idp.count(TOKEN);
    assert_eq!(asked, 3, "what is refused is not asked for again");
    refresh(&provider, &fresh).await.unwrap();
}

#[tokio::test]
async fn a_refresh_token_that_is_not_replaced_stays() {
    let (idp, provider) = world().await;
    let tokens = log_in(&provider).await.unwrap().tokens;
    for left_out in [
        json!({}),
        json!({"refresh_token": ""}),
        json!({"refresh_token": null}),
    ] {
        let mut answer = json!({"access_token": "fresh", "token_type": "Bearer"});
        let fields = answer.as_object_mut().unwrap();
        fields.extend(left_out.as_object().unwrap().clone());
        idp.break_path(TOKEN, ProviderFault::Fixed(200, answer.to_string()));
        let fresh = refresh(&provider, &tokens).await.unwrap();
        assert_eq!(fresh.access_token.as_str(), "fresh");
        assert_eq!(fresh.refresh_token, tokens.refresh_token, "{left_out}");
        assert_eq!(
            (fresh.expires_at, fresh.scope),
            (None, tokens.scope.clone())
        );
    }
}

#[tokio::test]
async fn a_refresh_whose_answer_is_lost_is_asked_for_once_more() {
    let (idp, provider) = world().await;
    let tokens = log_in(&provider).await.unwrap().tokens;
    idp.break_path(TOKEN, ProviderFault::LosesAnswers(1));
    // This one takes no refresh token twice: the login is over, and that is said.
    let refreshed = refresh(&provider, &tokens).await;
    assert_eq!(refreshed, Err(ProviderError::InvalidGrant));
    assert_eq!((idp.refreshed(), idp.count(TOKEN)), (1, 3));

    let tokens = log_in(&provider).await.unwrap().tokens;
    let (asked, gateway) = (idp.count(TOKEN), r#"{"error":"gateway"}"#.to_owned());
    for fault in [
        ProviderFault::Fixed(502, gateway),
        ProviderFault::LosesAnswers(2),
    ] {
        idp.break_path(TOKEN, fault);
        let refused = refresh(&provider, &tokens).await.unwrap_err();
        assert_eq!(kind(&refused), "unavailable");
    }
    assert_eq!(idp.count(TOKEN), asked + 4, "twice each, not three times");
}

#[tokio::test]
async fn a_code_whose_answer_is_lost_is_not_sent_again() {
    let (idp, provider) = world().await;
    let code = code_of(&provider).await;
    idp.break_path(TOKEN, ProviderFault::LosesAnswers(1));
    let refused = redeem(&provider, &code).await.unwrap_err();
    assert_eq!(kind(&refused), "unavailable");
    assert_eq!(idp.count(TOKEN), 1);
}

#[tokio::test]
async fn a_login_that_an_administrator_ended_is_over() {
    let (idp, provider) = world().await;
    let tokens = log_in(&provider).await.unwrap().tokens;
    idp.end_logins();
    let refreshed = refresh(&provider, &tokens).await;
    assert_eq!(refreshed, Err(ProviderError::InvalidGrant));
}

#[tokio::test]
async fn without_a_refresh_token_the_provider_is_asked_whether_the_login_still_is() {
    let (idp, config) = github().await;
    let provider = provider(config);
    let tokens = log_in(&provider).await.unwrap().tokens;
    assert_eq!(refresh(&provider, &tokens).await, Ok(tokens.clone()));
    let userinfo = IdentityProvider::USERINFO_PATH;
    let asked = idp.count(userinfo);
    // Those who ask too often are told the same as those who may not.
    for (status, expected) in [
        (403, "unavailable"),
        (429, "unavailable"),
        (401, "invalid_grant"),
    ] {
        let fault = ProviderFault::Fixed(status, r#"{"message":"no"}"#.to_owned());
        idp.break_path(userinfo, fault);
        let refused = refresh(&provider, &tokens).await.unwrap_err();
        assert_eq!(kind(&refused), expected, "{status}");
    }
    idp.heal();
    idp.end_logins();
    let over = Err(ProviderError::InvalidGrant);
    assert_eq!(refresh(&provider, &tokens).await, over);
    assert_eq!(idp.count(userinfo), asked + 4);
    // One that has ended needs nobody's word.
    let expires_at = Some(1);
    let ended = ProviderTokens {
        expires_at,
        ..tokens
    };
    assert_eq!(refresh(&provider, &ended).await, over);
    assert_eq!(idp.count(userinfo), asked + 4);
}

#[tokio::test]
async fn nothing_vouches_for_a_token_without_end_where_nobody_can_be_asked() {
    let (idp, provider) = world().await;
    idp.bend_metadata("userinfo_endpoint", json!(null));
    idp.give_refresh_tokens(false);
    let mut tokens = log_in(&provider).await.unwrap().tokens;
    assert_eq!(refresh(&provider, &tokens).await, Ok(tokens.clone()));
    tokens.expires_at = None;
    let refreshed = refresh(&provider, &tokens).await;
    assert_eq!(refreshed, Err(ProviderError::InvalidGrant));
}

#[tokio::test]
async fn a_github_app_has_tokens_that_end_and_are_refreshed() {
    let (idp, config) = github().await;
    let provider = provider(config);
    idp.give_refresh_tokens(true);
    idp.set_lifetime(Some(28_800));
    let tokens = log_in(&provider).await.unwrap().tokens;
    assert!(tokens.expires_at.is_some());
    let fresh = refresh(&provider, &tokens).await.unwrap();
    assert!(idp.takes(&fresh.access_token));
    let old = refresh(&provider, &tokens).await;
    assert_eq!(old, Err(ProviderError::InvalidGrant), "with status 200");
}

#[tokio::test]
async fn tokens_are_given_back_where_the_provider_takes_them() {
    for (idp, config) in [open_id().await, github().await] {
        let provider = provider(config);
        let tokens = log_in(&provider).await.unwrap().tokens;
        assert_eq!(idp.logins(), 1);
        provider.revoke(&tokens).await;
        assert_eq!(idp.logins(), 0);
        assert!(!idp.takes(&tokens.access_token));
    }
}

#[tokio::test]
async fn a_provider_that_takes_nothing_back_holds_nobody_up() {
    let (idp, mut config) = open_id().await;
    config.timeout = A_MOMENT;
    let provider = provider(config.clone());
    let tokens = log_in(&provider).await.unwrap().tokens;
    for fault in [
        ProviderFault::Hang,
        ProviderFault::Garbage,
        ProviderFault::Fixed(503, String::new()),
    ] {
        idp.break_path(IdentityProvider::REVOKE_PATH, fault);
        provider.revoke(&tokens).await;
    }
    assert_eq!(idp.count(IdentityProvider::REVOKE_PATH), 3);
    idp.bend_metadata("revocation_endpoint", json!(null));
    let provider = super::provider(config);
    provider.revoke(&tokens).await;
    assert_eq!(idp.count(IdentityProvider::REVOKE_PATH), 3);
}
