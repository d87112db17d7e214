//! Instances over one store, each with its own way there, which fails on command.

use std::{
    cell::Cell,
    collections::VecDeque,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use mcp_fleet::{Begun, Intent, Journal, JournalConfig, ReadBack, Replay, WithoutStore, Write};
use mcp_session::{Fact, FactStore, Keyring, MemoryFacts, Put, Rate, Spent, StoreError, Swap};
use tokio::{sync::Notify, task::JoinHandle, time::Instant};

pub(crate) const ADA: &[&str] = &["https://issuer.test", "ada", "org_1"];
pub(crate) const IDEA: &[u8] = b"{\"message\":\"an idea\"}";

pub(crate) fn idea() -> Write<'static> {
    Write::new(ADA, "create", IDEA)
}

/// A write that is done again when it comes again.
pub(crate) fn change() -> Write<'static> {
    Write {
        replays: false,
        ..Write::new(ADA, "update", IDEA)
    }
}

/// What happens to a command on its way.
#[derive(Clone)]
pub(crate) enum Fault {
    /// It does not arrive.
    Fail(StoreError),
    /// It is done, and the answer is lost.
    Lose,
    /// It is done, and the answer comes when told.
    Late(Arc<Notify>),
}

#[derive(Default)]
pub(crate) struct Way {
    store: Arc<MemoryFacts>,
    next: Mutex<VecDeque<Option<Fault>>>,
    always: Mutex<Option<Fault>>,
    commands: AtomicUsize,
    name: Mutex<String>,
}

impl Way {
    /// The way to this store.
    pub(crate) fn to(store: &Arc<MemoryFacts>) -> Arc<Self> {
        Arc::new(Self {
            store: Arc::clone(store),
            ..Self::default()
        })
    }

    /// What was asked for last.
    pub(crate) fn last_name(&self) -> String {
        self.name.lock().unwrap().clone()
    }

    /// What happens to the next commands.
    pub(crate) fn next(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.next.lock().unwrap().extend(faults);
    }

    /// What happens to all others.
    pub(crate) fn always(&self, fault: Option<Fault>) {
        *self.always.lock().unwrap() = fault;
    }

    pub(crate) fn cut(&self) {
        self.always(Some(Fault::Fail(StoreError::Timeout)));
    }

    pub(crate) fn mend(&self) {
        self.always(None);
    }

    pub(crate) fn commands(&self) -> usize {
        self.commands.load(Ordering::SeqCst)
    }

    async fn go<T>(
        &self,
        key: &str,
        command: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        key.clone_into(&mut self.name.lock().unwrap());
        self.commands.fetch_add(1, Ordering::SeqCst);
        let next = self.next.lock().unwrap().pop_front();
        let fault = next.unwrap_or_else(|| self.always.lock().unwrap().clone());
        match fault {
            None => command.await,
            Some(Fault::Fail(error)) => Err(error),
            Some(Fault::Lose) => {
                command.await?;
                Err(StoreError::Timeout)
            }
            Some(Fault::Late(told)) => {
                let answer = command.await;
                told.notified().await;
                answer
            }
        }
    }
}

#[async_trait]
impl FactStore for Way {
    async fn read(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        self.go(key, self.store.read(key)).await
    }

