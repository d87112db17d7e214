//! Bodies: reading one within limits, and the few kinds of answers we write ourselves.

use std::{convert::Infallible, fmt::Display, pin::pin, time::Duration};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, EXPECT},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::BoxBody};
use serde::Serialize;

/// The body of every answer, boxed as rmcp does it.
pub(crate) type BoxedBody = BoxBody<Bytes, Infallible>;

/// Why a request body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
}

/// Reads a whole body within a size and a time.
pub(crate) async fn read<B>(body: B, limit: usize, time: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data: Send> + Send,
    B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut reading = pin!(Limited::new(body, limit).collect());
    // Most bodies are there already: no timer for them.
    let read = match (&mut reading).now_or_never() {
        Some(read) => Ok(read),
        None => tokio::time::timeout(time, reading).await,
    };
    match read {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Broken),
        Err(_) => Err(BodyError::TooSlow),
    }
}

/// How long a refused client has to finish sending.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads a body away without keeping it, before an answer that does not depend on it.
///
/// A connection that is closed with data still on its way is reset, and the reset can overtake the
/// answer (RFC 9112 section 9.6): the client would see a broken connection instead of the
/// challenge that tells it to log in. What no call may send is not waited for.
pub(crate) async fn discard<B: Body>(headers: &HeaderMap, body: B, limit: usize)
where
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // A client that asks before it sends has nothing on its way (RFC 9110 section 10.1.1).
    let too_large = usize::try_from(body.size_hint().lower()).map_or(true, |size| size > limit);
    if too_large || headers.contains_key(EXPECT) {
        return;
    }
    let reading = async {
        let mut body = pin!(Limited::new(body, limit));
        while let Some(Ok(_)) = body.frame().await {}
    };
    // Whether it was finished or not, the answer is the same.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, reading).await;
}

/// A body from bytes that are there already.
pub(crate) fn full(bytes: impl Into<Bytes>) -> BoxedBody {
    Full::new(bytes.into()).boxed()
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response<BoxedBody> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// A JSON answer; 500 without a body if the value is none of JSON's.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<BoxedBody> {
    let Ok(bytes) = serde_json::to_vec(value) else {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
