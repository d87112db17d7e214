//! From an authenticated session to the caller that tools work for.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use async_trait::async_trait;
use mcp_auth::{AccessToken, Asker, AuthError, InvalidReason, Principal, Upstream};
use mcp_core::{Actor, Address, Caller, Credential, CredentialError, Organization, Parties};
use mcp_outbound::{LogThrottle, MemoryHook};
use mcp_session::{Session, SessionTiers};
use mcp_transport_http::{MemoryBudget, TenantPath};
use secrecy::{ExposeSecret as _, SecretString};

use crate::tenants::Organizations;

/// Makes the callers of requests. A cheap clone.
#[derive(Clone)]
pub(crate) struct SessionCallers(Arc<Inner>);

struct Inner {
    sessions: SessionTiers,
    organizations: Option<Organizations>,
    /// An API that refuses everybody is told of now and then.
    refusals_told: LogThrottle,
}

impl SessionCallers {
    /// `organizations` say which tools each has.
    pub(crate) fn new(sessions: SessionTiers, organizations: Option<Organizations>) -> Self {
        Self(Arc::new(Inner {
            sessions,
            organizations,
            refusals_told: LogThrottle::default(),
        }))
    }

    /// The caller of one request at the address of an organization, or of a project of it.
    pub(crate) fn caller_at(
        &self,
        session: &Arc<Session>,
        token: &AccessToken,
        at: &TenantPath,
    ) -> Caller {
        let organization = at.tenant().parse();
        let project = at.part().map(str::parse).transpose();
        match (organization, project) {
            (Ok(organization), Ok(project)) => {
                let caller = self.caller_of(session, token);
                caller.at(Address::new(organization, project))
            }
            // The paths are checked before: never more than one of them says.
            _ => nobody(session),
        }
    }

    /// The caller of one request.
    pub(crate) fn caller_of(&self, session: &Arc<Session>, token: &AccessToken) -> Caller {
        let principal = session.principal();
        let organization = match principal.organization().map(str::parse) {
            Some(Ok(id)) => Organization::known(id),
            // Only where the issuer's settings let tokens without an organization in.
            None => Organization::from_profile(None),
            // Never another organization than the one the token names.
            Some(Err(_)) => return nobody(session),
        };
        let credential = self.credential_of(session, token);
        let caller = caller(principal, organization, credential).until(session.expires_at());
        let organizations = self.0.organizations.as_ref();
        match organizations.and_then(|all| all.tools(principal.organization())) {
            Some(access) => caller.having(access),
            None => caller,
        }
    }

    fn credential_of(&self, session: &Arc<Session>, token: &AccessToken) -> Arc<dyn Credential> {
        match session.upstream() {
            Some(Upstream::Exchanged(_)) => Arc::new(ExchangedCredential {
                token: token.clone(),
                asker: session.principal().asker(),
                session: Arc::clone(session),
                callers: self.clone(),
                refused: Mutex::default(),
            }),
            Some(Upstream::Presented) => Arc::new(PresentedCredential {
                token: token.clone(),
                session: Arc::clone(session),
                callers: self.clone(),
            }),
            // Never the client's token where nobody said that it may go out.
            None => Arc::new(StaticRefusal {
                session: Arc::clone(session),
                text: "This server has no way to call BrainGrid for this authorization server. Ask \
                       the administrator to configure one.",
            }),
        }
    }

    fn refused(&self, what: &'static str) {
        if let Some(suppressed) = self.0.refusals_told.pass() {
            tracing::warn!(suppressed, "BrainGrid did not accept {what}");
        }
    }
}

/// Gives room for large answers to this user.
pub(crate) fn room_for(principal: &Principal, memory: &MemoryBudget) -> MemoryHook {
    let user = memory.user(
        principal.issuer(),
        principal.subject(),
        principal.organization(),
    );
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
fn nobody(session: &Arc<Session>) -> Caller {
    let credential = StaticRefusal {
        session: Arc::clone(session),
        text: "The access token names an organization that is no BrainGrid organization. Ask the \
               administrator to check which claim of the token holds its id.",
    };
    caller(
        session.principal(),
        Organization::from_profile(None),
        Arc::new(credential),
    )
}

struct StaticRefusal {
    session: Arc<Session>,
    text: &'static str,
}

#[async_trait]
impl Credential for StaticRefusal {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        Err(CredentialError::new(self.text))
    }

    fn reject(&self, _: &SecretString) {}

    fn parties(&self) -> Parties<'_> {
        parties_of(&self.session)
    }
}

/// The token that the client presented, because it was issued for BrainGrid too (same-audience
/// mode): there is no other one to fall back on, and it lives no longer than the request. Each use asks
/// whether its user is still let in.
struct PresentedCredential {
    token: AccessToken,
    session: Arc<Session>,
    callers: SessionCallers,
}

