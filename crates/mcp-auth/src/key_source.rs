//! The keys of one issuer: fetched once for many waiters, kept in the process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use jsonwebtoken::Algorithm;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tracing::{Instrument as _, Span};
use url::Url;

use crate::{
    asker::Asker,
    discovery,
    error::{AuthError, UnavailableReason},
    fetch::{FetchError, KEY_SET, get_json},
    jwk::{Fault, RefusedKey},
    jwt::Unverified,
    key_set::{JwkSet, KeySet, Verdict},
    outcomes::Outcomes,
    sightings::Sightings,
    spans,
};

/// How long keys are believed, and how often an issuer is asked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyPolicy {
    /// Age at which a key set is refreshed in the background, while requests go on with it.
    pub fresh_for: Duration,
    /// Age up to which a key set may be used when it cannot be refreshed.
    pub stale_for: Duration,
    /// Least time between two fetches that one client causes by tokens that no key at hand
    /// verifies. So long at most can strangers hold up the fetch that a new key needs. 5 s by
    /// default.
    pub cooldown: Duration,
    /// The same for all clients together. 1 s by default.
    pub spacing: Duration,
    /// Least time between two fetches after a failed one.
    pub retry_after: Duration,
    /// Limit for one document.
    pub timeout: Duration,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self {
            fresh_for: Duration::from_mins(10),
            stale_for: Duration::from_hours(24),
            cooldown: Duration::from_secs(5),
            spacing: Duration::from_secs(1),
            retry_after: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
        }
    }
}

/// The key set of one issuer and the way to get it.
#[derive(Debug)]
pub(crate) struct KeySource {
    issuer: String,
    client: reqwest::Client,
    policy: KeyPolicy,
    configured_uri: Option<Url>,
    /// The keys are this process's own: there are no newer ones anywhere.
    fixed: bool,
    current: ArcSwapOption<KeySet>,
    /// Holding this lock is the right to fetch: there is one fetch at a time.
    fetching: Arc<Mutex<FetchState>>,
    unknown: Sightings,
    pub(crate) fetches: Outcomes,
}

#[derive(Debug, Default)]
struct FetchState {
    discovered_uri: Option<Url>,
    failed_at: Option<Instant>,
    /// The fetches that tokens caused in the last cooldown: few, for they keep their spacing.
    caused: Vec<(Cause, Asker, Instant)>,
}

/// Why there is no newer key set, and when it is worth asking again.
#[derive(Debug, Clone, Copy)]
struct NotFetched {
    /// The last one is too young; otherwise the fetch failed.
    cooling: bool,
    retry_after: Duration,
}

/// Why a fetch is wanted. What one kind of forged token spends is not missed by the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    NoKeys,
    Age,
    UnknownKey,
    /// The key of that name does not verify the token: it may have been replaced.
    Mismatch,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::NoKeys => "no_keys",
            Self::Age => "age",
            Self::UnknownKey => "unknown_key",
            Self::Mismatch => "mismatch",
        }
    }

    /// Whether a set is wanted that was asked for after the token arrived.
    fn wants_newer(self) -> bool {
        matches!(self, Self::UnknownKey | Self::Mismatch)
    }
}

impl KeySource {
    pub(crate) fn new(
        issuer: String,
        configured_uri: Option<Url>,
        client: reqwest::Client,
        policy: KeyPolicy,
    ) -> Arc<Self> {
        Arc::new(Self::of(issuer, client, policy, configured_uri))
    }

    /// Keys that are configured: nobody is asked for them, and they do not age.
    pub(crate) fn fixed(
        issuer: String,
        set: KeySet,
        client: reqwest::Client,
        policy: KeyPolicy,
    ) -> Arc<Self> {
        Arc::new(Self {
            fixed: true,
            current: ArcSwapOption::from_pointee(set),
            ..Self::of(issuer, client, policy, None)
        })
    }

    fn of(
        issuer: String,
        client: reqwest::Client,
        policy: KeyPolicy,
        configured_uri: Option<Url>,
    ) -> Self {
        Self {
            issuer,
            client,
            policy,
            configured_uri,
            fixed: false,
            current: ArcSwapOption::empty(),
            fetching: Arc::default(),
            unknown: Sightings::default(),
            fetches: Outcomes::default(),
        }
    }

    /// A key set that may be used, without asking anybody.
    pub(crate) fn at_hand(&self, now: Instant) -> Option<Arc<KeySet>> {
        let set = self.current.load_full()?;
        (self.fixed || set.age(now) < self.policy.stale_for).then_some(set)
    }

    /// How long ago a set of this source was what the issuer had.
    pub(crate) fn age(&self, set: &KeySet, now: Instant) -> Duration {
        if self.fixed {
            Duration::ZERO
        } else {
            set.age(now)
        }
    }

