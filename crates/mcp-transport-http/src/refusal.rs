//! The bodies of refusals. Each holds the id of its request, for that is what users can show.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use serde::Serialize;

use crate::body::{self, BoxedBody};

/// The members of RFC 6749 section 5.2: clients read any refusal as an OAuth error, and show a parse
/// error where `error` is no text.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a str,
    error_description: &'a str,
}

/// A body into which the id is to be put: up to where it goes, what stands before it, and after it.
#[derive(Clone)]
struct Unfinished(Bytes, &'static str, &'static str);

/// A refusal by code and description.
pub(crate) fn refusal(
    status: StatusCode,
    error: &str,
    error_description: &str,
) -> Response<BoxedBody> {
    let refusal = Refusal {
        error,
        error_description,
    };
    unfinished(status, &refusal, 1, r#","request_id":""#, r#""}"#)
}

/// An error of JSON-RPC, whose last member is `error`: no reader of it takes another one.
pub(crate) fn rpc_error(status: StatusCode, message: &impl Serialize) -> Response<BoxedBody> {
    unfinished(status, message, 2, r#","data":{"request_id":""#, r#""}}}"#)
}

/// `closing`: how many braces at the end the id goes in front of.
fn unfinished(
    status: StatusCode,
    value: &impl Serialize,
    closing: usize,
    before: &'static str,
    after: &'static str,
) -> Response<BoxedBody> {
    let Ok(bytes) = serde_json::to_vec(value) else {
        return body::empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let bytes = Bytes::from(bytes);
    let mut response = Response::new(body::full(bytes.clone()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    let open = bytes.slice(..bytes.len().saturating_sub(closing));
    response
        .extensions_mut()
        .insert(Unfinished(open, before, after));
    response
}

/// The answer with the id in its body, if that has a place for it. The id needs no escaping.
pub(crate) fn finish(response: &mut Response<BoxedBody>, request_id: &str) {
    let Some(Unfinished(open, before, after)) = response.extensions_mut().remove() else {
        return;
    };
    let bytes = [
        &*open,
        before.as_bytes(),
        request_id.as_bytes(),
        after.as_bytes(),
    ]
    .concat();
    *response.body_mut() = body::full(bytes);
}

/// Another method is needed.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<BoxedBody> {
    let text = format!("this path answers {allowed} only");
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &text);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use serde_json::{Value, json};

    async fn body_of(mut response: Response<BoxedBody>) -> Value {
        finish(&mut response, "an-id");
        let Ok(body) = response.into_body().collect().await;
        serde_json::from_slice(&body.to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn the_id_is_where_readers_take_it() {
        let refused = body_of(refusal(
            StatusCode::NOT_FOUND,
            "not_found",
            "no \"such\" path",
        ))
        .await;
        let expected = json!({"error": "not_found", "error_description": "no \"such\" path", "request_id": "an-id"});
        assert_eq!(refused, expected);
        let message = json!({"error": {"code": 1, "message": "}"}});
        let failed = body_of(rpc_error(StatusCode::BAD_REQUEST, &message)).await;
        assert_eq!(
            failed["error"],
            json!({"code": 1, "message": "}", "data": {"request_id": "an-id"}})
        );
    }
}
