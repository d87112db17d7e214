//! The store is away, or was: what a process knows by itself, and what the others hear later.

use std::{sync::Arc, time::Duration};

use mcp_fleet::{Begun, Journal, JournalConfig, WithoutStore, Write};
use mcp_session::{FactStore, Keyring, RedisConfig, RedisStore, StoreError};
use mcp_test_support::RedisServer;
use tokio::time;

use crate::world::{
    ADA, BOTH, Fault, Fleet, change, get, idea, kept, read_back, replay, send, settle,
};

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
    send(&own, &idea()).await.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&own, &idea()).await, "REQ-1");
    assert!(get(&own.stats().without_store) > 0);
    // What the store does not hear of stays here.
    begun_before.done(Some("REQ-0"), true).await;
    let before = Write::new(ADA, "create", b"before");
    assert_eq!(kept(&own, &before).await, "REQ-0");
    refusing.begin(&idea()).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn what_the_store_knew_of_this_instance_the_instance_knows_without_it() {
    let (one, way) = Fleet::new(WithoutStore::PerInstance).instance();
    let other = |text: &'static [u8]| Write::new(ADA, "create", text);
    send(&one, &idea()).await.done(Some("REQ-1"), true).await;
    send(&one, &other(b"unclear")).await.unclear().await;
    drop(send(&one, &other(b"dropped")).await);
    send(&one, &other(b"refused")).await.release().await;
    settle().await;
    way.cut();
    assert_eq!(kept(&one, &idea()).await, "REQ-1");
    for write in [other(b"unclear"), other(b"dropped")] {
        let found = read_back(&one, &write).await;
        assert!(!found.settled);
        found.intent.resolved(Some("REQ-2"), true).await;
        assert_eq!(kept(&one, &write).await, "REQ-2");
    }
    drop(send(&one, &other(b"refused")).await);
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_is_forgotten_without_the_store_too() {
    let (one, way) = Fleet::new(WithoutStore::PerInstance).instance();
    send(&one, &idea()).await.done(Some("REQ-1"), true).await;
    let version = replay(&one, &idea()).await.version;
    way.cut();
    one.forget(&idea(), version).await;
    send(&one, &idea()).await.done(Some("REQ-2"), true).await;
    let version = replay(&one, &idea()).await.version;
    one.forget(&idea(), version).await;
    drop(send(&one, &idea()).await);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_store_did_not_hear_is_told_again() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
        for write in [idea(), change()] {
            let intent = send(&one, &write).await;
            way.next([Some(Fault::Fail(StoreError::Timeout))]);
            intent.done(Some("REQ-1"), false).await;
            time::sleep(Duration::from_secs(1)).await;
            match other.begin(&write).await.unwrap() {
                Begun::Replay(replay) => assert_eq!(replay.kept.as_deref(), Some("REQ-1")),
                Begun::ReadBack(found) => assert!(found.settled && !write.replays),
                begun => panic!("{begun:?}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_began_without_the_store_is_told_to_it_when_it_is_back() {
    let fleet = Fleet::new(WithoutStore::PerInstance);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    way.cut();
    let intent = send(&one, &idea()).await;
    send(&one, &change()).await.done(Some("B"), true).await;
    way.mend();
    intent.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-1");
}

/// It missed its beats, and another one read back in vain.
#[tokio::test(start_paused = true)]
async fn who_knows_that_it_was_done_says_so_over_who_does_not() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    let intent = send(&one, &idea()).await;
    way.cut();
    read_back(&other, &idea()).await.intent.unclear().await;
    way.mend();
    intent.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-1");
}

/// One instance alone must not decide about a change while the others have the store.
#[tokio::test(start_paused = true)]
async fn a_change_is_begun_in_the_store_whenever_that_is_there() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
        let intent = send(&one, &change()).await;
        way.cut();
        intent.done(Some("B"), true).await;
        // Longer than it is told again.
        time::sleep(Duration::from_mins(2)).await;
        way.mend();
        match one.begin(&change()).await.unwrap() {
            Begun::Send(intent) => intent.unclear().await,
            Begun::ReadBack(found) => found.intent.unclear().await,
            begun => panic!("{begun:?}"),
        }
        read_back(&other, &change()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_does_not_fit_is_kept_without_its_text() {
    let (one, way) = Fleet::new(WithoutStore::Refuse).instance();
    let intent = send(&one, &idea()).await;
    way.next([Some(Fault::Fail(StoreError::Full))]);
    intent.done(Some("REQ-1"), true).await;
    assert_eq!(replay(&one, &idea()).await.kept, None);
}
