//! Whatever happens on the way to the store, what comes again and again is made once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use mcp_fleet::{Begun, Intent, Journal, WithoutStore};
use mcp_session::StoreError;
use tokio::{task::JoinSet, time};

use crate::world::{Fault, Fleet, Way, idea};

/// Numbers that are the same in every run.
struct Chance(AtomicU64);

impl Chance {
    fn below(&self, end: u64) -> u64 {
        let next = self
            .0
            .load(Ordering::SeqCst)
            .wrapping_mul(6_364_136_223_846_793_005);
        let next = next.wrapping_add(1_442_695_040_888_963_407);
        self.0.store(next, Ordering::SeqCst);
        (next >> 33) % end
    }

    fn seconds(&self, end: u64) -> Duration {
        Duration::from_millis(self.below(end * 1_000))
    }

    /// One command in four does not arrive, or its answer does not.
    fn faults(&self, way: &Way) {
        way.next((0..20).map(|_| match self.below(8) {
            0 => Some(Fault::Fail(StoreError::Timeout)),
            1 => Some(Fault::Lose),
            _ => None,
        }));
    }
}

/// Sends the request, if it may leave; it arrives within its timeout, whoever still waits.
async fn request(intent: Intent, chance: &Chance, made: &Arc<AtomicU32>) {
    time::sleep(chance.seconds(40)).await;
    if !intent.may_send() {
        return drop(intent);
    }
    if chance.below(5) == 0 {
        return intent.release().await;
    }
    let (made, arrives) = (Arc::clone(made), chance.seconds(30));
    let arrival = tokio::spawn(async move {
        time::sleep(arrives).await;
        made.fetch_add(1, Ordering::SeqCst);
    });
    let patience = chance.seconds(30);
    time::sleep(patience.min(arrives)).await;
    match chance.below(3) {
        0 => drop(intent),
        _ if patience < arrives => intent.unclear().await,
        _ => {
            arrival.await.unwrap();
            intent.done(Some("REQ-1"), true).await;
        }
    }
}

async fn call(journal: &Journal, chance: &Chance, made: &Arc<AtomicU32>) {
    match journal.begin(&idea()).await {
        Ok(Begun::Send(intent)) => request(intent, chance, made).await,
        Ok(Begun::ReadBack(mut found)) => {
            let there = made.load(Ordering::SeqCst) > 0;
            time::sleep(chance.seconds(5)).await;
            if there {
                found.intent.resolved(Some("REQ-1"), true).await;
            } else if found.intent.send_again().await {
                request(found.intent, chance, made).await;
            } else {
                found.intent.unclear().await;
            }
        }
        Ok(Begun::Replay(_)) => assert!(made.load(Ordering::SeqCst) > 0, "it was done"),
        Ok(begun) => panic!("{begun:?}"),
        Err(_) => time::sleep(Duration::from_secs(1)).await,
    }
}

#[test]
fn what_comes_again_and_again_is_made_once() {
    let mut all = 0;
    for seed in 0..100 {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let made = Arc::new(AtomicU32::new(0));
        runtime.block_on(async {
            let mut fleet = Fleet::new(WithoutStore::Refuse);
            fleet.config.window = Duration::from_hours(24);
            let mut clients = JoinSet::new();
            for instance in 0..3 {
                let (journal, way) = fleet.instance();
                for client in 0..2 {
                    let chance = Chance(AtomicU64::new(seed * 100 + instance * 10 + client));
                    let (journal, way, made) = (journal.clone(), Arc::clone(&way), made.clone());
                    clients.spawn(async move {
                        for _ in 0..20 {
                            chance.faults(&way);
                            time::sleep(chance.seconds(20)).await;
                            // A client may go while its call is waited for.
                            let patience = chance.seconds(300);
                            drop(time::timeout(patience, call(&journal, &chance, &made)).await);
                        }
                    });
                }
            }
            clients.join_all().await;
        });
        let made = made.load(Ordering::SeqCst);
        assert!(made <= 1, "seed {seed}: made {made} times");
        all += made;
    }
    assert!(all > 80, "only {all} of 100 were ever made");
}