    /// A key set that may be used; fetched if there is none, refreshed behind the request's back
    /// if it has aged.
    pub(crate) async fn usable(
        self: &Arc<Self>,
        arrived: Instant,
    ) -> Result<Arc<KeySet>, AuthError> {
        match self.at_hand(arrived) {
            None => {
                let fetched = self.fetch(Cause::NoKeys, Asker::UNKNOWN, arrived).await;
                fetched.map_err(|failed| AuthError::Unavailable {
                    reason: UnavailableReason::Keys,
                    retry_after: failed.retry_after,
                })
            }
            Some(set) => {
                if !self.fixed && set.age(arrived) >= self.policy.fresh_for {
                    self.refresh_in_background(arrived);
                }
                Ok(set)
            }
        }
    }

    /// Checks a token's signature; which key made it. A key this process does not have may have been published since,
    /// and one may have been replaced under its old name: only a set that was asked for after the
    /// token was first seen proves that the issuer does not know the key.
    pub(crate) async fn verify(
        self: &Arc<Self>,
        token: &Unverified<'_>,
        allowed: &[Algorithm],
        asker: Asker,
        arrived: Instant,
    ) -> Result<u64, AuthError> {
        let set = self.usable(arrived).await?;
        let verdict = set.check(token, allowed);
        if self.fixed {
            return verdict.into_result();
        }
        let cause = match verdict {
            Verdict::Verified(_) | Verdict::Invalid(_) => return verdict.into_result(),
            Verdict::Mismatch(_) => Cause::Mismatch,
            Verdict::UnknownKey | Verdict::Unusable(_) => Cause::UnknownKey,
        };
        if verdict == Verdict::UnknownKey && self.lacked_since(&set, token, arrived) {
            return verdict.into_result();
        }
        let (verdict, failed) = match self.fetch(cause, asker, arrived).await {
            Ok(set) => (set.check(token, allowed), None),
            // A fetch that began just before may have brought the key: it proves that there is
            // one, if not that there is none.
            Err(failed) => {
                let set = self.at_hand(arrived);
                let verdict = set.map_or(verdict, |set| set.check(token, allowed));
                (verdict, Some(failed))
            }
        };
        match (verdict, failed) {
            (Verdict::UnknownKey, Some(failed)) => Err(AuthError::Unavailable {
                reason: if failed.cooling {
                    UnavailableReason::UnknownKeyCooldown
                } else {
                    UnavailableReason::UnknownKey
                },
                retry_after: failed.retry_after,
            }),
            // What the set at hand says of a key it has is no proof of what the issuer has now; but
            // such tokens are forged as a rule, and "try again" would be said to all of them.
            (verdict, _) => verdict.into_result(),
        }
    }

    /// Whether a key of the issuer's that was in use by `since` is there no more: only a set that was
    /// asked for later can tell. One that has aged is refreshed behind the request's back.
    pub(crate) fn has_withdrawn(self: &Arc<Self>, key: u64, since: Instant) -> bool {
        if self.fixed {
            return false;
        }
        let (set, now) = (self.current.load(), Instant::now());
        let set = set.as_deref();
        if set.is_none_or(|set| set.age(now) >= self.policy.fresh_for) {
            self.refresh_in_background(now);
        }
        set.is_some_and(|set| set.asked_at > since && set.lacks(key))
    }

    /// Whether this young set, which lacks the token's key, was asked for after the token was first
    /// seen. Then the token gets its 401 although no fetch is allowed: strangers who keep the
    /// cooldown going keep nobody from learning that he has to log in.
    fn lacked_since(&self, set: &KeySet, token: &Unverified<'_>, arrived: Instant) -> bool {
        let first_seen = self.unknown.first_seen(token, arrived);
        set.asked_at >= first_seen && set.age(arrived) < self.policy.cooldown
    }

    fn refresh_in_background(self: &Arc<Self>, arrived: Instant) {
        // Somebody who holds the lock is fetching already.
        if let Ok(state) = Arc::clone(&self.fetching).try_lock_owned()
            && self
                .blocked(&state, Cause::Age, Asker::UNKNOWN, arrived)
                .is_none()
        {
            tokio::spawn(self.download(state, Cause::Age, Asker::UNKNOWN));
        }
    }

    /// Waits for the right to fetch; whoever got it first has answered the others by then.
    async fn fetch(
        self: &Arc<Self>,
        cause: Cause,
        asker: Asker,
        arrived: Instant,
    ) -> Result<Arc<KeySet>, NotFetched> {
        let state = Arc::clone(&self.fetching).lock_owned().await;
        let enough = |set: &Arc<KeySet>| !cause.wants_newer() || set.asked_at >= arrived;
        if let Some(set) = self.at_hand(arrived).filter(enough) {
            return Ok(set);
        }
        if let Some(blocked) = self.blocked(&state, cause, asker, arrived) {
            return Err(blocked);
        }
        // In its own task: a client that goes away takes nobody else's fetch with it.
        match tokio::spawn(self.download(state, cause, asker)).await {
            Ok(Some(set)) => Ok(set),
            _ => Err(NotFetched {
                cooling: false,
                retry_after: self.policy.retry_after,
            }),
        }
    }

