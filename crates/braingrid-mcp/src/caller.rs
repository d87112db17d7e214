//! From an authenticated session to the caller that tools work for.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use mcp_auth::{AccessToken, AuthError, Principal, Upstream, UpstreamToken};
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
    let credential: Arc<dyn Credential> = match session.upstream() {
        Some(Upstream::Exchanged(upstream)) => Arc::new(ExchangedCredential {
            current: Mutex::new(Current {
                upstream: upstream.clone(),
                refused: false,
            }),
            token: token.clone(),
            sessions: sessions.clone(),
        }),
        Some(Upstream::Presented) => Arc::new(PresentedCredential {
            token: token.clone(),
            expires_at: principal.expires_at(),
            sessions: sessions.clone(),
        }),
        // Never the client's token where nobody said that it may go out.
        None => Arc::new(StaticRefusal(
            "This server has no way to call BrainGrid for this authorization server. Ask the \
             administrator to configure one.",
        )),
    };
    caller(principal, organization, credential).until(session.expires_at())
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

/// The token that the client presented, because it was issued for BrainGrid too (same-audience
/// mode): there is no other one to fall back on, and it lives no longer than the request.
struct PresentedCredential {
    token: AccessToken,
    expires_at: SystemTime,
    sessions: SessionTiers,
}

#[async_trait]
impl Credential for PresentedCredential {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        Ok(SecretString::from(self.token.expose()))
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

/// A token of BrainGrid's own, got for the client's, which stays here. It is replaced when it is over,
/// however long the call goes on, and when BrainGrid does not accept it.
struct ExchangedCredential {
    current: Mutex<Current>,
    token: AccessToken,
    sessions: SessionTiers,
}

struct Current {
    upstream: UpstreamToken,
    refused: bool,
}

impl ExchangedCredential {
    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token at hand, and whether it can be used.
    fn at_hand(&self, now: SystemTime) -> (UpstreamToken, bool) {
        let current = self.current();
        let good = !current.refused && now < current.upstream.expires_at();
        (current.upstream.clone(), good)
    }
}

#[async_trait]
impl Credential for ExchangedCredential {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        let now = SystemTime::now();
        let (mut upstream, good) = self.at_hand(now);
        if !good {
            let renewed = self.sessions.renew_upstream(&self.token, &upstream, now);
            let renewed = renewed.await.map_err(|error| no_token(&error))?;
            self.current().refused = renewed.expose() == upstream.expose();
            self.current().upstream = renewed.clone();
            upstream = renewed;
        }
        Ok(SecretString::from(upstream.expose()))
    }

    fn reject(&self) {
        tracing::warn!("BrainGrid did not accept the token that was exchanged for it");
        self.current().refused = true;
    }
}

/// Why BrainGrid cannot be called any more, for the user.
fn no_token(error: &AuthError) -> CredentialError {
    CredentialError::new(match error {
        AuthError::Forbidden(reason) => format!("BrainGrid cannot be called: {reason}."),
        AuthError::Unavailable { .. } => {
            "The authorization server gives no token for BrainGrid at \
             the moment. Try again in a minute."
                .to_owned()
        }
        _ => "The login is over. Log in again in your MCP client.".to_owned(),
    })
}
