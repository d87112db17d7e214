//! How a session begins in this process: taken over from the shared store, or new.

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use mcp_auth::{AccessToken, AuthError, Principal};

use crate::{
    key::SessionKey,
    resolved::{Resolved, Tier},
    session::Session,
    tiers::Inner,
};

impl Inner {
    /// Takes over a session that another instance established, or this one before it restarted.
    pub(crate) async fn adopt(
        &self,
        key: SessionKey,
        token: &AccessToken,
        session: Session,
        stale: bool,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        self.warm_keys();
        let keeps = self.keeps_upstream(&session, now);
        let session = if keeps {
            session
        } else {
            let upstream = self.obtain(token, session.principal(), now).await?;
            session.with_upstream(upstream)
        };
        let changed = stale || (!keeps && session.exchanged().is_some());
        let session = Arc::new(session);
        if stale {
            self.stats.records_resealed.increment();
        }
        if changed {
            self.writer.put(key, Arc::clone(&session));
        }
        Ok(Resolved {
            session,
            tier: Tier::Store,
        })
    }

    /// Starts the session of a token that was verified just now.
    pub(crate) async fn begin(
        &self,
        key: SessionKey,
        token: &AccessToken,
        principal: Principal,
        now: SystemTime,
    ) -> Result<Resolved, AuthError> {
        let upstream = self.obtain(token, &principal, now).await?;
        let session = Arc::new(Session::new(principal, upstream, now, self.max_lifetime));
        self.writer.put(key, Arc::clone(&session));
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
