//! Upstream tokens that came with the client's token, from an authorization server in this process:
//! opened with the session, and over with it. There is no other one to be had here.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mcp_auth::{
    AccessToken, AuthError, ForbiddenReason, InvalidReason, Principal, Upstream,
    UpstreamCredentials,
};

use crate::{
    key::SessionKey, renewals::Exchanged, session::Session, tiers::Inner, under_way::Begun,
};

/// What came with a client's token that is older was of use for a while.
const NEW: Duration = Duration::from_mins(1);

impl Inner {
    /// Whether this principal's issuer leaves upstream tokens with its own.
    pub(crate) fn grants_for(&self, principal: &Principal) -> bool {
        let mode = self.upstream.get(principal.issuer());
        matches!(mode, Some(UpstreamCredentials::Granted(_)))
    }

    /// The session with what its token holds, written to the store.
    pub(crate) async fn granted(
        &self,
        begun: &Begun,
        mode: &UpstreamCredentials,
        token: &AccessToken,
        session: Session,
        now: SystemTime,
    ) -> Exchanged {
        let upstream = mode.obtain(token, session.principal(), now).await?;
        // As long as the client's token is good, by whichever clock.
        let end = session.principal().expires_at() + self.verifier.leeway();
        let upstream = match upstream {
            Upstream::Exchanged(opened) => Upstream::Exchanged(opened.lasting_until(end)),
            Upstream::Presented => Upstream::Presented,
        };
        let session = Arc::new(session.with_upstream(Some(upstream)));
        self.write(begun, &session);
        Ok(session)
    }

    /// The API refuses what came with the client's token, which ends the session: its client gets a
    /// newer token, with what the authorization server has now. Where the newest ones are refused too,
    /// as soon as they come, no login helps.
    pub(crate) async fn not_granted(
        &self,
        key: SessionKey,
        session: &Session,
        now: SystemTime,
    ) -> AuthError {
        let principal = session.principal();
        let logins = &self.renewals.logins;
        let is_new = principal
            .issued_at()
            .is_none_or(|issued| now < issued + NEW);
        if !is_new && !logins.are_in_vain(key, principal).await {
            logins.took(key, principal).await;
        }
        let error = if logins.refused(key, principal, now).await {
            ForbiddenReason::UpstreamRefused.into()
        } else {
            InvalidReason::NotGranted.into()
        };
        self.end(key, session, &error).await;
        error
    }
}
