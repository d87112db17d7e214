//! [`Kept`]: documents that clients name, kept for as long as their hosts say, within bounds. Each is
//! fetched once for any number of waiting requests.

use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use mcp_outbound::{FetchError, GuardedClient, GuardedDocument, GuardedError, LogThrottle};
use moka::{future::Cache, ops::compute::Op};
use tokio::{sync::Semaphore, time::timeout};
use url::Url;

use super::ClientError;

/// A document is asked for again no sooner than after this, and where its host does not say.
const SHORTEST: Duration = Duration::from_mins(1);

/// It is asked for again no later than after this. For so long it also outlives its host.
const LONGEST: Duration = Duration::from_hours(24);

/// After a failure its host is left in peace for so long: strangers could make us ask without end. Not
/// longer, because an error must not be cached (section 5.2 of the draft), and a developer is mending it.
const PAUSE: Duration = Duration::from_secs(10);

/// Most documents that are kept; each is at most 16 KiB.
const MAX_KEPT: u64 = 1000;

/// Most that are fetched at once, and of one host: it may be slow on purpose.
const MAX_UNDER_WAY: usize = 64;
const MAX_OF_HOST: usize = 4;

/// How long somebody waits for a place among them.
const WAIT: Duration = Duration::from_secs(1);

/// Makes a value of a document.
type Read<T> = fn(&Url, &[u8]) -> Result<T, Cow<'static, str>>;

/// Documents by their addresses.
pub(crate) struct Kept<T> {
    for_anybody: Places<T>,
    for_holders: Places<T>,
    read: Read<T>,
    told: LogThrottle,
}

/// For whom a document is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A stranger, perhaps with many addresses of slow hosts.
    Anybody,
    /// Who holds something that this server gave to the client. Strangers do not hold that up.
    Holder,
}

/// Who fetches, how many of it at once, and what was fetched: whoever waits there waits for its like alone.
struct Places<T> {
    client: GuardedClient,
    entries: Cache<Url, Arc<Entry<T>>>,
    under_way: Semaphore,
    /// How many of each host are fetched now.
    of_hosts: Mutex<HashMap<String, usize>>,
}

impl<T: Send + Sync + 'static> Places<T> {
    fn new(client: GuardedClient) -> Self {
        let entries = Cache::builder()
            .max_capacity(MAX_KEPT)
            .time_to_live(2 * LONGEST)
            .build();
        Self {
            client,
            entries,
            under_way: Semaphore::new(MAX_UNDER_WAY),
            of_hosts: Mutex::default(),
        }
    }

    async fn fetch(&self, url: &Url) -> Result<GuardedDocument, GuardedError> {
        let Some(_turn) = Turn::take(&self.of_hosts, url) else {
            return Err(GuardedError::Busy);
        };
        match timeout(WAIT, self.under_way.acquire()).await {
            Ok(Ok(_permit)) => self.client.json(url).await,
            _ => Err(GuardedError::Busy),
        }
    }
}

/// One fetch of a host that is under way.
struct Turn<'k>(&'k Mutex<HashMap<String, usize>>, String);

