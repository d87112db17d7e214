//! Access tokens (RFC 9068): signed, so that every instance verifies them, with the provider's token in
//! a part that only this server opens.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_auth::{AccessToken, AuthError, GrantOpener, InvalidReason, Principal, UpstreamToken};
use mcp_session::{FactStore, Put, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::{
    keys::{Keys, Kind, random},
    provider::secret,
    request::seconds,
    server::Inner,
};

/// Longest provider's token, in bytes, that travels in ours. A longer one makes a header that proxies
/// refuse (8 KiB, for all headers together), and stays in the store.
const TRAVELS: usize = 2_800;

/// How much earlier than the provider's our token ends, in seconds.
const EARLIER: u64 = 120;

/// The claim that holds the provider's token, sealed.
const SEALED: &str = "sealed";
/// The claim that says that it is in the store.
const KEPT: &str = "kept";

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Provided {
    #[serde(rename = "a", with = "secret")]
    access_token: Zeroizing<String>,
    /// When it is over, in seconds since the epoch.
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
}

/// Whom an access token is for, and what the API is called with for them.
pub(crate) struct Holder<'a> {
    /// The user, or the client where there is none.
    pub(crate) subject: &'a str,
    pub(crate) organization: Option<&'a str>,
    /// The name that access tokens have for the client.
    pub(crate) client: &'a str,
    /// When the user logged in here, in seconds since the epoch.
    pub(crate) logged_in_at: Option<u64>,
    pub(crate) upstream: &'a Zeroizing<String>,
    /// When that is over, in seconds since the epoch, if it is ever.
    pub(crate) upstream_until: Option<u64>,
}

/// An access token, and how long it lives.
pub(crate) struct Minted {
    pub(crate) token: Zeroizing<String>,
    pub(crate) lives: Duration,
}

impl Inner {
    /// An access token with these scopes, for the resource or for this below it.
    pub(crate) async fn mint(
        &self,
        holder: &Holder<'_>,
        scopes: &[String],
        below: Option<&str>,
        now: SystemTime,
    ) -> Result<Minted, StoreError> {
        let id = random::<16>().map_err(|_| StoreError::Full)?;
        let lives = self.lives(holder.upstream_until, now);
        let mut claims = self.claims(holder, scopes, &id, seconds(now), lives);
        claims.insert("aud".to_owned(), self.audience(below).into());
        let place = place_of(&id, holder.subject);
        let provided = Provided {
            access_token: holder.upstream.clone(),
            expires_at: holder.upstream_until,
        };
        let plain = Zeroizing::new(serde_json::to_vec(&provided).map_err(|_| StoreError::Full)?);
        let kept = plain.len() > TRAVELS && self.keep(&id, &place, &plain, lives).await.is_ok();
        if kept {
            claims.insert(KEPT.to_owned(), true.into());
        } else {
            // Without the store too: a long header is better than a login that is lost.
            let sealed = self.keys.seal(Kind::Access, &place, &plain);
            let sealed = sealed.map_err(|_| StoreError::Full)?;
            claims.insert(SEALED.to_owned(), sealed.into());
        }
        Ok(Minted {
            token: Zeroizing::new(self.keys.sign(&claims.into())),
            lives,
        })
    }

    fn claims(
        &self,
        holder: &Holder<'_>,
        scopes: &[String],
        id: &str,
        now: u64,
        lives: Duration,
    ) -> Map<String, Value> {
        let config = &self.config;
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", json!(config.issuer));
        put("sub", json!(holder.subject));
        put("client_id", json!(holder.client));
        put("iat", json!(now));
        put("exp", json!(now + lives.as_secs()));
        put("jti", json!(id));
        put("scope", json!(scopes.join(" ")));
        if let Some(at) = holder.logged_in_at {
            put("auth_time", json!(at));
        }
        if let Some(organization) = holder.organization {
            put(&config.organization_claim, json!(organization));
        }
        claims
    }

