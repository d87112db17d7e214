//! Budgets of several instances: nobody is let through for nothing, and hardly anybody asks the store.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use mcp_fleet::{Counted, Limited, Limits, Scope, Spending, WithoutStore};
use mcp_session::{FactStore, Keyring, Rate, RedisConfig, RedisStore, StoreError};
use mcp_test_support::RedisServer;
use tokio::{
    sync::Notify,
    time::{Instant, advance},
};

use crate::world::{Fault, Fleet, Way, get, settle};

const MINUTE: Duration = Duration::from_mins(1);

const ADA: Counted<'static> = Counted {
    scope: Scope::User,
    of: &["https://issuer.test", "ada"],
    organization: Some("org_1"),
};

const HER_TENANT: Counted<'static> = Counted {
    scope: Scope::Tenant,
    of: &["org_1"],
    organization: Some("org_1"),
};

/// Instances over one store, in which each budget has this size.
fn instances(count: usize, rate: Rate) -> (Vec<Limits>, Vec<Arc<Way>>) {
    let fleet = Fleet::new(WithoutStore::PerInstance);
    let ways: Vec<_> = (0..count).map(|_| fleet.way()).collect();
    let limits = ways.iter().map(|way| {
        let way: Arc<dyn FactStore> = way.clone();
        Limits::shared(way, fleet.keyring(), move |_, _| Some(rate))
    });
    (limits.collect(), ways)
}

/// Each has counted the others.
async fn acquainted(instances: &[Limits]) {
    let stranger = Counted {
        of: &["https://issuer.test", "somebody"],
        ..ADA
    };
    for wait in [Duration::ZERO, Duration::from_secs(30)] {
        advance(wait).await;
        for limits in instances {
            let _ = limits.spend(&[stranger]).done().await;
            settle().await;
        }
    }
    for limits in instances {
        assert_eq!(limits.instances(), u64::try_from(instances.len()).ok());
    }
}

async fn spend(limits: &Limits) -> Result<(), Limited> {
    limits.spend(&[ADA]).done().await
}

/// Spends until it is refused; how often it was not.
async fn all_of_it(limits: &Limits, most: u64) -> u64 {
    for spent in 0..most {
        if spend(limits).await.is_err() {
            return spent;
        }
    }
    most
}

fn within_five_percent(spent: u64, limit: u64) {
    let (least, most) = (limit - limit / 20, limit + limit / 20);
    assert!((least..=most).contains(&spent), "{spent} of {limit}");
}

