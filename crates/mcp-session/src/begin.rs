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
    ) -> Result<Resolved, AuthError> {
        self.warm_keys();
        let mut changed = stale;
        let mut session = session;
        if let Some(upstream) = &self.upstream
            && session.upstream().is_none()
            && let Some(obtained) = upstream.obtain(token, session.principal()).await?
        {
            session = session.with_upstream(obtained, self.max_lifetime);
            changed = true;
        }
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
        let upstream = match &self.upstream {
            Some(upstream) => upstream.obtain(token, &principal).await?,
            None => None,
        };
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
