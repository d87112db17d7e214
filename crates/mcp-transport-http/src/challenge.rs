//! The only place that picks 401, 403 or 503 and writes `WWW-Authenticate`.

use std::{fmt::Write, time::Duration};

use crate::{body::BoxedBody, refusal::refusal, tenant::TenantPath};
use http::{
    HeaderValue, Response, StatusCode,
    header::{RETRY_AFTER, WWW_AUTHENTICATE},
};
use mcp_auth::AuthError;

/// Writes challenges for one resource, and for those below it.
#[derive(Debug)]
pub(crate) struct Challenger {
    /// Of the resource; what is below it has its metadata below.
    metadata_url: String,
    /// Scopes to ask for at first, as the challenge of a 401 names them.
    initial_scope: String,
}

impl Challenger {
    pub(crate) fn new(metadata_url: String, scopes_supported: &[String]) -> Self {
        Self {
            metadata_url,
            initial_scope: scopes_supported.join(" "),
        }
    }

    /// The answer to a request that could not be authenticated.
    pub(crate) fn refuse(&self, error: &AuthError, at: Option<&TenantPath>) -> Response<BoxedBody> {
        match error {
            AuthError::NoToken => self.challenge(
                at,
                StatusCode::UNAUTHORIZED,
                // RFC 6750 section 3.1: no error code when no token was sent.
                None,
                "this server needs an access token: sign in through the authorization server \
                 that the resource metadata names",
                Some(&self.initial_scope),
            ),
            AuthError::InvalidToken(_) => self.challenge(
                at,
                StatusCode::UNAUTHORIZED,
                Some("invalid_token"),
                "the access token is expired, malformed or not meant for this server",
                Some(&self.initial_scope),
            ),
            AuthError::InvalidRequest(reason) => self.challenge(
                at,
                StatusCode::BAD_REQUEST,
                Some("invalid_request"),
                reason,
                None,
            ),
            AuthError::Forbidden(reason) => self.forbidden(&reason.to_string(), at),
            AuthError::Unavailable { retry_after, .. } => unavailable(
                "the access token cannot be checked right now; it may well be good: keep it and \
                 try again",
                *retry_after,
            ),
            // A refusal this crate does not know yet must not become an approval.
            _ => unavailable("the access token cannot be checked", Duration::from_secs(1)),
        }
    }

    /// A good token that is not enough, for this reason.
    pub(crate) fn forbidden(&self, reason: &str, at: Option<&TenantPath>) -> Response<BoxedBody> {
        // No code: another token of this kind would be refused just the same.
        self.challenge(at, StatusCode::FORBIDDEN, None, reason, None)
    }

    /// A good token whose scopes do not cover the operation: one challenge names all of them.
    pub(crate) fn insufficient_scope(
        &self,
        required: &[String],
        at: Option<&TenantPath>,
    ) -> Response<BoxedBody> {
        self.challenge(
            at,
            StatusCode::FORBIDDEN,
            Some("insufficient_scope"),
            "this operation needs scopes that the access token does not have",
            Some(&required.join(" ")),
        )
    }

