//! Whether whoever presents a token is still let in: asked of everybody, on every path, and without I/O.

use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use mcp_auth::{
    AccessToken, Asker, AuthError, ForbiddenReason, InvalidReason, Principal, UnavailableReason,
};
use moka::ops::compute::Op;

use crate::{
    key::SessionKey,
    resolved::Resolved,
    session::Session,
    tiers::{Inner, SessionTiers},
};

/// What is said of a principal whose token is good by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is let in.
    Welcome,
    /// It is not, for this cause: the client needs another token.
    Revoked(&'static str),
    /// What was issued until then is revoked, and the token does not say when it was issued.
    Unclear {
        /// Why.
        cause: &'static str,
        /// What was issued later is good.
        until: SystemTime,
    },
}

/// Says it.
pub(crate) type Denied = Box<dyn Fn(&Principal) -> Verdict + Send + Sync>;

/// How many requests were refused because their principal is denied, by cause.
#[derive(Debug, Default)]
pub struct DeniedCounts(Mutex<BTreeMap<&'static str, u64>>);

impl DeniedCounts {
    /// Every cause there was, with its count.
    pub fn get(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(cause, count)| (*cause, *count))
            .collect()
    }

    fn increment(&self, cause: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(cause).or_default() += 1;
    }
}

impl SessionTiers {
    /// Whether whoever has a session is still let in, for work that goes on after its request was. Asks
    /// nobody.
    ///
    /// # Errors
    /// [`InvalidReason::Revoked`], [`ForbiddenReason::MayBeRevoked`].
    pub fn check(&self, token: &AccessToken, session: &Session) -> Result<(), AuthError> {
        let checked = self.inner.check(token, session);
        checked.map_err(|error| self.inner.counted_as_denied(error))
    }
}

impl Inner {
    /// The verdict on a session, as an error. What the issuer said of an opaque token counts for what was
    /// revoked before.
    pub(crate) fn check(&self, token: &AccessToken, session: &Session) -> Result<(), AuthError> {
        let denied = self.denied.as_ref();
        match denied.map_or(Verdict::Welcome, |denied| denied(session.principal())) {
            Verdict::Welcome => Ok(()),
            Verdict::Revoked(cause) => Err(InvalidReason::Revoked(cause).into()),
            Verdict::Unclear { until, .. }
                if session.established_at() > until && self.verifier.asks_about(token) =>
            {
                Ok(())
            }
            Verdict::Unclear { cause, .. } => Err(ForbiddenReason::MayBeRevoked(cause).into()),
        }
    }

    /// Whether the issuer has to be asked again about an opaque token, because something was revoked since.
    pub(crate) fn is_outdated(&self, token: &AccessToken, session: &Session) -> bool {
        self.verifier.asks_about(token)
            && self
                .check(token, session)
                .is_err_and(|error| is_unclear(&error))
    }

    /// The answer to who is denied, unless that is not clear and the issuer of an opaque token makes it so.
    pub(crate) async fn asked_again(
        self: &Arc<Self>,
        key: SessionKey,
        token: &AccessToken,
        asker: Asker,
        session: &Session,
        mut denied: AuthError,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        if is_unclear(&denied) && self.verifier.asks_about(token) {
            self.put_in_place(key, session, None).await;
            // The store's record is passed over, too.
            let resolved = self.establish_once(key, token, asker, now).await?;
            denied = match self.check(token, &resolved.session) {
                Ok(()) => return Ok(resolved),
                // It was asked just before, by somebody else.
                Err(error) if is_unclear(&error) => AuthError::Unavailable {
                    reason: UnavailableReason::Introspection,
                    retry_after: Duration::from_secs(1),
                },
                Err(error) => error,
            };
        }
        Err(self.counted_as_denied(denied))
    }

    pub(crate) fn counted_as_denied(&self, error: AuthError) -> AuthError {
        if let Some(cause) = error.cause_of_revocation() {
            self.stats.denied.increment(cause);
        }
        error
    }

    /// The session of a token whose key its issuer has withdrawn, if the issuer still stands behind the
    /// token. It goes on while that cannot be found out.
    pub(crate) async fn verified_again(
        &self,
        key: SessionKey,
        token: &AccessToken,
        asker: Asker,
        session: Arc<Session>,
        now: SystemTime,
    ) -> Result<Arc<Session>, AuthError> {
        self.stats.verifications.increment();
        let error = match self.verifier.verify_for(token, asker, now).await {
            Ok(principal) => {
                let again = Arc::new((*session).clone().verified_again(principal));
                self.put_in_place(key, &session, Some(&again)).await;
                return Ok(again);
            }
            Err(AuthError::Unavailable { .. }) => return Ok(session),
            Err(error) => error,
        };
        self.put_in_place(key, &session, None).await;
        self.writer.remove(key);
        Err(error)
    }

    /// In memory, puts this in the place of that session, or nothing: but not of another login that took
    /// its place.
    async fn put_in_place(&self, key: SessionKey, of: &Session, put: Option<&Arc<Session>>) {
        let swap = |held: Option<moka::Entry<SessionKey, Arc<Session>>>| {
            ready(match (held, put) {
                (Some(held), Some(put)) if held.value().is_login_of(of) => Op::Put(Arc::clone(put)),
                (Some(held), None) if held.value().is_login_of(of) => Op::Remove,
                _ => Op::Nop,
            })
        };
        self.memory.entry(key).and_compute_with(swap).await;
    }
}

fn is_unclear(error: &AuthError) -> bool {
    matches!(
        error,
        AuthError::Forbidden(ForbiddenReason::MayBeRevoked(_))
    )
}
