//! Writes to the shared store, off the request's path: bounded, and the last word per key wins.
//!
//! A task runs only while something is waiting. It lingers for others to come, so that they reach the
//! store together, unless somebody waits. Sealing happens here too.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use futures::future::join_all;
use mcp_outbound::LogThrottle;
use tokio::sync::{Notify, oneshot};

use crate::{
    key::SessionKey,
    record,
    seal::Keyring,
    session::Session,
    stats::TierStats,
    store::{SharedStore, StoreError},
};

/// Commands under way at once.
const BATCH: usize = 16;

/// How long a batch waits to be full: a write to a socket, a wake-up and a task cost more than the
/// command in them. Only a process that is killed within it notices.
const LINGER: Duration = Duration::from_millis(5);

/// The queue and whoever empties it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn SharedStore>,
    keyring: Arc<Keyring>,
    stats: Arc<TierStats>,
    capacity: usize,
    queue: Mutex<Queue>,
    due: Notify,
    idle: Notify,
    warned: LogThrottle,
}

#[derive(Default)]
struct Queue {
    order: VecDeque<SessionKey>,
    jobs: HashMap<SessionKey, Job>,
    running: bool,
    /// Somebody waits for the queue to become empty, or for a job in it.
    is_urgent: bool,
}

impl Queue {
    /// Whether there is nothing to linger for.
    fn is_due(&self) -> bool {
        self.is_urgent || self.order.is_empty() || self.order.len() >= BATCH
    }
}

/// What is to become of a key: a session to keep, or nothing.
#[derive(Default)]
struct Job {
    session: Option<Arc<Session>>,
    waiting: Vec<oneshot::Sender<Result<(), StoreError>>>,
}

impl Writer {
    pub(crate) fn new(
        store: Arc<dyn SharedStore>,
        keyring: Arc<Keyring>,
        stats: Arc<TierStats>,
        capacity: usize,
    ) -> Self {
        let shared = Shared {
            store,
            keyring,
            stats,
            capacity,
            queue: Mutex::default(),
            due: Notify::new(),
            idle: Notify::new(),
            warned: LogThrottle::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Keeps the session, some time soon. `key` is its key under the current encryption key.
    pub(crate) fn put(&self, key: SessionKey, session: Arc<Session>) {
        self.enqueue(key, Some(session), None);
    }

    /// Removes a record, some time soon.
    pub(crate) fn remove(&self, key: SessionKey) {
        self.enqueue(key, None, None);
    }

    /// Removes a record, after everything that was queued for it before, and waits for it.
    pub(crate) async fn remove_now(&self, key: SessionKey) -> Result<(), StoreError> {
        let (done, result) = oneshot::channel();
        self.enqueue(key, None, Some(done));
        result
            .await
            .unwrap_or(Err(StoreError::Unreachable("the writer stopped")))
    }

    /// Gives up a session that still waits to be kept.
    pub(crate) fn cancel(&self, key: SessionKey) {
        let mut queue = self.shared.lock();
        if queue
            .jobs
            .get(&key)
            .is_some_and(|job| job.session.is_some())
        {
            // Its place in the order stays, and is passed over.
            queue.jobs.remove(&key);
        }
    }

    /// Waits until nothing is queued or under way. Returns what was still queued after `timeout`.
    pub(crate) async fn flush(&self, timeout: Duration) -> usize {
        let drained = async {
            loop {
                let notified = self.shared.idle.notified();
                if !self.shared.hurry() {
                    return;
                }
                notified.await;
            }
        };
        match tokio::time::timeout(timeout, drained).await {
            Ok(()) => 0,
            Err(_) => self.shared.lock().order.len().max(1),
        }
    }

    fn enqueue(
        &self,
        key: SessionKey,
        session: Option<Arc<Session>>,
        waiting: Option<oneshot::Sender<Result<(), StoreError>>>,
    ) {
        let mut queue = self.shared.lock();
        queue.is_urgent |= waiting.is_some();
        if !queue.jobs.contains_key(&key) {
            // Somebody waits for a logout: it is never dropped.
            if queue.order.len() >= self.shared.capacity && waiting.is_none() {
                drop(queue);
                self.shared.stats.writes_dropped.increment();
                return;
            }
            queue.order.push_back(key);
        }
        let job = queue.jobs.entry(key).or_default();
        job.session = session;
        job.waiting.extend(waiting);
        if !queue.running {
            queue.running = true;
            tokio::spawn(drain(Arc::clone(&self.shared)));
        } else if queue.is_due() {
            self.shared.due.notify_waiters();
        }
    }
}

/// Empties the queue, a batch of different keys at a time, so that two jobs of one key never
/// overtake each other.
async fn drain(shared: Arc<Shared>) {
    let mut stopped = Stopped {
        shared,
        queue_was_empty: false,
    };
    while let Some(batch) = stopped.shared.next_batch().await {
        let jobs = batch.into_iter();
        join_all(jobs.map(|(key, job)| stopped.shared.perform(key, job))).await;
    }
    stopped.queue_was_empty = true;
}

/// However the task ends, the next job starts a new one, and whoever waits for silence is told.
struct Stopped {
    shared: Arc<Shared>,
    /// Then the queue has been marked as idle already, and may be busy again with another task.
    queue_was_empty: bool,
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if !self.queue_was_empty {
            self.shared.lock().running = false;
        }
        self.shared.idle.notify_waiters();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nothing linger; whether there is anything.
    fn hurry(&self) -> bool {
        let mut queue = self.lock();
        queue.is_urgent = queue.running;
        self.due.notify_waiters();
        queue.running
    }

    /// Until a batch is full, somebody waits, or it has been long enough.
    async fn linger(&self) {
        // Before the look: it hears of everything after it.
        let due = self.due.notified();
        if !self.lock().is_due() {
            // Either is as good.
            drop(tokio::time::timeout(LINGER, due).await);
        }
    }

    /// `None` ends the task; under the same lock, so that no job is left behind without one.
    async fn next_batch(&self) -> Option<Vec<(SessionKey, Job)>> {
        self.linger().await;
        let mut queue = self.lock();
        let length = queue.order.len().min(BATCH);
        if length == 0 {
            queue.running = false;
            queue.is_urgent = false;
            return None;
        }
        let keys: Vec<_> = queue.order.drain(..length).collect();
        Some(
            keys.into_iter()
                .filter_map(|key| Some((key, queue.jobs.remove(&key)?)))
                .collect(),
        )
    }

    async fn perform(&self, key: SessionKey, job: Job) {
        let name = key.to_string();
        let result = match &job.session {
            Some(session) => self.write(&name, session).await,
            None => self.store.delete(&name).await,
        };
        if let Err(error) = &result {
            self.stats.writes_failed.increment();
            if self.warned.pass().is_some() {
                tracing::warn!(%error, "session not written to the store; other instances will verify its token");
            }
        }
        for waiting in job.waiting {
            // Nobody is left to be told when the caller has gone.
            drop(waiting.send(result.clone()));
        }
    }

    async fn write(&self, name: &str, session: &Session) -> Result<(), StoreError> {
        let ttl = session.remaining(SystemTime::now());
        if ttl.is_zero() {
            return Ok(());
        }
        let sealed = record::encode(session)
            .ok()
            .and_then(|plaintext| self.keyring.seal(name, &plaintext).ok())
            .ok_or(StoreError::Unreachable("the record could not be sealed"))?;
        self.store.put(name, sealed, ttl).await?;
        self.stats.writes.increment();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
