//! When a batch goes, on paused time.

use std::collections::BTreeSet;

use async_trait::async_trait;
use tokio::time::{Instant, advance};

use super::*;
use crate::testing::principal;

/// What was written and removed, and when.
#[derive(Default)]
struct Heard(Mutex<Vec<(Instant, String)>>);

impl Heard {
    fn hear(&self, what: String) {
        self.0.lock().unwrap().push((Instant::now(), what));
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// At how many moments.
    fn moments(&self) -> usize {
        let heard = self.0.lock().unwrap();
        heard
            .iter()
            .map(|(at, _)| at)
            .collect::<BTreeSet<_>>()
            .len()
    }
}

#[async_trait]
impl SharedStore for Heard {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn put(&self, key: &str, _: Vec<u8>, _: Duration) -> Result<(), StoreError> {
        self.hear(format!("put {key}"));
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.hear(format!("delete {key}"));
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn writer() -> (Writer, Arc<Heard>) {
    let heard = Arc::new(Heard::default());
    let keyring = Arc::new(Keyring::random());
    (
        Writer::new(heard.clone(), keyring, Arc::default(), 100),
        heard,
    )
}

fn put(writer: &Writer, numbers: std::ops::Range<u8>) {
    for number in numbers {
        let principal = principal("ada", u64::MAX / 2);
        let session = Session::new(principal, None, SystemTime::now(), Duration::from_hours(1));
        writer.put(SessionKey::new([number; 32]), Arc::new(session));
    }
}

/// Tasks that can go on do.
async fn settled() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn sessions_of_the_same_moment_go_together() {
    let (writer, heard) = writer();
    put(&writer, 0..3);
    settled().await;
    advance(LINGER / 2).await;
    put(&writer, 3..5);
    settled().await;
    assert_eq!(heard.len(), 0);
    advance(LINGER).await;
    settled().await;
    assert_eq!((heard.len(), heard.moments()), (5, 1));
}

#[tokio::test(start_paused = true)]
async fn neither_a_full_batch_nor_a_logout_nor_a_flush_waits() {
    let begun = Instant::now();
    let (writer, heard) = writer();
    let batch = u8::try_from(BATCH).unwrap();
    put(&writer, 0..1);
    settled().await;
    put(&writer, 1..batch);
    settled().await;
    assert_eq!(heard.len(), BATCH);

    put(&writer, 0..1);
    settled().await;
    assert_eq!(heard.len(), BATCH);
    writer.remove_now(SessionKey::new([1; 32])).await.unwrap();
    assert_eq!(heard.len(), BATCH + 2);

    put(&writer, 0..1);
    settled().await;
    assert_eq!(heard.len(), BATCH + 2, "it lingers again");
    assert_eq!(writer.flush(Duration::from_secs(1)).await, 0);
    assert_eq!(heard.len(), BATCH + 3);
    assert_eq!(begun, Instant::now());
}

#[tokio::test(start_paused = true)]
async fn the_last_word_on_a_session_that_lingers_is_all_the_store_hears() {
    let (writer, heard) = writer();
    put(&writer, 0..1);
    settled().await;
    let key = SessionKey::new([0; 32]);
    writer.remove(key);
    assert_eq!(writer.flush(Duration::from_secs(1)).await, 0);
    let heard: Vec<_> = heard
        .0
        .lock()
        .unwrap()
        .iter()
        .map(|it| it.1.clone())
        .collect();
    assert_eq!(heard, [format!("delete {key}")]);
}
