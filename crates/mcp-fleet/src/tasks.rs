//! [`Tasks`]: calls that go on while nobody waits for them, and whose answers any instance has.
//!
//! A task is durable before anybody is told its id, belongs to who began it, and is worked on by one
//! instance at a time, under a lease that it renews. When it is not renewed, another instance takes
//! it over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mcp_session::{Fact, FactStore, Keyring, MemoryFacts, Put, StoreError, Swap};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{
    here::{Here, TaskHere},
    record::millis,
    seen::Seen,
};

/// How long tasks live, and how many one owner may have.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TasksConfig {
    /// How long a task is kept, from when it began. 1 h by default.
    pub ttl: Duration,
    /// How often whoever works on it says so; three times as long without a word, and another
    /// instance takes it over. 5 s by default.
    pub beat: Duration,
    /// How often whoever works on it looks whether it was cancelled elsewhere. 500 ms by default.
    pub look: Duration,
    /// How many one owner may have under way. 16 by default.
    pub max_working: usize,
    /// How many one owner may have, those included that are over. 64 by default.
    pub max_kept: usize,
    /// How many all owners of a tenant may have together. 512 by default.
    pub max_of_tenant: usize,
}

impl Default for TasksConfig {
    fn default() -> Self {
        Self {
            ttl: Duration::from_hours(1),
            beat: Duration::from_secs(5),
            look: Duration::from_millis(500),
            max_working: 16,
            max_kept: 64,
            max_of_tenant: 512,
        }
    }
}

/// Why there is no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The store is away, or has no room.
    #[error("tasks cannot be kept: {0}")]
    Store(#[from] StoreError),
    /// The owner, or the tenant, has as many as may be.
    #[error("too many tasks are kept")]
    TooMany,
}

/// What a task is: kept as it is, sealed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskRecord {
    /// What it is about, in the words of who began it.
    pub about: String,
    /// What is to be done, for whoever takes it over; empty when it is over.
    pub request: String,
    /// Where it is.
    pub state: TaskState,
    owner: String,
    created: u64,
    updated: u64,
    /// When somebody was at work on it last, and not only took it over.
    worked: u64,
    /// Who works on it: instance and number; nothing when it was given up.
    by: Option<String>,
}

/// Where a task is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// It is worked on, or waits for somebody to take it over.
    Working,
    /// It is not worked on any more, because that was asked for.
    Cancelled,
    /// It is done, and this came of it.
    Done(String),
}

impl TaskRecord {
    /// When it began, by the clock of the instance where it did.
    pub fn created_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.created)
    }

    /// When somebody was at work on it last, by the clock of that instance: what it wrote may have been
    /// written then.
    pub fn worked_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.worked)
    }

    /// When it changed last, its renewed lease included.
    pub fn updated_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.updated)
    }
}

impl std::fmt::Debug for TaskRecord {
    /// Says nothing of what was asked and answered.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskRecord")
            .field("about", &self.about)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TaskState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Working => "Working",
            Self::Cancelled => "Cancelled",
            Self::Done(_) => "Done",
        })
    }
}

/// A task that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundTask {
    /// What it is.
    pub record: TaskRecord,
    /// Whether nobody works on it any more, although it is not over: [`Tasks::take_over`].
    pub is_orphaned: bool,
    name: String,
    version: u64,
}