    /// How long a fetch for this cause has to wait, if it has to.
    fn blocked(
        &self,
        state: &FetchState,
        cause: Cause,
        asker: Asker,
        arrived: Instant,
    ) -> Option<NotFetched> {
        let now = Instant::now();
        let remaining = |since: Option<Instant>, pause: Duration| {
            since.and_then(|at| (at + pause).checked_duration_since(now))
        };
        // A fetch that failed while this request waited for it has answered this request too.
        let answered = state.failed_at.is_some_and(|at| at >= arrived);
        let failed = if answered {
            Some(self.policy.retry_after)
        } else {
            remaining(state.failed_at, self.policy.retry_after)
        };
        if let Some(retry_after) = failed {
            return Some(NotFetched {
                cooling: false,
                retry_after,
            });
        }
        let pauses = state.caused.iter().filter(|(it, ..)| *it == cause);
        let pauses = pauses.map(|(_, by, at)| {
            let own = remaining(Some(*at), self.policy.cooldown).filter(|_| *by == asker);
            own.max(remaining(Some(*at), self.policy.spacing))
        });
        let cooling = pauses.max().flatten()?;
        Some(NotFetched {
            cooling: true,
            retry_after: cooling,
        })
    }

    /// [`publish`](Self::publish) in a span below that of the request, if there is one.
    fn download(
        self: &Arc<Self>,
        state: OwnedMutexGuard<FetchState>,
        cause: Cause,
        asker: Asker,
    ) -> impl Future<Output = Option<Arc<KeySet>>> + Send + use<> {
        let span = spans::fetch_keys(&self.issuer, cause.as_str());
        Arc::clone(self)
            .publish(state, cause, asker)
            .instrument(span)
    }

    /// Fetches and publishes a key set. Holds the right to fetch until it is done.
    async fn publish(
        self: Arc<Self>,
        mut state: OwnedMutexGuard<FetchState>,
        cause: Cause,
        asker: Asker,
    ) -> Option<Arc<KeySet>> {
        let now = Instant::now();
        if cause.wants_newer() {
            let longest = self.policy.cooldown.max(self.policy.spacing);
            state.caused.retain(|(_, _, at)| *at + longest > now);
            state.caused.push((cause, asker, now));
        }
        let downloaded = self.download_from_issuer(&mut state).await;
        self.fetches.count(downloaded.is_ok());
        match downloaded {
            Ok(set) => {
                state.failed_at = None;
                tracing::info!(issuer = %self.issuer, keys = set.len(), ?cause, "issuer keys fetched");
                let set = Arc::new(set);
                self.current.store(Some(Arc::clone(&set)));
                Some(set)
            }
            Err(error) => {
                spans::failed(&Span::current(), error.kind());
                state.failed_at = Some(Instant::now());
                state.discovered_uri = None;
                tracing::error!(issuer = %self.issuer, %error, ?cause, "issuer keys could not be fetched");
                None
            }
        }
    }

    async fn download_from_issuer(&self, state: &mut FetchState) -> Result<KeySet, FetchError> {
        let timeout = self.policy.timeout;
        let uri = match self
            .configured_uri
            .as_ref()
            .or(state.discovered_uri.as_ref())
        {
            Some(uri) => uri.clone(),
            None => {
                let found = discovery::find(&self.client, &self.issuer, timeout).await?;
                found.jwks_uri()?
            }
        };
        let asked_at = Instant::now();
        let document: JwkSet = get_json(&self.client, &uri, KEY_SET, timeout).await?;
        let set = KeySet::usable(&document, asked_at);
        for key in &set.refused {
            self.tell(key);
        }
        if set.keys.is_empty() {
            // What holds no key at all is an error in a 200, and proves nothing. Keys that cannot be
            // used are what this issuer has: that is said, and is no outage that ends by itself.
            let Some(fault) = set.fault() else {
                return Err(FetchError::Refused("the key set holds no key"));
            };
            // One bad document takes nothing from users whose keys are here.
            let held = self.at_hand(asked_at);
            if held.is_some_and(|held| !held.keys.is_empty()) {
                return Err(FetchError::Refused(
                    "no key of the key set can be used: those that are here stay",
                ));
            }
            tracing::error!(
                issuer = %self.issuer,
                fault = fault.as_str(),
                "no key of this issuer can be used: all its tokens get 403"
            );
        }
        if self.configured_uri.is_none() {
            state.discovered_uri = Some(uri);
        }
        Ok(set)
    }

    /// Names a key's fault, for whoever is asked why its tokens get 403.
    fn tell(&self, key: &RefusedKey) {
        let (issuer, kid, fault) = (&self.issuer, key.name(), key.fault.as_str());
        if key.fault == Fault::Purpose {
            tracing::debug!(%issuer, %kid, %fault, "issuer key is not used");
        } else {
            tracing::warn!(%issuer, %kid, %fault, "issuer key cannot be used");
        }
    }
}
