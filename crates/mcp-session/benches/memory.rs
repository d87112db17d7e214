//! What a session costs: bytes of process memory per session in the memory tier, measured as the
//! growth of the resident set while 100,000 real tokens are resolved, and bytes of its record in
//! the store. `cargo bench -p mcp-session --bench memory [-- SESSIONS]`, on Linux.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement is made to be read, and stops where something is not as it should be"
)]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use mcp_auth::{AccessToken, IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, SessionTiers, SharedStore, StoreError};
use mcp_test_support::{Algorithm, Issuer, http_client};

const RESOURCE: &str = "https://mcp.example.com/mcp";

/// Keeps nothing but the size of the largest record: only the memory tier is to be measured.
#[derive(Default)]
struct Scales(AtomicUsize);

#[async_trait]
impl SharedStore for Scales {
    async fn get(&self, _: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    async fn put(&self, _: &str, value: Vec<u8>, _: Duration) -> Result<(), StoreError> {
        self.0.fetch_max(value.len(), Ordering::Relaxed);
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::main]
async fn main() {
    let sessions = std::env::args().find_map(|argument| argument.parse().ok());
    let sessions: usize = sessions.unwrap_or(100_000);
    let issuer = Issuer::start().await.unwrap();
    issuer.set_audience([RESOURCE]);
    let config = IssuerConfig::new(issuer.url(), [RESOURCE]);
    let verifier = TokenVerifier::new(vec![config], http_client(), VerifierConfig::default());
    let store = Arc::new(Scales::default());
    let tiers = SessionTiers::builder(verifier.unwrap(), Keyring::random(), store.clone())
        .memory_bytes(u64::MAX)
        .build();
    // Everything that is there once, not per session.
    resolve(&tiers, &issuer, 0..1_000).await;

    let (before, start) = (resident_bytes(), Instant::now());
    resolve(&tiers, &issuer, 1_000..1_000 + sessions).await;
    tiers.flush(Duration::from_secs(10)).await;
    let measured = (resident_bytes() - before) / sessions;
    let (entries, bytes) = tiers.memory_usage();
    println!(
        "sessions         {entries} in {:.1} s",
        start.elapsed().as_secs_f64()
    );
    println!("memory           {measured} bytes per session (resident set)");
    println!(
        "counted as       {} bytes per session",
        bytes / entries.max(1)
    );
    println!(
        "record in store  {} bytes, name and Redis's own not counted",
        store.0.load(Ordering::Relaxed)
    );
}

/// Signed with ES256: the tokens of an RSA key would take minutes to make.
async fn resolve(tiers: &SessionTiers, issuer: &Issuer, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let token = issuer
            .token()
            .signed_by(issuer.key(Algorithm::Es256))
            .subject(&format!("user_01JZ7Q3V5W8X9Y0Z1A2B{number:06}"))
            .organization(&format!("org_01JZ7Q3V5W8X9Y0Z1A2B{:06}", number / 10))
            .claim("client_id", "client_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E")
            .mint();
        let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
        tiers.resolve(&token).await.unwrap();
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4_096
}
