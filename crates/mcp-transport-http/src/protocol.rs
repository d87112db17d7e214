//! Protocol errors as JSON-RPC answers, and the SDK's plain-text ones turned into such.

use http::{
    HeaderValue, Response, StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_TYPE, RETRY_AFTER as RETRY_AFTER_HEADER},
};
use rmcp::model::ProtocolVersion;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    body::{self, BodyError, BoxedBody},
    memory::RETRY_AFTER,
    preview::{PreviewError, RequestPreview, Strange, id_in},
    refusal::rpc_error,
};

#[derive(Serialize)]
struct ErrorMessage<'a> {
    jsonrpc: &'static str,
    /// Left out when it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    code: i32,
    message: &'a str,
}

const PARSE_ERROR: i32 = -32700;
const INVALID_REQUEST: i32 = -32600;
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;
const INTERNAL_ERROR: i32 = -32603;
/// SEP-2243.
const HEADER_MISMATCH: i32 = -32020;
/// Of those that a server may give a meaning.
const BUSY: i32 = -32000;

const NO_FIT: &str = "the message does not fit its method";
const NO_METHOD: &str = "this method does not exist on this server";

fn error(
    status: StatusCode,
    id: Option<&RawValue>,
    code: i32,
    message: &str,
) -> Response<BoxedBody> {
    rpc_error(
        status,
        &ErrorMessage {
            jsonrpc: "2.0",
            id,
            error: ErrorObject { code, message },
        },
    )
}

/// A body that could not be read.
pub(crate) fn unreadable(reason: BodyError) -> Response<BoxedBody> {
    let (status, message) = match reason {
        BodyError::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request body is too large",
        ),
        BodyError::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "the request body did not arrive in time",
        ),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "the request body broke off"),
        BodyError::NoRoom => return no_room(),
    };
    error(status, None, INVALID_REQUEST, message)
}

/// The server holds as much for others as it may.
fn no_room() -> Response<BoxedBody> {
    let mut response = error(
        StatusCode::SERVICE_UNAVAILABLE,
        None,
        BUSY,
        "the server is busy with other requests and has done nothing: try again",
    );
    let seconds = HeaderValue::from(RETRY_AFTER.as_secs());
    response.headers_mut().insert(RETRY_AFTER_HEADER, seconds);
    response
}

/// A message whose caller is over a limit. To a notification nothing is said but the status.
pub(crate) fn too_many(id: Option<&RawValue>, message: &str) -> Response<BoxedBody> {
    error(StatusCode::TOO_MANY_REQUESTS, id, BUSY, message)
}

/// A message of a batch that is not looked at, for those before it have used up the room for answers.
/// Nothing is owed to a notification, but it was not done either: a client sees that by the others.
pub(crate) fn left_out(id: Option<&RawValue>) -> Response<BoxedBody> {
    if id.is_none() {
        return body::empty(StatusCode::ACCEPTED);
    }
    error(
        StatusCode::OK,
        id,
        BUSY,
        "not done: the answers before this one in the batch are as large as a batch may be; send \
         this message again in another request",
    )
}

/// A body that is no message. Its id is told where it has one.
pub(crate) fn no_message(reason: PreviewError, body: &[u8]) -> Response<BoxedBody> {
    let (code, message) = match reason {
        PreviewError::Parse => (PARSE_ERROR, "the request body is not JSON"),
        PreviewError::Invalid => (
            INVALID_REQUEST,
            "the request body is not a JSON-RPC 2.0 message with a usable id",
        ),
        PreviewError::Batch => (
            INVALID_REQUEST,
            "JSON-RPC batches are not supported: send one message per request",
        ),
    };
    error(StatusCode::BAD_REQUEST, id_in(body), code, message)
}

/// A header of the message that has two values.
pub(crate) fn contradiction(header: &str, id: Option<&RawValue>) -> Response<BoxedBody> {
    let message = match header {
        "mcp-method" => "the Mcp-Method header was sent with two different values",
        "mcp-name" => "the Mcp-Name header was sent with two different values",
        _ => "the MCP-Protocol-Version header was sent with two different values",
    };
    error(StatusCode::BAD_REQUEST, id, HEADER_MISMATCH, message)
}

