//! [`LogoutTokens`]: that a user was logged out, as an OpenID provider tells its clients.

use std::time::{Duration, SystemTime};

use super::{EventError, EventKind, EventSubject, ProviderEvent, ReceivedEvents, signed::Signed};
use crate::{claims::Claims, error::ConfigError};

/// What a logout token is about (OpenID Connect Back-Channel Logout 1.0 section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// How long after it was made one is taken: it is sent at once, and once more at most.
const LASTS: Duration = Duration::from_mins(10);

/// Verifies the logout tokens of one issuer (OpenID Connect Back-Channel Logout 1.0).
#[derive(Debug)]
pub struct LogoutTokens(Signed);

impl LogoutTokens {
    /// Checks the addresses; no I/O. `clients` are the clients of this issuer whose logouts count. The
    /// keys are at `jwks_uri`, or where the issuer's metadata says when absent; `client` must follow no
    /// redirect.
    ///
    /// # Errors
    /// [`ConfigError`], for an address that is none, or without any client.
    pub fn new(
        issuer: impl Into<String>,
        clients: Vec<String>,
        jwks_uri: Option<&str>,
        client: reqwest::Client,
    ) -> Result<Self, ConfigError> {
        Signed::new(issuer.into(), clients, jwks_uri, client).map(Self)
    }

    /// Who is logged out by a `logout_token` (section 2.6), and its `jti`: that the same did not come
    /// before is for the caller to see to.
    ///
    /// # Errors
    /// [`EventError`]; also for a token that names a session (`sid`) and no user.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<ReceivedEvents, EventError> {
        let proven = self.0.prove(token, &["logout+jwt", "jwt"], now).await?;
        let subject = logged_out(&proven.claims)?;
        if proven.issued_at + LASTS < now {
            return Err(EventError::Stale);
        }
        let event = ProviderEvent {
            issuer: Some(self.0.issuer().to_owned()),
            subject: EventSubject::User(subject),
            kind: EventKind::SignedOut,
            at: proven.issued_at,
        };
        Ok(ReceivedEvents {
            id: Some(proven.id),
            events: vec![event],
        })
    }
}

fn logged_out(claims: &Claims) -> Result<String, EventError> {
    let malformed = |text| Err(EventError::Malformed(text));
    let events = claims.get("events").and_then(|events| events.get(EVENT));
    if !events.is_some_and(serde_json::Value::is_object) {
        return malformed("it tells of no logout");
    }
    // Or an ID token might pass for one.
    if claims.get("nonce").is_some() {
        return malformed("it has a nonce");
    }
    match super::name(claims.get("sub")) {
        Some(subject) => Ok(subject),
        None => malformed("it names no user (sub): a session alone (sid) is not known here"),
    }
}
