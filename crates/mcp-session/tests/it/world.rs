//! An issuer, tokens, and stores that count what they are asked and can be made to fail.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use mcp_auth::{AccessToken, IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{
    Keyring, MemoryStore, SessionTiers, SessionTiersBuilder, SharedStore, StoreError,
};
use mcp_test_support::{Gate, Issuer, TokenBuilder, http_client};

pub(crate) const AUDIENCE: &str = "https://mcp.example.com/mcp";
pub(crate) const FIRST_KEY: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub(crate) const SECOND_KEY: &str =
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

pub(crate) fn first_ring() -> Keyring {
    Keyring::from_hex(FIRST_KEY, &[]).unwrap()
}

pub(crate) async fn issuer() -> Issuer {
    let issuer = Issuer::start().await.unwrap();
    issuer.set_audience([AUDIENCE]);
    issuer
}

/// A verifier without keys: a freshly started instance.
pub(crate) fn verifier(issuer: &Issuer) -> TokenVerifier {
    let mut config = VerifierConfig::default();
    config.keys.retry_after = Duration::ZERO;
    config.keys.cooldown = Duration::ZERO;
    config.keys.spacing = Duration::ZERO;
    let issuer = IssuerConfig::new(issuer.url(), [AUDIENCE]);
    TokenVerifier::new(vec![issuer], http_client(), config).unwrap()
}

/// A freshly started instance on a store.
pub(crate) fn instance(issuer: &Issuer, store: &Arc<TestStore>) -> SessionTiersBuilder {
    SessionTiers::builder(verifier(issuer), first_ring(), store.clone())
}

pub(crate) fn access(token: &TokenBuilder) -> AccessToken {
    AccessToken::parse(&format!("Bearer {}", token.mint())).unwrap()
}

pub(crate) fn token_of(issuer: &Issuer, subject: &str) -> AccessToken {
    access(&issuer.token().subject(subject))
}

/// Waits for something that other tasks bring about.
pub(crate) async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How a [`TestStore`] behaves from now on.
#[derive(Clone)]
pub(crate) enum Mood {
    Well,
    Failing,
    /// Answers when the gate opens.
    Held(Gate),
}

/// A store that counts and misbehaves on request.
pub(crate) struct TestStore {
    inner: MemoryStore,
    mood: Mutex<Mood>,
    pub(crate) gets: AtomicUsize,
    pub(crate) puts: AtomicUsize,
    pub(crate) deletes: AtomicUsize,
}

impl TestStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryStore::default(),
            mood: Mutex::new(Mood::Well),
            gets: AtomicUsize::new(0),
            puts: AtomicUsize::new(0),
            deletes: AtomicUsize::new(0),
        })
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn calls(&self) -> usize {
        [&self.gets, &self.puts, &self.deletes]
            .map(|count| count.load(Ordering::SeqCst))
            .iter()
            .sum()
    }

    async fn answer(&self) -> Result<(), StoreError> {
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Well => Ok(()),
            Mood::Failing => Err(StoreError::Unreachable("on request")),
            Mood::Held(gate) => {
                gate.passed().await;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl SharedStore for TestStore {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.gets.fetch_add(1, Ordering::SeqCst);
        self.answer().await?;
        self.inner.get(key).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.answer().await?;
        self.inner.put(key, value, ttl).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.deletes.fetch_add(1, Ordering::SeqCst);
        self.answer().await?;
        self.inner.delete(key).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.answer().await
    }
}
