//! A store that fails when a test wants it to.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_session::{Fact, FactStore, MemoryFacts, Put, Rate, Spent, StoreError, Swap};

/// A store that does so many commands, and answers none after that.
pub(crate) fn failing_after(commands: i64) -> Arc<dyn FactStore> {
    Arc::new(Failing {
        store: MemoryFacts::default(),
        left: AtomicI64::new(commands),
    })
}

struct Failing {
    store: MemoryFacts,
    left: AtomicI64,
}

impl Failing {
    fn go(&self) -> Result<(), StoreError> {
        if self.left.fetch_sub(1, Ordering::SeqCst) > 0 {
            Ok(())
        } else {
            Err(StoreError::Timeout)
        }
    }
}

#[async_trait]
impl FactStore for Failing {
    async fn read(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        self.go()?;
        self.store.read(key).await
    }
    async fn put_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Put, StoreError> {
        self.go()?;
        self.store.put_if_absent(key, value, ttl).await
    }
    async fn compare_and_set(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Swap, StoreError> {
        self.go()?;
        self.store.compare_and_set(key, version, value, ttl).await
    }
    async fn compare_and_delete(&self, key: &str, version: u64) -> Result<bool, StoreError> {
        self.go()?;
        self.store.compare_and_delete(key, version).await
    }
    async fn take(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        self.go()?;
        self.store.take(key).await
    }
    async fn spend(
        &self,
        key: &str,
        rate: Rate,
        owed: u64,
        wanted: u64,
    ) -> Result<Spent, StoreError> {
        self.go()?;
        self.store.spend(key, rate, owed, wanted).await
    }
    async fn insert(&self, key: &str, member: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        self.go()?;
        self.store.insert(key, member, ttl).await
    }
    async fn remove(&self, key: &str, member: &[u8]) -> Result<(), StoreError> {
        self.go()?;
        self.store.remove(key, member).await
    }
    async fn members(&self, key: &str) -> Result<Vec<(Vec<u8>, Duration)>, StoreError> {
        self.go()?;
        self.store.members(key).await
    }
}
