//! The local user's credential.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use mcp_core::{Credential, CredentialError};
use secrecy::SecretString;

/// What to do when there is no token.
const MISSING: &str = "There is no BrainGrid token. Set the environment variable \
    BRAINGRID_API_TOKEN for this server to your BrainGrid API token, in the env section of the \
    MCP client's configuration (or BRAINGRID_API_TOKEN_FILE to the path of a file that holds it), \
    and restart the server.";

/// What to do when BrainGrid refuses the token.
const REFUSED: &str = "BrainGrid does not accept the token in BRAINGRID_API_TOKEN: it has expired \
    or was revoked. Put a new token there, in the env section of the MCP client's configuration, \
    and restart the server.";

/// The token of `BRAINGRID_API_TOKEN`, for as long as the process lives.
///
/// Without one, a call fails with a text that tells the user how to provide one.
pub struct StaticToken {
    token: Option<SecretString>,
    refused: AtomicBool,
}

impl StaticToken {
    /// The token, where there is one.
    pub fn new(token: Option<SecretString>) -> Self {
        Self {
            token,
            refused: AtomicBool::new(false),
        }
    }
}

impl fmt::Debug for StaticToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = if self.token.is_some() {
            "[redacted]"
        } else {
            "none"
        };
        write!(f, "StaticToken({token})")
    }
}

#[async_trait]
impl Credential for StaticToken {
    /// The token; right after BrainGrid refused it, an error that says so. Later calls try again:
    /// the refusal may have been BrainGrid's mistake.
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        let token = self
            .token
            .as_ref()
            .ok_or_else(|| CredentialError::new(MISSING))?;
        if self.refused.swap(false, Ordering::Relaxed) {
            return Err(CredentialError::new(REFUSED));
        }
        Ok(token.clone())
    }

    fn how_to_log_out(&self) -> &'static str {
        "take BRAINGRID_API_TOKEN out of this server's settings, and restart it"
    }

    fn reject(&self, _: &SecretString) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    #[tokio::test]
    async fn without_a_token_the_text_says_how_to_provide_one() {
        let error = StaticToken::new(None).bearer().await.unwrap_err();
        assert!(error.to_string().contains("BRAINGRID_API_TOKEN"), "{error}");
        assert!(error.to_string().contains("restart"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_token_is_reported_once_and_tried_again() {
        let credential = StaticToken::new(Some(SecretString::from("sesame")));
        credential.reject(&SecretString::from("sesame"));
        let error = credential.bearer().await.unwrap_err();
        assert!(error.to_string().contains("expired"), "{error}");
        assert_eq!(credential.bearer().await.unwrap().expose_secret(), "sesame");
    }

    #[test]
    fn the_token_is_not_in_the_debug_form() {
        let credential = StaticToken::new(Some(SecretString::from("sesame")));
        assert_eq!(format!("{credential:?}"), "StaticToken([redacted])");
    }
}
