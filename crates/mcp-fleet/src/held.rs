//! The record of an intent: changed by one at a time, and for the last time when the intent ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mcp_outbound::Backoff;
use mcp_session::{Fact, Put, StoreError, Swap};
use tokio::{
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{claim::Claim, own::Note, place::Inner, record::Record};

pub(crate) struct Held {
    pub(crate) inner: Arc<Inner>,
    /// Under the current key: what the process itself calls it.
    pub(crate) first: String,
    /// What the store calls it.
    pub(crate) name: String,
    /// Locked while it is changed.
    pub(crate) current: Mutex<Current>,
    pub(crate) overtaken: AtomicBool,
    /// How long it is kept while it is not done.
    pub(crate) keep: Duration,
}

pub(crate) struct Current {
    /// Nothing while the store does not have it.
    pub(crate) version: Option<u64>,
    pub(crate) record: Record,
    /// From then on nobody says any more that it runs.
    pub(crate) until: Instant,
}

/// What remains of a write.
#[derive(Clone)]
pub(crate) enum Last {
    Keep(Record, Duration),
    Gone,
}

/// So often a change meets others before it gives up.
const ROUNDS: u32 = 8;

/// A last word that was not heard is said again for so long.
const SAID_FOR: Duration = Duration::from_mins(1);

/// And so long, who wants the same waits for that, where nothing else remembers it.
const WAITED_FOR: Duration = Duration::from_secs(1);

impl Held {
    /// Puts the record in the store, also where the store lost it. `false` if somebody else has the
    /// write now.
    pub(crate) async fn say(
        &self,
        current: &mut Current,
        record: &Record,
        kept: Duration,
    ) -> Result<bool, StoreError> {
        let sealed = self.inner.sealed(record, &self.name)?;
        let (store, name) = (&self.inner.shared, &self.name);
        for _ in 0..ROUNDS {
            let sealed = sealed.clone();
            let (version, there) = match current.version {
                Some(version) => match store.compare_and_set(name, version, sealed, kept).await? {
                    Swap::Done => (version.wrapping_add(1), None),
                    Swap::Lost(None) => {
                        current.version = None;
                        continue;
                    }
                    Swap::Lost(Some(fact)) => (0, Some(fact)),
                },
                None => match store.put_if_absent(name, sealed, kept).await? {
                    Put::Created(version) => (version, None),
                    Put::Exists(fact) => (0, Some(fact)),
                },
            };
            match there {
                None => {
                    current.version = Some(version);
                    return Ok(true);
                }
                Some(fact) if self.gives_way(&fact, record) => current.version = Some(fact.version),
                Some(_) => {
                    self.overtaken.store(true, Ordering::Release);
                    return Ok(false);
                }
            }
        }
        Err(StoreError::Unreachable("it changes all the time"))
    }

    /// A change of ours whose answer was lost; or somebody who reads back a write that we know was done.
    fn gives_way(&self, fact: &Fact, to: &Record) -> bool {
        let found = self.inner.found(&self.name, fact).record;
        found.is_some_and(|found| {
            found.by == to.by || (to.is_done() && !found.is_done() && found.from == to.from)
        })
    }

    async fn remove(&self, current: &mut Current) -> Result<bool, StoreError> {
        let (store, name) = (&self.inner.shared, &self.name);
        for _ in 0..ROUNDS {
            if let Some(version) = current.version
                && store.compare_and_delete(name, version).await?
            {
                break;
            }
            // A change or a removal whose answer was lost.
            match store.read(name).await? {
                Some(fact) if self.inner.found(name, &fact).is_by(&current.record.by) => {
                    current.version = Some(fact.version);
                }
                _ => break,
            }
        }
        Ok(true)
    }

    async fn finish(&self, current: &mut Current, last: &Last) -> Result<bool, StoreError> {
        let Last::Keep(record, kept) = last else {
            return self.remove(current).await;
        };
        match (self.say(current, record, *kept).await, record.bare()) {
            (Err(StoreError::Full), Some(bare)) => self.say(current, &bare, *kept).await,
            (said, _) => said,
        }
    }

    /// The last word, which is said whether or not somebody waits for that.
    pub(crate) async fn end(self: Arc<Self>, last: Last, claim: Claim, beat: JoinHandle<()>) {
        let mut current = self.current.lock().await;
        // It has no change under way: it would have the lock.
        beat.abort();
        let said = self.finish(&mut current, &last).await;
        match &last {
            // Somebody else knows more.
            Last::Keep(record, _) if said == Ok(false) && !record.is_done() => {}
            Last::Keep(record, kept) => {
                let only_here = said != Ok(true);
                drop(self.note(&current, record, only_here, *kept).await);
            }
            Last::Gone => self.forget(&current.record).await,
        }
        drop(current);
        if let Err(error) = said {
            tracing::debug!(%error, "what came of a write is told to the store later");
            let done = matches!(&last, Last::Keep(record, _) if record.is_done());
            let claim = (!done || self.inner.own.is_none()).then_some(claim);
            tokio::spawn(self.end_later(last, claim));
        }
    }

    async fn end_later(self: Arc<Self>, last: Last, mut claim: Option<Claim>) {
        let begun = Instant::now();
        let pauses = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
        for pause in pauses {
            sleep(pause).await;
            let mut current = self.current.lock().await;
            match self.finish(&mut current, &last).await {
                Ok(said) => return self.noted(&current, &last, said).await,
                Err(error) if begun.elapsed() > SAID_FOR => {
                    tracing::warn!(%error, "what came of a write is not in the store");
                    return;
                }
                Err(_) if begun.elapsed() > WAITED_FOR => drop(claim.take()),
                Err(_) => {}
            }
        }
    }

    /// Now the store knows, unless the process has learned more since.
    async fn noted(&self, current: &Current, last: &Last, said: bool) {
        let (Some(own), Last::Keep(record, kept)) = (&self.inner.own, last) else {
            return;
        };
        if let Some((note, _)) = own.read(&self.first).await
            && said
            && note.record.by == record.by
        {
            drop(self.note(current, &note.record, false, *kept).await);
        }
    }

    /// Remembers it in this process too, where that counts without the store.
    pub(crate) async fn note(
        &self,
        current: &Current,
        record: &Record,
        only_here: bool,
        kept: Duration,
    ) -> Result<(), StoreError> {
        let Some(own) = &self.inner.own else {
            return Ok(());
        };
        let note = Note {
            record: record.clone(),
            shared: current.version.map(|version| (self.name.clone(), version)),
            only_here,
        };
        let written = own.write(&self.first, &note, kept).await;
        if let Err(error) = &written {
            tracing::warn!(%error, "a write is not remembered in this process");
        }
        written
    }

    async fn forget(&self, record: &Record) {
        if let Some(own) = &self.inner.own
            && let Some((note, _)) = own.read(&self.first).await
            && note.record.by == record.by
        {
            own.remove(&self.first).await;
        }
    }
}

/// Says now and then that somebody is at work on it, for as long as that can be.
pub(crate) async fn beat(held: Arc<Held>) {
    loop {
        sleep(held.inner.config.beat).await;
        let mut current = held.current.lock().await;
        if held.overtaken.load(Ordering::Acquire) || Instant::now() >= current.until {
            return;
        }
        let record = current.record.clone();
        if let Ok(true) = held.say(&mut current, &record, held.keep).await {
            drop(held.note(&current, &record, false, held.keep).await);
        }
    }
}
