//! Where a write stands in the shared store.

use std::{sync::Arc, time::Duration};

use mcp_session::{Fact, FactStore, Keyring, Put, StoreError};

use crate::{
    claim::Claims,
    own::Own,
    record::{Record, State, millis},
    seen::Seen,
    write::{JournalConfig, JournalStats, Write},
};

/// What all handles of a journal share.
pub(crate) struct Inner {
    pub(crate) shared: Arc<dyn FactStore>,
    /// Nothing where writes are refused without the store.
    pub(crate) own: Option<Own>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) config: JournalConfig,
    /// This process, for others.
    pub(crate) instance: String,
    pub(crate) begins: std::sync::atomic::AtomicU64,
    pub(crate) claims: Arc<Claims>,
    pub(crate) stats: JournalStats,
    pub(crate) seen: Seen,
}

/// A place in the store, and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) version: u64,
    /// Nothing for one that does not open.
    pub(crate) record: Option<Record>,
}

impl Place {
    pub(crate) fn is_by(&self, begin: &str) -> bool {
        self.record.as_ref().is_some_and(|it| it.by == begin)
    }
}

/// What came of putting a record.
pub(crate) enum Placed {
    /// It is there, by this very begin.
    Ours(Place),
    Found(Place),
    /// It is there, but whether the write stands under another key, too, is not known.
    Half(StoreError),
}

/// How long the reads before a write may take.
pub(crate) const BEFORE_SENDING: Duration = Duration::from_secs(30);

impl Inner {
    /// Whether nobody has changed it for so long that nobody is at work on it.
    pub(crate) fn is_silent(&self, place: &Place) -> bool {
        let silence = self.config.beat * 3;
        self.seen.is_silent(&place.name, place.version, silence)
    }

    /// What a name must stand for, under every key of the ring. One that was made of tool and arguments
    /// says that itself: only a client's key has to be held against them.
    pub(crate) fn digests(&self, write: &Write<'_>, names: &[String]) -> Vec<String> {
        if write.key().is_none() {
            return names.to_vec();
        }
        let parts = [write.tool.as_bytes(), write.arguments];
        self.keyring.names("what", &parts)
    }

    /// The names of a write under every key of the ring, the current first. The parts whose number is
    /// known come first, so that no two writes have the same list.
    pub(crate) fn names(&self, write: &Write<'_>) -> Vec<String> {
        let mut parts = match write.key() {
            Some(key) => vec![b"key".as_slice(), key.as_bytes()],
            None => vec![b"same".as_slice(), write.tool.as_bytes(), write.arguments],
        };
        parts.extend(write.caller.iter().map(|part| part.as_bytes()));
        self.keyring.names("write", &parts)
    }

    /// Where the write stands, under any key of the ring.
    pub(crate) async fn read(&self, names: &[String]) -> Result<Option<Place>, StoreError> {
        for name in names {
            if let Some(fact) = self.shared.read(name).await? {
                return Ok(Some(self.found(name, &fact)));
            }
        }
        Ok(None)
    }

    /// Puts a record under the current key, unless the write stands under any key of the ring.
    pub(crate) async fn put(
        &self,
        names: &[String],
        record: &Record,
        kept: Duration,
    ) -> Result<Placed, StoreError> {
        let Some((name, previous)) = names.split_first() else {
            return Err(StoreError::Unreachable("no key"));
        };
        let sealed = self.sealed(record, name)?;
        let ours = match self.shared.put_if_absent(name, sealed, kept).await? {
            Put::Created(version) => Place {
                name: name.clone(),
                version,
                record: Some(record.clone()),
            },
            Put::Exists(fact) => match self.found(name, &fact) {
                place if place.is_by(&record.by) => place,
                place => return Ok(Placed::Found(place)),
            },
        };
        // While keys are rotated, others write under another one. Who put before reading is seen, and
        // of two who see each other both give way.
        let other = match self.read(previous).await {
            Ok(None) => return Ok(Placed::Ours(ours)),
            Ok(Some(place)) => place,
            Err(error) => return Ok(Placed::Half(error)),
        };
        match self.shared.compare_and_delete(name, ours.version).await {
            Ok(_) => Ok(Placed::Found(other)),
            Err(error) => Ok(Placed::Half(error)),
        }
    }

    pub(crate) fn found(&self, name: &str, fact: &Fact) -> Place {
        Place {
            name: name.to_owned(),
            version: fact.version,
            record: Record::opened(&self.keyring, name, &fact.value),
        }
    }

    pub(crate) fn sealed(&self, record: &Record, name: &str) -> Result<Vec<u8>, StoreError> {
        let sealed = record.sealed(&self.keyring, name);
        sealed.ok_or(StoreError::Unreachable("it could not be sealed"))
    }

    /// The wall clock, in milliseconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        let now = (self.config.clock)().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, millis)
    }

    /// How long after its beginning the request of a write cannot arrive any more.
    pub(crate) fn settles_after(&self, write: &Write<'_>) -> Duration {
        BEFORE_SENDING + write.timeout() * 2 + self.config.skew
    }

    /// A write that begins now.
    pub(crate) fn fresh(&self, write: &Write<'_>, by: &str, of: &str) -> Record {
        let at = self.now();
        Record {
            at,
            settles_at: at.saturating_add(millis(self.settles_after(write))),
            by: by.to_owned(),
            from: by.to_owned(),
            of: of.to_owned(),
            state: State::Running,
        }
    }

    /// How long a record of a write that is not done is kept.
    pub(crate) fn keep(&self, write: &Write<'_>) -> Duration {
        self.config.window + self.settles_after(write)
    }
}
