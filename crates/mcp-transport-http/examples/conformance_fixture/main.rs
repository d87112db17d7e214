//! A server for the official conformance suite: its own tools, resources and prompts, on the same
//! transport, authorization and sessions as any other server of this crate.
//!
//! The suite checks a server by calling features with names of its own (`test_simple_text`,
//! `test://static-text`). No product has them, so this program does: what passes here, says
//! something about the crates below it. `cargo xtask conformance` starts it behind a proxy that
//! adds a token.
//!
//! ```text
//! conformance_fixture <port> <public URL> <issuer>
//! ```

mod call;
mod handler;
mod input;
mod prompts;
mod resources;
mod samples;
mod tasks;
mod tools;

use std::{error::Error, sync::Arc};

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_transport_http::{HttpConfig, HttpServer};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

use self::handler::Fixture;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [port, public_url, issuer] = arguments.as_slice() else {
        return Err("usage: conformance_fixture <port> <public URL> <issuer>".into());
    };
    let config = HttpConfig::new(public_url, [issuer])?;
    let trusted = IssuerConfig::new(issuer, [&config.resource]);
    let verifier = TokenVerifier::new(
        vec![trusted],
        mcp_auth::http_client()?,
        VerifierConfig::default(),
    )?;
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
    let server = HttpServer::new(config, sessions, Fixture::new(), |session, _token| {
        // Only tasks depend on who calls.
        session.principal().subject().to_owned()
    });
    let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
    };
    server.serve(listener, stop).await?;
    Ok(())
}