#[async_trait]
impl Credential for PresentedCredential {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        let checked = self.callers.0.sessions.check(&self.token, &self.session);
        checked.map_err(|error| no_token(&error))?;
        Ok(SecretString::from(self.token.expose()))
    }

    fn is_over(&self) -> bool {
        let sessions = &self.callers.0.sessions;
        sessions.check(&self.token, &self.session).is_err()
    }

    fn reject(&self, _: &SecretString) {
        self.callers.refused("the credential of a verified session");
        let (callers, token) = (self.callers.clone(), self.token.clone());
        let expires_at = self.session.principal().expires_at();
        tokio::spawn(async move {
            let now = SystemTime::now();
            let sessions = &callers.0.sessions;
            sessions.refused_upstream(&token, expires_at, now).await;
        });
    }

    fn parties(&self) -> Parties<'_> {
        parties_of(&self.session)
    }
}

/// A token of BrainGrid's own, got for the client's, which stays here. Each use asks the session for
/// it: whoever is denied, or whose token is over, ends with it, however long the call goes on.
struct ExchangedCredential {
    token: AccessToken,
    asker: Asker,
    session: Arc<Session>,
    callers: SessionCallers,
    /// What BrainGrid did not accept last.
    refused: Mutex<Option<SecretString>>,
}

impl ExchangedCredential {
    fn refused(&self) -> MutexGuard<'_, Option<SecretString>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Credential for ExchangedCredential {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        let (refused, now) = (self.refused().clone(), SystemTime::now());
        let refused = refused.as_ref().map(SecretString::expose_secret);
        let sessions = &self.callers.0.sessions;
        let upstream = sessions
            .upstream_token_at(&self.token, self.asker, refused, now)
            .await
            .map_err(|error| no_token(&error))?;
        Ok(SecretString::from(upstream.expose()))
    }

    fn is_over(&self) -> bool {
        let sessions = &self.callers.0.sessions;
        sessions.check(&self.token, &self.session).is_err()
    }

    fn reject(&self, refused: &SecretString) {
        self.callers.refused("the token that was got for it");
        *self.refused() = Some(refused.clone());
    }

    fn parties(&self) -> Parties<'_> {
        parties_of(&self.session)
    }
}

/// The parties behind a session, as its tokens name them.
pub(crate) fn parties_of(session: &Session) -> Parties<'_> {
    Parties {
        client: session.principal().client_id(),
        actor: session.actor().map(named),
        client_actor: session.client_actor().map(named),
    }
}

fn named(actor: &mcp_auth::Actor) -> Actor<'_> {
    Actor {
        subject: actor.subject.as_deref(),
        issuer: actor.issuer.as_deref(),
        client: actor.client_id.as_deref(),
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
        AuthError::InvalidToken(InvalidReason::NotGranted) => {
            "BrainGrid does not take this login any more. Call again: your MCP client renews it, or \
             asks you to log in."
                .to_owned()
        }
        _ => "The login is over. Log in again in your MCP client.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use mcp_auth::{
        ClientAuthentication, ExchangeConfig, IssuerConfig, TokenExchange, TokenVerifier,
        VerifierConfig,
    };
    use mcp_session::{Keyring, MemoryStore, Verdict};
    use mcp_test_support::{ExchangeClient, Issuer, http_client};

    use super::*;

    #[tokio::test]
    async fn a_credential_is_asked_of_the_session_at_each_use() {
        let issuer = Issuer::start().await.unwrap();
        issuer.set_audience(["mcp"]);
        issuer.let_exchange("client", ExchangeClient::Basic("secret".to_owned()));
        let secret = ClientAuthentication::SecretBasic("secret".to_owned().into());
        let mut config = ExchangeConfig::new(issuer.url(), "client", secret);
        config.audience = Some("api".to_owned());
        let exchange = TokenExchange::new(config, http_client()).unwrap();
        let issuers = vec![IssuerConfig::new(issuer.url(), ["mcp"])];
        let verifier = TokenVerifier::new(issuers, http_client(), VerifierConfig::default());
        let denied = Arc::new(AtomicBool::new(false));
        let is_denied = Arc::clone(&denied);
        let store = Arc::new(MemoryStore::default());
        let sessions = SessionTiers::builder(verifier.unwrap(), Keyring::random(), store)
            .upstream(issuer.url(), exchange)
            .denied(move |_| {
                if is_denied.load(Ordering::SeqCst) {
                    Verdict::Revoked("operator")
                } else {
                    Verdict::Welcome
                }
            })
            .build();
        let token = format!("Bearer {}", issuer.token().mint());
        let token = AccessToken::parse(&token).unwrap();
        let session = sessions.resolve(&token).await.unwrap().session;
        let credential = SessionCallers::new(sessions, None).credential_of(&session, &token);
        let bearer = async || credential.bearer().await.unwrap();
        let first = bearer().await;
        credential.reject(&first);
        let second = bearer().await;
        assert_ne!(first.expose_secret(), second.expose_secret());
        // Two requests had gone out with the first one.
        credential.reject(&first);
        assert_eq!(second.expose_secret(), bearer().await.expose_secret());
        assert_eq!(issuer.exchanges().entries().len(), 2);
        denied.store(true, Ordering::SeqCst);
        assert!(
            credential.bearer().await.is_err(),
            "however long a call runs"
        );
    }
}
