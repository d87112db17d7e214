//! [`SessionTiers`]: who does this token speak for? Asked of memory, the shared store and the
//! verifier, in the order that costs least and lets no forged token reach the store.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, SystemTime},
};

use mcp_auth::{
    AccessToken, Asker, AuthError, ForbiddenReason, InvalidReason, Principal, TokenVerifier,
    UpstreamCredentials,
};
use mcp_outbound::LogThrottle;
use moka::future::Cache;

use crate::{
    builder::SessionTiersBuilder,
    key::SessionKey,
    lease::Leases,
    listener::Listener,
    refused::Refused,
    renewals::Renewals,
    resolved::Resolved,
    seal::Keyring,
    session::Session,
    stats::{Budget, TierStats},
    store::{SharedStore, StoreError},
    upstream,
    verdict::Denied,
    writer::Writer,
};

/// Resolves access tokens to sessions. Cheap to clone.
#[derive(Clone)]
pub struct SessionTiers {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) verifier: TokenVerifier,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) store: Arc<dyn SharedStore>,
    pub(crate) upstream: HashMap<String, UpstreamCredentials>,
    pub(crate) renewals: Arc<Renewals>,
    pub(crate) leases: Option<Leases>,
    pub(crate) memory: Cache<SessionKey, Arc<Session>>,
    /// Tokens that were proven bad a moment ago.
    pub(crate) negative_cache: Cache<SessionKey, Refused>,
    /// Tokens whose refusal was counted as a sign-out.
    pub(crate) counted_refusals: Cache<SessionKey, ()>,
    pub(crate) writer: Writer,
    pub(crate) denied: Option<Denied>,
    pub(crate) max_lifetime: Duration,
    pub(crate) patience: Duration,
    pub(crate) stats: Arc<TierStats>,
    pub(crate) warned: LogThrottle,
    /// Look-ups for tokens whose key is unknown while the issuer is away: anybody can make them up.
    pub(crate) unknown_keys: Budget,
    pub(crate) warming: Arc<AtomicBool>,
    pub(crate) listener: Listener,
}

/// What memory knows of a token.
enum Remembered {
    Live(Arc<Session>),
    /// There was a session until a moment ago.
    Ended,
    Nothing,
}

/// What an answer is made of, before the upstream credential.
pub(crate) enum Found {
    Stored { session: Session, stale: bool },
    Verified(Principal),
}

impl SessionTiers {
    /// Tiers over a verifier, the encryption keys and a shared store.
    pub fn builder(
        verifier: TokenVerifier,
        keyring: Keyring,
        store: Arc<dyn SharedStore>,
    ) -> SessionTiersBuilder {
        SessionTiersBuilder::new(verifier, keyring, store)
    }

    /// The session of an access token, as of now.
    ///
    /// # Errors
    /// See [`SessionTiers::resolve_at`].
    pub async fn resolve(&self, token: &AccessToken) -> Result<Resolved, AuthError> {
        self.resolve_for(token, Asker::UNKNOWN).await
    }

    /// [`SessionTiers::resolve`] for one of several clients, which take turns where the issuer has
    /// to be asked about their tokens.
    ///
    /// # Errors
    /// See [`SessionTiers::resolve_at`].
    pub async fn resolve_for(
        &self,
        token: &AccessToken,
        asker: Asker,
    ) -> Result<Resolved, AuthError> {
        let now = SystemTime::now();
        self.resolve_for_at(token, asker, now).await
    }

    /// The session of an access token at `now`. Requests with the same new token share one
    /// verification; one that goes away does not take it from the others.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] only for a token that is proven bad or denied. An issuer that
    /// cannot be asked is [`AuthError::Unavailable`]; a store that cannot be asked is no error.
    pub async fn resolve_at(
        &self,
        token: &AccessToken,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        self.resolve_for_at(token, Asker::UNKNOWN, now).await
    }

    pub(crate) async fn resolve_for_at(
        &self,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        let inner = &self.inner;
        let key = inner.keyring.session_key(token);
        let mut remembered = inner.look_up(&key, now).await;
        if let Remembered::Live(session) = &remembered
            && inner.has_withdrawn_key(session)
        {
            let session = Arc::clone(session);
            let again = Box::pin(inner.verified_again(key, token, asker, session, now)).await;
            remembered = Remembered::Live(inner.counted(key, token, again, true).await?);
        }
        let resolved = match remembered {
            Remembered::Live(session) if upstream::is_good(&session, now) => {
                Resolved::from_memory(session)
            }
            Remembered::Live(session) => {
                let renewed = Box::pin(self.with_upstream(key, token, session, now)).await;
                inner.counted(key, token, renewed, true).await?
            }
            ended => {
                // Boxed: large, and few tokens are new.
                let establishing = Box::pin(inner.establish_once(key, token, asker, now));
                let held = matches!(ended, Remembered::Ended);
                inner.counted(key, token, establishing.await, held).await?
            }
        };
        // Asked last and on every path: a session must not outlive its revocation.
        let resolved = match inner.check(token, &resolved.session) {
            Ok(()) => resolved,
            Err(denied) => {
                let session = &resolved.session;
                let again = inner.asked_again(key, token, asker, session, denied, now);
                let again = Box::pin(again).await;
                inner.counted(key, token, again, true).await?
            }
        };
        inner.stats.resolved(resolved.tier).increment();
        Ok(resolved)
    }

