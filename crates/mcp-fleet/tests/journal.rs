//! The write journal between instances: over one store in memory, on paused time, and over Redis.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test should stop where its world is not as expected"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcp_fleet::{Begun, Intent, Journal, JournalConfig, ReadBack, Replay, WithoutStore, Write};
use mcp_session::{FactStore, Keyring, MemoryFacts, RedisConfig, RedisStore};
use mcp_test_support::RedisServer;
use tokio::{task::JoinSet, time};

const ADA: &[&str] = &["https://issuer.test", "ada", "org_1"];
const IDEA: &[u8] = b"{\"message\":\"an idea\"}";

fn idea() -> Write<'static> {
    Write::new(ADA, "create", IDEA)
}

/// Two instances over one store.
fn two() -> (Journal, Journal) {
    let (store, keyring) = (
        Arc::new(MemoryFacts::default()),
        Arc::new(Keyring::random()),
    );
    let instance = || {
        let config = JournalConfig::default();
        Journal::shared(store.clone(), Arc::clone(&keyring), config)
    };
    (instance(), instance())
}

async fn send(journal: &Journal, write: &Write<'_>) -> Intent {
    match journal.begin(write).await.unwrap() {
        Begun::Send(intent) => intent,
        other => panic!("to be sent, not {other:?}"),
    }
}

async fn replay(journal: &Journal, write: &Write<'_>) -> Replay {
    match journal.begin(write).await.unwrap() {
        Begun::Replay(replay) => replay,
        other => panic!("to be replayed, not {other:?}"),
    }
}

