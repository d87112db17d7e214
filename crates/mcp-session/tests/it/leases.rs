//! One exchange for all instances, and what happens when its instance refuses or leaves.

use std::{sync::Arc, time::SystemTime};

use futures::future::join_all;
use mcp_auth::{Asker, AuthError, ForbiddenReason};
use mcp_session::{MemoryFacts, SessionTiersBuilder};
use mcp_test_support::{ExchangeAnswer, Gate};

use crate::{
    upstream::{SOON, exchanger, exchanges, exchanging, refuse, upstream_of},
    world::{TestStore, token_of},
};

#[tokio::test]
async fn instances_that_meet_a_token_at_once_exchange_it_once() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let facts = Arc::new(MemoryFacts::default());
    let fleet: Vec<_> = (0..4)
        .map(|_| exchanging(&issuer, &store).exchange_leases(facts.clone()))
        .map(SessionTiersBuilder::build)
        .collect();
    let token = token_of(&issuer, "ada");
    let gate = Gate::closed();
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    let calls = fleet.iter().cycle().take(80);
    let calls = join_all(calls.map(|tiers| tiers.resolve(&token)));
    let (all, ()) = tokio::join!(calls, async {
        let asked = issuer.exchanges().wait_until(|it| !it.is_empty(), SOON);
        assert!(asked.await);
        gate.open();
    });
    let first = upstream_of(all[0].as_ref().unwrap());
    for resolved in &all {
        assert_eq!(
            upstream_of(resolved.as_ref().unwrap()).expose(),
            first.expose()
        );
    }
    assert_eq!(exchanges(&issuer), 1);
    // The API refuses it everywhere at once: another one for all.
    let now = SystemTime::now();
    let renewed = fleet
        .iter()
        .map(|it| it.upstream_token_at(&token, Asker::UNKNOWN, Some(first.expose()), now));
    let renewed: Vec<_> = join_all(renewed)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_ne!(renewed[0].expose(), first.expose());
    assert!(renewed.iter().all(|it| it.expose() == renewed[0].expose()));
    assert_eq!(exchanges(&issuer), 2);
}

#[tokio::test]
async fn a_lease_is_given_back_after_a_refusal_and_kept_for_one_who_left() {
    let (issuer, store) = (exchanger().await, TestStore::new());
    let facts = Arc::new(MemoryFacts::default());
    let build = || {
        exchanging(&issuer, &store)
            .exchange_leases(facts.clone())
            .build()
    };
    let (one, other) = (build(), build());
    let token = token_of(&issuer, "ada");
    refuse(&issuer, "access_denied");
    let denied = AuthError::from(ForbiddenReason::UpstreamDenied);
    for tiers in [&one, &other] {
        assert_eq!(tiers.resolve(&token).await.unwrap_err(), denied);
    }
    assert_eq!(
        exchanges(&issuer),
        2,
        "nobody waits for a lease that is over"
    );
    let (gate, token) = (Gate::closed(), token_of(&issuer, "bob"));
    issuer.answer_exchanges(ExchangeAnswer::Held(gate.clone()));
    let left = one.resolve(&token);
    tokio::select! {
        _ = left => unreachable!("the gate is closed"),
        asked = issuer.exchanges().wait_until(|it| it.len() == 3, SOON) => assert!(asked),
    }
    let (resolved, ()) = tokio::join!(other.resolve(&token), async { gate.open() });
    assert!(upstream_of(&resolved.unwrap()).expires_at() > SystemTime::now());
    assert_eq!(exchanges(&issuer), 3, "its work went on");
}
