//! A session for a token that memory does not know: once for all that ask, from the store or by
//! verification.

use std::{pin::pin, sync::Arc, time::SystemTime};

use mcp_auth::{AccessToken, Asker, AuthError, InvalidReason, UnavailableReason};
use tracing::Instrument as _;

use crate::{
    key::SessionKey,
    refused::Refused,
    resolved::{Resolved, Tier},
    session::Session,
    spans,
    tiers::{Found, Inner, is_worth_remembering},
    under_way::Begun,
};

/// Why a session that was asked for is not in memory.
enum NotKept {
    Refused(AuthError),
    /// It was forgotten while it was on its way.
    Forgotten(Arc<Session>),
}

impl From<AuthError> for NotKept {
    fn from(error: AuthError) -> Self {
        Self::Refused(error)
    }
}

impl Inner {
    /// Establishes a session, or waits for the request that is doing so.
    pub(crate) async fn establish_once(
        self: &Arc<Self>,
        key: SessionKey,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        let span = spans::resolve();
        let work = self.establish_or_wait(key, token, asker, now);
        let result = work.instrument(span.clone()).await;
        spans::resolved(&span, &result);
        result
    }

    async fn establish_or_wait(
        self: &Arc<Self>,
        key: SessionKey,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        if let Some(refused) = self.negative_cache.get(&key).await {
            self.stats.known_bad_hits.increment();
            return Err(refused.error);
        }
        let (mut led, result) = self.single_flight(key, token, asker, now).await;
        // "The issuer has no such key" was said of a key set that may have been asked for before
        // this request arrived. A second round is asked for after.
        let result = match result {
            Err(AuthError::InvalidToken(InvalidReason::UnknownKey)) if !led => {
                let (led_again, result) = self.single_flight(key, token, asker, now).await;
                led = led_again;
                result
            }
            result => result,
        };
        if !led {
            self.stats.coalesced.increment();
        }
        result
    }

    /// Single-flight: one request does the work for all that have the same token. Whether it was this
    /// one, and what came of it.
    async fn single_flight(
        self: &Arc<Self>,
        key: SessionKey,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> (bool, Result<Resolved, AuthError>) {
        let (mut led, mut found_in) = (false, Tier::Memory);
        let begun = Begun::begin(&self.renewals, key);
        let work = async {
            led = true;
            // Boxed: each layer of the cache that it passes through would copy it.
            let establishing = Box::pin(self.establish(&begun, token, asker, now));
            let resolved = establishing.await?;
            found_in = resolved.tier;
            if begun.is_forgotten() {
                return Err(NotKept::Forgotten(resolved.session));
            }
            Ok(resolved.session)
        };
        let kept = self.memory.try_get_with(key, work).await;
        if led && begun.is_forgotten() {
            self.memory.invalidate(&key).await;
        }
        let session = match kept {
            Ok(session) => Ok(session),
            Err(why) => match &*why {
                NotKept::Refused(error) => Err(error.clone()),
                // Whoever waited came before it was forgotten, or is served as if.
                NotKept::Forgotten(session) => Ok(Arc::clone(session)),
            },
        };
        let tier = found_in;
        (led, session.map(|session| Resolved { session, tier }))
    }

    async fn establish(
        self: &Arc<Self>,
        begun: &Arc<Begun>,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        self.listener.start(self);
        // An opaque token can only be asked about, which costs more than the store does.
        let found = if self.verifier.keys_warm(token) {
            self.verify_then_ask(token, asker, now).await
        } else {
            Box::pin(self.ask_then_verify(token, asker, now)).await
        };
        let mut whose = None;
        let established = match found {
            Ok(Found::Stored { session, stale }) => {
                whose = Some(session.principal().clone());
                Box::pin(self.adopt(begun, token, session, stale, now)).await
            }
            Ok(Found::Verified(principal)) => {
                whose = Some(principal.clone());
                // Boxed: large, and in every future around it.
                Box::pin(self.share_or_begin(begun, token, principal, now)).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = &established
            && is_worth_remembering(error)
        {
            let session = |principal| Session::new(principal, None, now, self.max_lifetime);
            let refused = Refused {
                error: error.clone(),
                session: whose.map(session).map(Arc::new),
            };
            self.negative_cache.insert(begun.key(), refused).await;
        }
        established
    }

    /// Keys are at hand: a forged token never reaches the store, nor does one whose key is unknown
    /// while the issuer can be asked for it. An issuer that went away may have published a key that
    /// another instance has seen: then the store is asked, for a few.
    async fn verify_then_ask(
        &self,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Found, AuthError> {
        match self.verify(token, asker, now).await {
            Err(
                error @ AuthError::Unavailable {
                    reason: UnavailableReason::UnknownKey,
                    ..
                },
            ) if self.unknown_keys.spend() => {
                self.verifier.check_shape(token, now)?;
                self.ask(token, now).await.ok_or(error)
            }
            verified => verified,
        }
    }

    /// No keys: the store is the faster road, and the only one while the issuer is away. A store
    /// that is slow does not hold up the verification, nor the other way round.
    async fn ask_then_verify(
        &self,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Found, AuthError> {
        match self.verifier.check_shape(token, now) {
            // The token's time, or our clock: that takes a question.
            Err(AuthError::InvalidToken(reason)) if reason.is_about_time() => {
                return self.verify(token, asker, now).await;
            }
            checked => checked?,
        }
        let mut asking = pin!(self.ask(token, now));
        match tokio::time::timeout(self.patience, &mut asking).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => return self.verify(token, asker, now).await,
            Err(_) => self.stats.store_errors.increment(),
        }
        let mut verifying = pin!(self.verify(token, asker, now));
        tokio::select! {
            found = &mut asking => match found {
                Some(found) => Ok(found),
                None => verifying.await,
            },
            verified = &mut verifying => match verified {
                Err(error @ AuthError::Unavailable { .. }) => asking.await.ok_or(error),
                verified => verified,
            },
        }
    }

    async fn verify(
        &self,
        token: &AccessToken,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Found, AuthError> {
        self.stats.verifications.increment();
        let verified = self.verifier.verify_for(token, asker, now).await;
        verified.map(Found::Verified)
    }
}
