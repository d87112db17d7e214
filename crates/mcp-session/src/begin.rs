//! How a session begins in this process: taken over from the shared store, or new.

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use mcp_auth::{AccessToken, AuthError, Principal};

use crate::{
    resolved::{Resolved, Tier},
    session::Session,
    tiers::{Found, Inner},
    under_way::Begun,
};

impl Inner {
    /// Takes over a session that another instance established, or this one before it restarted.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        begun: &Arc<Begun>,
        token: &AccessToken,
        session: Session,
        stale: bool,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        self.warm_keys();
        let keeps = self.keeps_upstream(&session, now);
        let had_one = session.exchanged().is_some();
        let session = if keeps {
            Arc::new(session)
        } else {
            let session = session.with_upstream(None);
            self.with_credential(begun, token, session, now).await?
        };
        // One that was exchanged just now is written already.
        let changed = if keeps {
            stale
        } else {
            session.exchanged().is_none() && (stale || had_one)
        };
        if stale {
            self.stats.records_resealed.increment();
        }
        if changed {
            self.write(begun, &session);
        }
        Ok(Resolved {
            session,
            tier: Tier::Store,
        })
    }

    /// The session of a token that was verified just now: another instance may have its upstream
    /// token already, which is worth a question to the store, but not more than its patience.
    pub(crate) async fn share_or_begin(
        self: &Arc<Self>,
        begun: &Arc<Begun>,
        token: &AccessToken,
        principal: Principal,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        if self.exchanges_for(&principal) {
            let asking = tokio::time::timeout(self.patience, self.ask(token, now));
            if let Ok(Some(Found::Stored { session, stale })) = asking.await
                && principal.agrees_with(session.principal())
                && self.keeps_upstream(&session, now)
            {
                let stale = stale || *session.principal() != principal;
                let session = session.verified_again(principal);
                return Box::pin(self.adopt(begun, token, session, stale, now)).await;
            }
        }
        self.begin(begun, token, principal, now).await
    }

    /// Starts it.
    async fn begin(
        self: &Arc<Self>,
        begun: &Arc<Begun>,
        token: &AccessToken,
        principal: Principal,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        let session = Session::new(principal, None, now, self.max_lifetime);
        let session = self.with_credential(begun, token, session, now).await?;
        // Unless it was written with what it was exchanged for.
        if session.exchanged().is_none() {
            self.write(begun, &session);
        }
        Ok(Resolved {
            session,
            tier: Tier::Verification,
        })
    }

    /// A store hit without keys leaves them cold: fetch them behind the request's back, so that
    /// the next new token is verified before the store hears of it.
    fn warm_keys(&self) {
        if self.verifier.is_warm() || self.warming.swap(true, Ordering::AcqRel) {
            return;
        }
        let (verifier, warming) = (self.verifier.clone(), Arc::clone(&self.warming));
        tokio::spawn(async move {
            verifier.warm_up().await;
            warming.store(false, Ordering::Release);
        });
    }
}
