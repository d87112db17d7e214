//! What is set for each tenant at run time: known to every instance, in memory, so that asking costs no
//! I/O.
//!
//! The store has it sealed, with a version for each tenant: who changes something says which version it
//! saw, and of two who saw the same one is told to look again. News reach the other instances by
//! subscription; each reads all again when its subscription was renewed, and every minute. While the
//! store is away, what was known last holds. What an instance knows and the store does not is written
//! back: emptying the store changes nothing for anybody.

mod buckets;
mod known;

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use futures::StreamExt as _;
use mcp_session::{FactStore, Heard, Keyring, MemoryFacts, MemoryStore, SharedStore, StoreError};
use serde_json::Value;
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use self::{
    buckets::{Buckets, Changed},
    known::Known,
};

/// Longest settings of one tenant, in bytes of JSON.
pub const MAX_SETTINGS: usize = 4 * 1024;

/// How often all is read without being told to.
const EVERY: Duration = Duration::from_mins(1);

/// When a reading that failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// What is kept of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantRecord {
    /// One more with every change; 0 for a tenant of which nothing was ever set.
    pub version: u64,
    /// When it was changed last.
    pub changed_at: SystemTime,
    /// The settings, in the words of whoever set them; nothing where they were taken back.
    pub settings: Option<Arc<Value>>,
}

/// Why settings were not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// Somebody else changed them since; this is there now.
    #[error("the settings were changed meanwhile: their version is {}", .0.as_ref().map_or(0, |it| it.version))]
    Changed(Option<TenantRecord>),
    /// They mean nothing; why, for whoever wrote them.
    #[error("{0}")]
    Refused(String),
    /// They cannot be kept. Nothing was changed, or the answer was lost: then they are found later.
    #[error("the settings cannot be kept: {0}")]
    Store(#[from] StoreError),
}

/// Makes of settings what is asked for with each call.
///
/// # Errors
/// What is wrong with them, for whoever wrote them.
type Make<E> = dyn Fn(&str, &Value) -> Result<E, String> + Send + Sync;

/// The settings of all tenants of a deployment, and what was made of them. Cheap to clone.
pub struct Tenants<E> {
    inner: Arc<Inner<E>>,
}

struct Inner<E> {
    known: RwLock<Known<E>>,
    /// Whether there are none: what most calls find.
    none: AtomicBool,
    buckets: Buckets,
    news: Arc<dyn SharedStore>,
    make: Box<Make<E>>,
}

/// Listens for as long as it lives.
pub struct TenantNews(AbortHandle);

impl Drop for TenantNews {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<E> Clone for Tenants<E> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<E: Send + Sync + 'static> Tenants<E> {
    /// The channel on which news go.
    const NEWS: &'static str = "mcp:tenants:v1";