    /// No longer than what the API is called with, without which it is of no use.
    fn lives(&self, upstream_until: Option<u64>, now: SystemTime) -> Duration {
        let longest = self.config.access_token_lifetime;
        let left = upstream_until.map(|at| {
            let left = at.saturating_sub(seconds(now));
            // Earlier by what clocks may differ: until then a token is taken that ended. Less of one
            // that is short anyway.
            Duration::from_secs(left - EARLIER.min(left / 3))
        });
        left.map_or(longest, |left| left.min(longest))
    }

    async fn keep(
        &self,
        id: &str,
        place: &str,
        plain: &[u8],
        lives: Duration,
    ) -> Result<(), StoreError> {
        let name = self.keys.place(Kind::Access, &[id]);
        if self.kept_told.pass().is_some() {
            tracing::info!(
                bytes = plain.len(),
                "the provider's access tokens are too long for a header: the store holds them, and a \
                 client refreshes where it does not"
            );
        }
        let sealed = self.keys.seal_bytes(Kind::Access, place, plain);
        let sealed = sealed.map_err(|_| StoreError::Full)?;
        // For as long as clocks may disagree, too.
        let lasting = lives + Duration::from_mins(2);
        match self.facts.put_if_absent(&name, sealed, lasting).await? {
            Put::Created(_) => Ok(()),
            Put::Exists(_) => Err(StoreError::Full),
        }
    }
}

/// Bound to the token and its user: it opens in no other token.
fn place_of(id: &str, subject: &str) -> String {
    format!("{id} {subject}")
}

/// Opens what access tokens hold of the provider's.
pub(crate) struct Opener {
    pub(crate) keys: Arc<Keys>,
    pub(crate) facts: Arc<dyn FactStore>,
    pub(crate) target: u64,
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opener")
    }
}

/// The claims that are needed of a token whose signature was verified.
#[derive(Deserialize)]
struct Claims {
    jti: String,
    #[serde(default)]
    sealed: Option<String>,
    #[serde(default)]
    kept: bool,
}

#[async_trait]
impl GrantOpener for Opener {
    async fn open(
        &self,
        token: &AccessToken,
        principal: &Principal,
        now: SystemTime,
    ) -> Result<UpstreamToken, AuthError> {
        let _ = now;
        let payload = token.expose().split('.').nth(1).unwrap_or_default();
        let payload = URL_SAFE_NO_PAD.decode(payload).unwrap_or_default();
        let claims: Claims =
            serde_json::from_slice(&payload).map_err(|_| InvalidReason::Malformed)?;
        let place = place_of(&claims.jti, principal.subject());
        let plain = match &claims.sealed {
            Some(sealed) => self.keys.open(Kind::Access, &place, sealed).ok(),
            None if claims.kept => self.kept(&claims.jti, &place).await?,
            None => None,
        };
        // What is no more there, or sealed by a key that is gone: the client has a refresh token, with
        // which it gets another one and nobody is asked for anything.
        let provided = plain.and_then(|plain| serde_json::from_slice::<Provided>(&plain).ok());
        let provided = provided.ok_or(InvalidReason::NotGranted)?;
        let until = provided
            .expires_at
            .map(|at| UNIX_EPOCH + Duration::from_secs(at));
        let until = until.unwrap_or_else(|| principal.expires_at());
        let token = UpstreamToken::new(provided.access_token, until, until);
        Ok(token.for_target(self.target))
    }

    fn target(&self) -> u64 {
        self.target
    }
}

impl Opener {
    async fn kept(&self, id: &str, place: &str) -> Result<Option<Zeroizing<Vec<u8>>>, AuthError> {
        let name = self.keys.place(Kind::Access, &[id]);
        let found = self.facts.read(&name).await;
        let fact = found.map_err(|_| unavailable())?;
        Ok(fact.and_then(|fact| self.keys.open_bytes(Kind::Access, place, &fact.value).ok()))
    }
}

fn unavailable() -> AuthError {
    AuthError::Unavailable {
        reason: mcp_auth::UnavailableReason::Exchange,
        retry_after: Duration::from_secs(2),
    }
}
