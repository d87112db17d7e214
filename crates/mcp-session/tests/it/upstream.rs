//! Upstream tokens: exchanged once however many ask, replaced before they end, and never a login for
//! what a login does not mend.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures::future::join_all;
use mcp_auth::{
    Asker, AuthError, ClientAuthentication, ExchangeConfig, ForbiddenReason, InvalidReason,
    Principal, SameAudience, TokenExchange, Upstream, UpstreamToken,
};
use mcp_session::{
    MemoryFacts, Resolved, SessionTiers, SessionTiersBuilder, SharedStore, Tier, Verdict,
};
use mcp_test_support::{ExchangeAnswer, ExchangeClient, Gate, Issuer, http_client};
use serde_json::json;

use crate::world::{
    AUDIENCE, TestStore, access, eventually, first_ring, instance, issuer, token_of,
};

pub(crate) const API: &str = "https://api.example.com";
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// The stand-in's tokens live 300 s.
pub(crate) const AGEING: Duration = Duration::from_secs(280);
pub(crate) const OVER: Duration = Duration::from_secs(301);

/// An issuer that exchanges tokens for this server.
pub(crate) async fn exchanger() -> Issuer {
    let issuer = issuer().await;
    issuer.let_exchange("mcp", ExchangeClient::Basic("s3cret".to_owned()));
    issuer
}

pub(crate) fn config(issuer: &Issuer) -> ExchangeConfig {
    let secret = ClientAuthentication::SecretBasic("s3cret".to_owned().into());
    let mut config = ExchangeConfig::new(issuer.url(), "mcp", secret);
    config.audience = Some(API.to_owned());
    config
}

pub(crate) fn exchange(issuer: &Issuer) -> TokenExchange {
    TokenExchange::new(config(issuer), http_client()).unwrap()
}

pub(crate) fn exchanging(issuer: &Issuer, store: &Arc<TestStore>) -> SessionTiersBuilder {
    instance(issuer, store).upstream(issuer.url(), exchange(issuer))
}

pub(crate) fn upstream_of(resolved: &Resolved) -> UpstreamToken {
    let upstream = resolved.session.upstream();
    let Some(Upstream::Exchanged(token)) = upstream else {
        unreachable!("{upstream:?}");
    };
    token.clone()
}

pub(crate) fn refuse(issuer: &Issuer, code: &str) {
    let body = json!({ "error": code }).to_string();
    issuer.answer_exchanges(ExchangeAnswer::Fixed(400, body));
}

pub(crate) fn exchanges(issuer: &Issuer) -> usize {
    issuer.exchanges().entries().len()
}

#[tokio::test]
async fn two_hundred_first_calls_cause_one_exchange_and_a_warm_one_none() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let token = token_of(&issuer, "ada");
    let gate = Gate::closed();
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    let calls = join_all((0..200).map(|_| tiers.resolve(&token)));
    let (all, ()) = tokio::join!(calls, async {
        let asked = issuer.exchanges().wait_until(|it| !it.is_empty(), SOON);
        assert!(asked.await);
        gate.open();
    });
    let first = upstream_of(all[0].as_ref().unwrap());
    assert!(
        all.iter()
            .all(|it| upstream_of(it.as_ref().unwrap()) == first)
    );
    assert_ne!(first.expose(), token.expose());
    assert_eq!(exchanges(&issuer), 1);
    tiers.flush(SOON).await;
    let (asked, stored) = (issuer.requests().entries().len(), store.calls());
    assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
    assert_eq!(issuer.requests().entries().len(), asked);
    assert_eq!(store.calls(), stored);
}

#[tokio::test]
async fn another_instance_finds_the_token_sealed_and_asks_nobody() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let first = exchanging(&issuer, &store).build();
    let upstream = upstream_of(&first.resolve(&token).await.unwrap());
    first.flush(SOON).await;
    let name = first_ring().session_key(&token).to_string();
    let record = store.get(&name).await.unwrap().unwrap();
    let record = String::from_utf8_lossy(&record).into_owned();
    assert!(!record.contains(&upstream.expose()[..20]));
    // With the issuer's keys, and without.
    let warm = exchanging(&issuer, &store).build();
    warm.resolve(&token_of(&issuer, "bob")).await.unwrap();
    issuer.stop().await;
    for second in [warm, exchanging(&issuer, &store).build()] {
        let resolved = second.resolve(&token).await.unwrap();
        assert_eq!(resolved.tier, Tier::Store);
        assert_eq!(upstream_of(&resolved).expose(), upstream.expose());
    }
}

