//! What each kind of sender is answered.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use mcp_auth::EventError;
use serde_json::{Value, json};

use super::taken::{Source, Taken};

/// When what could not be told to the store is worth sending again.
const AGAIN: Duration = Duration::from_secs(5);

/// The answer to an event, by the rules of its source.
pub(super) fn of(source: Source, came: Result<Taken, EventError>) -> Response<Bytes> {
    match came {
        Ok(Taken::Failed) => again(AGAIN),
        Err(EventError::Unavailable { retry_after }) => again(retry_after),
        came => match source {
            Source::Workos | Source::Auth0 => to_webhook(came),
            Source::BackchannelLogout => to_provider(came),
            Source::SecurityEvent => to_transmitter(came),
        },
    }
}

/// What came before is acknowledged again, or it would be sent for days.
fn to_webhook(came: Result<Taken, EventError>) -> Response<Bytes> {
    let Err(error) = came else {
        return with_body(StatusCode::OK, &json!({}));
    };
    let (status, code) = match error {
        EventError::Unauthenticated | EventError::Stale => {
            (StatusCode::UNAUTHORIZED, "unauthorized")
        }
        _ => (StatusCode::BAD_REQUEST, "invalid_request"),
    };
    refused(status, code, &error.to_string())
}

/// OpenID Connect Back-Channel Logout 1.0 section 2.8; a token that was used before is refused (section 2.6).
fn to_provider(came: Result<Taken, EventError>) -> Response<Bytes> {
    let text = match came {
        Ok(Taken::Known) => "the logout token was used before".to_owned(),
        Ok(_) => return empty(StatusCode::OK),
        Err(error) => error.to_string(),
    };
    refused(StatusCode::BAD_REQUEST, "invalid_request", &text)
}

/// RFC 8935 sections 2.2 to 2.4. What came before is acknowledged again.
fn to_transmitter(came: Result<Taken, EventError>) -> Response<Bytes> {
    let Err(error) = came else {
        return empty(StatusCode::ACCEPTED);
    };
    let code = match error {
        EventError::Key => "invalid_key",
        EventError::Issuer => "invalid_issuer",
        EventError::Audience => "invalid_audience",
        EventError::Unauthenticated => "authentication_failed",
        _ => "invalid_request",
    };
    let body = json!({"err": code, "description": error.to_string()});
    let mut response = with_body(StatusCode::BAD_REQUEST, &body);
    let english = HeaderValue::from_static("en");
    response
        .headers_mut()
        .insert(header::CONTENT_LANGUAGE, english);
    response
}

/// Nothing is to be seen here.
pub(super) fn not_allowed() -> Response<Bytes> {
    let text = "events are sent here by POST";
    let mut response = refused(StatusCode::METHOD_NOT_ALLOWED, "invalid_request", text);
    let post = HeaderValue::from_static("POST");
    response.headers_mut().insert(header::ALLOW, post);
    response
}

fn again(after: Duration) -> Response<Bytes> {
    let text = "the event could not be taken in just now: send it again";
    let mut response = refused(
        StatusCode::SERVICE_UNAVAILABLE,
        "temporarily_unavailable",
        text,
    );
    let seconds = HeaderValue::from(after.as_secs().max(1));
    response.headers_mut().insert(header::RETRY_AFTER, seconds);
    response
}

fn refused(status: StatusCode, code: &str, text: &str) -> Response<Bytes> {
    with_body(status, &json!({"error": code, "error_description": text}))
}

fn with_body(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = empty(status);
    *response.body_mut() = body.to_string().into();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::default();
    *response.status_mut() = status;
    let none = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, none);
    response
}
