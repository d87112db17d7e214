//! Settings of [`SessionTiers`], with their defaults.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::{Principal, TokenVerifier, UpstreamCredentials};
use mcp_outbound::LogThrottle;
use moka::{Expiry, future::Cache};

use crate::{
    facts::FactStore,
    key::SessionKey,
    lease::Leases,
    listener::Listener,
    refused::negative_cache,
    seal::Keyring,
    session::Session,
    signouts::counted_refusals,
    stats::{Budget, TierStats},
    store::SharedStore,
    tiers::{Inner, SessionTiers},
    verdict::{Denied, Verdict},
    writer::Writer,
};

/// Builds [`SessionTiers`].
#[must_use]
pub struct SessionTiersBuilder {
    verifier: TokenVerifier,
    keyring: Keyring,
    store: Arc<dyn SharedStore>,
    upstream: HashMap<String, UpstreamCredentials>,
    leases: Option<Arc<dyn FactStore>>,
    denied: Option<Denied>,
    max_lifetime: Duration,
    memory_bytes: u64,
    patience: Duration,
    write_queue: usize,
}

impl SessionTiersBuilder {
    pub(crate) fn new(
        verifier: TokenVerifier,
        keyring: Keyring,
        store: Arc<dyn SharedStore>,
    ) -> Self {
        Self {
            verifier,
            keyring,
            store,
            upstream: HashMap::new(),
            leases: None,
            denied: None,
            max_lifetime: Duration::from_hours(7 * 24),
            memory_bytes: 128 * 1024 * 1024,
            patience: Duration::from_millis(40),
            write_queue: 4_096,
        }
    }

    /// How principals of this issuer get their upstream credential. Without it, their sessions have
    /// none.
    pub fn upstream(
        mut self,
        issuer: impl Into<String>,
        credentials: impl Into<UpstreamCredentials>,
    ) -> Self {
        self.upstream.insert(issuer.into(), credentials.into());
        self
    }

    /// Where all instances that share the store see whose exchange of a token is under way, so that
    /// one is enough. Without it each instance exchanges for itself.
    pub fn exchange_leases(mut self, facts: Arc<dyn FactStore>) -> Self {
        self.leases = Some(facts);
        self
    }

    /// Asked for every answer, those from memory included, whether the principal is still let in.
    pub fn denied(
        mut self,
        denied: impl Fn(&Principal) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        self.denied = Some(Box::new(denied));
        self
    }

    /// Longest time until a token is verified again. A token's own expiry is never exceeded.
    /// 7 days by default.
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// Memory for sessions in this process. 128 MiB by default; beyond it, the least used go.
    pub fn memory_bytes(mut self, bytes: u64) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// How long a request waits for the store before it goes on without. 40 ms by default.
    pub fn store_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// How many sessions may wait to be written to the store. 4,096 by default.
    pub fn write_queue(mut self, sessions: usize) -> Self {
        self.write_queue = sessions;
        self
    }

    /// Puts the tiers together; no I/O.
    pub fn build(self) -> SessionTiers {
        let keyring = Arc::new(self.keyring);
        let issuers = self.verifier.status().into_iter().map(|it| it.issuer);
        let stats = Arc::new(TierStats::of(issuers));
        let writer = Writer::new(
            Arc::clone(&self.store),
            Arc::clone(&keyring),
            Arc::clone(&stats),
            self.write_queue,
        );
        let leases = self.leases;
        let leases = leases.map(|facts| Leases::new(facts, Arc::clone(&keyring)));
        let inner = Inner {
            leases,
            verifier: self.verifier,
            keyring,
            store: self.store,
            upstream: self.upstream,
            renewals: Arc::default(),
            memory: session_cache(self.memory_bytes),
            negative_cache: negative_cache(),
            counted_refusals: counted_refusals(),
            writer,
            denied: self.denied,
            max_lifetime: self.max_lifetime,
            patience: self.patience,
            stats,
            warned: LogThrottle::default(),
            unknown_keys: Budget::of(20),
            warming: Arc::new(AtomicBool::new(false)),
            listener: Listener::default(),
        };
        SessionTiers {
            inner: Arc::new(inner),
        }
    }
}

/// What the map and the allocator take for a session on top of its own bytes; measured by a test.
const ENTRY_OVERHEAD: usize = 500;

fn session_cache(bytes: u64) -> Cache<SessionKey, Arc<Session>> {
    Cache::builder()
        .name("sessions")
        .max_capacity(bytes)
        .weigher(|_, session: &Arc<Session>| {
            u32::try_from(session.weight() + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
        })
        .expire_after(SessionExpiry)
        .build()
}

/// How long a session that is over can be told from one that never was.
const AFTERGLOW: Duration = Duration::from_mins(10);

/// Every session goes when it is over.
struct SessionExpiry;

impl Expiry<SessionKey, Arc<Session>> for SessionExpiry {
    fn expire_after_create(
        &self,
        _: &SessionKey,
        session: &Arc<Session>,
        _: Instant,
    ) -> Option<Duration> {
        Some(session.remaining(SystemTime::now()) + AFTERGLOW)
    }

    fn expire_after_update(
        &self,
        _: &SessionKey,
        session: &Arc<Session>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(session.remaining(SystemTime::now()) + AFTERGLOW)
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::testing::principal;

    fn resident_bytes() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4_096
    }

    #[tokio::test]
    async fn a_session_in_memory_takes_little_and_what_the_weigher_says() {
        const SESSIONS: usize = 50_000;
        let cache = session_cache(u64::MAX);
        let before = resident_bytes();
        for n in 0..SESSIONS {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&n.to_le_bytes());
            let principal = principal("user_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E", 99_999_999_999);
            let session = Session::new(principal, None, SystemTime::now(), Duration::from_hours(1));
            cache
                .insert(SessionKey::new(digest), Arc::new(session))
                .await;
        }
        cache.run_pending_tasks().await;
        let measured = (resident_bytes() - before) / SESSIONS;
        let weighed = usize::try_from(cache.weighted_size()).unwrap() / SESSIONS;
        println!("{measured} bytes per session measured, {weighed} weighed");
        assert!(measured <= 1_536, "{measured} bytes per session");
        assert!(
            weighed >= measured * 3 / 4,
            "{weighed} weighed, {measured} measured"
        );
    }
}
