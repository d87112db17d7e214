//! What the upstream API is called with: obtained with the session, replaced before it ends, and once
//! more where the API refuses it. A client's token goes out in its place only where that is the mode.

use std::{
    future::ready,
    sync::Arc,
    time::{Duration, SystemTime},
};

use mcp_auth::{
    AccessToken, Asker, AuthError, ExchangeStatus, ForbiddenReason, InvalidReason, Principal,
    UnavailableReason, Upstream, UpstreamCredentials, UpstreamToken,
};
use moka::ops::compute::{CompResult, Op};

use crate::{
    key::SessionKey,
    lease::Wanted,
    refused::Refused,
    renewals::{Behind, Exchanged, Occasion},
    resolved::Resolved,
    session::Session,
    signouts::RENEWAL,
    tiers::{Inner, SessionTiers, is_worth_remembering},
    under_way::Begun,
};

/// An upstream token that ends so shortly before its session ends with the client's token: no other
/// one would live longer.
const AS_LONG: Duration = Duration::from_secs(10);

/// When it is worth asking again.
const A_MOMENT: Duration = Duration::from_secs(2);

/// Whether the session needs no other upstream token yet.
pub(crate) fn is_good(session: &Session, now: SystemTime) -> bool {
    session.exchanged().is_none_or(|token| {
        let lasts = token.expires_at() + AS_LONG >= session.expires_at();
        now < token.renew_at() || (lasts && now < token.expires_at())
    })
}

/// Whether its upstream token cannot be used any more.
fn is_over(session: &Session, now: SystemTime) -> bool {
    let over = |token: &UpstreamToken| token.expires_at() <= now;
    session.exchanged().is_some_and(over)
}

impl SessionTiers {
    /// What the upstream API is called with now for `token`: nobody's any more who is denied, or
    /// whose token is over. Another one where the API `refused` the one at hand: however many ask,
    /// there is one exchange; a token that came a moment ago is given back as it is.
    ///
    /// # Errors
    /// As for [`SessionTiers::resolve_at`]; [`ForbiddenReason::UpstreamDenied`] where the session has
    /// no upstream token of its own; where it came with the client's token and the API refuses it,
    /// [`InvalidReason::NotGranted`], as long as a newer token may help, and then
    /// [`ForbiddenReason::UpstreamRefused`].
    pub async fn upstream_token_at(
        &self,
        token: &AccessToken,
        asker: Asker,
        refused: Option<&str>,
        now: SystemTime,
    ) -> Result<UpstreamToken, AuthError> {
        let session = self.resolve_for_at(token, asker, now).await?.session;
        let current = token_of(&session)?;
        if refused.is_none_or(|refused| current.expose() != refused) {
            return Ok(current.clone());
        }
        let key = self.inner.keyring.session_key(token);
        if self.inner.grants_for(session.principal()) {
            return Err(self.inner.not_granted(key, &session, now).await);
        }
        let begun = Begun::begin(&self.inner.renewals, key);
        let occasion = Occasion::Refusal;
        let renewed = self.inner.exchanged(&begun, token, &session, occasion, now);
        Ok(token_of(&*renewed.await?)?.clone())
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
        let inner = &self.inner;
        let begun = Begun::begin(&inner.renewals, key);
        if is_over(&session, now) {
            let renewed = inner.exchanged(&begun, token, &session, Occasion::Renewal, now);
            return renewed.await.map(Resolved::from_memory);
        }
        if let Some(behind) = Behind::begin(inner, &begun) {
            let (inner, token) = (Arc::clone(inner), token.clone());
            let session = Arc::clone(&session);
            tokio::spawn(async move {
                // What went wrong is told where it is found out; until its end the old one serves.
                let renewed = inner.exchanged(&begun, &token, &session, Occasion::Renewal, now);
                drop(renewed.await);
                drop(behind);
            });
        }
        Ok(Resolved::from_memory(session))
    }
}

fn token_of(session: &Session) -> Result<&UpstreamToken, AuthError> {
    let token = session.exchanged();
    token.ok_or_else(|| ForbiddenReason::UpstreamDenied.into())
}

impl Inner {
    /// Whether tokens of this principal's issuer are exchanged.
    pub(crate) fn exchanges_for(&self, principal: &Principal) -> bool {
        let mode = self.upstream.get(principal.issuer());
        matches!(mode, Some(UpstreamCredentials::Exchange(_)))
    }