#[tokio::test]
async fn a_token_that_ages_is_replaced_behind_the_requests_back() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    let old = upstream_of(&tiers.resolve_at(&token, now).await.unwrap());
    let gate = Gate::closed();
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    for _ in 0..50 {
        let resolved = tiers.resolve_at(&token, now + AGEING).await.unwrap();
        assert_eq!(upstream_of(&resolved), old, "nobody waits");
    }
    gate.open();
    eventually("there is a new token", async || {
        let resolved = tiers.resolve_at(&token, now + AGEING).await.unwrap();
        upstream_of(&resolved) != old
    })
    .await;
    assert_eq!(exchanges(&issuer), 2);
    // The others know it too.
    tiers.flush(SOON).await;
    let second = exchanging(&issuer, &store).build();
    let resolved = second.resolve_at(&token, now + OVER).await.unwrap();
    assert_ne!(upstream_of(&resolved), old);
    assert_eq!(exchanges(&issuer), 2);
}

#[tokio::test]
async fn the_end_of_an_upstream_token_renews_it_and_ends_no_session() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    let old = upstream_of(&tiers.resolve_at(&token, now).await.unwrap());
    let calls = join_all((0..50).map(|_| tiers.resolve_at(&token, now + OVER)));
    for resolved in calls.await {
        let fresh = upstream_of(&resolved.unwrap());
        assert!(fresh != old && fresh.expires_at() > now + OVER);
    }
    assert_eq!(exchanges(&issuer), 2);
    assert_eq!(tiers.stats().verifications.get(), 1);
    // So it is for an instance that finds an old one in the store.
    tiers.flush(SOON).await;
    let second = exchanging(&issuer, &store).build();
    let later = now + OVER + OVER;
    let resolved = second.resolve_at(&token, later).await.unwrap();
    assert_eq!(resolved.tier, Tier::Store);
    assert!(upstream_of(&resolved).expires_at() > later);
}

#[tokio::test]
async fn an_issuer_that_is_away_costs_nothing_until_the_token_is_over_and_no_login_then() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    let old = upstream_of(&tiers.resolve_at(&token, now).await.unwrap());
    issuer.answer_exchanges(ExchangeAnswer::Fixed(500, String::new()));
    let resolved = tiers.resolve_at(&token, now + AGEING).await.unwrap();
    assert_eq!(upstream_of(&resolved), old);
    let asked = issuer.exchanges().wait_until(|it| it.len() == 2, SOON);
    assert!(asked.await);
    let refused = tiers.resolve_at(&token, now + OVER).await.unwrap_err();
    assert_eq!(refused.label(), "exchange_unavailable");
    issuer.answer_exchanges(ExchangeAnswer::Right);
    eventually("the session goes on", async || {
        tiers.resolve_at(&token, now + OVER).await.is_ok()
    })
    .await;
    assert_eq!(tiers.stats().verifications.get(), 1);
    let signouts = tiers.stats().signouts.get();
    assert!(signouts.iter().all(|(_, count)| *count == 0));
}

#[tokio::test]
async fn a_token_that_the_api_refuses_is_replaced_once() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    let refused = upstream_of(&tiers.resolve(&token).await.unwrap());
    let calls = join_all(
        (0..50)
            .map(|_| tiers.upstream_token_at(&token, Asker::UNKNOWN, Some(refused.expose()), now)),
    );
    let all: Vec<_> = calls.await.into_iter().map(Result::unwrap).collect();
    assert!(all[0] != refused && all.iter().all(|it| *it == all[0]));
    assert_eq!(exchanges(&issuer), 2);
    let resolved = tiers.resolve(&token).await.unwrap();
    assert_eq!(upstream_of(&resolved), all[0], "it is the session's now");
    // Refused as well: there is no other one for a while.
    let again = Some(all[0].expose());
    let again = tiers.upstream_token_at(&token, Asker::UNKNOWN, again, now);
    assert_eq!(again.await.unwrap(), all[0]);
    assert_eq!(exchanges(&issuer), 2);
}

#[tokio::test]
async fn a_stored_session_follows_the_mode_of_today() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let same = || instance(&issuer, &store).upstream(issuer.url(), SameAudience::new(AUDIENCE));
    let resolved = async |tiers: SessionTiers| {
        let resolved = tiers.resolve(&token).await.unwrap();
        tiers.flush(SOON).await;
        resolved
    };
    let first = resolved(same().build()).await;
    assert_eq!(first.session.upstream(), Some(&Upstream::Presented));
    let second = resolved(exchanging(&issuer, &store).build()).await;
    assert_eq!(exchanges(&issuer), 1);
    assert_ne!(upstream_of(&second).expose(), token.expose());
    let third = resolved(same().build()).await;
    assert_eq!(third.session.upstream(), Some(&Upstream::Presented));
    let without = resolved(instance(&issuer, &store).build()).await;
    assert_eq!(without.session.upstream(), None);
    let foreign = instance(&issuer, &store).upstream(issuer.url(), SameAudience::new(API));
    let refused = foreign.build().resolve(&token).await.unwrap_err();
    assert_eq!(refused, ForbiddenReason::UpstreamAudience.into());
}

