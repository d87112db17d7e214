//! A token is verified by one instance and then served by another, started while the issuer is
//! down. `cargo run -p mcp-session --example two_instances [redis://127.0.0.1]`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, sync::Arc, time::Duration};

use mcp_auth::{AccessToken, IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, RedisConfig, RedisStore, SessionTiers, SharedStore};
use mcp_test_support::{Issuer, http_client, random_hex};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let issuer = Issuer::start().await?;
    issuer.set_audience(["https://mcp.example.com/mcp"]);
    let token = issuer.token().subject("user_ada").mint();
    let token = AccessToken::parse(&format!("Bearer {token}"))?;

    let encryption_key = random_hex(32);
    let store: Arc<dyn SharedStore> = match std::env::args().nth(1) {
        Some(url) => Arc::new(RedisStore::new(RedisConfig::parse(&url)?)?),
        None => Arc::new(MemoryStore::default()),
    };
    let start_instance = || -> Result<SessionTiers, Box<dyn Error>> {
        let issuer = IssuerConfig::new(issuer.url(), ["https://mcp.example.com/mcp"]);
        let verifier = TokenVerifier::new(vec![issuer], http_client(), VerifierConfig::default())?;
        let keyring = Keyring::from_hex(&encryption_key, &[])?;
        Ok(SessionTiers::builder(verifier, keyring, store.clone()).build())
    };

    let first = start_instance()?;
    println!(
        "first request:      {}",
        first.resolve(&token).await?.tier.as_str()
    );
    println!(
        "second request:     {}",
        first.resolve(&token).await?.tier.as_str()
    );
    first.flush(Duration::from_secs(2)).await;

    issuer.stop().await;
    let second = start_instance()?;
    println!(
        "the other instance: {}",
        second.resolve(&token).await?.tier.as_str()
    );
    Ok(())
}