/// The tasks of one instance or of all. Cheap to clone.
#[derive(Clone)]
pub struct Tasks {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn FactStore>,
    keyring: Arc<Keyring>,
    config: TasksConfig,
    instance: String,
    number: AtomicU64,
    /// Who works on something here.
    here: Here,
    seen: Seen,
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Tasks {
    /// Tasks of this process alone.
    pub fn in_process(keyring: Arc<Keyring>, config: TasksConfig) -> Self {
        Self::shared(Arc::new(MemoryFacts::default()), keyring, config)
    }

    /// Tasks of all instances that have this store.
    pub fn shared(store: Arc<dyn FactStore>, keyring: Arc<Keyring>, config: TasksConfig) -> Self {
        let instance = mcp_session::random_key();
        Self {
            inner: Arc::new(Inner {
                store,
                keyring,
                config,
                instance: hex::encode(instance.split_at(8).0),
                number: AtomicU64::new(0),
                here: Here::default(),
                seen: Seen::default(),
            }),
        }
    }

    /// How long a task is kept.
    pub fn ttl(&self) -> Duration {
        self.inner.config.ttl
    }

    /// Begins a task, which is durable when this completes. `owner` is who may ask for it, `tenant` to
    /// whom the owner belongs, `about` says what it is, `request` what is to be done, for whoever takes it
    /// over.
    ///
    /// # Errors
    /// When it cannot be kept, or the owner or the tenant has too many.
    pub async fn begin(
        &self,
        owner: &[&str],
        tenant: &[&str],
        about: String,
        request: String,
    ) -> Result<(String, RunningTask), TaskError> {
        let inner = &self.inner;
        // 128 bits that nobody can guess.
        let id = hex::encode(mcp_session::random_key().split_at(16).0);
        let sets = [
            (inner.working(owner), inner.config.max_working),
            (inner.set(KEPT, owner), inner.config.max_kept),
            (
                inner.set("tasks-tenant", tenant),
                inner.config.max_of_tenant,
            ),
        ];
        let worker = inner.worker(TaskHere::new(&id, owner, &about, SystemTime::now()));
        let begun = match inner.counted(&sets, &id).await {
            Ok(()) => inner.kept(&id, owner, about, request, &worker).await,
            Err(error) => Err(error),
        };
        let (name, record, version) = match begun {
            Ok(kept) => kept,
            Err(error) => {
                for (set, _) in &sets {
                    inner.over(set, &id).await;
                }
                return Err(error);
            }
        };
        let [(working, _), ..] = sets;
        let running = worker.running(&id, name, working, record, version);
        Ok((id, running))
    }

    /// A task of this owner; another's is as if it were not there.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn find(&self, owner: &[&str], id: &str) -> Result<Option<FoundTask>, StoreError> {
        let inner = &self.inner;
        for name in inner.names(id) {
            let Some(fact) = inner.store.read(&name).await? else {
                continue;
            };
            let version = fact.version;
            let owners = inner.named("task-owner", owner);
            let record = inner.opened(&name, &fact);
            return Ok(record
                .filter(|record| owners.contains(&record.owner))
                .map(|record| FoundTask {
                    is_orphaned: record.state == TaskState::Working
                        && inner.is_orphaned(&name, version, record.by.as_deref()),
                    record,
                    name,
                    version,
                }));
        }
        Ok(None)
    }

    /// The ids of this owner's tasks, in any order; some may not be kept any more.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn list(&self, owner: &[&str]) -> Result<Vec<String>, StoreError> {
        let mut ids = Vec::new();
        for set in self.inner.named(KEPT, owner) {
            let members = self.inner.store.members(&set).await?;
            let text = |(member, _)| String::from_utf8(member).ok();
            ids.extend(members.into_iter().filter_map(text));
        }
        Ok(ids)
    }

    /// The tasks that this instance works on, in no order. No I/O.
    pub fn working_here(&self) -> Vec<TaskHere> {
        self.inner.here.all()
    }

    /// Takes a task over; nothing if somebody was faster.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn take_over(
        &self,
        owner: &[&str],
        id: &str,
        found: &FoundTask,
    ) -> Result<Option<RunningTask>, StoreError> {
        let inner = &self.inner;
        let (about, since) = (&found.record.about, found.record.created_at());
        let worker = inner.worker(TaskHere::new(id, owner, about, since));
        let record = TaskRecord {
            by: Some(worker.by.clone()),
            updated: millis_now(),
            ..found.record.clone()
        };
        let (name, version) = (found.name.clone(), found.version);
        let (sealed, left) = (inner.sealed(&name, &record)?, inner.left(&record));
        let swap = inner.store.compare_and_set(&name, version, sealed, left);
        if swap.await? != Swap::Done {
            return Ok(None);
        }
        let working = inner.working(owner);
        let running = worker.running(id, name, working, record, version.wrapping_add(1));
        Ok(Some(running))
    }

    /// Cancels a task: whoever works on it stops. Whether there is such a task of this owner.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn cancel(&self, owner: &[&str], id: &str) -> Result<bool, StoreError> {
        let inner = &self.inner;
        for _ in 0..TRIES {
            let Some(found) = self.find(owner, id).await? else {
                return Ok(false);
            };
            if found.record.state != TaskState::Working {
                return Ok(true);
            }
            let record = TaskRecord {
                state: TaskState::Cancelled,
                request: String::new(),
                updated: millis_now(),
                ..found.record
            };
            let sealed = inner.sealed(&found.name, &record)?;
            let left = inner.left(&record);
            let swap = inner
                .store
                .compare_and_set(&found.name, found.version, sealed, left);
            if swap.await? == Swap::Done {
                inner.over(&inner.working(owner), id).await;
                return Ok(true);
            }
        }
        Err(StoreError::Unreachable("the task changes all the time"))
    }
}