impl<'k> Turn<'k> {
    /// Unless the host has as many as it may.
    fn take(hosts: &'k Mutex<HashMap<String, usize>>, url: &Url) -> Option<Self> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut counts = hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(host.clone()).or_default();
        if *count >= MAX_OF_HOST {
            return None;
        }
        *count += 1;
        Some(Self(hosts, host))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

struct Entry<T> {
    outcome: Result<Good<T>, ClientError>,
    /// When its host was last asked, and when it may be again.
    asked: SystemTime,
    until: SystemTime,
}

/// The last good document.
struct Good<T> {
    value: Arc<T>,
    /// For so long it does for a host that is away.
    usable_until: SystemTime,
}

impl<T> Clone for Good<T> {
    fn clone(&self) -> Self {
        Self {
            value: Arc::clone(&self.value),
            usable_until: self.usable_until,
        }
    }
}

impl<T: Send + Sync + 'static> Kept<T> {
    pub(crate) fn new(client: GuardedClient, read: Read<T>) -> Self {
        Self {
            for_holders: Places::new(client.apart()),
            for_anybody: Places::new(client),
            read,
            told: LogThrottle::default(),
        }
    }

    /// What the document at this address says.
    pub(crate) async fn get(
        &self,
        url: &Url,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Arc<T>, ClientError> {
        self.no_older_than(LONGEST, url, asker, now).await
    }

    /// The same, where something newer than what [`Kept::get`] gave is needed.
    pub(crate) async fn newer(
        &self,
        url: &Url,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Arc<T>, ClientError> {
        self.no_older_than(SHORTEST, url, asker, now).await
    }

    async fn no_older_than(
        &self,
        age: Duration,
        url: &Url,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Arc<T>, ClientError> {
        let (places, others) = match asker {
            Asker::Anybody => (&self.for_anybody, &self.for_holders),
            Asker::Holder => (&self.for_holders, &self.for_anybody),
        };
        if let Some(entry) = places.entries.get(url).await
            && entry.is_fresh(age, now)
        {
            return entry.answer();
        }
        let theirs = others.entries.get(url).await;
        let theirs = theirs.filter(|entry| entry.outcome.is_ok());
        if let Some(entry) = theirs.as_ref().filter(|entry| entry.is_fresh(age, now)) {
            return entry.answer();
        }
        // Whoever comes second waits here, and finds what the first one fetched.
        let entry = places.entries.entry_by_ref(url);
        let computed = entry.and_compute_with(|old| async move {
            let old = old.map(moka::Entry::into_value);
            if old.as_ref().is_some_and(|entry| entry.is_fresh(age, now)) {
                return Op::Nop;
            }
            let old = old.filter(|entry| entry.outcome.is_ok()).or(theirs);
            let fetched = self.fetched(url, places, old.as_deref(), now).await;
            Op::Put(Arc::new(fetched))
        });
        let entry = computed.await.into_entry();
        entry.map_or(Err(ClientError::Unavailable), |it| it.into_value().answer())
    }

    async fn fetched(
        &self,
        url: &Url,
        places: &Places<T>,
        old: Option<&Entry<T>>,
        now: SystemTime,
    ) -> Entry<T> {
        let entry = |outcome, lifetime| Entry {
            outcome,
            asked: now,
            until: now + lifetime,
        };
        match places.fetch(url).await {
            Ok(document) => match (self.read)(url, &document.body) {
                Ok(value) => {
                    let fresh_for = document.fresh_for.unwrap_or(SHORTEST);
                    let fresh_for = fresh_for.clamp(SHORTEST, LONGEST);
                    let good = Good {
                        value: Arc::new(value),
                        usable_until: now + fresh_for + LONGEST,
                    };
                    entry(Ok(good), fresh_for)
                }
                Err(problem) => entry(Err(ClientError::Refused(problem)), PAUSE),
            },
            // Its host was not asked, and has failed nobody.
            Err(GuardedError::Busy) => {
                let outcome = last_good(old, now).map_err(|_| ClientError::Busy);
                entry(outcome, Duration::ZERO)
            }
            Err(error) => {
                if self.told.pass().is_some() {
                    tracing::warn!(
                        host = url.host_str(),
                        %error,
                        "a client's document cannot be had: where this server cannot reach its host, \
                         clients register instead if documents are switched off"
                    );
                }
                let outcome = match refusal(error) {
                    // Of a document that was there, an error of its host says nothing.
                    _ if is_of_the_host(error) && last_good(old, now).is_ok() => {
                        last_good(old, now)
                    }
                    refusal => Err(refusal),
                };
                entry(outcome, PAUSE)
            }
        }
    }
}

impl<T> Entry<T> {
    fn is_fresh(&self, age: Duration, now: SystemTime) -> bool {
        now < self.until.min(self.asked + age)
    }

    fn answer(&self) -> Result<Arc<T>, ClientError> {
        let good = self.outcome.as_ref().map_err(ClientError::clone)?;
        Ok(Arc::clone(&good.value))
    }
}

fn last_good<T>(old: Option<&Entry<T>>, now: SystemTime) -> Result<Good<T>, ClientError> {
    let good = old.and_then(|old| old.outcome.as_ref().ok());
    let good = good.filter(|good| now < good.usable_until);
    good.cloned().ok_or(ClientError::Unavailable)
}

/// Whether the host may be back with the same document: no answer, an error, a page in its place, or a
/// document that is missing, all of which hosts say for a while. 410 is how one is withdrawn.
fn is_of_the_host(error: GuardedError) -> bool {
    error != GuardedError::Status(410)
}

fn refusal(error: GuardedError) -> ClientError {
    match error {
        GuardedError::Status(404) => {
            ClientError::Refused("there is no document at its address".into())
        }
        GuardedError::Status(408 | 429 | 500..) => ClientError::Unavailable,
        GuardedError::Fetch(error) if error != FetchError::TooLarge => ClientError::Unavailable,
        error => ClientError::Refused(format!("fetching its document: {error}").into()),
    }
}
