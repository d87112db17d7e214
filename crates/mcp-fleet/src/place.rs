//! Where a write stands: in the shared store, or in this process alone.

use std::{
    collections::HashSet,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use mcp_session::{Fact, FactStore, Keyring, MemoryFacts, Put, StoreError};
use tokio::{sync::Notify, time::Instant};

use crate::{
    record::{Record, State, millis_now},
    write::{JournalAway, JournalConfig, JournalStats, WithoutStore, Write},
};

/// What all handles of a journal share.
pub(crate) struct Inner {
    pub(crate) shared: Option<Arc<dyn FactStore>>,
    pub(crate) own: Arc<MemoryFacts>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) config: JournalConfig,
    /// This process, for others.
    pub(crate) instance: String,
    /// What this process works on, each by one claim.
    pub(crate) running: Mutex<HashSet<String>>,
    pub(crate) released: Notify,
    pub(crate) stats: JournalStats,
}

/// Where a write stands in the journal.
pub(crate) struct Place {
    pub(crate) store: Arc<dyn FactStore>,
    pub(crate) name: String,
    /// Version and record, if there is one. One that does not open counts as none.
    pub(crate) found: Option<(u64, Option<Record>)>,
    /// The version of what was put there just now.
    pub(crate) created: u64,
}

/// The right to look after a write in this process, until dropped.
pub(crate) struct Claim {
    inner: Arc<Inner>,
    name: String,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Claim").finish_non_exhaustive()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.inner.running().remove(&self.name);
        self.inner.released.notify_waiters();
    }
}

/// How long the reads before a write may take.
pub(crate) const BEFORE_SENDING: Duration = Duration::from_secs(30);

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Inner {
    /// What the client's key must stand for, under every key of the ring.
    pub(crate) fn digests(&self, write: &Write<'_>) -> Vec<String> {
        let parts = [write.tool.as_bytes(), write.arguments];
        self.keyring.names("what", &parts)
    }

    /// The names of a write under every key of the ring, the current first.
    pub(crate) fn names(&self, write: &Write<'_>) -> Vec<String> {
        let mut parts: Vec<_> = write.caller.iter().map(|part| part.as_bytes()).collect();
        match write.key {
            Some(key) => parts.extend([b"key".as_slice(), key.as_bytes()]),
            None => parts.extend([b"same".as_slice(), write.tool.as_bytes(), write.arguments]),
        }
        self.keyring.names("write", &parts)
    }

    pub(crate) fn fresh(&self, digests: &[String]) -> Record {
        Record {
            at: millis_now(),
            by: self.instance.clone(),
            of: digests.first().cloned().unwrap_or_default(),
            state: State::Running,
        }
    }

    /// The write's place: where it was found, or where it was put just now.
    pub(crate) async fn place(
        &self,
        names: &[String],
        record: &Record,
        write: &Write<'_>,
    ) -> Result<Place, JournalAway> {
        let own: Arc<dyn FactStore> = self.own.clone();
        let Some(shared) = &self.shared else {
            return Ok(self.put(&own, names, record, write).await?);
        };
        // What was begun while the store was away goes on where it was begun.
        if self.own.bytes() > 0
            && let Some(name) = names.first()
            && let Some(fact) = own.read(name).await?
        {
            return Ok(self.found(&own, name, &fact));
        }
        match self.put(shared, names, record, write).await {
            Ok(place) => Ok(place),
            Err(away) if self.config.without_store == WithoutStore::Refuse => Err(away.into()),
            Err(_) => {
                count(&self.stats.without_store);
                Ok(self.put(&own, names, record, write).await?)
            }
        }
    }

    async fn put(
        &self,
        store: &Arc<dyn FactStore>,
        names: &[String],
        record: &Record,
        write: &Write<'_>,
    ) -> Result<Place, StoreError> {
        let Some((name, previous)) = names.split_first() else {
            return Err(StoreError::Unreachable("no key"));
        };
        // While keys are rotated, other instances may write under another one.
        for other in previous {
            if let Some(fact) = store.read(other).await? {
                return Ok(self.found(store, other, &fact));
            }
        }
        let sealed = self.sealed(record, name)?;
        Ok(
            match store.put_if_absent(name, sealed, self.keep(write)).await? {
                Put::Exists(fact) => self.found(store, name, &fact),
                Put::Created(created) => Place {
                    store: Arc::clone(store),
                    name: name.clone(),
                    found: None,
                    created,
                },
            },
        )
    }

    fn found(&self, store: &Arc<dyn FactStore>, name: &str, fact: &Fact) -> Place {
        let record = Record::opened(&self.keyring, name, &fact.value);
        Place {
            store: Arc::clone(store),
            name: name.to_owned(),
            found: Some((fact.version, record)),
            created: 0,
        }
    }

    pub(crate) fn sealed(&self, record: &Record, name: &str) -> Result<Vec<u8>, StoreError> {
        let sealed = record.sealed(&self.keyring, name);
        sealed.ok_or(StoreError::Unreachable("it could not be sealed"))
    }

    /// Whether somebody works on it, as far as can be seen.
    pub(crate) fn is_alive(
        &self,
        record: &Record,
        version: u64,
        seen: &mut Option<(u64, Instant)>,
    ) -> bool {
        let now = Instant::now();
        let (last, since) = *seen.get_or_insert((version, now));
        // Whoever asks has the claim, and did not begin it: who did is gone.
        if record.by == self.instance {
            return false;
        }
        if last != version {
            *seen = Some((version, now));
            return true;
        }
        now < since + self.config.beat * 3
    }

    /// How long after its beginning the request of a write cannot arrive any more.
    pub(crate) fn settles_after(&self, write: &Write<'_>) -> Duration {
        BEFORE_SENDING + write.timeout * 2 + self.config.skew
    }

    pub(crate) fn keep(&self, write: &Write<'_>) -> Duration {
        self.config.window + self.settles_after(write)
    }

    /// The right to look after a write in this process, which one has at a time; and whether that
    /// took waiting for another.
    pub(crate) async fn claim(self: &Arc<Self>, name: &str) -> (Claim, bool) {
        let mut waited = false;
        loop {
            let mut released = pin!(self.released.notified());
            released.as_mut().enable();
            if self.running().insert(name.to_owned()) {
                let claim = Claim {
                    inner: Arc::clone(self),
                    name: name.to_owned(),
                };
                return (claim, waited);
            }
            waited = true;
            released.await;
        }
    }

    fn running(&self) -> MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
