//! [`Journal`]: an intent before a write leaves, its outcome after.
//!
//! The intent means *may have been sent*. Only who created it sends, and only while there is time
//! left for the answer. Whoever finds one that nobody works on any more does not send: it reads back,
//! and says what it found. Only when the first request cannot arrive any more, and reading back found
//! nothing, may the same write be sent again.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use mcp_outbound::Backoff;
use mcp_session::{FactStore, Keyring};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use crate::{
    intent::Intent,
    place::{Inner, count},
    record::{Record, State},
    write::{JournalAway, JournalConfig, JournalStats, Write},
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// When it was begun.
    pub at: SystemTime,
    /// What it was answered; nothing if that was too long to keep.
    pub answer: Option<String>,
    /// Whether it was still running when it was asked for again.
    pub joined: bool,
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
        Self::over(None, keyring, config)
    }

    /// A journal of all instances that have this store.
    pub fn shared(store: Arc<dyn FactStore>, keyring: Arc<Keyring>, config: JournalConfig) -> Self {
        Self::over(Some(store), keyring, config)
    }

    fn over(
        shared: Option<Arc<dyn FactStore>>,
        keyring: Arc<Keyring>,
        config: JournalConfig,
    ) -> Self {
        let instance = mcp_session::random_key();
        let inner = Inner {
            shared,
            own: Arc::default(),
            keyring,
            config,
            instance: hex::encode(instance.split_at(8).0),
            running: Mutex::default(),
            released: Notify::new(),
            stats: JournalStats::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// How often a write met itself so far.
    pub fn stats(&self) -> &JournalStats {
        &self.inner.stats
    }

    /// Notes that a write begins, unless it was begun before: then waits for whoever is at work on
    /// it, and says what came of it. Dropping the future stops the waiting and nothing else.
    ///
    /// # Errors
    /// When the store is away and [`WithoutStore::Refuse`](crate::WithoutStore::Refuse) is configured.
    pub async fn begin(&self, write: &Write<'_>) -> Result<Begun, JournalAway> {
        let inner = &self.inner;
        let digests = inner.digests(write);
        let names = inner.names(write);
        let (claim, mut waited) = inner.claim(names.first().map_or("", String::as_str)).await;
        let mut claim = Some(claim);
        let mut pauses = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        // The version that was seen last, and since when.
        let mut seen: Option<(u64, Instant)> = None;
        loop {
            let record = inner.fresh(&digests);
            let place = inner.place(&names, &record, write).await?;
            let Some((version, found)) = place.found.clone() else {
                if let Some(claim) = claim.take() {
                    let version = place.created;
                    let intent = inner.intent(claim, place, record, version, write);
                    return Ok(Begun::Send(intent));
                }
                continue;
            };
            // Taken over by nobody else, it begins anew: what does not open, or a change that was made.
            let again = match &found {
                None => {
                    tracing::warn!("a record of the write journal did not open and is replaced");
                    true
                }
                Some(found) if !digests.contains(&found.of) => return Ok(Begun::KeyReused),
                Some(found) => match &found.state {
                    State::Done(_) if !write.replays && write.key.is_none() && !waited => true,
                    State::Done(answer) => return Ok(inner.replay(found, answer.as_ref(), waited)),
                    State::Running if inner.is_alive(found, version, &mut seen) => {
                        waited = true;
                        sleep(pauses.next().unwrap_or_default()).await;
                        continue;
                    }
                    State::Running | State::Unclear => false,
                },
            };
            let at = found.filter(|_| !again).map_or(record.at, |found| found.at);
            let record = Record { at, ..record };
            let begun_at = record.begun_at();
            let taken = inner
                .take_over(&mut claim, place, record, version, write)
                .await;
            match taken {
                Some(intent) if again => return Ok(Begun::Send(intent)),
                Some(intent) => {
                    let settled = begun_at + inner.settles_after(write) <= SystemTime::now();
                    return Ok(Begun::ReadBack(ReadBack {
                        at: begun_at,
                        settled,
                        intent,
                    }));
                }
                None => {}
            }
        }
    }
}

impl Inner {
    fn replay(&self, record: &Record, answer: Option<&String>, joined: bool) -> Begun {
        count(&self.stats.replayed);
        if joined {
            count(&self.stats.joined);
        }
        Begun::Replay(Replay {
            at: record.begun_at(),
            answer: answer.cloned(),
            joined,
        })
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("config", &self.inner.config)
            .field("shared", &self.inner.shared.is_some())
            .finish_non_exhaustive()
    }
}
