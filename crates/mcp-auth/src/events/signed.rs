//! What an issuer signs beside its tokens: for one audience, and not for opening anything.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::EventError;
use crate::{
    asker::Asker,
    assertion,
    claims::Claims,
    error::{AuthError, ConfigError},
    fetch::parse_url,
    jwk::ALGORITHMS,
    jwt::Unverified,
    key_source::{KeyPolicy, KeySource},
    times,
};

/// How far clocks may disagree.
const LEEWAY: Duration = Duration::from_secs(90);

/// Checks the signatures of one issuer.
#[derive(Debug)]
pub(super) struct Signed {
    issuer: String,
    audiences: Vec<String>,
    keys: Arc<KeySource>,
}

/// A JWT that was proven.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) claims: Claims,
    pub(super) issued_at: SystemTime,
    pub(super) id: String,
}

impl Signed {
    pub(super) fn new(
        issuer: String,
        audiences: Vec<String>,
        jwks_uri: Option<&str>,
        client: reqwest::Client,
    ) -> Result<Self, ConfigError> {
        parse_url(&issuer)?;
        let jwks_uri = jwks_uri.map(parse_url).transpose()?;
        if audiences.iter().all(String::is_empty) {
            return Err(ConfigError::NoAudience(issuer));
        }
        let keys = KeySource::new(issuer.clone(), jwks_uri, client, KeyPolicy::default());
        Ok(Self {
            issuer,
            audiences,
            keys,
        })
    }

    pub(super) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The claims of a JWT, when this issuer signed it for this audience. `typ` is one of these types,
    /// or is not there.
    pub(super) async fn prove(
        &self,
        text: &str,
        types: &[&str],
        now: SystemTime,
    ) -> Result<Proven, EventError> {
        let malformed = EventError::Malformed;
        let parts = assertion::parts(text).ok_or(malformed("it is no signed JWT"))?;
        let (header, claims, (message, signature)) = parts;
        if !header.asks_for_nothing() {
            return Err(malformed("its header has critical parameters"));
        }
        if !header.is_type(types) {
            return Err(malformed("its type says it is another kind of token"));
        }
        if claims.issuer().map_err(|_| malformed("iss is missing"))? != self.issuer {
            return Err(EventError::Issuer);
        }
        let audiences = claims.audiences().map_err(|_| EventError::Audience)?;
        if !audiences.iter().any(|it| self.audiences.contains(it)) {
            return Err(EventError::Audience);
        }
        let issued_at = times::date(&claims, "iat").ok().flatten();
        let issued_at = issued_at.ok_or(malformed("iat is missing, or no time"))?;
        let issued_at = UNIX_EPOCH + Duration::from_secs(issued_at);
        let expires_at = times::date(&claims, "exp");
        let expires_at = expires_at.map_err(|_| malformed("exp is no time"))?;
        let over = |exp: u64| UNIX_EPOCH + Duration::from_secs(exp) + LEEWAY <= now;
        if issued_at > now + LEEWAY || expires_at.is_some_and(over) {
            return Err(EventError::Stale);
        }
        let id = super::name(claims.get("jti")).ok_or(malformed("jti is missing"))?;
        let token = Unverified {
            header: &header,
            claims: &claims,
            message,
            signature,
        };
        self.check(&token).await?;
        Ok(Proven {
            claims,
            issued_at,
            id,
        })
    }

    async fn check(&self, token: &Unverified<'_>) -> Result<(), EventError> {
        let (asker, arrived) = (Asker::UNKNOWN, Instant::now());
        let checked = self.keys.verify(token, ALGORITHMS, asker, arrived).await;
        match checked {
            Ok(_) => Ok(()),
            Err(AuthError::Unavailable { retry_after, .. }) => {
                Err(EventError::Unavailable { retry_after })
            }
            Err(_) => Err(EventError::Key),
        }
    }
}
