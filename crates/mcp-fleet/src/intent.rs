//! [`Intent`]: a write that this process has, until it says what came of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mcp_session::{Fact, FactStore, Swap};
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep},
};

use crate::{
    place::{BEFORE_SENDING, Claim, Inner, Place, count},
    record::{Record, State, millis_now},
    write::Write,
};

impl Inner {
    /// Puts this record in the place of that version, unless somebody was faster.
    pub(crate) async fn take_over(
        self: &Arc<Self>,
        claim: &mut Option<Claim>,
        place: Place,
        record: Record,
        version: u64,
        write: &Write<'_>,
    ) -> Option<Intent> {
        let sealed = self.sealed(&record, &place.name).ok()?;
        let kept = self.keep(write);
        let swap = place
            .store
            .compare_and_set(&place.name, version, sealed, kept);
        match swap.await {
            Ok(Swap::Done) => Some(self.intent(claim.take()?, place, record, version + 1, write)),
            Ok(Swap::Lost(_)) => None,
            Err(_) => {
                // Its next look says what there is, or that the store is away.
                sleep(Duration::from_millis(50)).await;
                None
            }
        }
    }

    pub(crate) fn intent(
        self: &Arc<Self>,
        claim: Claim,
        place: Place,
        record: Record,
        version: u64,
        write: &Write<'_>,
    ) -> Intent {
        let held = Arc::new(Held {
            inner: Arc::clone(self),
            store: place.store,
            name: place.name,
            current: Mutex::new(Current {
                version,
                record,
                over: false,
            }),
            overtaken: AtomicBool::new(false),
            over: Notify::new(),
            kept: self.keep(write),
        });
        tokio::spawn(beat(Arc::clone(&held)));
        Intent {
            until: Instant::now() + BEFORE_SENDING + write.timeout,
            timeout: write.timeout,
            held,
            _claim: claim,
        }
    }
}

/// A write that this process has. Dropped without a word, it counts as abandoned.
#[derive(Debug)]
pub struct Intent {
    held: Arc<Held>,
    /// What is sent later has no time left for its answer.
    until: Instant,
    timeout: Duration,
    _claim: Claim,
}

struct Held {
    inner: Arc<Inner>,
    store: Arc<dyn FactStore>,
    name: String,
    /// Locked while it is changed, so that no word of being at work comes after the last.
    current: Mutex<Current>,
    overtaken: AtomicBool,
    /// Nobody is at work on it any more.
    over: Notify,
    kept: Duration,
}

struct Current {
    version: u64,
    record: Record,
    over: bool,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}

impl Intent {
    /// Whether the request may leave now: to be asked right before. Nobody else has the write, and
    /// there is time left for the answer.
    pub fn may_send(&self) -> bool {
        let now = Instant::now();
        !self.held.overtaken.load(Ordering::Acquire) && now + self.timeout <= self.until
    }

    /// Begins it anew, after reading back found nothing and the first request cannot arrive any
    /// more. `false` if somebody else was faster.
    pub async fn renew(&mut self) -> bool {
        self.until = Instant::now() + BEFORE_SENDING + self.timeout;
        let mut current = self.held.current.lock().await;
        current.record.at = millis_now();
        let record = current.record.clone();
        self.held
            .change(&mut current, &record, self.held.kept)
            .await
    }

    /// It was done, and answered so.
    pub async fn done(self, answer: Option<&str>) {
        let window = self.held.inner.config.window;
        let mut current = self.held.current.lock().await;
        current.over = true;
        let record = current.record.done(answer);
        if !self.held.change(&mut current, &record, window).await {
            self.held.keep_here(&record, window).await;
        }
    }

    /// It was found to be done by reading back.
    pub async fn resolved(self, answer: Option<&str>) {
        count(&self.held.inner.stats.resolved);
        self.done(answer).await;
    }

    /// It may have been sent, and nobody knows what came of it.
    pub async fn unclear(self) {
        count(&self.held.inner.stats.unknown);
        let mut current = self.held.current.lock().await;
        current.over = true;
        let record = current.record.now(State::Unclear);
        self.held
            .change(&mut current, &record, self.held.kept)
            .await;
    }

    /// It was surely not done: the same may be tried again at once.
    pub async fn release(self) {
        let mut current = self.held.current.lock().await;
        current.over = true;
        let gone = self
            .held
            .store
            .compare_and_delete(&self.held.name, current.version);
        if let Err(error) = gone.await {
            tracing::debug!(%error, "a write that was refused stays in the journal for a while");
        }
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        self.held.over.notify_one();
    }
}

impl Held {
    /// Whether this record is there now.
    async fn change(&self, current: &mut Current, record: &Record, kept: Duration) -> bool {
        let Ok(sealed) = self.inner.sealed(record, &self.name) else {
            return false;
        };
        loop {
            let (name, version) = (&self.name, current.version);
            let swap = self
                .store
                .compare_and_set(name, version, sealed.clone(), kept);
            match swap.await {
                Ok(Swap::Done) => {
                    current.version += 1;
                    return true;
                }
                // A change of ours whose answer was lost.
                Ok(Swap::Lost(Some(fact))) if fact.version > version && self.is_ours(&fact) => {
                    current.version = fact.version;
                }
                Ok(Swap::Lost(_)) => {
                    self.overtaken.store(true, Ordering::Release);
                    return false;
                }
                Err(_) => return false,
            }
        }
    }

    fn is_ours(&self, fact: &Fact) -> bool {
        let record = Record::opened(&self.inner.keyring, &self.name, &fact.value);
        record.is_some_and(|record| record.by == self.inner.instance)
    }

    /// The store is away: at least this instance knows.
    async fn keep_here(&self, record: &Record, window: Duration) {
        if let Ok(sealed) = self.inner.sealed(record, &self.name) {
            let kept = self.inner.own.put_if_absent(&self.name, sealed, window);
            if let Err(error) = kept.await {
                tracing::warn!(%error, "what came of a write is kept nowhere");
            }
        }
    }
}

/// Says now and then that somebody is at work on it.
async fn beat(held: Arc<Held>) {
    loop {
        // A change that was begun is never dropped: its version would not be known.
        tokio::select! {
            () = sleep(held.inner.config.beat) => {}
            () = held.over.notified() => return,
        }
        let mut current = held.current.lock().await;
        if current.over || held.overtaken.load(Ordering::Acquire) {
            return;
        }
        let record = current.record.clone();
        held.change(&mut current, &record, held.kept).await;
    }
}
