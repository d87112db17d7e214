//! Whether our own clock is why a token looks bad.

use std::time::{Duration, SystemTime};

use futures::future::join_all;

use crate::{
    claims::Claims,
    clock::{PAUSE, agreed},
    error::{AuthError, InvalidReason, UnavailableReason},
    times::Times,
    verifier::TokenVerifier,
};

impl TokenVerifier {
    /// What a refusal of these claims comes to: where our clock is wrong, as the issuers see it, and
    /// the token would be good by theirs, nobody can tell (503), and no login would help. That a far
    /// end's `Date` is wrong refuses nobody: it can only turn a 401 into a 503, and for no longer
    /// than the token lived, or than the clocks differ where it does not say when it was issued.
    pub(crate) async fn or_our_clock(
        &self,
        claims: &Claims,
        refused: InvalidReason,
        now: SystemTime,
    ) -> AuthError {
        if let Ok(issuer) = self.issuer_of(claims)
            && refused.is_about_time()
        {
            // All of them, so that one cannot speak for several.
            let looks = self.issuers().iter().map(|issuer| issuer.clock.look());
            let looked = join_all(looks).await.contains(&true);
            if self
                .ahead()
                .is_some_and(|ahead| self.explains(ahead, claims, now))
            {
                // Not for each token: anybody can send some.
                if looked {
                    tracing::error!(
                        issuer = issuer.config.issuer,
                        ahead = self.ahead(),
                        "this machine's clock differs from the issuers' by seconds that make good \
                         tokens look bad: set it, for example with `timedatectl set-ntp true`"
                    );
                }
                return AuthError::Unavailable {
                    reason: UnavailableReason::Clock,
                    retry_after: PAUSE,
                };
            }
        }
        refused.into()
    }

    /// Seconds by which our clock is ahead of the issuers'.
    fn ahead(&self) -> Option<i64> {
        agreed(
            self.issuers()
                .iter()
                .filter_map(|issuer| issuer.clock.ahead()),
        )
    }

    fn explains(&self, ahead: i64, claims: &Claims, now: SystemTime) -> bool {
        let off = Duration::from_secs(ahead.unsigned_abs());
        let theirs = if ahead > 0 {
            now.checked_sub(off)
        } else {
            now.checked_add(off)
        };
        let good =
            |theirs| Times::of(claims).is_ok_and(|times| times.were_good_at(theirs, self.limits()));
        off > self.leeway() && theirs.is_some_and(good)
    }
}
