//! A session that is forgotten while it is on its way: whoever waits for it is served, and it is neither
//! in memory nor in the store afterwards, nor is the token that was exchanged for it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use futures::future::join_all;
use mcp_auth::AccessToken;
use mcp_session::{MemoryFacts, MemoryStore, SessionTiers, SharedStore, Tier};
use mcp_test_support::{ExchangeAnswer, Gate, Issuer};

use crate::{
    upstream::{OVER, SOON, exchange, exchanger, exchanges, exchanging, upstream_of},
    world::{TestStore, eventually, first_ring, token_of, verifier},
};

/// Instances on one store that share their exchanges, or not.
fn fleet(issuer: &Issuer, store: &Arc<MemoryStore>, leases: bool) -> [SessionTiers; 2] {
    let facts = Arc::new(MemoryFacts::default());
    [(); 2].map(|()| {
        let tiers = SessionTiers::builder(verifier(issuer), first_ring(), store.clone());
        let tiers = tiers.upstream(issuer.url(), exchange(issuer));
        if leases {
            tiers.exchange_leases(facts.clone()).build()
        } else {
            tiers.build()
        }
    })
}

async fn is_stored(store: &MemoryStore, token: &AccessToken) -> bool {
    let name = first_ring().session_key(token).to_string();
    store.get(&name).await.unwrap().is_some()
}

#[tokio::test]
async fn a_session_that_is_forgotten_while_it_begins_is_kept_nowhere() {
    for leases in [false, true] {
        for elsewhere in [false, true] {
            let issuer = exchanger().await;
            let store = Arc::new(MemoryStore::default());
            let [one, other] = fleet(&issuer, &store, leases);
            // Both listen from their first session on.
            for tiers in [&one, &other] {
                tiers.resolve(&token_of(&issuer, "bob")).await.unwrap();
            }
            let before = exchanges(&issuer);
            let token = token_of(&issuer, "ada");
            let gate = Gate::closed();
            issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
            let calls = join_all((0..5).map(|_| one.resolve(&token)));
            let (calls, ()) = tokio::join!(calls, async {
                let asked = issuer.exchanges();
                assert!(asked.wait_until(|it| it.len() > before, SOON).await);
                let forgetting = if elsewhere { &other } else { &one };
                forgetting.forget(&token).await.unwrap();
                // A message that was sent later has come: so has this one, also to its sender.
                heard(&issuer, &other, &one).await;
                gate.open();
            });
            let first = upstream_of(calls[0].as_ref().unwrap());
            assert!(calls.iter().all(Result::is_ok), "they had begun before");
            for tiers in [&one, &other] {
                assert_eq!(tiers.flush(SOON).await, 0);
            }
            assert!(!is_stored(&store, &token).await);
            let again = one.resolve(&token).await.unwrap();
            assert_eq!(again.tier, Tier::Verification, "{leases} {elsewhere}");
            assert_ne!(upstream_of(&again).expose(), first.expose());
            one.flush(SOON).await;
            assert!(is_stored(&store, &token).await, "it began afterwards");
            let kept = one.resolve(&token).await.unwrap();
            assert_eq!(kept.tier, Tier::Memory);
        }
    }
}

/// Completes when what `sender` has published until now was heard by `listener`.
async fn heard(issuer: &Issuer, sender: &SessionTiers, listener: &SessionTiers) {
    issuer.answer_exchanges(ExchangeAnswer::Right);
    let token = token_of(issuer, "eve");
    listener.resolve(&token).await.unwrap();
    sender.forget(&token).await.unwrap();
    eventually("it is heard", async || {
        listener.resolve(&token).await.unwrap().tier != Tier::Memory
    })
    .await;
}

#[tokio::test]
async fn what_goes_on_when_nobody_waits_is_forgotten_too() {
    let issuer = exchanger().await;
    // It hands no messages on: what is begun afterwards is not forgotten by one that comes late.
    let store = TestStore::new();
    let facts = Arc::new(MemoryFacts::default());
    let tiers = exchanging(&issuer, &store).exchange_leases(facts);
    let tiers = tiers.build();
    let token = token_of(&issuer, "ada");
    let gate = Gate::closed();
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    let asked = issuer.exchanges();
    tokio::select! {
        _ = tiers.resolve(&token) => unreachable!("the gate is closed"),
        asked = asked.wait_until(|it| it.len() == 1, SOON) => assert!(asked),
    }
    tiers.forget(&token).await.unwrap();
    issuer.answer_exchanges(ExchangeAnswer::Right);
    let newer = tiers.resolve(&token).await.unwrap();
    assert_eq!(exchanges(&issuer), 2, "not the one from before");
    gate.open();
    let held = tiers.resolve(&token).await.unwrap();
    assert_eq!(held.session, newer.session);
    tiers.flush(SOON).await;
    let fresh = exchanging(&issuer, &store).build();
    let stored = fresh.resolve(&token).await.unwrap();
    assert_eq!(upstream_of(&stored).expose(), upstream_of(&newer).expose());
    assert_eq!(exchanges(&issuer), 2);
}

#[tokio::test]
async fn a_session_that_is_forgotten_while_its_token_is_replaced_stays_forgotten() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let tiers = exchanging(&issuer, &store).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    tiers.resolve_at(&token, now).await.unwrap();
    let gate = Gate::closed();
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    let renewing = tiers.resolve_at(&token, now + OVER);
    let (renewed, ()) = tokio::join!(renewing, async {
        let asked = issuer.exchanges().wait_until(|it| it.len() == 2, SOON);
        assert!(asked.await);
        tiers.forget(&token).await.unwrap();
        gate.open();
    });
    assert!(renewed.is_ok(), "this request had begun before");
    tiers.flush(SOON).await;
    let name = first_ring().session_key(&token).to_string();
    assert_eq!(store.get(&name).await.unwrap(), None);
    let puts = store.puts.load(Ordering::SeqCst);
    assert_eq!(
        tiers.resolve(&token).await.unwrap().tier,
        Tier::Verification
    );
    tiers.flush(SOON).await;
    assert_eq!(store.puts.load(Ordering::SeqCst), puts + 1);
}

#[tokio::test]
async fn a_renewal_that_ends_late_leaves_the_session_of_a_newer_login_alone() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let lifetime = Duration::from_mins(20);
    let tiers = exchanging(&issuer, &store).max_lifetime(lifetime).build();
    let (token, now) = (token_of(&issuer, "ada"), SystemTime::now());
    tiers.resolve_at(&token, now).await.unwrap();
    let gate = Gate::closed();
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    let renewing = tiers.resolve_at(&token, now + OVER);
    let (renewed, newer) = tokio::join!(renewing, async {
        let asked = issuer.exchanges().wait_until(|it| it.len() == 2, SOON);
        assert!(asked.await);
        tiers.forget(&token).await.unwrap();
        issuer.answer_exchanges(ExchangeAnswer::Right);
        let newer = tiers.resolve_at(&token, now + OVER).await.unwrap();
        gate.open();
        newer
    });
    assert!(renewed.is_ok(), "this request had begun before");
    let held = tiers.resolve_at(&token, now + OVER).await.unwrap();
    assert_eq!(held.session, newer.session);
    assert_eq!(held.session.expires_at(), now + OVER + lifetime);
    tiers.flush(SOON).await;
    let other = exchanging(&issuer, &store).max_lifetime(lifetime).build();
    let stored = other.resolve_at(&token, now + OVER).await.unwrap();
    assert_eq!(upstream_of(&stored).expose(), upstream_of(&newer).expose());
}
