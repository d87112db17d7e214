//! Who is refused with a token that had been good: counted for operators, once for each token. What
//! is refused is decided in `tiers.rs`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use mcp_auth::{AccessToken, AuthError, ForbiddenReason, InvalidReason};
use moka::future::Cache;

use crate::{
    key::SessionKey,
    refused::Refused,
    tiers::{Inner, SessionTiers},
};

/// How many users were sent away with a token that had been good, by
/// [reason](InvalidReason::label).
///
/// Counted is the refusal of a token that a configured issuer did issue for this server (its
/// signature and its audience say so), or whose session this instance held; once for each token.
/// A client with a refresh token renews an expired token without asking anybody; every other
/// reason sends a person to log in.
#[derive(Debug)]
pub struct SignOuts(Mutex<BTreeMap<&'static str, u64>>);

impl Default for SignOuts {
    fn default() -> Self {
        let zeros = InvalidReason::LABELS.iter().map(|label| (*label, 0));
        Self(Mutex::new(zeros.collect()))
    }
}

impl SignOuts {
    /// Every reason with its count, those that never happened included.
    pub fn get(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(label, count)| (*label, *count))
            .collect()
    }

    pub(crate) fn increment(&self, reason: InvalidReason) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason.label()).or_default() += 1;
    }
}

/// How many tokens were refused although a configured issuer signed them, by issuer and
/// [reason](mcp_auth::AuthError::label); each token once.
///
/// Nobody can add to these numbers who has no token of the issuer: where they grow, issuer and
/// configuration disagree.
#[derive(Debug, Default)]
pub struct RefusedTokens(Mutex<BTreeMap<(String, &'static str), u64>>);

impl RefusedTokens {
    pub(crate) fn of(issuers: impl Iterator<Item = String>) -> Self {
        let reasons = InvalidReason::LABELS.iter().chain(ForbiddenReason::LABELS);
        let reasons = reasons.copied();
        let zeros = issuers.flat_map(|issuer| {
            let zero = move |reason| ((issuer.clone(), reason), 0);
            reasons.clone().map(zero)
        });
        Self(Mutex::new(zeros.collect()))
    }

    /// Every issuer and reason with its count, those that never happened included.
    pub fn get(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|((issuer, reason), count)| (issuer.clone(), *reason, *count))
            .collect()
    }

    pub(crate) fn increment(&self, issuer: &str, reason: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((issuer.to_owned(), reason)).or_default() += 1;
    }
}

/// How late clients are that renew their tokens by their own clock. Sooner than that a 401 does
/// harm: there are clients that answer it with a whole new login.
pub(crate) const RENEWAL: Duration = Duration::from_secs(5);

impl SessionTiers {
    /// The upstream API refused the credential of a token that says it ends at `expires_at`. Some
    /// seconds past that time it lived on by the leeway for clocks only: it is expired here too
    /// from now on, so that its client gets a new one. Any other token is left alone, for another
    /// service's refusal proves nothing.
    pub async fn refused_upstream(
        &self,
        token: &AccessToken,
        expires_at: SystemTime,
        now: SystemTime,
    ) {
        if expires_at + RENEWAL <= now {
            let key = self.inner.keyring.session_key(token);
            let expired = AuthError::InvalidToken(InvalidReason::Expired);
            let session = self.inner.memory.get(&key).await;
            let held = session.is_some();
            let refused = Refused {
                error: expired.clone(),
                session,
            };
            self.inner.negative_cache.insert(key, refused).await;
            self.inner.memory.invalidate(&key).await;
            self.inner.count_refusal(key, token, &expired, held).await;
        }
    }
}

impl Inner {
    /// The same result, counted if it is a refusal.
    pub(crate) async fn counted<T>(
        &self,
        key: SessionKey,
        token: &AccessToken,
        result: Result<T, AuthError>,
        held: bool,
    ) -> Result<T, AuthError> {
        if let Err(error) = &result {
            self.count_refusal(key, token, error, held).await;
        }
        result
    }

    /// Counts a refused token once: as a [sign-out](crate::SignOuts) if it had been good, because
    /// its session was `held` here or its issuer did issue it for this server; and as a
    /// [refusal](crate::RefusedTokens) of its issuer's, if that stands behind it.
    pub(crate) async fn count_refusal(
        &self,
        key: SessionKey,
        token: &AccessToken,
        error: &AuthError,
        held: bool,
    ) {
        // Who is denied was let in before.
        let held = held || error.cause_of_revocation().is_some();
        if !(held || may_be_genuine(error)) || self.counted_refusals.contains_key(&key) {
            return;
        }
        // Also when it turns out to be forged: that is not worth finding out twice.
        self.counted_refusals.insert(key, ()).await;
        if let Some(issuer) = self.verifier.issuer_behind(token) {
            self.stats.refused_tokens.increment(issuer, error.label());
        }
        if let AuthError::InvalidToken(reason) = error
            && (held || (may_have_been_good(*reason) && self.verifier.was_issued(token)))
        {
            self.stats.signouts.increment(*reason);
        }
    }
}

/// So that a client that repeats itself is counted once.
pub(crate) fn counted_refusals() -> Cache<SessionKey, ()> {
    Cache::builder()
        .name("counted refusals")
        .max_capacity(10_000)
        .time_to_live(Duration::from_hours(1))
        .build()
}

/// Whether a token that is refused for this may carry a good signature.
fn may_be_genuine(error: &AuthError) -> bool {
    match error {
        AuthError::InvalidToken(reason) => {
            *reason == InvalidReason::Audience || may_have_been_good(*reason)
        }
        AuthError::Forbidden(reason) => !matches!(reason, ForbiddenReason::UnusableKey(_)),
        _ => false,
    }
}

/// Whether a token that is refused for this may have been good here.
fn may_have_been_good(reason: InvalidReason) -> bool {
    use InvalidReason::{
        Claim, Expired, KeyBound, NotExchanged, NotGranted, NotYetValid, TooOld, Type,
    };
    matches!(
        reason,
        Expired | TooOld | NotYetValid | NotExchanged | NotGranted | Type | KeyBound | Claim(_)
    )
}
