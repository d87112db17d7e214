//! The local user's credential.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use mcp_core::{Credential, CredentialError};
use secrecy::{ExposeSecret, SecretString};

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

    fn reject(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }
}

/// The organization that the user's own token names in its `org_id` claim.
///
/// The token is not verified: it is the user's own, and BrainGrid, which gets it, verifies it.
/// Never use this for a token that somebody else sent.
pub fn organization_claim(token: &SecretString) -> Option<String> {
    let claims = claims(token)?;
    let organization = claims.get("org_id")?.as_str()?.trim();
    let absent = organization.is_empty() || organization.eq_ignore_ascii_case("default");
    (!absent).then(|| organization.to_owned())
}

/// What the user's own token says, unverified; `None` where it is no JWT.
pub(crate) fn claims(token: &SecretString) -> Option<serde_json::Value> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .ok()?;
    serde_json::from_slice(&claims).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token_with(claims: &serde_json::Value) -> SecretString {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
        SecretString::from(format!("eyJhbGciOiJSUzI1NiJ9.{payload}.c2lnbmF0dXJl"))
    }

    #[test]
    fn the_organization_is_the_one_the_token_names() {
        let organization = |claims| organization_claim(&token_with(&claims));
        let named = serde_json::json!({"sub": "user_1", "org_id": "org_1"});
        assert_eq!(organization(named).as_deref(), Some("org_1"));
        for absent in ["", " ", "default", "Default"] {
            assert_eq!(
                organization(serde_json::json!({"org_id": absent})),
                None,
                "{absent:?}"
            );
        }
        assert_eq!(organization(serde_json::json!({"org_id": 7})), None);
        assert_eq!(organization(serde_json::json!([])), None);
    }

    #[test]
    fn something_that_is_no_jwt_names_no_organization() {
        for text in ["", "opaque", "a.b", "a.!!!.c", "..", "a.bm90IGpzb24.c"] {
            assert_eq!(
                organization_claim(&SecretString::from(text)),
                None,
                "{text:?}"
            );
        }
    }

    #[tokio::test]
    async fn without_a_token_the_text_says_how_to_provide_one() {
        let error = StaticToken::new(None).bearer().await.unwrap_err();
        assert!(error.to_string().contains("BRAINGRID_API_TOKEN"), "{error}");
        assert!(error.to_string().contains("restart"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_token_is_reported_once_and_tried_again() {
        let credential = StaticToken::new(Some(SecretString::from("sesame")));
        credential.reject();
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
