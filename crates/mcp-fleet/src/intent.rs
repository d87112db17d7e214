//! [`Intent`]: a write that this process has, until it says what came of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Handle, sync::Mutex, task::JoinHandle, time::Instant};

use crate::{
    claim::Claim,
    held::{Current, Held, Last, beat},
    place::{BEFORE_SENDING, Inner},
    record::{Record, State, millis},
    write::{Write, count},
};

/// What a begin wants to do with a write.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) record: Record,
    /// From before its request left.
    pub(crate) since: Instant,
    pub(crate) stage: Stage,
}

#[derive(Debug, Clone)]
pub(crate) enum Stage {
    MaySend,
    ReadsBack {
        settled: bool,
        /// What is true if it is not sent again.
        back: Box<Record>,
    },
}

/// A write that this process has. Dropped without a word, it was not done if it never was allowed to be
/// sent, and is unclear otherwise.
pub struct Intent {
    held: Arc<Held>,
    plan: Plan,
    /// Whether it was told that it may be sent.
    allowed: AtomicBool,
    times: Times,
    /// Both until the last word.
    claim: Option<Claim>,
    beat: Option<JoinHandle<()>>,
}

/// What a write says of its times.
struct Times {
    timeout: Duration,
    settles_after: Duration,
    replayed: bool,
    /// The store is away, and the process decides alone.
    alone: bool,
}

/// Whoever waits for the end of a write that is not replayed asks again within this.
const FOR_JOINERS: Duration = Duration::from_mins(1);

impl Intent {
    pub(crate) fn new(
        inner: &Arc<Inner>,
        (first, name, version): (&str, &str, Option<u64>),
        claim: Claim,
        plan: Plan,
        write: &Write<'_>,
        alone: bool,
    ) -> Self {
        let timeout = write.timeout();
        let held = Arc::new(Held {
            inner: Arc::clone(inner),
            first: first.to_owned(),
            name: name.to_owned(),
            current: Mutex::new(Current {
                version,
                record: plan.record.clone(),
                until: plan.since + BEFORE_SENDING + timeout,
            }),
            overtaken: AtomicBool::new(false),
            keep: inner.keep(write),
        });
        Self {
            beat: Some(tokio::spawn(beat(Arc::clone(&held)))),
            held,
            plan,
            allowed: AtomicBool::new(false),
            times: Times {
                timeout,
                settles_after: inner.settles_after(write),
                replayed: write.is_replayed(),
                alone,
            },
            claim: Some(claim),
        }
    }

    /// Remembers it in this process, before anything is sent.
    pub(crate) async fn noted(&self) -> Result<(), mcp_session::StoreError> {
        let current = self.held.current.lock().await;
        let (record, keep) = (&self.plan.record, self.held.keep);
        let noted = self.held.note(&current, record, self.times.alone, keep);
        match noted.await {
            Err(error) if self.times.alone => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the request may leave now: to be asked right before. Nobody else has the write, there is
    /// time left for the answer, and what was read back does not stand against it.
    pub fn may_send(&self) -> bool {
        let late = Instant::now() > self.plan.since + BEFORE_SENDING
            // The runtime's clock stands still while a machine is suspended.
            || self.held.inner.now() > self.plan.record.at.saturating_add(millis(BEFORE_SENDING));
        let may = !late
            && matches!(self.plan.stage, Stage::MaySend)
            && !self.held.overtaken.load(Ordering::Acquire);
        self.allowed.fetch_or(may, Ordering::AcqRel);
        may
    }

    /// Begins it anew, after reading back found nothing. `false` if the first request can still arrive,
    /// or if somebody else was faster.
    pub async fn send_again(&mut self) -> bool {
        if !matches!(self.plan.stage, Stage::ReadsBack { settled: true, .. }) {
            return false;
        }
        let (since, at) = (Instant::now(), self.held.inner.now());
        let record = Record {
            at,
            settles_at: at.saturating_add(millis(self.times.settles_after)),
            from: self.plan.record.by.clone(),
            ..self.plan.record.clone()
        };
        let mut current = self.held.current.lock().await;
        let said = self.held.say(&mut current, &record, self.held.keep).await;
        let only_here = self.times.alone && said.is_err();
        if !matches!(said, Ok(true)) && !only_here {
            return false;
        }
        let noted = self
            .held
            .note(&current, &record, only_here, self.held.keep)
            .await;
        if only_here && noted.is_err() {
            return false;
        }
        current.record = record.clone();
        current.until = since + BEFORE_SENDING + self.times.timeout;
        drop(current);
        self.plan = Plan {
            record,
            since,
            stage: Stage::MaySend,
        };
        if self.beat.as_ref().is_none_or(JoinHandle::is_finished) {
            self.beat = Some(tokio::spawn(beat(Arc::clone(&self.held))));
        }
        true
    }

    /// It was done. `kept` is told to whoever asks for the same again; `answered`: the client was
    /// there to hear of it.
    pub async fn done(mut self, kept: Option<&str>, answered: bool) {
        let window = self.held.inner.config.window;
        let window = if self.times.replayed || !answered {
            window
        } else {
            window.min(FOR_JOINERS)
        };
        let record = self.plan.record.done(kept, answered);
        self.ran();
        self.end(Last::Keep(record, window)).await;
    }

    /// It was found to be done by reading back.
    pub async fn resolved(self, kept: Option<&str>, answered: bool) {
        count(&self.held.inner.stats.resolved);
        self.done(kept, answered).await;
    }

    /// It may have been sent, and nobody knows what came of it.
    pub async fn unclear(mut self) {
        count(&self.held.inner.stats.unknown);
        self.ran();
        let last = self.unsaid();
        self.end(last).await;
    }

    /// This time it was surely not done: the same may be tried again at once, unless an earlier request
    /// may have done it.
    pub async fn release(mut self) {
        let last = match self.plan.stage {
            Stage::MaySend => Last::Gone,
            Stage::ReadsBack { .. } => self.unsaid(),
        };
        self.ran();
        self.end(last).await;
    }

    fn unsaid(&self) -> Last {
        let record = match &self.plan.stage {
            Stage::MaySend => self.plan.record.now(State::Unclear),
            Stage::ReadsBack { back, .. } => Record::clone(back),
        };
        Last::Keep(record, self.held.keep)
    }

    /// Who waited, waited for this.
    fn ran(&self) {
        if let Some(claim) = &self.claim {
            claim.ended();
        }
    }

    async fn end(&mut self, last: Last) {
        if let Some(ending) = self.ending(last) {
            drop(ending.await);
        }
    }

    /// Goes on also if nobody waits for it.
    fn ending(&mut self, last: Last) -> Option<JoinHandle<()>> {
        let (claim, beat) = (self.claim.take()?, self.beat.take()?);
        let runtime = Handle::try_current().ok()?;
        Some(runtime.spawn(Arc::clone(&self.held).end(last, claim, beat)))
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        let allowed = self.allowed.load(Ordering::Acquire);
        let last = match self.plan.stage {
            Stage::MaySend if !allowed => Last::Gone,
            _ => self.unsaid(),
        };
        if allowed {
            self.ran();
        }
        drop(self.ending(last));
    }
}

impl std::fmt::Debug for Intent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intent").finish_non_exhaustive()
    }
}
