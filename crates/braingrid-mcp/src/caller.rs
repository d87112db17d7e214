//! From an authenticated session to the caller that tools work for.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use mcp_auth::AccessToken;
use mcp_core::{Caller, Credential, CredentialError, Organization};
use mcp_session::{Session, SessionTiers};
use secrecy::SecretString;

/// The caller of one request.
pub(crate) fn caller_of(sessions: &SessionTiers, session: &Session, token: &AccessToken) -> Caller {
    let principal = session.principal();
    let organization = principal
        .organization()
        .and_then(|id| id.parse().ok())
        .map_or_else(|| Organization::from_profile(None), Organization::known);
    let upstream = session.upstream();
    let credential = RequestCredential {
        upstream: upstream.map(|upstream| SecretString::from(upstream.expose())),
        token: token.clone(),
        expires_at: principal.expires_at(),
        sessions: sessions.clone(),
    };
    Caller::new(
        Some(principal.subject().to_owned()),
        organization,
        principal.scopes().to_vec(),
        Arc::new(credential),
    )
}

/// The credential of one request: there is no other one to fall back on within it.
///
/// An exchanged upstream token comes from the session; without one (same-audience mode) the
/// presented token is the upstream credential, and lives no longer than the request.
struct RequestCredential {
    upstream: Option<SecretString>,
    token: AccessToken,
    expires_at: SystemTime,
    sessions: SessionTiers,
}

#[async_trait]
impl Credential for RequestCredential {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        let upstream = self.upstream.clone();
        Ok(upstream.unwrap_or_else(|| SecretString::from(self.token.expose())))
    }

    fn reject(&self) {
        tracing::warn!("BrainGrid did not accept the credential of a verified session");
        let (sessions, token) = (self.sessions.clone(), self.token.clone());
        let expires_at = self.expires_at;
        tokio::spawn(async move {
            let now = SystemTime::now();
            sessions.refused_upstream(&token, expires_at, now).await;
        });
    }
}
