//! Tasks: whose they are, who works on them, and what is left of them.

use std::sync::Arc;

use mcp_fleet::{TaskError, TaskMarks, TaskState, Tasks, TasksConfig};
use mcp_session::{Keyring, MemoryFacts};
use tokio::sync::Notify;

use crate::world::{Fault, Way};

const ADA: &[&str] = &["issuer", "ada", "org"];
const BOB: &[&str] = &["issuer", "bob", "org"];
const TENANT: &[&str] = &["issuer", "org"];

/// Two instances with one store.
fn instances() -> [Tasks; 2] {
    let (store, keyring) = (
        Arc::new(MemoryFacts::default()),
        Arc::new(Keyring::random()),
    );
    [(); 2].map(|()| Tasks::shared(store.clone(), Arc::clone(&keyring), TasksConfig::default()))
}

async fn begin(tasks: &Tasks) -> (String, mcp_fleet::RunningTask) {
    let begun = tasks.begin(ADA, TENANT, "create".to_owned(), "{}".to_owned());
    begun.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_is_there_for_its_owner_at_any_instance() {
    let [one, other] = instances();
    let (id, running) = begin(&one).await;
    let found = other.find(ADA, &id).await.unwrap().unwrap();
    assert_eq!(found.record.state, TaskState::Working);
    assert!(!found.is_orphaned);
    for nobodys in [other.find(BOB, &id).await, other.find(ADA, "x").await] {
        assert_eq!(nobodys, Ok(None));
    }
    assert_eq!(other.cancel(BOB, &id).await, Ok(false));
    let here = one.working_here();
    let seen: Vec<_> = here.iter().map(|it| (&it.id, &*it.about)).collect();
    let owner: Vec<_> = here[0].owner.iter().map(String::as_str).collect();
    assert_eq!((seen, &*owner), (vec![(&id, "create")], ADA));
    assert_eq!(other.working_here(), []);
    running.finish("done".to_owned()).await;
    assert_eq!(one.working_here(), []);
    let found = other.find(ADA, &id).await.unwrap().unwrap();
    assert_eq!(found.record.state, TaskState::Done("done".to_owned()));
    assert_eq!(
        (&*found.record.about, &*found.record.request),
        ("create", "")
    );
}

/// A listener, a waiter and whoever asks look at it at the same moment, at one instance.
#[tokio::test(start_paused = true)]
async fn who_takes_it_over_is_at_work_before_the_store_has_said_so() {
    let (way, keyring) = (Arc::new(Way::default()), Arc::new(Keyring::random()));
    let tasks = Tasks::shared(way.clone(), keyring, TasksConfig::default());
    let (id, running) = begin(&tasks).await;
    running.give_up().await;
    let found = tasks.find(ADA, &id).await.unwrap().unwrap();
    assert!(found.is_orphaned);
    let told = Arc::new(Notify::new());
    way.next([Some(Fault::Late(Arc::clone(&told)))]);
    let (taken, ()) = tokio::join!(tasks.take_over(ADA, &id, &found), async {
        let again = tasks.find(ADA, &id).await.unwrap().unwrap();
        assert!(!again.is_orphaned, "it is taken over once more");
        told.notify_one();
    });
    assert!(taken.unwrap().is_some());
}

#[tokio::test(start_paused = true)]
async fn of_many_who_take_it_over_one_does() {
    let [one, other] = instances();
    let (id, running) = begin(&one).await;
    running.give_up().await;
    let found = other.find(ADA, &id).await.unwrap().unwrap();
    assert!(found.is_orphaned);
    let taken = tokio::join!(
        other.take_over(ADA, &id, &found),
        other.take_over(ADA, &id, &found),
        one.take_over(ADA, &id, &found),
    );
    let taken = [taken.0, taken.1, taken.2].map(Result::unwrap);
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    for tasks in [&one, &other] {
        let found = tasks.find(ADA, &id).await.unwrap().unwrap();
        assert!(!found.is_orphaned, "the others did not take it from here");
    }
}

#[tokio::test(start_paused = true)]
async fn who_works_on_it_keeps_it_and_who_is_silent_loses_it() {
    let [one, other] = instances();
    let (id, running) = begin(&one).await;
    let orphaned = async || other.find(ADA, &id).await.unwrap().unwrap().is_orphaned;
    assert!(!orphaned().await);
    let minute = tokio::time::sleep(std::time::Duration::from_mins(1));
    tokio::select! {
        () = running.watch() => panic!("nobody stopped it"),
        () = minute => {}
    }
    assert!(!orphaned().await);
    tokio::time::advance(std::time::Duration::from_secs(16)).await;
    assert!(orphaned().await);
    drop(running);
    assert!(one.find(ADA, &id).await.unwrap().unwrap().is_orphaned);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_elsewhere_stops_who_works_on_it() {
    let [one, other] = instances();
    let (id, running) = begin(&one).await;
    let cancel = async { assert_eq!(other.cancel(ADA, &id).await, Ok(true)) };
    tokio::join!(running.watch(), cancel);
    running.finish("too late".to_owned()).await;
    let found = one.find(ADA, &id).await.unwrap().unwrap();
    assert_eq!(found.record.state, TaskState::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn one_owner_has_no_more_than_so_many() {
    let [one, other] = instances();
    let mut working = Vec::new();
    for _ in 0..TasksConfig::default().max_working {
        working.push(begin(&one).await.1);
    }
    let more = other.begin(ADA, TENANT, String::new(), String::new());
    assert_eq!(more.await.map(drop), Err(TaskError::TooMany));
    other
        .begin(BOB, TENANT, String::new(), String::new())
        .await
        .unwrap();
    working.pop().unwrap().finish(String::new()).await;
    begin(&other).await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_kept_counts_for_nobody() {
    let [one, _] = instances();
    // A fact has so many bytes at most.
    let long = "x".repeat(70_000);
    for _ in 0..TasksConfig::default().max_working {
        let begun = one.begin(ADA, TENANT, String::new(), long.clone()).await;
        assert!(matches!(begun, Err(TaskError::Store(_))));
    }
    begin(&one).await;
}

#[tokio::test(start_paused = true)]
async fn a_tenant_has_no_more_than_so_many_whoever_of_it_asks() {
    let mut config = TasksConfig::default();
    config.max_of_tenant = 2;
    let tasks = Tasks::in_process(Arc::new(Keyring::random()), config);
    let begin = async |who: &[&str], tenant: &[&str]| {
        let begun = tasks.begin(who, tenant, String::new(), String::new()).await;
        begun.map(drop)
    };
    assert_eq!(begin(ADA, TENANT).await, Ok(()));
    assert_eq!(begin(BOB, TENANT).await, Ok(()));
    assert_eq!(
        begin(&["issuer", "eve", "org"], TENANT).await,
        Err(TaskError::TooMany)
    );
    assert_eq!(
        begin(&["issuer", "eve", "other"], &["issuer", "other"]).await,
        Ok(())
    );
}

#[tokio::test(start_paused = true)]
async fn who_takes_it_over_has_not_worked_on_it_yet() {
    let [one, other] = instances();
    let (id, running) = begin(&one).await;
    let worked = one
        .find(ADA, &id)
        .await
        .unwrap()
        .unwrap()
        .record
        .worked_at();
    running.give_up().await;
    let found = other.find(ADA, &id).await.unwrap().unwrap();
    let taken = other.take_over(ADA, &id, &found).await.unwrap().unwrap();
    let found = other.find(ADA, &id).await.unwrap().unwrap();
    assert_eq!(found.record.worked_at(), worked);
    assert!(
        !format!("{found:?}").contains("{}"),
        "what is asked is not shown: {found:?}"
    );
    drop(taken);
}

#[tokio::test]
async fn a_mark_tells_its_owner_alone_what_was_begun() {
    let (store, ttl) = (Arc::new(MemoryFacts::default()), TasksConfig::default().ttl);
    let keyring = Arc::new(Keyring::random());
    let one = TaskMarks::new(store.clone(), Arc::clone(&keyring), ttl);
    let other = TaskMarks::new(store.clone(), keyring, ttl);
    let stranger = TaskMarks::new(store, Arc::new(Keyring::random()), ttl);
    one.leave(ADA, "7", "create").await.unwrap();
    let mark = other.find(ADA, "7").await.unwrap().unwrap();
    assert_eq!(mark.about, "create");
    assert!(mark.begun_at().elapsed().unwrap() < ttl);
    for nothing in [
        other.find(BOB, "7").await,
        other.find(ADA, "8").await,
        stranger.find(ADA, "7").await,
    ] {
        assert_eq!(nothing, Ok(None));
    }
}
