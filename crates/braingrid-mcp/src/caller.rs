//! From an authenticated session to the caller that tools work for.

use std::{sync::Arc, time::SystemTime};

use async_trait::async_trait;
use mcp_auth::{AccessToken, Principal};
use mcp_core::{Caller, Credential, CredentialError, Organization};
use mcp_outbound::MemoryHook;
use mcp_session::{Session, SessionTiers};
use mcp_transport_http::MemoryBudget;
use secrecy::SecretString;

/// The caller of one request.
pub(crate) fn caller_of(sessions: &SessionTiers, session: &Session, token: &AccessToken) -> Caller {
    let principal = session.principal();
    let organization = match principal.organization().map(str::parse) {
        Some(Ok(id)) => Organization::known(id),
        // Only where the issuer's settings let tokens without an organization in.
        None => Organization::from_profile(None),
        // Never another organization than the one the token names.
        Some(Err(_)) => return nobody(principal),
    };
    let upstream = session.upstream();
    let credential = RequestCredential {
        upstream: upstream.map(|upstream| SecretString::from(upstream.expose())),
        token: token.clone(),
        expires_at: principal.expires_at(),
        sessions: sessions.clone(),
    };
    caller(principal, organization, Arc::new(credential)).until(session.expires_at())
}

/// Gives room for large answers to this user.
pub(crate) fn room_for(principal: &Principal, memory: &MemoryBudget) -> MemoryHook {
    let user = memory.user(principal.issuer(), principal.subject());
    let memory = memory.clone();
    Arc::new(move |bytes| {
        let charge = memory.take(user, bytes)?;
        Some(Box::new(charge))
    })
}

fn caller(
    principal: &Principal,
    organization: Organization,
    credential: Arc<dyn Credential>,
) -> Caller {
    let subject = Some(principal.subject().to_owned());
    Caller::new(
        subject,
        organization,
        principal.scopes().to_vec(),
        credential,
    )
    .of_issuer(principal.issuer())
}

/// A caller that can do nothing: its organization has a name that BrainGrid cannot have given.
fn nobody(principal: &Principal) -> Caller {
    let credential = StaticRefusal(
        "The access token names an organization that is no BrainGrid organization. Ask the \
         administrator to check which claim of the token holds its id.",
    );
    caller(
        principal,
        Organization::from_profile(None),
        Arc::new(credential),
    )
}

struct StaticRefusal(&'static str);

#[async_trait]
impl Credential for StaticRefusal {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        Err(CredentialError::new(self.0))
    }

    fn reject(&self) {}
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
