//! A hosted, multi-tenant Streamable HTTP server for any rmcp [`ServerHandler`].
//!
//! It serves MCP 2026-07-28 and the older revisions on one endpoint without protocol sessions, so
//! any instance answers any request. Every call needs a bearer token: [`mcp_session::SessionTiers`]
//! says who it speaks for, and what your conversion makes of that reaches your tools through the
//! request extensions. The rest is what a hosted server needs: protected resource metadata
//! (RFC 9728), challenges (RFC 6750), Origin and Host rules, limits, health, draining.
//!
//! The crate knows no tool and no product.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
//! # use mcp_session::{Keyring, MemoryStore, SessionTiers};
//! use mcp_transport_http::{HttpConfig, HttpServer};
//! # #[derive(Clone)] struct MyTools;
//! # impl rmcp::ServerHandler for MyTools {}
//!
//! /// What your tools see; take it from the `http::request::Parts` in their request context.
//! #[derive(Clone)]
//! struct Caller(String);
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let issuer = IssuerConfig::new("https://auth.example.com", ["https://mcp.example.com/mcp"]);
//! # let verifier = TokenVerifier::new(vec![issuer], mcp_auth::http_client()?, VerifierConfig::default())?;
//! # let sessions = SessionTiers::builder(verifier, Keyring::random(), Arc::new(MemoryStore::default())).build();
//! let config = HttpConfig::new("https://mcp.example.com", ["https://auth.example.com"])?;
//! let server = HttpServer::new(config, sessions, MyTools, |session, _token| {
//!     Caller(session.principal().subject().to_owned())
//! });
//! let listener = tokio::net::TcpListener::bind("0.0.0.0:8080").await?;
//! server.serve(listener, async { tokio::signal::ctrl_c().await.ok(); }).await?;
//! # Ok(()) }
//! ```
//!
//! [`ServerHandler`]: rmcp::ServerHandler

mod accept;
mod access_log;
mod admin;
mod authenticate;
mod batch;
mod body;
mod call;
mod cgroup;
mod challenge;
mod client_address;
mod config;
mod connections;
mod direct;
mod drain;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod headers;
mod idle;
mod late;
mod limits;
mod memory;
mod message;
mod metadata;
mod mounted;
mod observe;
mod origin;
mod preview;
mod protocol;
mod read_on;
mod refusal;
mod request_id;
mod router;
mod sent;
mod serve;
mod server;
mod stop;
mod stream;
mod tenant;
mod trace;
mod trusted_proxies;

pub use admin::AdminServer;
pub use client_address::{AddressBucket, ClientAddress, PeerAddress};
pub use config::{HttpConfig, HttpConfigError};
pub use connections::ConnectionCounts;
pub use limits::CallLimits;
pub use memory::{MemoryBudget, MemoryCharge, MemoryUsage, MemoryUser};
pub use mounted::{MountError, MountedRoutes};
pub use observe::{AnsweredRequest, Rejection, RequestObserver};
pub use preview::RequestPreview;
pub use serve::HttpBody;
pub use server::{HttpServer, ServerStatus};
pub use stop::Phase;
pub use tenant::{TenantAudience, TenantEndpoints, TenantPath};
pub use trace::REQUEST_SPAN;
pub use trusted_proxies::{InvalidProxy, TrustedProxies};