#[tokio::test]
async fn whoever_is_denied_gets_no_upstream_token_any_more_and_causes_no_exchange() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let denied = Arc::new(AtomicBool::new(false));
    let is_denied = {
        let denied = Arc::clone(&denied);
        move |_: &Principal| {
            if denied.load(Ordering::SeqCst) {
                Verdict::Revoked("operator")
            } else {
                Verdict::Welcome
            }
        }
    };
    let tiers = exchanging(&issuer, &store).denied(is_denied).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    let upstream = async |refused: Option<&str>, now| {
        let upstream = tiers.upstream_token_at(&token, Asker::UNKNOWN, refused, now);
        upstream.await
    };
    let old = upstream(None, now).await.unwrap();
    denied.store(true, Ordering::SeqCst);
    let revoked = AuthError::from(InvalidReason::Revoked("operator"));
    for (refused, now) in [
        (None, now),
        (Some(old.expose()), now),
        (None, now + AGEING),
        (None, now + OVER),
    ] {
        assert_eq!(upstream(refused, now).await.unwrap_err(), revoked);
    }
    let another = token_of(&issuer, "ada");
    assert_eq!(tiers.resolve(&another).await.unwrap_err(), revoked);
    assert_eq!(exchanges(&issuer), 1);
    denied.store(false, Ordering::SeqCst);
    assert_eq!(upstream(None, now).await.unwrap(), old);
}

#[tokio::test]
async fn an_exchange_goes_on_when_who_asked_for_it_leaves() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let token = token_of(&issuer, "ada");
    let gate = Gate::closed();
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    for _ in 0..3 {
        let asked = issuer.exchanges().wait_until(|it| !it.is_empty(), SOON);
        tokio::select! {
            biased;
            resolved = tiers.resolve(&token) => unreachable!("{resolved:?}"),
            asked = asked => assert!(asked),
        }
    }
    let (resolved, ()) = tokio::join!(tiers.resolve(&token), async { gate.open() });
    resolved.unwrap();
    assert_eq!(exchanges(&issuer), 1);
}

#[tokio::test]
async fn within_the_leeway_of_clocks_nothing_is_exchanged_and_what_there_is_serves() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let now = SystemTime::now();
    let ends = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        + 100;
    let token = access(&issuer.token().subject("ada").claim("exp", ends));
    let after = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(ends + seconds);
    let first = upstream_of(&tiers.resolve_at(&token, now).await.unwrap());
    for seconds in [0, 2, 30, 89] {
        let resolved = tiers.resolve_at(&token, after(seconds)).await.unwrap();
        assert_eq!(upstream_of(&resolved), first);
    }
    let expired = AuthError::from(InvalidReason::Expired);
    let over = tiers.resolve_at(&token, after(90)).await.unwrap_err();
    assert_eq!(over, expired);
    // An instance that has none for it lets its client renew, but no sooner than that can.
    let other = exchanging(&issuer, &store).build();
    let early = other.resolve_at(&token, after(1)).await.unwrap_err();
    assert_eq!(early.label(), "exchange_unavailable");
    let other = exchanging(&issuer, &store).build();
    assert_eq!(
        other.resolve_at(&token, after(5)).await.unwrap_err(),
        expired
    );
    assert_eq!(exchanges(&issuer), 1);
}

#[tokio::test]
async fn a_stored_token_of_one_api_is_not_used_for_another() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let facts = Arc::new(MemoryFacts::default());
    let mut elsewhere = config(&issuer);
    elsewhere.audience = Some("https://other.example.com".to_owned());
    let mut narrower = config(&issuer);
    narrower.scopes = vec!["read".to_owned()];
    let mut moved = config(&issuer);
    moved.sent_to = Some("https://moved.example.com".to_owned());
    let mut seen = Vec::new();
    for config in [config(&issuer), elsewhere, narrower, moved, config(&issuer)] {
        let exchange = TokenExchange::new(config, http_client()).unwrap();
        let tiers = instance(&issuer, &store).exchange_leases(facts.clone());
        let tiers = tiers.upstream(issuer.url(), exchange).build();
        let resolved = tiers.resolve(&token).await.unwrap();
        seen.push(upstream_of(&resolved).expose().to_owned());
        tiers.flush(SOON).await;
        assert_eq!(exchanges(&issuer), seen.len());
    }
}
