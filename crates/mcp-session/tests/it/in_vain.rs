//! What an issuer refuses: no login is asked for in vain, and nobody is asked more than helps.

use std::time::SystemTime;

use futures::{StreamExt as _, future::join_all, stream};
use mcp_auth::{AccessToken, Asker, AuthError, ForbiddenReason, InvalidReason};
use mcp_session::SharedStore;
use mcp_test_support::{ExchangeAnswer, Issuer};
use serde_json::json;

use crate::{
    upstream::{AGEING, OVER, SOON, exchanger, exchanges, exchanging, refuse, upstream_of},
    world::{TestStore, access, eventually, first_ring, token_of},
};

#[tokio::test]
async fn a_refusal_is_remembered_and_ends_what_was_there() {
    for (code, expected) in [
        (
            "invalid_grant",
            AuthError::from(InvalidReason::NotExchanged),
        ),
        ("access_denied", ForbiddenReason::UpstreamDenied.into()),
        ("invalid_target", ForbiddenReason::UpstreamTarget.into()),
        ("invalid_scope", ForbiddenReason::UpstreamScope.into()),
        ("invalid_request", InvalidReason::NotExchanged.into()),
    ] {
        let (issuer, store) = (exchanger().await, TestStore::new());
        let tiers = exchanging(&issuer, &store).build();
        let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
        tiers.resolve_at(&token, now).await.unwrap();
        refuse(&issuer, code);
        let calls = join_all((0..20).map(|_| tiers.resolve_at(&token, now + OVER)));
        for refused in calls.await {
            assert_eq!(refused.unwrap_err(), expected, "{code}");
        }
        assert_eq!(exchanges(&issuer), 2, "{code}");
        tiers.flush(SOON).await;
        let name = first_ring().session_key(&token).to_string();
        assert_eq!(store.get(&name).await.unwrap(), None, "{code}");
        let new = token_of(&issuer, "bob");
        for _ in 0..3 {
            assert_eq!(tiers.resolve(&new).await.unwrap_err(), expected, "{code}");
        }
        assert_eq!(exchanges(&issuer), 3, "{code}");
    }
}

/// A token of the user that was issued so many seconds from now.
fn issued_in(issuer: &Issuer, subject: &str, seconds: i64) -> AccessToken {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let at = now.unwrap().as_secs().strict_add_signed(seconds);
    access(&issuer.token().subject(subject).claim("iat", at))
}

#[tokio::test]
async fn logins_that_did_not_help_are_not_asked_for_again() {
    for (code, in_vain) in [
        ("invalid_grant", ForbiddenReason::UpstreamDenied),
        ("invalid_request", ForbiddenReason::UpstreamRequest),
    ] {
        let (issuer, store) = (exchanger().await, TestStore::new());
        let tiers = exchanging(&issuer, &store).build();
        let login = |subject: &str, seconds| issued_in(&issuer, subject, seconds);
        refuse(&issuer, code);
        let over = AuthError::from(InvalidReason::NotExchanged);
        let in_vain = AuthError::from(in_vain);
        let refused = async |token: &AccessToken| tiers.resolve(token).await.unwrap_err();
        assert_eq!(refused(&login("ada", -60)).await, over);
        assert_eq!(refused(&login("bob", -30)).await, over, "another user");
        assert_eq!(refused(&login("ada", -30)).await, over, "another device");
        assert_eq!(refused(&login("ada", 30)).await, over, "the client renews");
        assert_eq!(refused(&login("ada", 60)).await, in_vain, "a login later");
        issuer.answer_exchanges(ExchangeAnswer::Right);
        tiers.resolve(&login("ada", -20)).await.unwrap();
        refuse(&issuer, code);
        assert_eq!(refused(&login("ada", 70)).await, in_vain, "another device");
        issuer.answer_exchanges(ExchangeAnswer::Right);
        tiers.resolve(&login("ada", 80)).await.unwrap();
        refuse(&issuer, code);
        assert_eq!(refused(&login("ada", 85)).await, over, "it had helped");
    }
}

#[tokio::test]
async fn logins_by_tokens_that_do_not_say_when_they_were_issued_come_to_an_end() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    refuse(&issuer, "invalid_grant");
    let mut labels = Vec::new();
    for number in 0..4 {
        let token = issuer.token().subject("ada").claim("iat", json!(null));
        let token = access(&token.claim("number", number));
        labels.push(tiers.resolve(&token).await.unwrap_err().label());
    }
    let (login, told) = ("not_exchanged", "upstream_denied");
    assert_eq!(labels, [login, login, told, told]);
}

#[tokio::test]
async fn an_answer_that_says_nothing_about_a_token_is_asked_for_once_in_a_while() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let token = token_of(&issuer, "ada");
    refuse(&issuer, "another_error");
    for _ in 0..50 {
        let refused = tiers.resolve(&token).await.unwrap_err();
        assert_eq!(refused.label(), "exchange_unavailable");
    }
    assert!(exchanges(&issuer) < 25, "{}", exchanges(&issuer));
}

#[tokio::test]
async fn what_an_administrator_gets_wrong_ends_no_session_whose_token_is_good() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    let old = upstream_of(&tiers.resolve_at(&token, now).await.unwrap());
    refuse(&issuer, "invalid_target");
    tiers.resolve_at(&token, now + AGEING).await.unwrap();
    let asked = issuer.exchanges().wait_until(|it| it.len() == 2, SOON);
    assert!(asked.await);
    issuer.answer_exchanges(ExchangeAnswer::Right);
    eventually("it is renewed", async || {
        let resolved = tiers.resolve_at(&token, now + AGEING).await.unwrap();
        upstream_of(&resolved) != old
    })
    .await;
    assert_eq!(tiers.stats().verifications.get(), 1);
}

#[tokio::test]
async fn an_api_that_refuses_everybody_has_few_tokens_exchanged_at_once() {
    const USERS: usize = 300;
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let now = SystemTime::now();
    let tokens: Vec<_> = (0..USERS)
        .map(|user| token_of(&issuer, &format!("user_{user}")))
        .collect();
    let renewed = tokens.iter().map(|token| async {
        let old = upstream_of(&tiers.resolve_at(token, now).await.unwrap());
        let refused = Some(old.expose());
        let renewed = tiers.upstream_token_at(token, Asker::UNKNOWN, refused, now);
        renewed.await
    });
    let renewed: Vec<_> = stream::iter(renewed).buffered(16).collect().await;
    let put_off = renewed.iter().filter_map(|it| it.as_ref().err());
    let labels: Vec<_> = put_off.map(AuthError::label).collect();
    assert!(!labels.is_empty());
    assert!(labels.iter().all(|label| *label == "exchange_unavailable"));
    assert_eq!(exchanges(&issuer), 2 * USERS - labels.len());
}
