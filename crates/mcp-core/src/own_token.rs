//! What the user's own token says about itself.
//!
//! Only for the token of the user who runs this process. A token that somebody else sent is
//! verified, and this is not how.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};

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
pub fn claims(token: &SecretString) -> Option<serde_json::Value> {
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
}