/// The kind of the set of what an owner has, those included that are over.
const KEPT: &str = "tasks-kept";

/// How often a change is tried that others are faster than.
const TRIES: usize = 5;

/// How often what came of a task is told to a store that is away.
const TRIES_TO_FINISH: usize = 120;

impl Inner {
    /// The names of a task under every key of the ring, the current first.
    fn names(&self, id: &str) -> Vec<String> {
        self.keyring.names("task", &[id.as_bytes()])
    }

    /// The name of what an owner has under way.
    fn working(&self, owner: &[&str]) -> String {
        self.set("tasks-working", owner)
    }

    /// The name of a set, under the current key.
    fn set(&self, kind: &str, whose: &[&str]) -> String {
        self.named(kind, whose).swap_remove(0)
    }

    /// A keyed name under every key of the ring, the current first.
    fn named(&self, kind: &str, whose: &[&str]) -> Vec<String> {
        let parts: Vec<_> = whose.iter().map(|part| part.as_bytes()).collect();
        self.keyring.names(kind, &parts)
    }

    /// Counts one more in each set, which it is in from then on.
    async fn counted(&self, sets: &[(String, usize)], id: &str) -> Result<(), TaskError> {
        for (set, most) in sets {
            let member = id.as_bytes().to_vec();
            self.store.insert(set, member, self.config.ttl).await?;
            // Counted after: of any number who begin at once, no more than so many do.
            if self.store.members(set).await?.len() > *most {
                return Err(TaskError::TooMany);
            }
        }
        Ok(())
    }

    /// Keeps a new task; its name, and what was kept.
    async fn kept(
        &self,
        id: &str,
        owner: &[&str],
        about: String,
        request: String,
        worker: &Worker,
    ) -> Result<(String, TaskRecord, u64), TaskError> {
        let now = millis_now();
        let record = TaskRecord {
            about,
            request,
            state: TaskState::Working,
            owner: self.set("task-owner", owner),
            created: now,
            updated: now,
            worked: now,
            by: Some(worker.by.clone()),
        };
        let name = self.names(id).swap_remove(0);
        let sealed = self.sealed(&name, &record)?;
        let put = self.store.put_if_absent(&name, sealed, self.config.ttl);
        match put.await? {
            Put::Created(version) => Ok((name, record, version)),
            Put::Exists(_) => Err(StoreError::Unreachable("its name was taken").into()),
        }
    }

    /// Somebody who works on something.
    fn worker(self: &Arc<Self>, on: TaskHere) -> Worker {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let by = format!("{}.{number}", self.instance);
        self.here.insert(by.clone(), on);
        Worker {
            inner: Arc::clone(self),
            by,
        }
    }

    fn sealed(&self, name: &str, record: &TaskRecord) -> Result<Vec<u8>, StoreError> {
        let json = serde_json::to_vec(record).ok();
        let sealed = json.and_then(|json| self.keyring.seal(name, &json).ok());
        sealed.ok_or(StoreError::Unreachable("it could not be sealed"))
    }

    fn opened(&self, name: &str, fact: &Fact) -> Option<TaskRecord> {
        let opened = self.keyring.open(name, &fact.value).ok()?;
        serde_json::from_slice(&opened.plaintext).ok()
    }

    /// What is left of its time.
    fn left(&self, record: &TaskRecord) -> Duration {
        let age = record.created_at().elapsed().unwrap_or_default();
        let left = self.config.ttl.saturating_sub(age);
        left.max(Duration::from_secs(1))
    }

    /// Whether nobody renews its lease, as far as was seen here.
    fn is_orphaned(&self, name: &str, version: u64, by: Option<&str>) -> bool {
        let Some(by) = by else { return true };
        if by.starts_with(&self.instance) {
            return !self.here.contains(by);
        }
        self.seen.is_silent(name, version, self.config.beat * 3)
    }

    /// It is not under way any more.
    async fn over(&self, working: &str, id: &str) {
        if let Err(error) = self.store.remove(working, id.as_bytes()).await {
            tracing::debug!(%error, "a task that is over counts for a while");
        }
    }
}

