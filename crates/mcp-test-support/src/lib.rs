//! The far ends of the wire, for tests and for the lab. Development only.
//!
//! **What stands in for what.** [`Issuer`] is an OAuth issuer with keys made at start,
//! [`IdentityProvider`] one that an enterprise has, behind an authorization server; [`Api`] is a
//! stand-in for the BrainGrid API. The API's specification is not public: [`Api`] encodes *our
//! assumptions* about its paths and shapes. A test that passes against it does not show that the
//! real API is understood; it shows that the server does what it means to do.
//!
//! [`Collector`] takes what OpenTelemetry exporters send, and shows it.
//!
//! **What is real.** Everything speaks over real sockets: [`RedisServer`] is a real
//! `redis-server` (or `valkey-server`) process, [`ServerProcess`] a real child process of the
//! binary under test, [`client`] holds real MCP clients.
//!
//! This crate names no shipping crate, so that a mistake in one cannot be repeated here unseen.
//! Its parts count and record what they are asked, so tests can assert what did *not* happen, and
//! wait on events ([`Journal`], [`Gate`]) instead of sleeping.
//!
//! ```no_run
//! # async fn world() -> anyhow::Result<()> {
//! use mcp_test_support::{Api, Issuer, ServerCommand, client, free_port};
//! use serde_json::json;
//! use std::time::Duration;
//!
//! let issuer = Issuer::start().await?;
//! let api = Api::start().await?;
//! let port = free_port()?;
//! let resource = format!("http://127.0.0.1:{port}/mcp");
//! issuer.set_audience([resource.as_str()]);
//!
//! let server = ServerCommand::http("target/debug/braingrid-mcp", port)
//!     .env("OAUTH_ISSUER", issuer.url())
//!     .env("UPSTREAM_AUDIENCE", &resource)
//!     .env("BRAINGRID_API_URL", api.url())
//!     .spawn()?;
//! server.wait_ready(Duration::from_secs(10)).await?;
//!
//! let token = issuer.token().subject("user_ada").organization("org_ada").mint();
//! let mcp = client::connect_http(&resource, Some(&token), client::Generation::Modern).await?;
//! client::call(&mcp, "list_projects", json!({})).await?;
//! assert_eq!(issuer.count(Issuer::JWKS_PATH), 1);
//! # Ok(()) }
//! ```
#![expect(
    clippy::expect_used,
    reason = "development only: keys made in this process always sign, and a test should stop where it does not"
)]
#![expect(
    clippy::missing_panics_doc,
    reason = "nothing here runs outside tests and the demonstration"
)]

pub mod api;
pub mod client;
pub mod collector;
mod dogstatsd;
mod exposition;
mod gate;
pub mod http;
mod issuer;
mod journal;
mod keys;
mod lock;
mod process;
mod provider;
mod redis;
pub mod resp;
mod terminal;
mod token;
mod webhook;

pub use api::Api;
pub use collector::Collector;
pub use dogstatsd::{DogStatsd, StatsdLine};
pub use exposition::{Exposition, Sample};
pub use gate::Gate;
pub use issuer::{ExchangeAnswer, ExchangeClient, ExchangeRequest, Issuer, IssuerMode, Rotation};
pub use journal::Journal;
pub use keys::{Algorithm, SigningKey};
pub use lock::lock;
pub use process::{Captured, ServerCommand, ServerProcess, Source, free_port, signal};
pub use provider::{IdentityProvider, ProviderFault, ProviderUser};
pub use redis::RedisServer;
pub use terminal::OnTerminal;
pub use token::{TokenBuilder, payload_of};
pub use webhook::workos_signature;

/// A reqwest client with timeouts, without redirects, and with the TLS provider in place.
#[must_use]
pub fn http_client() -> reqwest::Client {
    install_tls_provider();
    reqwest::Client::builder()
        .connect_timeout(std::time::Duration::from_secs(5))
        .timeout(std::time::Duration::from_mins(1))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client with these fixed options can be built")
}

/// Makes aws-lc-rs the process-wide TLS provider; a second call changes nothing.
pub fn install_tls_provider() {
    // An error only says that a provider is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// `bytes` random bytes as lower-case hexadecimal, for example a fresh `ENCRYPTION_KEY` of 32.
#[must_use]
pub fn random_hex(bytes: usize) -> String {
    let mut buffer = vec![0; bytes];
    aws_lc_rs::rand::fill(&mut buffer).expect("the system has random numbers");
    hex(&buffer)
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
