//! [`SharedStore`]: where sealed sessions live beyond one process, as opaque bytes.
//!
//! A store never sees plaintext and never decides anything: losing an entry costs a verification.
//! [`MemoryStore`] is the embedded default for a single instance.

use std::{
    future::ready,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use moka::{Expiry, future::Cache};
use tokio::sync::broadcast::{self, error::RecvError};

/// Keys and opaque bytes, each with a lifetime.
#[async_trait]
pub trait SharedStore: Send + Sync + 'static {
    /// The bytes under `key`, if there are any and their lifetime is not over.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Keeps `value` under `key` for `ttl`, in place of what was there.
    async fn put(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), StoreError>;

    /// Removes `key`. It is no error when there is nothing.
    async fn delete(&self, key: &str) -> Result<(), StoreError>;

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Sends a message to everybody who listens to `channel` now. Nobody gets it later.
    async fn publish(&self, _channel: &'static str, _message: Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }

    /// What is published on `channel` from now on, as far as the store can be reached. It connects
    /// when it is first polled, and again whenever it has to. By default nothing: a store of one
    /// instance need not talk to itself.
    fn listen(&self, _channel: &'static str) -> BoxStream<'static, Heard> {
        stream::empty().boxed()
    }
}

/// What somebody who listens hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// From now on everything that is published is heard. What was published before, since the last
    /// message, may have been lost.
    Listening,
    /// Somebody published this.
    Message(Vec<u8>),
}

/// Why a store did not do what it was asked to. It holds neither keys nor values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It failed so often that it is left alone for a moment; nothing was sent.
    #[error("the store is left alone after repeated failures")]
    CircuitOpen,
    /// No connection could be made, or the connection broke.
    #[error("the store cannot be reached: {0}")]
    Unreachable(&'static str),
    /// No answer in time.
    #[error("the store did not answer in time")]
    Timeout,
    /// It answered with an error; the code of that error, such as `NOAUTH`.
    #[error("the store refused: {0}")]
    Refused(String),
    /// It has no room for one more fact, or the fact is too long; those that it has stay.
    #[error("the store has no room")]
    Full,
}

impl StoreError {
    /// A name for spans and metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::CircuitOpen => "circuit_open",
            Self::Unreachable(_) => "unreachable",
            Self::Timeout => "timeout",
            Self::Refused(_) => "refused",
            Self::Full => "full",
        }
    }

    /// Only something that looks like an error code: a server's prose may quote keys or values.
    pub(crate) fn refused(code: &str) -> Self {
        let is_code =
            !code.is_empty() && code.len() <= 20 && code.bytes().all(|b| b.is_ascii_uppercase());
        Self::Refused(if is_code {
            code.to_owned()
        } else {
            "ERR".to_owned()
        })
    }
}

/// The embedded store of a single instance: bounded by bytes, each entry with its lifetime.
#[derive(Clone)]
pub struct MemoryStore {
    entries: Cache<String, Entry>,
    messages: broadcast::Sender<(&'static str, Vec<u8>)>,
}

#[derive(Clone)]
struct Entry {
    value: Vec<u8>,
    ttl: Duration,
}

impl MemoryStore {
    /// A store of at most `max_bytes`; beyond that, the least used entries go.
    pub fn new(max_bytes: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(max_bytes)
            .weigher(|key: &String, entry: &Entry| {
                let bytes = key.len() + entry.value.len() + ENTRY_OVERHEAD;
                u32::try_from(bytes).unwrap_or(u32::MAX)
            })
            .expire_after(EntryLifetime)
            .build();
        let (messages, _) = broadcast::channel(64);
        Self { entries, messages }
    }
}

impl Default for MemoryStore {
    /// 64 MiB: some 50,000 sessions.
    fn default() -> Self {
        Self::new(64 * 1024 * 1024)
    }
}

/// What the map itself takes for an entry, roughly.
const ENTRY_OVERHEAD: usize = 256;

struct EntryLifetime;

impl Expiry<String, Entry> for EntryLifetime {
    fn expire_after_create(&self, _: &String, entry: &Entry, _: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.ttl)
    }
}

#[async_trait]
impl SharedStore for MemoryStore {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries.get(key).await.map(|entry| entry.value))
    }

    async fn put(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        self.entries
            .insert(key.to_owned(), Entry { value, ttl })
            .await;
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.entries.invalidate(key).await;
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn publish(&self, channel: &'static str, message: Vec<u8>) -> Result<(), StoreError> {
        // An error says that nobody listens.
        drop(self.messages.send((channel, message)));
        Ok(())
    }

    fn listen(&self, channel: &'static str) -> BoxStream<'static, Heard> {
        let messages = stream::unfold(self.messages.subscribe(), move |mut messages| async move {
            loop {
                match messages.recv().await {
                    Ok((to, message)) if to == channel => {
                        return Some((Heard::Message(message), messages));
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return Some((Heard::Listening, messages)),
                    Err(RecvError::Closed) => return None,
                }
            }
        });
        stream::once(ready(Heard::Listening))
            .chain(messages)
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[tokio::test]
    async fn an_entry_is_kept_replaced_and_removed() {
        let store = MemoryStore::default();
        assert_eq!(store.get("k").await.unwrap(), None);
        store.put("k", b"one".to_vec(), HOUR).await.unwrap();
        store.put("k", b"two".to_vec(), HOUR).await.unwrap();
        assert_eq!(store.get("k").await.unwrap().as_deref(), Some(&b"two"[..]));
        store.delete("k").await.unwrap();
        assert_eq!(store.get("k").await.unwrap(), None);
        store.delete("k").await.unwrap();
    }

    #[tokio::test]
    async fn an_entry_whose_lifetime_is_over_is_gone() {
        let store = MemoryStore::default();
        store.put("k", b"one".to_vec(), HOUR).await.unwrap();
        store
            .put("k", b"two".to_vec(), Duration::ZERO)
            .await
            .unwrap();
        assert_eq!(store.get("k").await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_store_stays_within_its_bytes() {
        let store = MemoryStore::new(10_000);
        for n in 0..1_000 {
            store
                .put(&format!("key-{n}"), vec![0; 100], HOUR)
                .await
                .unwrap();
        }
        store.entries.run_pending_tasks().await;
        assert!(store.entries.weighted_size() <= 10_000);
    }
}
