//! Which credential the upstream API gets for a principal.
//!
//! The client's token must not travel on to another service. The one recorded exception is the
//! *same-audience* mode: the API is, by agreement, the same resource, and the token says so in its
//! `aud`. [`TokenExchange`] (RFC 8693) is the other way: the issuer gives a token for the API.

mod answer;
mod ask;
mod client;
mod config;

pub use self::{
    ask::TokenExchange,
    client::{ClientAuthentication, ClientKey},
    config::{AssertionAudience, ExchangeConfig, ExchangeGrant},
};

use std::{fmt, time::SystemTime};

use zeroize::Zeroizing;

use crate::{
    error::{AuthError, ForbiddenReason},
    principal::Principal,
    token::AccessToken,
};

/// How a principal gets its credential for the upstream API.
#[derive(Debug, Clone)]
pub struct UpstreamCredentials {
    audience: String,
    /// Compared with the client that stood in for an audience only, never with an audience.
    clients: Vec<String>,
}

impl UpstreamCredentials {
    /// The presented token is used as it is, if its `aud` names the upstream API too.
    pub fn same_audience(audience: impl Into<String>) -> Self {
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

    /// The upstream token of a principal; `None` means that the presented token itself is the
    /// upstream credential, so that nothing has to be stored.
    ///
    /// # Errors
    /// [`ForbiddenReason::UpstreamAudience`] when the token was not issued for the upstream API:
    /// another login would give the same token, so this is no 401.
    #[expect(
        clippy::unused_async,
        reason = "the exchange mode asks the issuer; callers must not change for it"
    )]
    pub async fn obtain(
        &self,
        _token: &AccessToken,
        principal: &Principal,
    ) -> Result<Option<UpstreamToken>, AuthError> {
        let meant_for_it = match principal.stand_in() {
            Some(client) => self.clients.iter().any(|it| it == client),
            None => principal.audiences().contains(&self.audience),
        };
        if meant_for_it {
            Ok(None)
        } else {
            Err(AuthError::Forbidden(ForbiddenReason::UpstreamAudience))
        }
    }
}

/// A credential for the upstream API that belongs to one principal. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamToken {
    secret: Zeroizing<String>,
    expires_at: SystemTime,
}

impl UpstreamToken {
    /// Wraps a token the issuer gave out, or one that was read back from a sealed record.
    pub fn new(secret: Zeroizing<String>, expires_at: SystemTime) -> Self {
        Self { secret, expires_at }
    }

    /// The token itself. Use it in the one line that sends or seals it.
    pub fn expose(&self) -> &str {
        &self.secret
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
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
