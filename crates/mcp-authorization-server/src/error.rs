//! What a client is told when it gets no token (RFC 6749 section 5.2).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::{answer::json_answer, observe::refused};

/// Why a request at one of the endpoints for programs was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OAuthError {
    status: StatusCode,
    code: &'static str,
    description: String,
    retry_after: Option<Duration>,
}

impl OAuthError {
    fn new(status: StatusCode, code: &'static str, description: impl Into<String>) -> Self {
        Self {
            status,
            code,
            description: description.into(),
            retry_after: None,
        }
    }

    pub(crate) fn invalid_request(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    /// The code or refresh token is over: only a login gives another.
    pub(crate) fn invalid_grant(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_grant", description)
    }

    pub(crate) fn invalid_client(description: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", description)
    }

    pub(crate) fn invalid_scope(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_scope", description)
    }

    /// RFC 8707 section 2.
    pub(crate) fn invalid_target(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_target", description)
    }

    pub(crate) fn unauthorized_client(description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "unauthorized_client", description)
    }

    pub(crate) fn unsupported_grant_type(supported: &[&str]) -> Self {
        let text = format!("grant_type has to be {}", supported.join(" or "));
        Self::new(StatusCode::BAD_REQUEST, "unsupported_grant_type", text)
    }

    /// RFC 7009 section 2.2.1.
    pub(crate) fn unsupported_token_type() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unsupported_token_type",
            "only refresh tokens can be revoked; access tokens end by themselves",
        )
    }

    /// Nobody's login is over: the same request is good later. The code is one that clients do not take
    /// for a reason to begin another login.
    pub(crate) fn unavailable(description: impl Into<String>, retry_after: Duration) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut error = Self::new(status, "temporarily_unavailable", description);
        error.retry_after = Some(retry_after);
        error
    }

    pub(crate) fn into_response(self) -> Response<Bytes> {
        let body = json!({"error": self.code, "error_description": self.description});
        let mut response = json_answer(self.status, body.to_string());
        let headers = response.headers_mut();
        if let Some(after) = self.retry_after {
            headers.insert(header::RETRY_AFTER, after.as_secs().max(1).into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"token endpoint\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        refused(self.code, response)
    }
}