    /// Settings that all instances share. `make` makes of them, once for each change, what
    /// [`Tenants::get`] gives.
    pub fn shared(
        facts: Arc<dyn FactStore>,
        news: Arc<dyn SharedStore>,
        keyring: Arc<Keyring>,
        make: impl Fn(&str, &Value) -> Result<E, String> + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                known: RwLock::default(),
                none: AtomicBool::new(true),
                buckets: Buckets::new(facts, keyring),
                news,
                make: Box::new(make),
            }),
        }
    }

    /// Settings of a single instance, which a restart forgets.
    pub fn in_process(
        keyring: Arc<Keyring>,
        make: impl Fn(&str, &Value) -> Result<E, String> + Send + Sync + 'static,
    ) -> Self {
        let facts = Arc::new(MemoryFacts::default());
        Self::shared(facts, Arc::new(MemoryStore::default()), keyring, make)
    }

    /// Begins to hear what is set at other instances, and reads what was set before. That is waited for,
    /// but for no longer than `patience`: where the store does not answer, it is read when it does. Ends
    /// when it is dropped.
    pub async fn listen(&self, patience: Duration) -> TenantNews {
        let (this, read) = (self.clone(), Arc::new(Notify::new()));
        let told = Arc::clone(&read);
        let listening = tokio::spawn(async move { this.hear(&told).await });
        let listening = TenantNews(listening.abort_handle());
        // Over or not, the start goes on.
        let _ = tokio::time::timeout(patience, read.notified()).await;
        listening
    }

    /// What was made of a tenant's settings, if it has any. No I/O.
    pub fn get(&self, tenant: &str) -> Option<Arc<E>> {
        if self.inner.none.load(Ordering::Relaxed) {
            return None;
        }
        self.known().made(tenant)
    }

    /// What is kept of a tenant, as far as it is known here. No I/O.
    pub fn record(&self, tenant: &str) -> Option<TenantRecord> {
        self.known().record(tenant)
    }

    /// What is kept of all tenants, by their names. No I/O.
    pub fn all(&self) -> Vec<(String, TenantRecord)> {
        self.known().all()
    }

    /// Sets or takes back a tenant's settings: here at once, and at the other instances as soon as they
    /// hear of it. `seen` is the version that they are to replace, 0 for none.
    ///
    /// # Errors
    /// [`TenantError`].
    pub async fn put(
        &self,
        tenant: &str,
        seen: u64,
        settings: Option<Value>,
    ) -> Result<TenantRecord, TenantError> {
        let inner = &self.inner;
        if let Some(settings) = &settings {
            if settings.to_string().len() > MAX_SETTINGS {
                let text = format!("they are longer than {MAX_SETTINGS} bytes");
                return Err(TenantError::Refused(text));
            }
            (inner.make)(tenant, settings).map_err(TenantError::Refused)?;
        }
        let known = self.known().of_bucket(Buckets::of(tenant));
        match inner.buckets.put(tenant, seen, settings, known).await? {
            Changed::Done(record) => {
                self.learn(tenant, &record);
                if let Err(error) = self.tell(tenant, &record).await {
                    // They read it within a minute.
                    tracing::warn!(%error, "the other instances hear later that settings changed");
                }
                Ok(record)
            }
            Changed::Meanwhile(found) => {
                if let Some(record) = &found {
                    self.learn(tenant, record);
                }
                Err(TenantError::Changed(found))
            }
        }
    }

    async fn tell(&self, tenant: &str, record: &TenantRecord) -> Result<(), StoreError> {
        let message = self.inner.buckets.message(tenant, record)?;
        self.inner.news.publish(Self::NEWS, message).await
    }

    async fn hear(&self, read: &Notify) {
        let mut news = self.inner.news.listen(Self::NEWS);
        // Heard first and then read, so that nothing is said in between; but read also unheard.
        let (mut due, mut over) = (Instant::now() + AGAIN, false);
        loop {
            tokio::select! {
                heard = news.next(), if !over => match heard {
                    Some(Heard::Message(message)) => {
                        if let Some((tenant, record)) = self.inner.buckets.heard(&message) {
                            self.learn(&tenant, &record);
                        }
                    }
                    // What was said before is in the store.
                    Some(Heard::Listening) => due = Instant::now(),
                    None => (due, over) = (Instant::now(), true),
                },
                () = sleep_until(due) => {
                    due = self.read().await;
                    read.notify_one();
                }
            }
        }
    }

    /// Reads all, and writes back what is missing in the store. When to do it again.
    async fn read(&self) -> Instant {
        let all = futures::stream::iter(0..Buckets::COUNT)
            .map(|number| self.read_bucket(number))
            .buffer_unordered(AT_A_TIME);
        let failed = all.filter_map(async |read| read.err()).collect::<Vec<_>>();
        let again = match failed.await.first() {
            None => EVERY,
            Some(error) => {
                tracing::debug!(%error, "what is set for tenants cannot be read just now");
                AGAIN
            }
        };
        Instant::now() + again
    }

    async fn read_bucket(&self, number: usize) -> Result<(), StoreError> {
        let known = self.known().of_bucket(number);
        for (tenant, record) in self.inner.buckets.read(number, known).await? {
            self.learn(&tenant, &record);
        }
        Ok(())
    }

    fn learn(&self, tenant: &str, record: &TenantRecord) {
        let known = self.known().record(tenant);
        if known.is_some_and(|known| !record.is_after(&known)) {
            return;
        }
        let settings = record.settings.as_ref();
        let made = settings.map(|settings| (self.inner.make)(tenant, settings));
        let mut known = self.known_mut();
        match made.transpose() {
            Ok(made) => known.learn(tenant, record, made.map(Arc::new)),
            Err(reason) => {
                // Of a newer version of this program, maybe: what was known before goes on.
                tracing::warn!(reason, "settings of a tenant mean nothing here");
                known.learn_unread(tenant, record);
            }
        }
        self.inner.none.store(known.is_empty(), Ordering::Relaxed);
    }

    fn known(&self) -> RwLockReadGuard<'_, Known<E>> {
        let known = self.inner.known.read();
        known.unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> RwLockWriteGuard<'_, Known<E>> {
        let known = self.inner.known.write();
        known.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many buckets are read at one time.
const AT_A_TIME: usize = 16;

impl TenantRecord {
    /// Whether it replaces another one. Where two instances gave the same version, each without knowing
    /// of the other, the later one counts, and for all instances the same one.
    fn is_after(&self, other: &Self) -> bool {
        let text = |record: &Self| record.settings.as_ref().map(ToString::to_string);
        let order = (self.version, self.changed_at).cmp(&(other.version, other.changed_at));
        // The same on both sides is what is read every minute: it is not written out to be compared.
        let is_same = self.settings == other.settings;
        order.is_gt() || (order.is_eq() && !is_same && text(self) > text(other))
    }
}

impl<E> fmt::Debug for Tenants<E> {
    /// Names no tenant.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenants").finish_non_exhaustive()
    }
}
