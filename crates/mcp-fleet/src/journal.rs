//! [`Journal`]: an intent before a write leaves, its outcome after.
//!
//! The intent means *may have been sent*. Only who created it sends, and only while there is time
//! left for the answer. Whoever finds one that nobody works on any more does not send: it reads back,
//! and says what it found. Only when the first request cannot arrive any more, and reading back found
//! nothing, may the same write be sent again.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::SystemTime,
};

use mcp_session::{FactStore, Keyring, MemoryFacts};
use tokio::time::timeout;

use crate::{
    begin::Begin,
    intent::Intent,
    own::Own,
    place::{BEFORE_SENDING, Inner},
    record::Record,
    seen::Seen,
    write::{JournalAway, JournalConfig, JournalStats, Why, WithoutStore, Write, count},
};

/// What is known of a write that is about to begin.
#[derive(Debug)]
pub enum Begun {
    /// Nobody did it: do it, and tell the intent what came of it.
    Send(Intent),
    /// It was done.
    Replay(Replay),
    /// It may have been sent, and nobody knows what came of it: read back, and tell the intent.
    ReadBack(ReadBack),
    /// The client's key stands for another write.
    KeyReused,
}

/// What came of a write when it was done.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// When it was begun.
    pub at: SystemTime,
    /// What was kept of it; nothing if that was too long.
    pub kept: Option<String>,
    /// Whether it was still running when it was asked for again.
    pub joined: bool,
    /// For [`Journal::forget`].
    pub version: u64,
}

/// Does not show what was kept.
impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("at", &self.at)
            .field("joined", &self.joined)
            .finish_non_exhaustive()
    }
}

/// A write that may have been sent.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReadBack {
    /// When it was begun, by the clock of the instance that began it.
    pub at: SystemTime,
    /// Whether the first request cannot arrive any more: what is not there now will not come.
    pub settled: bool,
    /// To be told what was found.
    pub intent: Intent,
}

/// Remembers writes, in this process or for all instances. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

impl Journal {
    /// A journal of this process alone.
    pub fn in_process(keyring: Arc<Keyring>, config: JournalConfig) -> Self {
        Self::over(Arc::new(MemoryFacts::default()), None, keyring, config)
    }

    /// A journal of all instances that have this store.
    pub fn shared(store: Arc<dyn FactStore>, keyring: Arc<Keyring>, config: JournalConfig) -> Self {
        let own = match config.without_store {
            WithoutStore::PerInstance => Some(Own::default()),
            WithoutStore::Refuse => None,
        };
        Self::over(store, own, keyring, config)
    }

    fn over(
        shared: Arc<dyn FactStore>,
        own: Option<Own>,
        keyring: Arc<Keyring>,
        config: JournalConfig,
    ) -> Self {
        let instance = mcp_session::random_key();
        let inner = Inner {
            shared,
            own,
            keyring,
            config: config.within_bounds(),
            instance: hex::encode(instance.split_at(8).0),
            begins: AtomicU64::new(0),
            claims: Arc::default(),
            stats: JournalStats::default(),
            seen: Seen::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// How long a write that was done is replayed.
    pub fn window(&self) -> std::time::Duration {
        self.inner.config.window
    }

    /// How often a write met itself so far.
    pub fn stats(&self) -> &JournalStats {
        &self.inner.stats
    }

    /// Notes that a write begins, unless it was begun before: then waits for whoever is at work on
    /// it, and says what came of it. If the future is dropped, nothing was begun.
    ///
    /// # Errors
    /// When it cannot be told whether the write was begun before: the store is away, and
    /// [`WithoutStore::Refuse`] is configured or the write was seen in it; the store has no room; or
    /// somebody is at work on it for longer than a write takes.
    pub async fn begin(&self, write: &Write<'_>) -> Result<Begun, JournalAway> {
        // One that runs to its end, one that is silent then, and one that reads back.
        let patience = BEFORE_SENDING * 2 + write.timeout() + self.inner.config.beat * 4;
        let begun = timeout(patience, Begin::new(&self.inner, write).run()).await;
        begun.unwrap_or(Err(Why::StillRunning.into()))
    }

    /// Forgets a write that was done, if its record still has this version: what it made is gone, and
    /// the same again makes it anew.
    pub async fn forget(&self, write: &Write<'_>, version: u64) {
        let names = self.inner.names(write);
        for name in &names {
            let removed = self.inner.shared.compare_and_delete(name, version).await;
            if let Err(error) = removed {
                tracing::debug!(%error, "a write that was undone stays in the journal");
            }
        }
        if let (Some(own), Some(name)) = (&self.inner.own, names.first())
            && let Some((note, own_version)) = own.read(name).await
            && (own_version == version || note.shared.is_some_and(|(_, it)| it == version))
        {
            own.remove(name).await;
        }
    }
}

impl Inner {
    pub(crate) fn replay(
        &self,
        record: &Record,
        kept: Option<&String>,
        joined: bool,
        version: u64,
    ) -> Replay {
        count(&self.stats.replayed);
        if joined {
            count(&self.stats.joined);
        }
        Replay {
            at: record.begun_at(),
            kept: kept.cloned(),
            joined,
            version,
        }
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("config", &self.inner.config)
            .field("per_instance", &self.inner.own.is_some())
            .finish_non_exhaustive()
    }
}
