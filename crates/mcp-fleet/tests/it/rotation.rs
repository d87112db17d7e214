//! A write is the same under the old and the new key.

use std::sync::Arc;

use mcp_fleet::{Begun, WithoutStore, Write};
use mcp_session::Keyring;
use tokio::sync::Notify;

use crate::world::{Fault, Fleet, begins, idea, kept, send};

fn keys(current: &str, previous: &str) -> Arc<Keyring> {
    let hex = |digits: &str| digits.repeat(4);
    Arc::new(Keyring::from_hex(&hex(current), &[&hex(previous)]).unwrap())
}

const OLD: &str = "0123456789abcdef";
const NEW: &str = "fedcba9876543210";

#[tokio::test]
async fn while_keys_are_rotated_a_write_is_the_same_under_both() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let (first, _) = fleet.with_keys(keys(OLD, NEW));
    let (second, way) = fleet.with_keys(keys(NEW, OLD));
    let keyed = Write {
        key: Some("k"),
        ..idea()
    };
    send(&first, &keyed).await.done(Some("REQ-1"), true).await;
    assert_eq!(kept(&second, &keyed).await, "REQ-1");
    let before = way.commands();
    let intent = send(&second, &idea()).await;
    assert_eq!(way.commands(), before + 2, "one more for the previous key");
    intent.done(Some("REQ-2"), true).await;
    assert_eq!(kept(&first, &idea()).await, "REQ-2");
}

/// Each asks before it hears of the other.
#[tokio::test(start_paused = true)]
async fn of_two_that_begin_at_once_under_two_keys_one_sends() {
    let fleet = Fleet::new(WithoutStore::Refuse);
    let (first, way) = fleet.with_keys(keys(OLD, NEW));
    let (second, other_way) = fleet.with_keys(keys(NEW, OLD));
    let told = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    way.next([Some(Fault::Late(Arc::clone(&told[0])))]);
    other_way.next([Some(Fault::Late(Arc::clone(&told[1])))]);
    let mut one = begins(&first, idea()).await;
    let mut other = begins(&second, idea()).await;
    for told in &told {
        told.notify_one();
    }
    let (sent, waits) = tokio::select! {
        sent = &mut one => (sent, other),
        sent = &mut other => (sent, one),
    };
    let Ok(Begun::Send(intent)) = sent.unwrap() else {
        panic!("nobody did it")
    };
    assert!(intent.may_send() && !waits.is_finished());
    intent.done(Some("REQ-1"), true).await;
    assert!(matches!(waits.await.unwrap(), Ok(Begun::Replay(_))));
}
