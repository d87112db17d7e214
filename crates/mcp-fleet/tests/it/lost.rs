//! Answers that are lost or late, and records that the store loses.

use std::{sync::Arc, time::Duration};

use mcp_fleet::{Begun, WithoutStore};
use mcp_session::FactStore as _;
use tokio::{sync::Notify, time};

use crate::world::{
    BOTH, Fault, Fleet, begins, change, idea, kept, read_back, replay, send, settle,
};

#[tokio::test(start_paused = true)]
async fn a_first_write_of_a_name_takes_two_commands() {
    for without_store in BOTH {
        let (one, way) = Fleet::new(without_store).instance();
        let intent = send(&one, &idea()).await;
        assert_eq!(way.commands(), 1);
        intent.done(Some("REQ-1"), true).await;
        assert_eq!(way.commands(), 2);
        kept(&one, &idea()).await;
        assert_eq!(way.commands(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_begun_and_never_heard_of_was_not_sent() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    way.next([Some(Fault::Lose)]);
    one.begin(&idea()).await.unwrap_err();
    send(&one, &idea()).await.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-1");
}

#[tokio::test(start_paused = true)]
async fn a_begin_that_is_dropped_leaves_nothing_behind() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
        way.next([Some(Fault::Late(Arc::default()))]);
        let begun = begins(&one, idea()).await;
        begun.abort();
        settle().await;
        send(&other, &idea()).await.unclear().await;
        // Nor does one that read back.
        way.next([None, Some(Fault::Late(Arc::default()))]);
        let begun = begins(&one, idea()).await;
        begun.abort();
        settle().await;
        let asked = time::Instant::now();
        read_back(&other, &idea()).await;
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "nobody is waited for"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_take_over_whose_answer_was_lost_is_a_take_over() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, _), (other, way)) = (fleet.instance(), fleet.instance());
        send(&one, &idea()).await.unclear().await;
        way.next([None, Some(Fault::Lose)]);
        read_back(&other, &idea())
            .await
            .intent
            .resolved(Some("REQ-1"), true)
            .await;
        assert_eq!(kept(&one, &idea()).await, "REQ-1");
    }
}

#[tokio::test(start_paused = true)]
async fn a_last_word_after_a_beat_whose_answer_was_lost_is_heard() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
        for done in [false, true] {
            let intent = send(&one, &idea()).await;
            way.next([Some(Fault::Lose)]);
            time::sleep(Duration::from_secs(6)).await;
            if done {
                intent.done(Some("REQ-1"), true).await;
                assert_eq!(kept(&other, &idea()).await, "REQ-1");
            } else {
                intent.release().await;
            }
        }
    }
}

/// The removal is done, its answer lost; meanwhile another instance begins the same.
#[tokio::test(start_paused = true)]
async fn a_removal_that_is_said_again_removes_nobody_elses() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
        let third = fleet.instance().0;
        let intent = send(&one, &idea()).await;
        way.next([Some(Fault::Lose)]);
        intent.release().await;
        let runs = send(&other, &idea()).await;
        time::sleep(Duration::from_secs(2)).await;
        let waits = begins(&third, idea()).await;
        time::sleep(Duration::from_secs(20)).await;
        assert!(!waits.is_finished());
        runs.done(Some("REQ-1"), true).await;
        assert!(matches!(waits.await.unwrap(), Ok(Begun::Replay(_))));
    }
}

/// It stands still, its record is released by another; it wakes, and a third one runs.
#[tokio::test(start_paused = true)]
async fn who_wakes_late_changes_nobody_elses() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    let third = fleet.instance().0;
    let late = send(&one, &idea()).await;
    way.cut();
    time::sleep(Duration::from_secs(200)).await;
    let mut found = read_back(&other, &idea()).await;
    assert!(found.intent.send_again().await);
    found.intent.release().await;
    let runs = send(&third, &idea()).await;
    way.mend();
    late.release().await;
    let waits = begins(&other, idea()).await;
    time::sleep(Duration::from_secs(20)).await;
    assert!(!waits.is_finished());
    runs.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&one, &idea()).await, "REQ-1");
}

#[tokio::test(start_paused = true)]
async fn a_beat_under_way_does_not_undo_what_came_of_it() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    let intent = send(&one, &idea()).await;
    let told = Arc::new(Notify::new());
    way.next([Some(Fault::Late(Arc::clone(&told)))]);
    time::sleep(Duration::from_secs(5)).await;
    settle().await;
    drop(intent);
    let again = begins(&one, idea()).await;
    told.notify_one();
    let Begun::ReadBack(found) = again.await.unwrap().unwrap() else {
        panic!("it may have been sent")
    };
    found.intent.resolved(Some("REQ-1"), true).await;
    time::sleep(Duration::from_secs(20)).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-1");
}

/// A failover can lose the last writes.
#[tokio::test(start_paused = true)]
async fn a_record_that_the_store_lost_is_put_back_by_who_has_it() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
        let intent = send(&one, &idea()).await;
        fleet.store.take(&way.last_name()).await.unwrap();
        time::sleep(Duration::from_secs(6)).await;
        assert!(intent.may_send());
        let waits = begins(&other, idea()).await;
        fleet.store.take(&way.last_name()).await.unwrap();
        intent.done(Some("REQ-1"), true).await;
        assert!(matches!(waits.await.unwrap(), Ok(Begun::Replay(_))));
        assert!(!replay(&one, &idea()).await.joined);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_here_is_told_once_it_ended() {
    let (one, way) = Fleet::new(WithoutStore::Refuse).instance();
    let intent = send(&one, &change()).await;
    let waits = begins(&one, change()).await;
    let before = way.commands();
    time::sleep(Duration::from_secs(4)).await;
    assert_eq!(way.commands(), before, "nobody polls");
    intent.done(Some("B"), true).await;
    let Ok(Begun::Replay(told)) = waits.await.unwrap() else {
        panic!("it came while it ran")
    };
    assert!(told.joined);
}

/// The process decides alone, and the store had heard after all.
#[tokio::test(start_paused = true)]
async fn a_begin_whose_answer_was_lost_is_done_in_the_store() {
    let fleet = Fleet::new(WithoutStore::PerInstance);
    let ((one, way), (other, _)) = (fleet.instance(), fleet.instance());
    way.next([Some(Fault::Lose)]);
    send(&one, &idea()).await.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&other, &idea()).await, "REQ-1");
}