#[tokio::test(start_paused = true)]
async fn instances_share_one_budget_within_five_percent() {
    for count in [2, 3, 10] {
        for limit in [100, 1_200, 20_000] {
            let (all, _) = instances(count, Rate::new(limit, MINUTE));
            acquainted(&all).await;
            // At once.
            let spent: u64 = join_all(all.iter().map(|it| all_of_it(it, limit)))
                .await
                .iter()
                .sum();
            within_five_percent(spent, limit);
            // What comes back, too: half of it in half of the time.
            advance(MINUTE / 2).await;
            let again: u64 = join_all(all.iter().map(|it| all_of_it(it, limit)))
                .await
                .iter()
                .sum();
            within_five_percent(spent + again, limit * 3 / 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn instances_that_knew_of_a_full_budget_exceed_it_by_five_percent_at_most() {
    for limit in [100, 1_200, 20_000] {
        let (all, _) = instances(4, Rate::new(limit, Rate::LONGEST));
        acquainted(&all).await;
        // One takes nearly all, then the others come, each with what it knew before.
        let first = all_of_it(&all[0], limit * 19 / 20).await;
        assert_eq!(first, limit * 19 / 20);
        let rest: u64 = join_all(all.iter().map(|it| all_of_it(it, limit)))
            .await
            .iter()
            .sum();
        within_five_percent(first + rest, limit);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_share_a_budget_in_redis() {
    const LIMIT: u64 = 100;
    let server = RedisServer::start().await.unwrap();
    let keyring = Arc::new(Keyring::random());
    let instance = |_| {
        let config = RedisConfig::parse(&server.url()).unwrap();
        let store: Arc<dyn FactStore> = Arc::new(RedisStore::new(config).unwrap());
        // Nothing comes back while the test runs.
        let rate = Rate::new(LIMIT, Rate::LONGEST);
        Limits::shared(store, Arc::clone(&keyring), move |_, _| Some(rate))
    };
    let all: Vec<_> = (0..3).map(instance).collect();
    let spent = Arc::new(AtomicU64::new(0));
    // Many at a time on each.
    let callers = all
        .iter()
        .flat_map(|limits| (0..12).map(move |_| limits.clone()));
    let callers = callers.map(|limits| {
        let spent = Arc::clone(&spent);
        tokio::spawn(async move {
            spent.fetch_add(all_of_it(&limits, LIMIT).await, Ordering::SeqCst);
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    within_five_percent(get(&spent), LIMIT);
    let told: u64 = all.iter().map(|it| get(&it.stats().told)).sum();
    let commands = server.commandstats().await.unwrap();
    // Each instance counts the others by a script.
    assert!(commands["eval"] <= told + 2 * 3, "{commands:?}");
    for (name, value) in server.keys_and_values().await.unwrap() {
        let shown = format!("{name} {}", String::from_utf8_lossy(&value));
        assert!(
            !shown.contains("ada") && !shown.contains("issuer"),
            "{shown}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_under_its_limit_asks_nothing_and_waits_for_nobody() {
    let (all, ways) = instances(3, Rate::new(1_200, MINUTE));
    acquainted(&all).await;
    let (limits, way) = (&all[0], &ways[0]);
    let before = way.commands();
    for _ in 0..17 {
        assert!(matches!(limits.spend(&[ADA]), Spending::Known(Ok(()))));
        settle().await;
    }
    assert_eq!(way.commands(), before, "a twentieth by three instances");
    for _ in 0..583 {
        assert!(matches!(limits.spend(&[ADA]), Spending::Known(Ok(()))));
        settle().await;
    }
    let commands = way.commands() - before;
    assert!(commands <= 60, "{commands} for half of the budget");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_over_the_limit_is_told_when_to_come_again_and_asks_nothing() {
    let (all, ways) = instances(1, Rate::new(60, MINUTE));
    acquainted(&all).await;
    all_of_it(&all[0], 100).await;
    settle().await;
    let before = ways[0].commands();
    for _ in 0..10_000 {
        let limited = spend(&all[0]).await.unwrap_err();
        assert_eq!((limited.scope, limited.seconds()), (Scope::User, 1));
    }
    assert_eq!(ways[0].commands(), before);
    advance(spend(&all[0]).await.unwrap_err().retry_after).await;
    spend(&all[0]).await.unwrap();
    spend(&all[0]).await.unwrap_err();
    let limited = all[0]
        .stats()
        .by_scope()
        .find(|(scope, _)| *scope == Scope::User);
    assert_eq!(limited.unwrap().1, 10_003);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_one_budget_refuses_is_counted_in_none() {
    for shared in [true, false] {
        let rates = |scope, _: Option<&str>| {
            let limit = if scope == Scope::User { 3 } else { 10 };
            Some(Rate::new(limit, Rate::LONGEST))
        };
        let fleet = Fleet::new(WithoutStore::PerInstance);
        let limits = if shared {
            Limits::shared(fleet.way(), fleet.keyring(), rates)
        } else {
            Limits::in_process(rates)
        };
        for _ in 0..50 {
            let _ = limits.spend(&[HER_TENANT, ADA]).done().await;
            settle().await;
        }
        let bob = Counted {
            of: &["https://issuer.test", "bob"],
            ..ADA
        };
        for _ in 0..3 {
            limits.spend(&[HER_TENANT, bob]).done().await.unwrap();
        }
        let refused = limits.spend(&[HER_TENANT, bob]).done().await.unwrap_err();
        assert_eq!(refused.scope, Scope::User);
        let mut rest = 0;
        while limits.spend(&[HER_TENANT]).done().await.is_ok() {
            rest += 1;
        }
        assert_eq!(rest, 10 - 3 - 3, "shared: {shared}");
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_each_instance_has_its_share() {
    let (all, ways) = instances(3, Rate::new(300, MINUTE));
    acquainted(&all).await;
    for way in &ways {
        way.cut();
    }
    for limits in &all {
        let spent = all_of_it(limits, 1_000).await;
        assert!((100..=105).contains(&spent), "{spent}");
    }
    // Looking whether it is back lets nobody through.
    for _ in 0..10 {
        advance(Duration::from_millis(1_001)).await;
        let spent: u64 = join_all(all.iter().map(|it| all_of_it(it, 1_000)))
            .await
            .iter()
            .sum();
        assert!(
            (3..=9).contains(&spent),
            "what comes back in a second: {spent}"
        );
    }
    // It comes back: what was spent meanwhile is told, and what came back since can be spent.
    for way in &ways {
        way.mend();
    }
    advance(MINUTE / 2).await;
    let spent: u64 = join_all(all.iter().map(|it| all_of_it(it, 1_000)))
        .await
        .iter()
        .sum();
    assert!((140..=165).contains(&spent), "{spent}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_never_saw_the_store_has_all_of_the_budget() {
    let (all, ways) = instances(1, Rate::new(100, MINUTE));
    ways[0].cut();
    let spent = all_of_it(&all[0], 1_000).await;
    assert!((100..=105).contains(&spent), "{spent}");
    assert_eq!(all[0].instances(), None);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_late_refuses_nobody() {
    // So little that the store is asked before.
    let (all, ways) = instances(1, Rate::new(10, MINUTE));
    let told = Arc::new(Notify::new());
    ways[0].always(Some(Fault::Late(told)));
    let begun = Instant::now();
    spend(&all[0]).await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_millis(500));
    assert_eq!(get(&all[0].stats().alone), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_who_left_was_granted_is_somebody_elses() {
    let (all, ways) = instances(1, Rate::new(2, Rate::LONGEST));
    acquainted(&all).await;
    let told = Arc::new(Notify::new());
    ways[0].next([Some(Fault::Late(Arc::clone(&told)))]);
    let asked = all[0].spend(&[ADA]);
    assert!(matches!(asked, Spending::Asked(_)));
    settle().await;
    drop(asked);
    told.notify_one();
    settle().await;
    assert_eq!(all_of_it(&all[0], 10).await, 2);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_once_is_asked_again_in_a_second() {
    let (all, ways) = instances(1, Rate::new(10, MINUTE));
    acquainted(&all).await;
    ways[0].next([Some(Fault::Fail(StoreError::Timeout))]);
    spend(&all[0]).await.unwrap();
    settle().await;
    let before = ways[0].commands();
    spend(&all[0]).await.unwrap();
    settle().await;
    assert_eq!(ways[0].commands(), before);
    advance(Duration::from_millis(1_001)).await;
    spend(&all[0]).await.unwrap();
    settle().await;
    assert_eq!(ways[0].commands(), before + 1);
}