    /// Whether a stored session has an upstream token that can still be used in today's mode, and was
    /// got for what is asked for today: another API never sees it.
    pub(crate) fn keeps_upstream(&self, session: &Session, now: SystemTime) -> bool {
        let mode = self.upstream.get(session.principal().issuer());
        let target = mode.and_then(UpstreamCredentials::target);
        session.exchanged().is_some_and(|token| {
            target.is_some_and(|target| token.target() == target) && !is_over(session, now)
        })
    }

    /// Whether a session goes on past its end: for as long as clocks may disagree its token is good,
    /// but is exchanged no more. What it was exchanged for serves meanwhile.
    pub(crate) fn is_in_leeway(&self, session: &Session, now: SystemTime) -> bool {
        let principal = session.principal();
        session.exchanged().is_some()
            && !is_over(session, now)
            && session.expires_at() == principal.expires_at()
            && self.verifier.accepts(principal, now)
    }

    /// The session with what the API is called with for it; nothing where its issuer has no mode.
    pub(crate) async fn with_credential(
        self: &Arc<Self>,
        begun: &Arc<Begun>,
        token: &AccessToken,
        session: Session,
        now: SystemTime,
    ) -> Exchanged {
        let upstream = match self.upstream.get(session.principal().issuer()) {
            Some(UpstreamCredentials::Exchange(_)) => {
                // Boxed, as the next: where there is neither, the session pays for neither.
                let occasion = Occasion::Beginning;
                let exchanged = self.exchanged(begun, token, &session, occasion, now);
                return Box::pin(exchanged).await;
            }
            Some(mode @ UpstreamCredentials::Granted(_)) => {
                return Box::pin(self.granted(begun, mode, token, session, now)).await;
            }
            Some(mode) => Some(mode.obtain(token, session.principal(), now).await?),
            None => None,
        };
        Ok(Arc::new(session.with_upstream(upstream)))
    }

    /// The session with another upstream token, written to the store; one exchange for all that wait
    /// for it, which goes on when they leave.
    async fn exchanged(
        self: &Arc<Self>,
        begun: &Arc<Begun>,
        token: &AccessToken,
        session: &Session,
        occasion: Occasion,
        now: SystemTime,
    ) -> Exchanged {
        let (inner, token, asked_for) = (Arc::clone(self), token.clone(), session.clone());
        let working = Arc::clone(begun);
        let work = tokio::spawn(async move {
            let work = inner.replace(&working, &token, &asked_for, occasion, now);
            let results = &inner.renewals.results;
            let question = (working.key(), working.since(), occasion);
            let came = results.get_with(question, Box::pin(work)).await;
            if working.is_forgotten() {
                results.invalidate(&question).await;
            }
            came
        });
        // It panicked.
        let failed = |_| Err(unavailable(A_MOMENT));
        let fresh = work.await.unwrap_or_else(failed)?;
        if fresh.is_login_of(session) {
            return Ok(fresh);
        }
        // Asked for by an earlier session of this token, whose rights are not those of this one.
        let mine = session.clone().with_upstream(fresh.upstream().cloned());
        let mine = Arc::new(mine);
        self.keep(begun, &mine, occasion).await;
        Ok(mine)
    }

    async fn replace(
        &self,
        begun: &Begun,
        token: &AccessToken,
        session: &Session,
        occasion: Occasion,
        now: SystemTime,
    ) -> Exchanged {
        if occasion == Occasion::Refusal && !self.renewals.refusals.spend() {
            return Err(unavailable(A_MOMENT));
        }
        let key = begun.key();
        match self.exchange(key, token, session, now).await {
            Ok(upstream) => {
                let session = Arc::new(session.clone().with_upstream(Some(upstream)));
                self.keep(begun, &session, occasion).await;
                Ok(session)
            }
            Err(error) => {
                if occasion != Occasion::Beginning && ends(&error, session, now) {
                    self.end(key, session, &error).await;
                }
                Err(error)
            }
        }
    }

