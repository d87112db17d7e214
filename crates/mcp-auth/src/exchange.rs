//! Which credential the upstream API gets for a principal.
//!
//! The client's token must not travel on to another service. The one recorded exception is the
//! *same-audience* mode: the API is, by agreement, the same resource, and the token says so in its
//! `aud`. [`TokenExchange`] (RFC 8693) is the other way: the issuer gives a token for the API. An
//! authorization server in this process leaves one with the tokens it issues: [`GrantOpener`].

mod answer;
mod ask;
mod client;
mod config;
mod granted;
mod outages;
mod scopes;

pub use self::{
    ask::{ExchangeStatus, TokenExchange},
    client::{ClientAuthentication, ClientKey},
    config::{AssertionAudience, ExchangeConfig, ExchangeGrant},
    granted::GrantOpener,
};

use std::{fmt, sync::Arc, time::SystemTime};

use zeroize::Zeroizing;

use crate::{
    actor::Actor,
    error::{AuthError, ForbiddenReason},
    principal::Principal,
    token::AccessToken,
};

/// How the principals of one issuer get their credential for the upstream API.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum UpstreamCredentials {
    /// The presented token is used as it is.
    SameAudience(SameAudience),
    /// The issuer gives another token for it.
    Exchange(Arc<TokenExchange>),
    /// It came with the presented token, sealed by this process's own authorization server.
    Granted(Arc<dyn GrantOpener>),
}

impl UpstreamCredentials {
    /// What the upstream API is called with for a principal.
    ///
    /// # Errors
    /// [`ForbiddenReason::UpstreamAudience`] when the presented token would have to be used and was
    /// not issued for the upstream API; those of [`TokenExchange::exchange`] and
    /// [`GrantOpener::open`].
    pub async fn obtain(
        &self,
        token: &AccessToken,
        principal: &Principal,
        now: SystemTime,
    ) -> Result<Upstream, AuthError> {
        match self {
            Self::SameAudience(agreement) => {
                agreement.check(principal)?;
                Ok(Upstream::Presented)
            }
            Self::Exchange(exchange) => {
                // Boxed: large, and most tokens are not exchanged here.
                let exchanged = Box::pin(exchange.exchange(token, principal, now)).await;
                exchanged.map(Upstream::Exchanged)
            }
            Self::Granted(opener) => {
                let granted = opener.open(token, principal, now).await?;
                Ok(Upstream::Exchanged(granted.for_target(opener.target())))
            }
        }
    }

    /// Stands for what tokens of their own are got for in this mode: one that was got for something
    /// else is not to be used. `None` where there are none.
    pub fn target(&self) -> Option<u64> {
        match self {
            Self::SameAudience(_) => None,
            Self::Exchange(exchange) => Some(exchange.target()),
            Self::Granted(opener) => Some(opener.target()),
        }
    }
}

impl From<SameAudience> for UpstreamCredentials {
    fn from(agreement: SameAudience) -> Self {
        Self::SameAudience(agreement)
    }
}

impl From<TokenExchange> for UpstreamCredentials {
    fn from(exchange: TokenExchange) -> Self {
        Self::Exchange(Arc::new(exchange))
    }
}

/// What the upstream API is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// The token that the client presented, because it was issued for the API too.
    Presented,
    /// A token of its own.
    Exchanged(UpstreamToken),
}

/// By agreement the upstream API and this server are one resource: the presented token is used as
/// it is, if its `aud` names the API too.
#[derive(Debug, Clone)]
pub struct SameAudience {
    audience: String,
    /// Compared with the client that stood in for an audience only, never with an audience.
    clients: Vec<String>,
}

impl SameAudience {
    /// The audience that the upstream API accepts.
    pub fn new(audience: impl Into<String>) -> Self {
        Self {
            audience: audience.into(),
            clients: Vec::new(),
        }
    }

    /// So are tokens without `aud` that were issued to one of these clients: the upstream API takes
    /// them by their client, as this server does (see [`AudienceFrom`](crate::AudienceFrom)).
    #[must_use]
    pub fn and_of_clients(mut self, clients: impl IntoIterator<Item = String>) -> Self {
        self.clients.extend(clients);
        self
    }

    /// Another login would give the same token, so the refusal is no 401.
    fn check(&self, principal: &Principal) -> Result<(), AuthError> {
        let meant_for_it = match principal.stand_in() {
            Some(client) => self.clients.iter().any(|it| it == client),
            None => principal.audiences().contains(&self.audience),
        };
        if meant_for_it {
            Ok(())
        } else {
            Err(ForbiddenReason::UpstreamAudience.into())
        }
    }
}

/// A credential for the upstream API that belongs to one principal. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamToken {
    secret: Zeroizing<String>,
    renew_at: SystemTime,
    expires_at: SystemTime,
    target: u64,
    actor: Option<Arc<Actor>>,
}

impl UpstreamToken {
    /// Wraps a token the issuer gave out, or one that was read back from a sealed record.
    pub fn new(secret: Zeroizing<String>, renew_at: SystemTime, expires_at: SystemTime) -> Self {
        Self {
            secret,
            renew_at,
            expires_at,
            target: 0,
            actor: None,
        }
    }

    /// The same token, got by an exchange with this [target](TokenExchange::target).
    #[must_use]
    pub fn for_target(self, target: u64) -> Self {
        Self { target, ..self }
    }

    /// The same token, which is over at `end` and for which no other one is got before.
    #[must_use]
    pub fn lasting_until(self, end: SystemTime) -> Self {
        Self {
            renew_at: end,
            expires_at: end,
            ..self
        }
    }

    /// The same token, by which this party acts for its subject.
    #[must_use]
    pub fn acted_by(self, actor: Option<Actor>) -> Self {
        let actor = actor.map(Arc::new);
        Self { actor, ..self }
    }

    /// Who acts for its subject, as the issuer told: nobody here has verified it.
    pub fn actor(&self) -> Option<&Actor> {
        self.actor.as_deref()
    }

    /// The target of the exchange that it was got by.
    pub fn target(&self) -> u64 {
        self.target
    }

    /// The token itself. Use it in the one line that sends or seals it.
    pub fn expose(&self) -> &str {
        &self.secret
    }

    /// From when on another one should be asked for, before it expires.
    pub fn renew_at(&self) -> SystemTime {
        self.renew_at
    }

    /// When it expires.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for UpstreamToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamToken")
            .field("secret", &"[redacted]")
            .field("renew_at", &self.renew_at)
            .field("expires_at", &self.expires_at)
            .field("target", &self.target)
            // Nobody is named but in an audit log.
            .finish_non_exhaustive()
    }
}