    async fn put_if_absent(
        &self,
        key: &str,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Put, StoreError> {
        self.go(key, self.store.put_if_absent(key, value, ttl))
            .await
    }

    async fn compare_and_set(
        &self,
        key: &str,
        version: u64,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<Swap, StoreError> {
        self.go(key, self.store.compare_and_set(key, version, value, ttl))
            .await
    }

    async fn compare_and_delete(&self, key: &str, version: u64) -> Result<bool, StoreError> {
        self.go(key, self.store.compare_and_delete(key, version))
            .await
    }

    async fn take(&self, key: &str) -> Result<Option<Fact>, StoreError> {
        self.go(key, self.store.take(key)).await
    }

    async fn spend(
        &self,
        key: &str,
        rate: Rate,
        owed: u64,
        wanted: u64,
    ) -> Result<Spent, StoreError> {
        self.go(key, self.store.spend(key, rate, owed, wanted))
            .await
    }

    async fn insert(&self, key: &str, member: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        self.go(key, self.store.insert(key, member, ttl)).await
    }

    async fn remove(&self, key: &str, member: &[u8]) -> Result<(), StoreError> {
        self.go(key, self.store.remove(key, member)).await
    }

    async fn members(&self, key: &str) -> Result<Vec<(Vec<u8>, Duration)>, StoreError> {
        self.go(key, self.store.members(key)).await
    }
}

thread_local! {
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The wall clock, as if it were so far ahead of the runtime's.
pub(crate) fn wall_clock_ahead(by: Duration) {
    AHEAD.set(by);
}

fn clock() -> SystemTime {
    static BASE: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);
    let base = *BASE;
    let gone = Instant::now().into_std().saturating_duration_since(base);
    SystemTime::UNIX_EPOCH + Duration::from_hours(400_000) + gone + AHEAD.get()
}

fn config(without_store: WithoutStore) -> JournalConfig {
    let mut config = JournalConfig::default();
    config.without_store = without_store;
    config.clock = clock;
    config
}

pub(crate) struct Fleet {
    pub(crate) store: Arc<MemoryFacts>,
    pub(crate) config: JournalConfig,
    keyring: Arc<Keyring>,
}

impl Fleet {
    pub(crate) fn new(without_store: WithoutStore) -> Self {
        Self {
            store: Arc::default(),
            config: config(without_store),
            keyring: Arc::new(Keyring::random()),
        }
    }

    pub(crate) fn instance(&self) -> (Journal, Arc<Way>) {
        self.with_keys(Arc::clone(&self.keyring))
    }

    pub(crate) fn way(&self) -> Arc<Way> {
        Arc::new(Way {
            store: Arc::clone(&self.store),
            ..Way::default()
        })
    }

    pub(crate) fn keyring(&self) -> Arc<Keyring> {
        Arc::clone(&self.keyring)
    }

    pub(crate) fn with_keys(&self, keyring: Arc<Keyring>) -> (Journal, Arc<Way>) {
        let way = self.way();
        let journal = Journal::shared(way.clone(), keyring, self.config.clone());
        (journal, way)
    }
}

/// Two instances over one store.
pub(crate) fn two() -> (Journal, Journal) {
    let fleet = Fleet::new(WithoutStore::PerInstance);
    (fleet.instance().0, fleet.instance().0)
}

pub(crate) const BOTH: [WithoutStore; 2] = [WithoutStore::PerInstance, WithoutStore::Refuse];

/// Begins a write that nobody has, and lets its request leave.
pub(crate) async fn send(journal: &Journal, write: &Write<'_>) -> Intent {
    match journal.begin(write).await.unwrap() {
        Begun::Send(intent) => {
            assert!(intent.may_send());
            intent
        }
        other => panic!("to be sent, not {other:?}"),
    }
}

pub(crate) async fn replay(journal: &Journal, write: &Write<'_>) -> Replay {
    match journal.begin(write).await.unwrap() {
        Begun::Replay(replay) => replay,
        other => panic!("to be replayed, not {other:?}"),
    }
}

pub(crate) async fn kept(journal: &Journal, write: &Write<'_>) -> String {
    replay(journal, write).await.kept.unwrap()
}

pub(crate) async fn read_back(journal: &Journal, write: &Write<'_>) -> ReadBack {
    match journal.begin(write).await.unwrap() {
        Begun::ReadBack(read_back) => read_back,
        other => panic!("to be read back, not {other:?}"),
    }
}

/// Begins in the background, and lets that come as far as it can.
pub(crate) async fn begins(
    journal: &Journal,
    write: Write<'static>,
) -> JoinHandle<Result<Begun, mcp_fleet::JournalAway>> {
    let journal = journal.clone();
    let begun = tokio::spawn(async move { journal.begin(&write).await });
    settle().await;
    begun
}

/// Lets everything go on that waits for no time.
pub(crate) async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
