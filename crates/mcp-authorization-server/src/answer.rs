//! Answers for programs: JSON that nobody keeps, readable from any origin, for no cookie counts there.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};

/// JSON that nobody keeps.
pub(crate) fn json_answer(status: StatusCode, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    with(response, &headers)
}

/// The same for documents that are the same for everybody.
pub(crate) fn document(body: Bytes) -> Response<Bytes> {
    let kept = [(header::CACHE_CONTROL, "public, max-age=300")];
    with(json_answer(StatusCode::OK, body), &kept)
}

/// What a browser wants to know before its script may ask.
pub(crate) fn preflight(methods: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, methods),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, mcp-protocol-version",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    with(response, &headers)
}

/// 405, with what is possible.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    with(response, &[(header::ALLOW, allowed)])
}

/// Sends a browser on, by GET whatever it came with. Nobody keeps where to, and the next page does not
/// learn from where.
pub(crate) fn see_other(to: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(to) = HeaderValue::from_str(to) {
        response.headers_mut().insert(header::LOCATION, to);
    }
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    with(response, &headers)
}

fn with(mut response: Response<Bytes>, headers: &[(HeaderName, &'static str)]) -> Response<Bytes> {
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
