//! What stands behind a server's own authorization server.

use anyhow::Context as _;
use mcp_test_support::IdentityProvider;

/// A stand-in identity provider whose one client is the server with this public URL, by this name.
///
/// # Errors
///
/// When it does not start.
pub async fn provider(public_url: &str, client: &str) -> anyhow::Result<IdentityProvider> {
    let provider = IdentityProvider::start().await;
    let provider = provider.context("cannot start the stand-in identity provider")?;
    provider.rename_client(client);
    provider.register_redirect(&format!("{public_url}/callback"));
    Ok(provider)
}

/// What that server is told of it: the table `[authorization_server]`, to which keys may be added.
#[must_use]
pub fn settings(provider: &IdentityProvider, client: &str) -> String {
    let (issuer, secret) = (provider.url(), IdentityProvider::CLIENT_SECRET);
    format!(
        "[authorization_server]\n\
         issuer = \"{issuer}\"\n\
         client_id = \"{client}\"\n\
         client_secret = \"{secret}\"\n"
    )
}
