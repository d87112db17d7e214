//! Exchanges under way, and what came of those of a moment ago: however many ask, and whoever of them
//! leaves, each is asked for once.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::AuthError;
use moka::{Expiry, future::Cache};

use crate::{
    key::SessionKey,
    logins::Logins,
    session::Session,
    stats::Budget,
    tiers::Inner,
    under_way::{Begun, UnderWay},
};

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

/// An exchange for a token, [since](Begun::since) it was forgotten last.
pub(crate) type Question = (SessionKey, u64, Occasion);

pub(crate) struct Renewals {
    pub(crate) results: Cache<Question, Exchanged>,
    pub(crate) under_way: UnderWay,
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
            under_way: UnderWay::default(),
            logins: Logins::default(),
            refusals: Budget::of(50),
            behind: Mutex::default(),
        }
    }
}

impl Renewals {
    /// A token is to be forgotten: what came of exchanges for it, and what will come of those under way.
    pub(crate) async fn forget(&self, key: SessionKey) {
        let since = self.under_way.forget(key);
        for occasion in [Occasion::Beginning, Occasion::Renewal, Occasion::Refusal] {
            self.results.invalidate(&(key, since, occasion)).await;
        }
    }
}

/// However often the API refuses, a token is asked for once in such a time; an issuer that was away,
/// or did not like this token, is asked again sooner.
struct Moment;

const AFTER_A_TOKEN: Duration = Duration::from_secs(30);
const AFTER_AN_ERROR: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(10));

impl Expiry<Question, Exchanged> for Moment {
    fn expire_after_create(&self, _: &Question, came: &Exchanged, _: Instant) -> Option<Duration> {
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
    pub(crate) fn begin(inner: &Arc<Inner>, begun: &Begun) -> Option<Self> {
        let (renewals, key) = (&inner.renewals, begun.key());
        let question = (key, begun.since(), Occasion::Renewal);
        if renewals.results.contains_key(&question) {
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
