//! Waiting for a write that somebody is at work on.

use std::{sync::Arc, time::Duration};

use mcp_fleet::{Begun, WithoutStore};
use mcp_session::StoreError;
use tokio::{sync::Notify, task::JoinSet, time};

use crate::world::{
    BOTH, Fault, Fleet, begins, change, idea, read_back, replay, send, settle, two,
    wall_clock_ahead,
};

#[tokio::test(start_paused = true)]
async fn what_comes_while_it_runs_waits_for_it_on_any_instance() {
    let (one, other) = two();
    for write in [idea(), change()] {
        let intent = send(&one, &write).await;
        let mut waiting = JoinSet::new();
        for journal in [one.clone(), other.clone()] {
            waiting.spawn(async move {
                let replay = replay(&journal, &write).await;
                assert!(replay.joined);
                replay.kept.unwrap()
            });
        }
        // Longer than a silent one is waited for: it says that it lives.
        time::sleep(Duration::from_secs(50)).await;
        assert_eq!(waiting.try_join_next().map(Result::unwrap), None);
        intent.done(Some("REQ-1"), true).await;
        assert_eq!(waiting.join_all().await, ["REQ-1", "REQ-1"]);
        time::advance(Duration::from_mins(15)).await;
    }
}

/// The first change is done while X waits elsewhere; the value is changed and changed again, which is
/// a third change, also where X still sleeps.
#[tokio::test(start_paused = true)]
async fn who_waits_for_one_that_waits_is_told_nothing_from_before_it_came() {
    let (one, other) = two();
    let first = send(&one, &change()).await;
    let x = begins(&other, change()).await;
    first.done(Some("B"), true).await;
    assert!(!x.is_finished(), "it sleeps");
    send(&other, &change())
        .await
        .done(Some("B again"), true)
        .await;
    let Ok(Begun::Replay(told)) = x.await.unwrap() else {
        panic!("it came while the first ran")
    };
    assert!(told.joined);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_hangs_is_waited_for_no_longer_than_a_write_takes() {
    let (one, other) = two();
    let begun = time::Instant::now();
    let hangs = send(&one, &idea()).await;
    let elsewhere = begins(&other, idea()).await;
    let here = one.begin(&idea()).await;
    assert_eq!(
        here.unwrap_err().to_string(),
        "the same write is still running"
    );
    let Ok(Begun::ReadBack(found)) = elsewhere.await.unwrap() else {
        panic!("it says no more that it runs")
    };
    assert!(!found.settled);
    assert!(begun.elapsed() < Duration::from_mins(2));
    drop(hangs);
}

/// The store is there and the write runs: nothing that happens on the way there makes it two.
#[tokio::test(start_paused = true)]
async fn a_blip_while_waiting_does_not_send_what_runs_elsewhere() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, _), (other, way)) = (fleet.instance(), fleet.instance());
        let intent = send(&one, &idea()).await;
        let waits = begins(&other, idea()).await;
        way.next([Some(Fault::Fail(StoreError::Timeout)), Some(Fault::Lose)]);
        time::sleep(Duration::from_secs(10)).await;
        assert!(!waits.is_finished());
        intent.done(Some("REQ-1"), true).await;
        assert!(matches!(waits.await.unwrap(), Ok(Begun::Replay(_))));
        // For good: it is not known what came of it.
        let intent = send(&one, &change()).await;
        let waits = begins(&other, change()).await;
        way.cut();
        waits.await.unwrap().unwrap_err();
        intent.release().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_room_ends_the_wait() {
    for without_store in BOTH {
        let fleet = Fleet::new(without_store);
        let ((one, _), (other, way)) = (fleet.instance(), fleet.instance());
        send(&one, &idea()).await.unclear().await;
        way.next([None, Some(Fault::Fail(StoreError::Full))]);
        let refused = other.begin(&idea()).await.unwrap_err();
        assert!(refused.to_string().contains("no room"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_without_time_left_for_its_answer() {
    let (one, other) = two();
    let Ok(Begun::Send(intent)) = one.begin(&idea()).await else {
        panic!("nobody has it")
    };
    assert!(intent.may_send());
    time::advance(Duration::from_secs(31)).await;
    assert!(!intent.may_send(), "it may be sent for 30 s");
    drop(intent);
    settle().await;
    let found = read_back(&one, &idea()).await;
    // Another one waits for what reading back says.
    let waits = begins(&other, idea()).await;
    found.intent.resolved(Some("REQ-1"), true).await;
    assert!(matches!(waits.await.unwrap(), Ok(Begun::Replay(_))));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_the_machine_was_suspended() {
    let (one, _) = two();
    let intent = send(&one, &idea()).await;
    // The runtime's clock stood still.
    wall_clock_ahead(Duration::from_secs(31));
    assert!(!intent.may_send());
    wall_clock_ahead(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_answer_of_the_store_that_comes_late_leaves_no_time_to_send() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let (one, way) = fleet.instance();
    let told = Arc::new(Notify::new());
    way.next([Some(Fault::Late(Arc::clone(&told)))]);
    // The wall clock is put back meanwhile: it does not tell.
    wall_clock_ahead(Duration::from_mins(1));
    let begun = begins(&one, idea()).await;
    wall_clock_ahead(Duration::ZERO);
    time::advance(Duration::from_secs(40)).await;
    told.notify_one();
    let Ok(Begun::Send(intent)) = begun.await.unwrap() else {
        panic!("it is there")
    };
    assert!(
        !intent.may_send(),
        "others count from when it was asked for"
    );
}
