//! A store that fails when a test wants it to.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_session::{Fact, FactStore, MemoryFacts, Put, Rate, Spent, StoreError, Swap};

/// A store to which something happens after so many commands.
pub(crate) struct Failing {
    store: Mutex<MemoryFacts>,
    left: AtomicI64,
    accident: Accident,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Accident {
    /// It does not answer.
    Away,
    /// It loses what it has, and goes on.
    Emptied,
}

impl Failing {
    /// Away from then on, until it comes back with everything.
    pub(crate) fn after(commands: i64) -> Arc<Self> {
        Self::by(Accident::Away, commands)
    }

    /// Emptied then, once.
    pub(crate) fn emptied_after(commands: i64) -> Arc<Self> {
        Self::by(Accident::Emptied, commands)
    }

    fn by(accident: Accident, commands: i64) -> Arc<Self> {
        Arc::new(Self {
            store: Mutex::default(),
            left: AtomicI64::new(commands),
            accident,
        })
    }

    pub(crate) fn come_back(&self) {
        self.left.store(i64::MAX, Ordering::SeqCst);
    }

    fn store(&self) -> Result<MemoryFacts, StoreError> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        let mut store = self.store.lock().unwrap();
        match self.accident {
            Accident::Away if left <= 0 => return Err(StoreError::Timeout),
            Accident::Emptied if left == 0 => *store = MemoryFacts::default(),
            _ => {}
        }
        Ok(store.clone())
    }
}

#[async_trait]
impl FactStore for Failing {
    async fn read(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        self.store()?.read(key).await
    }
    async fn put_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Put, StoreError> {
        self.store()?.put_if_absent(key, value, ttl).await
    }
    async fn compare_and_set(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Swap, StoreError> {
        self.store()?
            .compare_and_set(key, version, value, ttl)
            .await
    }
    async fn compare_and_delete(&self, key: &str, version: u64) -> Result<bool, StoreError> {
        self.store()?.compare_and_delete(key, version).await
    }
    async fn take(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        self.store()?.take(key).await
    }
    async fn spend(
        &self,
        key: &str,
        rate: Rate,
        owed: u64,
        wanted: u64,
    ) -> Result<Spent, StoreError> {
        self.store()?.spend(key, rate, owed, wanted).await
    }
    async fn insert(&self, key: &str, member: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        self.store()?.insert(key, member, ttl).await
    }
    async fn remove(&self, key: &str, member: &[u8]) -> Result<(), StoreError> {
        self.store()?.remove(key, member).await
    }
    async fn members(&self, key: &str) -> Result<Vec<(Vec<u8>, Duration)>, StoreError> {
        self.store()?.members(key).await
    }
}
