//! Tokens that were proven bad a moment ago, and whose they are where that was verified before.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mcp_auth::{AccessToken, AuthError, InvalidReason};
use moka::{Expiry, future::Cache};

use crate::{key::SessionKey, session::Session, tiers::SessionTiers};

/// Why a token is refused.
#[derive(Clone)]
pub(crate) struct Refused {
    pub(crate) error: AuthError,
    /// Whose it is; nobody's where it was not verified.
    pub(crate) session: Option<Arc<Session>>,
}

/// What an entry takes in bytes beside a session.
const ENTRY: usize = 512;

/// Small and short: it protects the store and the verifier from a client that repeats itself, and
/// nothing else.
pub(crate) fn negative_cache() -> Cache<SessionKey, Refused> {
    let weigh = |_: &_, refused: &Refused| {
        let session = refused.session.as_ref().map_or(0, |it| it.weight());
        u32::try_from(session + ENTRY).unwrap_or(u32::MAX)
    };
    Cache::builder()
        .name("known bad tokens")
        .weigher(weigh)
        .max_capacity(10_000 * ENTRY as u64)
        .expire_after(BadExpiry)
        .build()
}

/// Long only for what cannot be seen of the token itself, and would have its client call in vain.
struct BadExpiry;

impl Expiry<SessionKey, Refused> for BadExpiry {
    fn expire_after_create(
        &self,
        _: &SessionKey,
        refused: &Refused,
        _: Instant,
    ) -> Option<Duration> {
        Some(match refused.error {
            AuthError::InvalidToken(InvalidReason::NotGranted) => Duration::from_hours(1),
            _ => Duration::from_secs(10),
        })
    }

    fn expire_after_update(
        &self,
        key: &SessionKey,
        refused: &Refused,
        at: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.expire_after_create(key, refused, at)
    }
}

impl SessionTiers {
    /// Whose token it is that was refused a moment ago: known where it was verified and is refused
    /// nevertheless, because that user is denied, or the issuer does not exchange it. For an audit log.
    /// Asks nobody.
    pub async fn session_of_refused(&self, token: &AccessToken) -> Option<Arc<Session>> {
        let key = self.inner.keyring.session_key(token);
        match self.inner.negative_cache.get(&key).await {
            Some(refused) => refused.session,
            None => self.inner.memory.get(&key).await,
        }
    }
}
