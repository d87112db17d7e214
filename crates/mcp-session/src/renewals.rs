//! Exchanges under way, and what came of those of a moment ago: however many ask, and whoever of them
//! leaves, each is asked for once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::AuthError;
use moka::{Expiry, future::Cache};

use crate::{key::SessionKey, logins::Logins, session::Session, stats::Budget, tiers::Inner};

/// The session with its new upstream token.
pub(crate) type Exchanged = Result<Arc<Session>, AuthError>;

/// What a token is exchanged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Occasion {
    /// The first upstream token of a session.
    Beginning,
    /// Another one.
    Renewal,
    /// Another one, because the API refused the one at hand.
    Refusal,
}

pub(crate) struct Renewals {
    pub(crate) results: Cache<(SessionKey, Occasion), Exchanged>,
    pub(crate) logins: Logins,
    /// An API that refuses everybody is no reason to have everybody's token exchanged at once.
    pub(crate) refusals: Budget,
    /// Those that no request waits for.
    behind: Mutex<HashSet<SessionKey>>,
}

/// Most that results may take in bytes, beside the sessions that are in memory anyway.
const RESULTS: u64 = 8 * 1024 * 1024;

impl Default for Renewals {
    fn default() -> Self {
        let weigh = |_: &_, came: &Exchanged| {
            let bytes = came.as_ref().map_or(0, |session| session.weight());
            u32::try_from(bytes + 256).unwrap_or(u32::MAX)
        };
        Self {
            results: Cache::builder()
                .name("exchanges")
                .weigher(weigh)
                .max_capacity(RESULTS)
                .expire_after(Moment)
                .build(),
            logins: Logins::default(),
            refusals: Budget::of(50),
            behind: Mutex::default(),
        }
    }
}

impl Renewals {
    /// What came of exchanges for a token that is to be forgotten.
    pub(crate) async fn forget(&self, key: SessionKey) {
        for occasion in [Occasion::Beginning, Occasion::Renewal, Occasion::Refusal] {
            self.results.invalidate(&(key, occasion)).await;
        }
    }
}

/// However often the API refuses, a token is asked for once in such a time; an issuer that was away,
/// or did not like this token, is asked again sooner.
struct Moment;

const AFTER_A_TOKEN: Duration = Duration::from_secs(30);
const AFTER_AN_ERROR: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

impl Expiry<(SessionKey, Occasion), Exchanged> for Moment {
    fn expire_after_create(
        &self,
        _: &(SessionKey, Occasion),
        came: &Exchanged,
        _: Instant,
    ) -> Option<Duration> {
        let (shortest, longest) = AFTER_AN_ERROR;
        Some(match came {
            Ok(session) => {
                let token = session.exchanged();
                let left = token.map(|token| token.expires_at().duration_since(SystemTime::now()));
                left.and_then(Result::ok)
                    .unwrap_or_default()
                    .min(AFTER_A_TOKEN)
            }
            Err(AuthError::Unavailable { retry_after, .. }) => {
                (*retry_after).clamp(shortest, longest)
            }
            Err(_) => shortest,
        })
    }
}

/// A renewal that no request waits for, until it is dropped.
pub(crate) struct Behind {
    inner: Arc<Inner>,
    key: SessionKey,
}

impl Behind {
    /// `None` where there is one already, or one came to an end a moment ago.
    pub(crate) fn begin(inner: &Arc<Inner>, key: SessionKey) -> Option<Self> {
        let renewals = &inner.renewals;
        if renewals.results.contains_key(&(key, Occasion::Renewal)) {
            return None;
        }
        let mut behind = renewals
            .behind
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        behind.insert(key).then(|| Self {
            inner: Arc::clone(inner),
            key,
        })
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        let behind = self.inner.renewals.behind.lock();
        let mut behind = behind.unwrap_or_else(PoisonError::into_inner);
        behind.remove(&self.key);
    }
}
