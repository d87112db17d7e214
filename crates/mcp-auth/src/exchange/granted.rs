//! [`GrantOpener`]: what an authorization server in this process left with the tokens it issued.

use std::{fmt, time::SystemTime};

use async_trait::async_trait;

use super::UpstreamToken;
use crate::{error::AuthError, principal::Principal, token::AccessToken};

/// Finds the token of the upstream API that came with an access token of this process's own
/// authorization server: sealed in one of its claims, or kept under its name.
///
/// There is no other one to be had here: it ends with the access token, and its client gets both
/// anew at the token endpoint.
#[async_trait]
pub trait GrantOpener: fmt::Debug + Send + Sync {
    /// The token of the upstream API for the principal of `token`, which was verified before. Its
    /// times are not looked at.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] when another access token would hold more, such as
    /// [`NotGranted`](crate::InvalidReason::NotGranted) for one that does not open;
    /// [`AuthError::Unavailable`] when nobody can tell right now.
    async fn open(
        &self,
        token: &AccessToken,
        principal: &Principal,
        now: SystemTime,
    ) -> Result<UpstreamToken, AuthError>;

    /// Stands for what these tokens are for: a stored one of another target is not used, but opened
    /// again. One target for all, where it is not said.
    fn target(&self) -> u64 {
        1
    }
}