    fn challenge(
        &self,
        at: Option<&TenantPath>,
        status: StatusCode,
        error: Option<&str>,
        description: &str,
        scope: Option<&str>,
    ) -> Response<BoxedBody> {
        let mut value = String::from("Bearer ");
        if let Some(error) = error {
            parameter(&mut value, "error", error);
            parameter(&mut value, "error_description", description);
        }
        if let Some(scope) = scope.filter(|scope| !scope.is_empty()) {
            parameter(&mut value, "scope", scope);
        }
        match at {
            None => parameter(&mut value, "resource_metadata", &self.metadata_url),
            Some(path) => {
                let url = format!("{}/{}", self.metadata_url, path.as_str());
                parameter(&mut value, "resource_metadata", &url);
            }
        }
        // The header has no code where none applies; the body is for readers who expect one.
        let code = error.unwrap_or(match status {
            StatusCode::UNAUTHORIZED => "unauthorized",
            _ => "access_denied",
        });
        let mut response = refusal(status, code, description);
        // `parameter` leaves only visible ASCII and blanks.
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}

/// Nobody can tell right now: no challenge, or clients would log their users out.
pub(crate) fn unavailable(description: &str, retry_after: Duration) -> Response<BoxedBody> {
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let mut response = refusal(status, "temporarily_unavailable", description);
    // Whole seconds (RFC 9110 section 10.2.3), rounded up: never "0".
    let seconds = retry_after.as_millis().div_ceil(1000).max(1);
    response.headers_mut().insert(RETRY_AFTER, number(seconds));
    response
}

fn number(value: u128) -> HeaderValue {
    HeaderValue::from(u64::try_from(value).unwrap_or(u64::MAX))
}

/// Appends `name="value"` as a quoted string (RFC 9110 section 5.6.4); what no quoted string may
/// hold, and what RFC 6750 section 3 forbids in it, is left out.
fn parameter(challenge: &mut String, name: &str, value: &str) {
    if !challenge.ends_with(' ') {
        challenge.push_str(", ");
    }
    let safe = value
        .chars()
        .filter(|c| matches!(c, ' '..='~') && !matches!(c, '"' | '\\'));
    let safe: String = safe.collect();
    // Writing to a string cannot fail.
    let _ = write!(challenge, "{name}=\"{safe}\"");
}

#[cfg(test)]
mod tests {
    use mcp_auth::{ForbiddenReason, InvalidReason};

    use super::*;

    fn challenger() -> Challenger {
        Challenger::new(
            "https://h.test/.well-known/oauth-protected-resource/mcp".to_owned(),
            &["a".to_owned(), "b".to_owned()],
        )
    }

    fn header(response: &Response<BoxedBody>) -> &str {
        response.headers()[WWW_AUTHENTICATE].to_str().unwrap()
    }

    #[test]
    fn no_token_has_no_error_code() {
        let response = challenger().refuse(&AuthError::NoToken, None);
        assert_eq!(response.status(), 401);
        assert_eq!(
            header(&response),
            "Bearer scope=\"a b\", \
             resource_metadata=\"https://h.test/.well-known/oauth-protected-resource/mcp\""
        );
    }

    #[test]
    fn every_bad_token_gets_the_same_words() {
        let expired = challenger().refuse(&InvalidReason::Expired.into(), None);
        let forged = challenger().refuse(&InvalidReason::Signature.into(), None);
        assert_eq!(expired.status(), 401);
        assert_eq!(header(&expired), header(&forged));
        assert!(header(&expired).starts_with("Bearer error=\"invalid_token\", "));
        assert!(header(&expired).contains("resource_metadata="));
    }

    #[test]
    fn cannot_tell_is_503_without_challenge() {
        let error = AuthError::Unavailable {
            reason: mcp_auth::UnavailableReason::Keys,
            retry_after: Duration::from_millis(1500),
        };
        let response = challenger().refuse(&error, None);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "2");
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn forbidden_asks_for_no_other_token() {
        let response =
            challenger().refuse(&AuthError::Forbidden(ForbiddenReason::NoOrganization), None);
        assert_eq!(response.status(), 403);
        assert!(!header(&response).contains("error="));
        assert!(header(&response).contains("resource_metadata="));
    }

    #[test]
    fn a_missing_scope_names_all_of_the_operation() {
        let response =
            challenger().insufficient_scope(&["x:read".to_owned(), "x:write".to_owned()], None);
        assert_eq!(response.status(), 403);
        assert!(header(&response).contains("error=\"insufficient_scope\""));
        assert!(header(&response).contains("scope=\"x:read x:write\""));
    }

    #[test]
    fn values_cannot_break_out_of_their_quotes() {
        let mut challenge = String::from("Bearer ");
        parameter(&mut challenge, "a", "x\", error=\"y\\\r\nz\u{0}é");
        assert_eq!(challenge, "Bearer a=\"x, error=yz\"");
    }
}
