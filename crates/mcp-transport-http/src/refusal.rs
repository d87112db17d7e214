//! The bodies of refusals, and of errors that others have written. Each holds the id of its request, for that is what users can show.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use http_body::Frame;
use http_body_util::BodyExt as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::{
    body::{self, BoxedBody, is_event_stream},
    preview::present,
};

/// The members of RFC 6749 section 5.2: clients read any refusal as an OAuth error, and show a parse
/// error where `error` is no text.
#[derive(Serialize)]
struct ErrorBody<'a> {
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
    let refusal = ErrorBody {
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

/// An error of JSON-RPC as it is on the wire. Whatever has other members is left as it is, which is
/// seen at the first of them: a result is not read.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RpcError<'a> {
    #[serde(borrow)]
    jsonrpc: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    error: RpcErrorObject<'a>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RpcErrorObject<'a> {
    #[serde(borrow)]
    code: &'a RawValue,
    #[serde(borrow)]
    message: &'a RawValue,
    #[serde(default)]
    data: Option<Value>,
}

/// An answer that the SDK or the handler has made: with the id, where it is an error of JSON-RPC.
pub(crate) async fn identify(
    response: Response<BoxedBody>,
    request_id: &str,
) -> Response<BoxedBody> {
    if is_event_stream(&response) {
        let id = request_id.to_owned();
        return response.map(|body| {
            let identified = move |frame: Frame<Bytes>| match frame.into_data() {
                Ok(event) => Frame::data(event_with_id(&event, &id).map_or(event, Bytes::from)),
                Err(frame) => frame,
            };
            body.map_frame(identified).boxed()
        });
    }
    let (parts, body) = response.into_parts();
    // Our own bodies cannot fail.
    let Ok(collected) = body.collect().await;
    let bytes = collected.to_bytes();
    let bytes = with_id(&bytes, request_id).map_or(bytes, Bytes::from);
    Response::from_parts(parts, body::full(bytes))
}

/// The error with the id beside what its `data` hold; `None` for what is no error.
fn with_id(message: &[u8], request_id: &str) -> Option<Vec<u8>> {
    let mut message: RpcError<'_> = serde_json::from_slice(message).ok()?;
    let mut data = match message.error.data.take() {
        None => Map::new(),
        Some(Value::Object(data)) => data,
        Some(other) => Map::from_iter([("data".to_owned(), other)]),
    };
    data.insert("request_id".to_owned(), request_id.into());
    message.error.data = Some(data.into());
    serde_json::to_vec(&message).ok()
}

/// The same for an event of a stream, which comes as a whole.
fn event_with_id(event: &[u8], request_id: &str) -> Option<Vec<u8>> {
    let (before, rest) = std::str::from_utf8(event).ok()?.split_once("data:")?;
    let (data, after) = rest.split_once('\n')?;
    let message = with_id(data.as_bytes(), request_id)?;
    let parts = [
        before.as_bytes(),
        b"data: ",
        &message,
        b"\n",
        after.as_bytes(),
    ];
    Some(parts.concat())
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
    use serde_json::{Value, json};

    async fn body_of(mut response: Response<BoxedBody>) -> Value {
        finish(&mut response, "an-id");
        let Ok(body) = response.into_body().collect().await;
        serde_json::from_slice(&body.to_bytes()).unwrap()
    }

    #[test]
    fn an_error_of_others_gets_the_id_and_keeps_what_it_has() {
        let id = "an-id";
        for (given, data) in [
            ("", json!({"request_id": id})),
            (r#","data":null"#, json!({"request_id": id})),
            (r#","data":{}"#, json!({"request_id": id})),
            (
                r#","data":{"supported":["x"]}"#,
                json!({"supported": ["x"], "request_id": id}),
            ),
            (r#","data":["x"]"#, json!({"data": ["x"], "request_id": id})),
        ] {
            for number in ["", r#""id":"é\"","#, r#""id":7,"#, r#""id":null,"#] {
                let error = format!(
                    r#"{{"jsonrpc":"2.0",{number}"error":{{"code":-1,"message":"\n}}"{given}}}}}"#
                );
                let mut expected: Value = serde_json::from_str(&error).unwrap();
                expected["error"]["data"] = data.clone();
                let identified = with_id(error.as_bytes(), id).unwrap();
                let identified: Value = serde_json::from_slice(&identified).unwrap();
                assert_eq!(identified, expected);
                let event = format!("event: message\nid: 1\ndata: {error}\n\n");
                let event = event_with_id(event.as_bytes(), id).unwrap();
                let event = String::from_utf8(event).unwrap();
                let data = event.strip_prefix("event: message\nid: 1\ndata: ").unwrap();
                let data = data.strip_suffix("\n\n").unwrap();
                assert_eq!(serde_json::from_str::<Value>(data).unwrap(), expected);
            }
        }
        for other in [
            r#"{"jsonrpc":"2.0","id":1,"result":{"error":{"code":1,"message":"x"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"},"more":1}"#,
            r#"{"jsonrpc":"2.0","method":"error"}"#,
            "",
            "plain text",
        ] {
            assert_eq!(with_id(other.as_bytes(), id), None, "{other}");
            let event = format!("data: {other}\n\n");
            assert_eq!(event_with_id(event.as_bytes(), id), None, "{other}");
        }
        assert_eq!(event_with_id(b": keep-alive\n\n", id), None);
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