/// A task that this instance works on, under a lease that is renewed while [`RunningTask::watch`]
/// is polled.
pub struct RunningTask {
    held: Arc<Held>,
}

struct Held {
    inner: Arc<Inner>,
    id: String,
    name: String,
    working: String,
    current: Mutex<(u64, TaskRecord)>,
    _worker: Worker,
}

/// Who works on something here. Known before the store is: whoever reads there who works on it finds
/// them at work.
struct Worker {
    inner: Arc<Inner>,
    by: String,
}

impl Worker {
    fn running(
        self,
        id: &str,
        name: String,
        working: String,
        record: TaskRecord,
        version: u64,
    ) -> RunningTask {
        RunningTask {
            held: Arc::new(Held {
                inner: Arc::clone(&self.inner),
                id: id.to_owned(),
                name,
                working,
                current: Mutex::new((version, record)),
                _worker: self,
            }),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.inner.here.remove(&self.by);
    }
}

impl std::fmt::Debug for RunningTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningTask").finish_non_exhaustive()
    }
}

impl RunningTask {
    /// Renews the lease, and completes when the task is not to go on: it was cancelled, or somebody
    /// else works on it.
    pub async fn watch(&self) {
        let config = &self.held.inner.config;
        let mut renewed = Instant::now();
        loop {
            sleep(config.look).await;
            match self.held.inner.store.read(&self.held.name).await {
                Ok(Some(fact)) if self.is_ours(&fact).await => {}
                // What cannot be asked goes on, and so does what the store lost.
                Err(_) | Ok(None) => continue,
                Ok(Some(_)) => return,
            }
            if renewed.elapsed() >= config.beat {
                renewed = Instant::now();
                let beat = |record: &TaskRecord| TaskRecord {
                    updated: millis_now(),
                    worked: millis_now(),
                    ..record.clone()
                };
                if self.change(beat).await == Ok(false) {
                    return;
                }
            }
        }
    }

    /// Says what came of it.
    pub async fn finish(self, result: String) {
        let done = |record: &TaskRecord| TaskRecord {
            state: TaskState::Done(result.clone()),
            request: String::new(),
            updated: millis_now(),
            ..record.clone()
        };
        for _ in 0..TRIES_TO_FINISH {
            match self.change(done).await {
                Ok(_) => break,
                Err(error) => {
                    tracing::debug!(%error, "what came of a task is told again");
                    sleep(self.held.inner.config.look).await;
                }
            }
        }
        self.held
            .inner
            .over(&self.held.working, &self.held.id)
            .await;
    }

    /// Gives it up: another instance may take it over at once.
    pub async fn give_up(self) {
        let nobody = |record: &TaskRecord| TaskRecord {
            by: None,
            ..record.clone()
        };
        if let Err(error) = self.change(nobody).await {
            tracing::debug!(%error, "a task that was given up is taken over later");
        }
    }

    async fn is_ours(&self, fact: &Fact) -> bool {
        let current = self.held.current.lock().await;
        if fact.version == current.0 {
            return true;
        }
        let record = self.held.inner.opened(&self.held.name, fact);
        record.is_some_and(|it| it.state == TaskState::Working && it.by == current.1.by)
    }

    /// Whether it was changed; not if it is over, or somebody else's.
    async fn change(&self, to: impl Fn(&TaskRecord) -> TaskRecord) -> Result<bool, StoreError> {
        let Held { inner, name, .. } = &*self.held;
        let mut current = self.held.current.lock().await;
        for _ in 0..TRIES {
            let (version, record) = &mut *current;
            let next = to(record);
            let sealed = inner.sealed(name, &next)?;
            let left = inner.left(&next);
            let swap = inner.store.compare_and_set(name, *version, sealed, left);
            match swap.await? {
                Swap::Done => {
                    *current = (version.wrapping_add(1), next);
                    return Ok(true);
                }
                Swap::Lost(Some(fact)) => {
                    // A change of ours whose answer was lost.
                    let there = inner.opened(name, &fact);
                    let ours =
                        there.filter(|it| it.state == TaskState::Working && it.by == record.by);
                    match ours {
                        Some(there) => *current = (fact.version, there),
                        None => return Ok(false),
                    }
                }
                Swap::Lost(None) => return Ok(false),
            }
        }
        Ok(false)
    }
}

fn millis_now() -> u64 {
    millis(
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    )
}