/// A client that takes no answer that there is.
pub(crate) fn not_acceptable(id: Option<&RawValue>) -> Response<BoxedBody> {
    let message =
        "answers are application/json or text/event-stream, and the Accept header takes neither";
    error(StatusCode::NOT_ACCEPTABLE, id, INVALID_REQUEST, message)
}

/// A message that its handler did not answer before the server had to stop. Not an error of HTTP:
/// clients of the older revisions would not hand the message on.
pub(crate) fn unfinished(id: Option<&RawValue>) -> Response<BoxedBody> {
    if id.is_none() {
        return body::empty(StatusCode::ACCEPTED);
    }
    let message = "outcome unknown: this server stopped before the call was finished; check what it \
         did before you repeat it";
    error(StatusCode::OK, id, INTERNAL_ERROR, message)
}

/// A list that is asked for from a place which no answer ever named.
pub(crate) fn strange_cursor(id: Option<&RawValue>) -> Response<BoxedBody> {
    let message =
        "the cursor is no text: leave it out, or send the nextCursor of an earlier answer";
    error(StatusCode::OK, id, INVALID_PARAMS, message)
}

/// A body of another media type than JSON.
pub(crate) fn not_json() -> Response<BoxedBody> {
    error(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        None,
        INVALID_REQUEST,
        "the Content-Type must be application/json",
    )
}

/// A body that is compressed (RFC 9110 section 12.5.3: the answer says what would be taken).
pub(crate) fn encoded() -> Response<BoxedBody> {
    let mut response = error(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        None,
        INVALID_REQUEST,
        "the body must not be compressed: send it without Content-Encoding",
    );
    let plain = HeaderValue::from_static("identity");
    response.headers_mut().insert(ACCEPT_ENCODING, plain);
    response
}

/// What to write into the header that names the revision.
fn revisions_served() -> String {
    let known = ProtocolVersion::KNOWN_VERSIONS.iter();
    let known: Vec<_> = known.map(ProtocolVersion::as_str).collect();
    let known = known.join(", ");
    format!("the MCP-Protocol-Version header is missing or names no revision of these: {known}")
}

/// The SDK says some errors as plain text, with the words of inner errors in it: same status, but
/// a message that a client can read and that tells nothing about the inside. `methods` are those that
/// the handler answers: of another one, whose params nobody can read, it is the method that is wrong.
/// Without them every method counts as answered.
pub(crate) fn rewrite_sdk_error(
    response: Response<BoxedBody>,
    preview: &RequestPreview<'_>,
    methods: Option<&[&str]>,
) -> Response<BoxedBody> {
    let status = response.status();
    let json = HeaderValue::from_static("application/json");
    if !(status.is_client_error() || status.is_server_error())
        || response.headers().get(CONTENT_TYPE) == Some(&json)
    {
        return response;
    }
    let bad_request = StatusCode::BAD_REQUEST;
    let revisions;
    let (status, code, message) = match status {
        // The Content-Type was checked before: this is a message that does not decode.
        // To a notification no answer is owed, whatever is in it (JSON-RPC 2.0, section 4.1).
        StatusCode::UNSUPPORTED_MEDIA_TYPE if preview.is_notification() => {
            return body::empty(StatusCode::ACCEPTED);
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE if preview.strange == Some(Strange::Params) => {
            if methods.is_none_or(|methods| methods.contains(&&*preview.method)) {
                (bad_request, INVALID_PARAMS, NO_FIT)
            } else {
                (bad_request, METHOD_NOT_FOUND, NO_METHOD)
            }
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE => (bad_request, INVALID_REQUEST, NO_FIT),
        StatusCode::BAD_REQUEST => {
            revisions = revisions_served();
            (status, INVALID_REQUEST, revisions.as_str())
        }
        status if status.is_server_error() => (
            StatusCode::INTERNAL_SERVER_ERROR,
            INTERNAL_ERROR,
            "internal error",
        ),
        status => (status, INVALID_REQUEST, "the request is not acceptable"),
    };
    error(status, preview.id, code, message)
}