    /// Asks the issuer, for whom it may be asked, and takes it at its word: but not when it says again
    /// and again that a login would help.
    async fn exchange(
        &self,
        key: SessionKey,
        token: &AccessToken,
        session: &Session,
        now: SystemTime,
    ) -> Result<Upstream, AuthError> {
        let principal = session.principal();
        let mode = self.upstream.get(principal.issuer());
        let mode = mode.ok_or(ForbiddenReason::UpstreamDenied)?;
        let checked = self.check(token, session);
        checked.map_err(|error| self.counted_as_denied(error))?;
        if principal.expires_at() + RENEWAL <= now {
            return Err(InvalidReason::Expired.into());
        }
        if principal.expires_at() <= now {
            return Err(unavailable(RENEWAL));
        }
        let logins = &self.renewals.logins;
        let error = match self.obtain(key, mode, token, session, now).await {
            Ok(upstream @ Upstream::Exchanged(_)) => {
                logins.took(key, principal).await;
                return Ok(upstream);
            }
            // Another mode than the session was established in: only `adopt` changes that.
            Ok(Upstream::Presented) => return Err(ForbiddenReason::UpstreamDenied.into()),
            Err(error) => error,
        };
        let refused = match &error {
            AuthError::InvalidToken(InvalidReason::NotExchanged) => ForbiddenReason::UpstreamDenied,
            // Keycloak says so of a token whose session is over, others of a request that is malformed.
            AuthError::Forbidden(reason @ ForbiddenReason::UpstreamRequest) => *reason,
            _ => return Err(error),
        };
        Err(if logins.refused(key, principal, now).await {
            refused.into()
        } else {
            InvalidReason::NotExchanged.into()
        })
    }

    /// From the issuer, by one instance for all where there are leases.
    async fn obtain(
        &self,
        key: SessionKey,
        mode: &UpstreamCredentials,
        token: &AccessToken,
        session: &Session,
        now: SystemTime,
    ) -> Result<Upstream, AuthError> {
        let principal = session.principal();
        match (mode, &self.leases) {
            (UpstreamCredentials::Exchange(exchange), Some(leases)) => {
                let wanted = Wanted {
                    key,
                    exchange: Arc::clone(exchange),
                    token: token.clone(),
                    principal: principal.clone(),
                    instead_of: session.exchanged().cloned(),
                    now,
                };
                let exchanged = Box::pin(leases.exchange(wanted)).await;
                exchanged.map(Upstream::Exchanged)
            }
            (mode, _) => mode.obtain(token, principal, now).await,
        }
    }

    async fn keep(&self, begun: &Begun, session: &Arc<Session>, occasion: Occasion) {
        match occasion {
            Occasion::Beginning => self.write(begun, session),
            Occasion::Renewal | Occasion::Refusal => self.swap(begun, session).await,
        }
    }

    /// Has a session kept in the store, unless it was forgotten since its work began.
    pub(crate) fn write(&self, begun: &Begun, session: &Arc<Session>) {
        if begun.is_forgotten() {
            return;
        }
        self.writer.put(begun.key(), Arc::clone(session));
        // Between the two: then the record was removed before it was written.
        if begun.is_forgotten() {
            self.writer.remove(begun.key());
        }
    }

    /// Puts the session with its new token in the place of the old one, unless that was forgotten
    /// meanwhile, or another login took its place.
    async fn swap(&self, begun: &Begun, session: &Arc<Session>) {
        let put = |held: Option<moka::Entry<SessionKey, Arc<Session>>>| {
            ready(match held {
                Some(held) if held.value().is_login_of(session) && !begun.is_forgotten() => {
                    Op::Put(Arc::clone(session))
                }
                _ => Op::Nop,
            })
        };
        let entry = self.memory.entry(begun.key());
        let swapped = entry.and_compute_with(put).await;
        if matches!(swapped, CompResult::ReplacedWith(_)) {
            self.write(begun, session);
        }
    }

    /// It is over for this session, and for no other login that took its place.
    pub(crate) async fn end(&self, key: SessionKey, session: &Session, error: &AuthError) {
        let remove = |held: Option<moka::Entry<SessionKey, Arc<Session>>>| {
            ready(match held {
                Some(held) if held.value().is_login_of(session) => Op::Remove,
                _ => Op::Nop,
            })
        };
        let ended = self.memory.entry(key).and_compute_with(remove).await;
        if !matches!(ended, CompResult::Unchanged(_)) {
            let refused = Refused {
                error: error.clone(),
                session: Some(Arc::new(session.clone().with_upstream(None))),
            };
            self.negative_cache.insert(key, refused).await;
            self.writer.remove(key);
        }
    }
}

/// Whether an error ends a session: what administrators get wrong and mend, not before its upstream
/// token is over.
fn ends(error: &AuthError, session: &Session, now: SystemTime) -> bool {
    let about_the_user = matches!(
        error,
        AuthError::InvalidToken(_) | AuthError::Forbidden(ForbiddenReason::UpstreamDenied)
    );
    is_worth_remembering(error) && (about_the_user || is_over(session, now))
}

fn unavailable(retry_after: Duration) -> AuthError {
    AuthError::Unavailable {
        reason: UnavailableReason::Exchange,
        retry_after,
    }
}