    /// Removes the session of a token from the store and from the memory of every instance. The
    /// token itself stays good: shown again, it is verified again.
    ///
    /// # Errors
    /// [`StoreError`] when the record may still be in the store, or another instance may not have
    /// been told. An instance that is cut off from the store at this moment does not hear of it,
    /// and keeps its copy until the session ends.
    pub async fn forget(&self, token: &AccessToken) -> Result<(), StoreError> {
        let inner = &self.inner;
        let current = inner.keyring.session_key(token);
        let keys: Vec<_> = std::iter::once(current)
            .chain(inner.keyring.previous_keys(token))
            .collect();
        // First: what is under way must not come after.
        inner.renewals.forget(current).await;
        inner.memory.invalidate(&current).await;
        let mut result = Ok(());
        for key in &keys {
            result = result.and(inner.writer.remove_now(*key).await);
            if let Some(leases) = &inner.leases {
                result = result.and(leases.forget(*key).await);
            }
        }
        // Last: whoever is told must not find the record again.
        let message = SessionKey::to_message(&keys);
        result.and(inner.store.publish(SessionKey::FORGOTTEN, message).await)
    }

    /// Waits for writes to the store, at shutdown, at most for `timeout`. Returns how many were
    /// left.
    pub async fn flush(&self, timeout: Duration) -> usize {
        self.inner.writer.flush(timeout).await
    }

    /// The configured issuer that a token names, good or not; see
    /// [`TokenVerifier::issuer_named_by`].
    pub fn issuer_named_by(&self, token: &AccessToken) -> Option<&str> {
        self.inner.verifier.issuer_named_by(token)
    }

    /// What a token says that it is for; see [`TokenVerifier::audience_of`].
    pub fn audience_of(&self, token: &AccessToken) -> Option<String> {
        self.inner.verifier.audience_of(token)
    }

    /// Whether a principal's token is for this server as a whole; see [`TokenVerifier::is_for_all`].
    pub fn is_for_all(&self, principal: &Principal) -> bool {
        self.inner.verifier.is_for_all(principal)
    }

    /// What happened so far.
    pub fn stats(&self) -> &Arc<TierStats> {
        &self.inner.stats
    }

    /// The sessions in the memory of this process that are not over at `now`, in no order. Others have
    /// their own, and the store may have more.
    pub fn in_memory(&self, now: SystemTime) -> Vec<Arc<Session>> {
        let all = self.inner.memory.iter().map(|(_, session)| session);
        all.filter(|session| !session.is_expired(now)).collect()
    }

    /// How many sessions are in memory, roughly, and how many bytes they take.
    pub fn memory_usage(&self) -> (u64, u64) {
        (
            self.inner.memory.entry_count(),
            self.inner.memory.weighted_size(),
        )
    }
}

impl Inner {
    async fn look_up(&self, key: &SessionKey, now: SystemTime) -> Remembered {
        let Some(session) = self.memory.get(key).await else {
            return Remembered::Nothing;
        };
        // The map keeps it a little longer, and counts on the monotonic clock, which stands still
        // while a machine sleeps.
        if session.is_expired(now) && !self.is_in_leeway(&session, now) {
            self.memory.invalidate(key).await;
            return Remembered::Ended;
        }
        self.stats.memory_hits.increment();
        Remembered::Live(session)
    }

    fn has_withdrawn_key(&self, session: &Session) -> bool {
        let since = session.known_since();
        self.verifier.has_withdrawn_key(session.principal(), since)
    }
}

/// Whether the same token cannot become good in a moment: no key, no clock and no configuration
/// change would help it, or its issuer would have to be asked again.
pub(crate) fn is_worth_remembering(error: &AuthError) -> bool {
    match error {
        AuthError::InvalidToken(reason) => !matches!(
            reason,
            InvalidReason::UnknownKey | InvalidReason::NotYetValid | InvalidReason::Revoked(_)
        ),
        AuthError::Forbidden(reason) => matches!(
            reason,
            ForbiddenReason::UpstreamDenied
                | ForbiddenReason::UpstreamRefused
                | ForbiddenReason::UpstreamTarget
                | ForbiddenReason::UpstreamScope
                | ForbiddenReason::UpstreamRequest
        ),
        _ => false,
    }
}