async fn read_back(journal: &Journal, write: &Write<'_>) -> ReadBack {
    match journal.begin(write).await.unwrap() {
        Begun::ReadBack(read_back) => read_back,
        other => panic!("to be read back, not {other:?}"),
    }
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn the_same_again_gets_the_first_answer_on_any_instance_until_the_window_is_over() {
    let (one, other) = two();
    send(&one, &idea()).await.done(Some("REQ-1")).await;
    for journal in [&one, &other] {
        let replay = replay(journal, &idea()).await;
        assert_eq!(replay.answer.as_deref(), Some("REQ-1"));
        assert!(!replay.joined);
    }
    assert_eq!(
        (get(&one.stats().replayed), get(&one.stats().joined)),
        (1, 0)
    );
    time::advance(Duration::from_mins(15)).await;
    send(&other, &idea()).await;
}

#[tokio::test]
async fn another_caller_tool_or_argument_is_another_write() {
    let (one, _) = two();
    send(&one, &idea()).await.done(None).await;
    let (bob, org) = (
        ["https://issuer.test", "bob", "org_1"],
        ["https://issuer.test", "ada", "org_2"],
    );
    // No two lists of parts run into one.
    let glued = ["https://issuer.test", "adaorg_1", ""];
    for write in [
        Write::new(&bob, "create", IDEA),
        Write::new(&org, "create", IDEA),
        Write::new(&glued, "create", IDEA),
        Write::new(ADA, "capture", IDEA),
        Write::new(ADA, "create", b"{}"),
    ] {
        send(&one, &write).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_it_runs_waits_for_it_on_any_instance() {
    let (one, other) = two();
    for replays in [true, false] {
        let write = Write { replays, ..idea() };
        let intent = send(&one, &write).await;
        let mut waiting = JoinSet::new();
        for journal in [one.clone(), other.clone()] {
            waiting.spawn(async move {
                let replay = replay(&journal, &write).await;
                assert!(replay.joined);
                replay.answer.unwrap()
            });
        }
        // Longer than a silent one is waited for: it says that it lives.
        time::sleep(Duration::from_mins(1)).await;
        assert_eq!(waiting.try_join_next().map(Result::unwrap), None);
        intent.done(Some("REQ-1")).await;
        assert_eq!(waiting.join_all().await, ["REQ-1", "REQ-1"]);
        time::advance(Duration::from_mins(15)).await;
    }
}

#[tokio::test]
async fn a_change_there_and_back_is_as_many_changes() {
    let (one, other) = two();
    let change = Write {
        replays: false,
        ..idea()
    };
    send(&one, &change).await.done(Some("B")).await;
    send(&other, &change).await.done(Some("B again")).await;
    // Unless the client says that it means the same one.
    let keyed = Write {
        key: Some("k-1"),
        ..change
    };
    send(&one, &keyed).await.done(Some("B")).await;
    assert_eq!(replay(&other, &keyed).await.answer.as_deref(), Some("B"));
}

#[tokio::test]
async fn a_key_stands_for_one_write_of_one_caller() {
    let (one, other) = two();
    let keyed = Write {
        key: Some("k-1"),
        ..idea()
    };
    send(&one, &keyed).await.done(Some("REQ-1")).await;
    for write in [
        Write {
            arguments: b"{}",
            ..keyed
        },
        Write {
            tool: "capture",
            ..keyed
        },
    ] {
        let begun = other.begin(&write).await.unwrap();
        assert!(matches!(begun, Begun::KeyReused), "{begun:?}");
    }
    let bob = ["https://issuer.test", "bob", "org_1"];
    send(
        &other,
        &Write {
            caller: &bob,
            ..keyed
        },
    )
    .await;
    send(
        &other,
        &Write {
            key: Some("k-2"),
            ..keyed
        },
    )
    .await;
}

#[tokio::test]
async fn what_was_surely_not_done_may_be_tried_again_at_once() {
    let (one, other) = two();
    send(&one, &idea()).await.release().await;
    send(&other, &idea()).await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_is_at_work_on_is_read_back_and_sent_again_only_when_it_cannot_arrive()
{
    let (one, other) = two();
    drop(send(&one, &idea()).await);
    // This process knows that nobody is; another one waits for a word first.
    let begun = time::Instant::now();
    let found = read_back(&other, &idea()).await;
    assert!(
        begun.elapsed() >= Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
    assert!(!found.settled);
    found.intent.unclear().await;
    let found = read_back(&one, &idea()).await;
    assert!(!found.settled);
    found.intent.resolved(Some("REQ-1")).await;
    assert_eq!(
        replay(&other, &idea()).await.answer.as_deref(),
        Some("REQ-1")
    );
    assert_eq!(
        (get(&other.stats().unknown), get(&one.stats().resolved)),
        (1, 1)
    );
}

#[tokio::test]
async fn when_the_first_request_cannot_arrive_any_more_the_same_may_be_sent_again() {
    let (store, keyring) = (
        Arc::new(MemoryFacts::default()),
        Arc::new(Keyring::random()),
    );
    let mut config = JournalConfig::default();
    // The wall clock tells, which no test can stop.
    config.skew = Duration::ZERO;
    let journal = Journal::shared(store, keyring, config);
    let write = Write {
        timeout: Duration::ZERO,
        ..idea()
    };
    drop(send(&journal, &write).await);
    assert!(
        !read_back(&journal, &write).await.settled,
        "30 s for what comes before"
    );
    // As if it were begun in another time.
    let mut found = read_back(&journal, &write).await;
    assert!(found.intent.renew().await);
    assert!(found.intent.may_send());
    found.intent.done(Some("REQ-2")).await;
    assert_eq!(
        replay(&journal, &write).await.answer.as_deref(),
        Some("REQ-2")
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_without_time_left_for_its_answer_or_by_who_was_overtaken() {
    let (one, other) = two();
    let intent = send(&one, &idea()).await;
    assert!(intent.may_send());
    time::advance(Duration::from_secs(31)).await;
    assert!(!intent.may_send(), "it may be sent for 30 s");
    drop(intent);
    let found = read_back(&one, &idea()).await;
    // Its process stands still, and another one reads back.
    let stolen = {
        let write = idea();
        let mut overtaking = JoinSet::new();
        overtaking.spawn(async move { other.begin(&write).await });
        overtaking
    };
    found.intent.resolved(Some("REQ-1")).await;
    let begun = stolen.join_all().await.remove(0).unwrap();
    assert!(matches!(begun, Begun::Replay(_)), "{begun:?}");
}

#[tokio::test]
async fn of_many_one_sends() {
    let server = RedisServer::start().await.unwrap();
    let keyring = Arc::new(Keyring::random());
    let sent = Arc::new(AtomicUsize::new(0));
    let mut all = JoinSet::new();
    for _ in 0..8 {
        let config = RedisConfig::parse(&server.url()).unwrap();
        let store: Arc<dyn FactStore> = Arc::new(RedisStore::new(config).unwrap());
        let journal = Journal::shared(store, Arc::clone(&keyring), JournalConfig::default());
        for _ in 0..4 {
            let (journal, sent) = (journal.clone(), Arc::clone(&sent));
            all.spawn(async move {
                match journal.begin(&idea()).await.unwrap() {
                    Begun::Send(intent) => {
                        sent.fetch_add(1, Ordering::SeqCst);
                        intent.done(Some("REQ-1")).await;
                    }
                    Begun::Replay(replay) => assert_eq!(replay.answer.as_deref(), Some("REQ-1")),
                    other => panic!("{other:?}"),
                }
            });
        }
    }
    all.join_all().await;
    assert_eq!(sent.load(Ordering::SeqCst), 1);
    let kept = server.keys_and_values().await.unwrap();
    assert_eq!(kept.len(), 1);
    for (name, value) in kept {
        let shown = format!("{name} {}", String::from_utf8_lossy(&value));
        assert!(
            !shown.contains("REQ-1") && !shown.contains("ada"),
            "sealed, under a keyed name"
        );
    }
}

#[tokio::test]
async fn a_journalled_write_takes_two_commands_of_the_store() {
    let server = RedisServer::start().await.unwrap();
    let config = RedisConfig::parse(&server.url()).unwrap();
    let store: Arc<dyn FactStore> = Arc::new(RedisStore::new(config).unwrap());
    let journal = Journal::shared(store, Arc::new(Keyring::random()), JournalConfig::default());
    send(&journal, &idea()).await.done(Some("REQ-1")).await;
    let sent = server.commandstats().await.unwrap();
    assert_eq!(sent.get("eval"), Some(&2), "{sent:?}");
}

#[tokio::test]
async fn without_the_store_each_instance_remembers_its_own_or_refuses() {
    let mut server = RedisServer::start().await.unwrap();
    let instance = |without_store| {
        let config = RedisConfig::parse(&server.url()).unwrap();
        let store: Arc<dyn FactStore> = Arc::new(RedisStore::new(config).unwrap());
        let mut config = JournalConfig::default();
        config.without_store = without_store;
        Journal::shared(store, Arc::new(Keyring::random()), config)
    };
    let (own, refusing) = (
        instance(WithoutStore::PerInstance),
        instance(WithoutStore::Refuse),
    );
    let begun_before = send(&own, &Write::new(ADA, "create", b"before")).await;
    server.kill();
    send(&own, &idea()).await.done(Some("REQ-1")).await;
    assert_eq!(replay(&own, &idea()).await.answer.as_deref(), Some("REQ-1"));
    assert_eq!(get(&own.stats().without_store), 1);
    // What the store does not hear of stays here.
    begun_before.done(Some("REQ-0")).await;
    let replayed = replay(&own, &Write::new(ADA, "create", b"before")).await;
    assert_eq!(replayed.answer.as_deref(), Some("REQ-0"));
    refusing.begin(&idea()).await.unwrap_err();
}

#[tokio::test]
async fn while_keys_are_rotated_a_write_is_the_same_under_both() {
    let store = Arc::new(MemoryFacts::default());
    let (old, new) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
    let instance = |current: &str, previous: &str| {
        let keyring = Keyring::from_hex(current, &[previous]).unwrap();
        Journal::shared(store.clone(), Arc::new(keyring), JournalConfig::default())
    };
    let (first, second) = (instance(&old, &new), instance(&new, &old));
    let keyed = Write {
        key: Some("k"),
        ..idea()
    };
    send(&first, &keyed).await.done(Some("REQ-1")).await;
    assert_eq!(
        replay(&second, &keyed).await.answer.as_deref(),
        Some("REQ-1")
    );
    send(&second, &idea()).await.done(Some("REQ-2")).await;
    assert_eq!(
        replay(&first, &idea()).await.answer.as_deref(),
        Some("REQ-2")
    );
}

#[tokio::test]
async fn a_long_answer_is_not_kept_but_that_it_was_done_is() {
    let (one, _) = two();
    send(&one, &idea())
        .await
        .done(Some(&"x".repeat(40_000)))
        .await;
    assert_eq!(replay(&one, &idea()).await.answer, None);
}
