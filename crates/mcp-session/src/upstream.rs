//! What the upstream API is called with: obtained with the session, replaced before it ends, and once
//! more where the API refuses it. A client's token goes out in its place only where that is the mode.

use std::{
    collections::HashSet,
    future::ready,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::{
    AccessToken, AuthError, ExchangeStatus, ForbiddenReason, InvalidReason, Principal, Upstream,
    UpstreamCredentials, UpstreamToken,
};
use moka::{
    Expiry,
    future::Cache,
    ops::compute::{CompResult, Op},
};

use crate::{
    key::SessionKey,
    lease::Wanted,
    resolved::Resolved,
    session::Session,
    tiers::{Inner, SessionTiers, is_worth_remembering},
};

type Renewed = Result<UpstreamToken, AuthError>;

/// Renewals of upstream tokens: those under way, and what came of those of a moment ago.
pub(crate) struct Renewals {
    results: Cache<SessionKey, Renewed>,
    /// Those that no request waits for.
    behind: Mutex<HashSet<SessionKey>>,
    /// Whose token was refused lately, and when that had been issued.
    sent_to_login: Cache<u64, Option<SystemTime>>,
}

impl Default for Renewals {
    fn default() -> Self {
        Self {
            results: Cache::builder()
                .name("renewals")
                .max_capacity(10_000)
                .expire_after(Moment)
                .build(),
            behind: Mutex::default(),
            sent_to_login: Cache::builder()
                .name("sent to a login")
                .max_capacity(10_000)
                .time_to_live(Duration::from_mins(10))
                .build(),
        }
    }
}

/// However often the API refuses, a token is asked for once in such a time; an issuer that was away
/// is asked again sooner.
struct Moment;

impl Expiry<SessionKey, Renewed> for Moment {
    fn expire_after_create(&self, _: &SessionKey, came: &Renewed, _: Instant) -> Option<Duration> {
        Some(match came {
            Ok(token) => {
                let left = token.expires_at().duration_since(SystemTime::now());
                left.unwrap_or_default().min(Duration::from_secs(10))
            }
            Err(_) => Duration::from_secs(2),
        })
    }
}

/// Whether the session needs no other upstream token yet.
pub(crate) fn is_good(session: &Session, now: SystemTime) -> bool {
    session
        .exchanged()
        .is_none_or(|token| now < token.renew_at())
}

/// Whether its upstream token cannot be used any more.
fn is_over(session: &Session, now: SystemTime) -> bool {
    let over = |token: &UpstreamToken| token.expires_at() <= now;
    session.exchanged().is_some_and(over)
}

impl SessionTiers {
    /// Another upstream token for the session of `token`, because the API refused this one. However
    /// many ask, there is one exchange; a token that came a moment ago is given back as it is.
    ///
    /// # Errors
    /// As for [`SessionTiers::resolve_at`].
    pub async fn renew_upstream(
        &self,
        token: &AccessToken,
        refused: &UpstreamToken,
        now: SystemTime,
    ) -> Result<UpstreamToken, AuthError> {
        let resolved = self.resolve_at(token, now).await?;
        let current = resolved.session.exchanged();
        let current = current.ok_or(ForbiddenReason::UpstreamDenied)?;
        if current.expose() != refused.expose() {
            return Ok(current.clone());
        }
        let key = self.inner.keyring.session_key(token);
        self.inner.renew(key, token, &resolved.session, now).await
    }

    /// How it stands with the exchange of tokens, for each issuer with a mode: zeros where nothing is
    /// exchanged. Asks nobody.
    pub fn exchanges(&self) -> Vec<ExchangeStatus> {
        let status = |(issuer, mode): (&String, &UpstreamCredentials)| match mode {
            UpstreamCredentials::Exchange(exchange) => exchange.status(),
            _ => {
                let mut none = ExchangeStatus::default();
                none.issuer.clone_from(issuer);
                none
            }
        };
        self.inner.upstream.iter().map(status).collect()
    }

    /// A session from memory whose upstream token ages, which is replaced behind the request's back;
    /// or is over, and is replaced at once.
    pub(crate) async fn with_upstream(
        &self,
        key: SessionKey,
        token: &AccessToken,
        session: Arc<Session>,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        if !is_over(&session, now) {
            self.renew_behind(key, token, &session, now);
            return Ok(Resolved::from_memory(session));
        }
        let fresh = self.inner.renew(key, token, &session, now).await?;
        let session = Session::clone(&session);
        let session = session.with_upstream(Some(Upstream::Exchanged(fresh)));
        Ok(Resolved::from_memory(Arc::new(session)))
    }

    fn renew_behind(
        &self,
        key: SessionKey,
        token: &AccessToken,
        session: &Arc<Session>,
        now: SystemTime,
    ) {
        let renewals = &self.inner.renewals;
        if renewals.results.contains_key(&key) || !renewals.begin(key) {
            return;
        }
        let (inner, token) = (Arc::clone(&self.inner), token.clone());
        let session = Arc::clone(session);
        tokio::spawn(async move {
            // What went wrong is told where it is found out; until its end the old one serves.
            drop(inner.renew(key, &token, &session, now).await);
            inner.renewals.end(key);
        });
    }
}

impl Renewals {
    fn begin(&self, key: SessionKey) -> bool {
        let behind = self.behind.lock();
        behind.unwrap_or_else(PoisonError::into_inner).insert(key)
    }

    fn end(&self, key: SessionKey) {
        let behind = self.behind.lock();
        behind.unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

impl Inner {
    /// What the API is called with for a principal; nothing where its issuer has no mode.
    pub(crate) async fn obtain(
        &self,
        key: SessionKey,
        token: &AccessToken,
        principal: &Principal,
        instead_of: Option<&UpstreamToken>,
        now: SystemTime,
    ) -> Result<Option<Upstream>, AuthError> {
        let obtained = match (self.upstream.get(principal.issuer()), &self.leases) {
            (None, _) => return Ok(None),
            (Some(UpstreamCredentials::Exchange(exchange)), Some(leases)) => {
                let wanted = Wanted {
                    key,
                    exchange: Arc::clone(exchange),
                    token: token.clone(),
                    principal: principal.clone(),
                    instead_of: instead_of.cloned(),
                    now,
                };
                let exchanged = Box::pin(leases.exchange(wanted)).await;
                exchanged.map(Upstream::Exchanged)
            }
            (Some(mode), _) => mode.obtain(token, principal, now).await,
        };
        let sent_to_login = &self.renewals.sent_to_login;
        match obtained {
            Ok(upstream) => {
                if matches!(upstream, Upstream::Exchanged(_)) {
                    sent_to_login.invalidate(&who(principal)).await;
                }
                Ok(Some(upstream))
            }
            // A login that brought a token which is refused as the one before did not help.
            Err(error) if error == InvalidReason::NotExchanged.into() => {
                let issued_at = principal.issued_at();
                let before = sent_to_login.entry(who(principal)).or_insert(issued_at);
                let before = before.await.into_value();
                let in_vain = before.is_some() && issued_at > before;
                Err(if in_vain {
                    ForbiddenReason::UpstreamDenied.into()
                } else {
                    error
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether tokens of this principal's issuer are exchanged.
    pub(crate) fn exchanges_for(&self, principal: &Principal) -> bool {
        let mode = self.upstream.get(principal.issuer());
        matches!(mode, Some(UpstreamCredentials::Exchange(_)))
    }

    /// Whether a stored session has an upstream token that can still be used in today's mode.
    pub(crate) fn keeps_upstream(&self, session: &Session, now: SystemTime) -> bool {
        self.exchanges_for(session.principal())
            && session.exchanged().is_some()
            && !is_over(session, now)
    }

    /// Another upstream token; one exchange for all that wait for it.
    async fn renew(
        &self,
        key: SessionKey,
        token: &AccessToken,
        session: &Session,
        now: SystemTime,
    ) -> Renewed {
        let work = self.replace(key, token, session, now);
        self.renewals.results.get_with(key, Box::pin(work)).await
    }

    async fn replace(
        &self,
        key: SessionKey,
        token: &AccessToken,
        session: &Session,
        now: SystemTime,
    ) -> Renewed {
        let (principal, old) = (session.principal(), session.exchanged());
        match self.obtain(key, token, principal, old, now).await {
            Ok(Some(Upstream::Exchanged(fresh))) => {
                self.swap(key, session, fresh.clone()).await;
                Ok(fresh)
            }
            // Another mode than the session was established in: only `adopt` changes that.
            Ok(_) => Err(ForbiddenReason::UpstreamDenied.into()),
            Err(error) => {
                // It is over for this session; everything else passes.
                if is_worth_remembering(&error) {
                    self.negative_cache.insert(key, error.clone()).await;
                    self.memory.invalidate(&key).await;
                    self.writer.remove(key);
                }
                Err(error)
            }
        }
    }

    /// Puts the session with its new token in the place of the old one, unless that was forgotten
    /// meanwhile.
    async fn swap(&self, key: SessionKey, session: &Session, fresh: UpstreamToken) {
        let fresh = Some(Upstream::Exchanged(fresh));
        let session = Arc::new(session.clone().with_upstream(fresh));
        let put = |held: Option<_>| {
            ready(match held {
                Some(_) => Op::Put(Arc::clone(&session)),
                None => Op::Nop,
            })
        };
        let swapped = self.memory.entry(key).and_compute_with(put).await;
        if matches!(swapped, CompResult::ReplacedWith(_)) {
            self.writer.put(key, session);
        }
    }
}

/// Stands for a principal, whatever token it comes with.
fn who(principal: &Principal) -> u64 {
    let mut hasher = DefaultHasher::new();
    (
        principal.issuer(),
        principal.subject(),
        principal.client_id(),
    )
        .hash(&mut hasher);
    hasher.finish()
}
