//! Writes that nobody is at work on any more: read back, and sent again when that is safe.

use std::time::Duration;

use mcp_fleet::{Begun, WithoutStore, Write};
use mcp_session::FactStore as _;
use tokio::time;

use crate::world::{
    BOTH, Fleet, change, get, idea, kept, read_back, send, settle, two, wall_clock_ahead,
};

/// When the request of [`idea`] cannot arrive any more: 30 s to begin, twice its timeout, the skew.
const SETTLED: Duration = Duration::from_secs(151);

#[tokio::test(start_paused = true)]
async fn a_write_that_nobody_is_at_work_on_is_read_back() {
    let fleet = Fleet::new(WithoutStore::PerInstance);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    let dies = send(&one, &idea()).await;
    way.cut();
    let begun = time::Instant::now();
    let found = read_back(&other, &idea()).await;
    assert!(begun.elapsed() >= Duration::from_secs(15), "it may live");
    assert!(!found.settled);
    found.intent.unclear().await;
    drop(dies);
    way.mend();
    time::sleep(Duration::from_secs(5)).await;
    let found = read_back(&one, &idea()).await;
    assert!(!found.settled);
    found.intent.resolved(Some("REQ-1"), true).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-1");
    let unknown = get(&other.stats().unknown);
    assert_eq!((unknown, get(&one.stats().resolved)), (1, 1));
}

/// Each call gives up before a silent instance counts as gone, and the next one goes on watching.
#[tokio::test(start_paused = true)]
async fn who_never_waits_long_is_answered_all_the_same() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
        let _dies = send(&one, &idea()).await;
        way.cut();
        let patience = Duration::from_secs(10);
        let begun = time::timeout(patience, other.begin(&idea())).await;
        assert!(begun.is_err(), "it may live");
        let found = time::timeout(patience, read_back(&other, &idea())).await;
        assert!(!found.unwrap().settled);
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_back_sends_only_when_the_first_request_cannot_arrive_any_more() {
    let (one, other) = two();
    send(&one, &idea()).await.unclear().await;
    let mut found = read_back(&other, &idea()).await;
    assert!(!found.intent.may_send());
    assert!(!found.intent.send_again().await, "it may still arrive");
    assert!(!found.intent.may_send());
    // Refused before anything was sent: the first one may have been done all the same.
    found.intent.release().await;
    time::advance(SETTLED).await;
    let mut found = read_back(&other, &idea()).await;
    assert!(found.settled && !found.intent.may_send());
    assert!(found.intent.send_again().await);
    assert!(found.intent.may_send());
    found.intent.unclear().await;
    let again = read_back(&one, &idea()).await;
    assert!(!again.settled, "counted from when it was sent again");
    again.intent.resolved(Some("REQ-2"), true).await;
    assert_eq!(kept(&one, &idea()).await, "REQ-2");
}

#[tokio::test(start_paused = true)]
async fn who_was_overtaken_sends_nothing_again() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    send(&one, &idea()).await.unclear().await;
    time::advance(SETTLED).await;
    let mut slow = read_back(&one, &idea()).await;
    way.cut();
    let mut found = read_back(&other, &idea()).await;
    assert!(found.intent.send_again().await);
    way.mend();
    assert!(!slow.intent.send_again().await);
    assert!(!slow.intent.may_send());
}

#[tokio::test(start_paused = true)]
async fn a_request_settles_by_its_own_timeout_not_by_that_of_who_asks() {
    let (one, other) = two();
    let long = Write {
        timeout: Duration::from_mins(2),
        ..idea()
    };
    send(&one, &long).await.unclear().await;
    time::advance(SETTLED).await;
    assert!(!read_back(&other, &idea()).await.settled);
    settle().await;
    time::advance(Duration::from_mins(3)).await;
    assert!(read_back(&other, &idea()).await.settled);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_began_in_the_future_settles_all_the_same() {
    let (one, _) = two();
    wall_clock_ahead(Duration::from_mins(10));
    send(&one, &idea()).await.unclear().await;
    wall_clock_ahead(Duration::ZERO);
    read_back(&one, &idea()).await.intent.unclear().await;
    time::advance(SETTLED).await;
    assert!(read_back(&one, &idea()).await.settled);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_allowed_to_be_sent_is_nothing() {
    let (one, other) = two();
    for write in [idea(), change()] {
        let begun = one.begin(&write).await.unwrap();
        assert!(matches!(begun, Begun::Send(_)), "{begun:?}");
        drop(begun);
        settle().await;
        drop(send(&other, &write).await);
        settle().await;
        // That one was.
        read_back(&one, &write).await.intent.unclear().await;
    }
}

#[tokio::test]
async fn an_intent_may_be_dropped_where_no_runtime_is() {
    let (one, _) = two();
    let begun = one.begin(&idea()).await.unwrap();
    std::thread::spawn(move || drop(begun)).join().unwrap();
}

/// Of a newer version, or under a key that is not known here: it may run.
#[tokio::test(start_paused = true)]
async fn a_record_that_does_not_open_is_read_back_not_sent() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let (one, way) = fleet.instance();
    send(&one, &idea()).await.done(None, true).await;
    let name = way.last_name();
    let fact = fleet.store.read(&name).await.unwrap().unwrap();
    let strange =
        fleet
            .store
            .compare_and_set(&name, fact.version, b"strange".to_vec(), SETTLED * 9);
    strange.await.unwrap();
    let mut found = read_back(&one, &idea()).await;
    assert!(!found.settled && !found.intent.send_again().await);
    found.intent.unclear().await;
    time::advance(SETTLED).await;
    assert!(read_back(&one, &idea()).await.settled);
}
