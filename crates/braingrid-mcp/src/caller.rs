//! From an authenticated session to the caller that tools work for.

use std::sync::Arc;

use async_trait::async_trait;
use mcp_auth::AccessToken;
use mcp_core::{Caller, Credential, CredentialError, Organization};
use mcp_session::Session;
use secrecy::SecretString;

/// The caller of one request.
///
/// An exchanged upstream token is in the session; without one (same-audience mode) the presented
/// token is the upstream credential, and lives no longer than the request.
pub(crate) fn caller_of(session: &Session, token: &AccessToken) -> Caller {
    let principal = session.principal();
    let bearer = session
        .upstream()
        .map_or_else(|| token.expose(), |upstream| upstream.expose());
    let organization = principal
        .organization()
        .and_then(|id| id.parse().ok())
        .map_or_else(|| Organization::from_profile(None), Organization::known);
    Caller::new(
        Some(principal.subject().to_owned()),
        organization,
        principal.scopes().to_vec(),
        Arc::new(RequestCredential(SecretString::from(bearer))),
    )
}

/// The credential of one request: there is no other one to fall back on within it.
struct RequestCredential(SecretString);

#[async_trait]
impl Credential for RequestCredential {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        Ok(self.0.clone())
    }

    fn reject(&self) {
        tracing::warn!("BrainGrid did not accept the credential of a verified session");
    }
}
