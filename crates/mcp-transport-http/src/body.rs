//! Bodies: reading one within limits, and the few kinds of answers we write ourselves.

use std::{
    convert::Infallible,
    fmt::Display,
    pin::{Pin, pin},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt as _;
use http::{
    HeaderMap, HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, EXPECT},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, combinators::BoxBody};
use serde::Serialize;

use crate::memory::{MemoryBudget, MemoryCharge, MemoryUser};

/// The body of every answer, boxed as rmcp does it.
pub(crate) type BoxedBody = BoxBody<Bytes, Infallible>;

/// Why a request body could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    TooSlow,
    Broken,
    NoRoom,
}

/// Reads a whole body within a size, a time and, where one is given, a user's part of a budget; what
/// was charged is given back by dropping it. A small body is covered by its connection's charge.
pub(crate) async fn read<B>(
    body: B,
    limit: usize,
    time: Duration,
    memory: Option<(&MemoryBudget, MemoryUser)>,
) -> Result<(Bytes, Option<MemoryCharge>), BodyError>
where
    B: Body<Data: Send> + Send,
    B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        // Read and dropped, so that a client which is still sending sees the answer and no broken pipe.
        drain(pin!(Limited::new(body, limit.saturating_mul(4)))).await;
        return Err(BodyError::TooLarge);
    }
    let mut body = pin!(Limited::new(body, limit));
    if memory.is_some_and(|(memory, user)| !memory.has_room(user)) {
        drain(body).await;
        return Err(BodyError::NoRoom);
    }
    let reading = async {
        let mut charge = None;
        let (mut parts, mut size) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let mut data = match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => data,
                Ok(Err(_)) => continue,
                Err(error) if error.is::<LengthLimitError>() => return Err(BodyError::TooLarge),
                Err(_) => return Err(BodyError::Broken),
            };
            let data = data.copy_to_bytes(data.remaining());
            size += data.len();
            if let Some(memory) = memory.filter(|_| size > SMALL) {
                // In steps, and never less than was announced.
                let held = size.next_multiple_of(STEP).max(announced);
                charge = charged(charge, held * COPIES, memory);
                if charge.is_none() {
                    parts.clear();
                    drop(data);
                    drain(body).await;
                    return Err(BodyError::NoRoom);
                }
            }
            parts.push(data);
        }
        Ok((joined(parts, size), charge))
    };
    let mut reading = pin!(reading);
    // Most bodies are there already: no timer for them.
    match (&mut reading).now_or_never() {
        Some(read) => read,
        None => {
            let read = tokio::time::timeout(time, reading).await;
            read.unwrap_or(Err(BodyError::TooSlow))
        }
    }
}

/// A body up to this size costs no more than any request, in bytes.
const SMALL: usize = 8 * 1024;
/// Larger ones are charged in steps of this, in bytes.
const STEP: usize = 64 * 1024;
/// A body is held in pieces, in one, and decoded.
const COPIES: usize = 3;

/// The charge, grown to this many bytes; nothing where there is no room.
fn charged(
    charge: Option<MemoryCharge>,
    bytes: usize,
    (memory, user): (&MemoryBudget, MemoryUser),
) -> Option<MemoryCharge> {
    match charge {
        None => memory.take(user, bytes),
        Some(mut charge) => charge.grow_to(bytes).then_some(charge),
    }
}

fn joined(mut parts: Vec<Bytes>, size: usize) -> Bytes {
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(size);
    for part in parts {
        whole.extend_from_slice(&part);
    }
    whole.freeze()
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
    drain(pin!(Limited::new(body, limit))).await;
}

/// Reads the rest of a body, for a while.
async fn drain<B: Body>(mut body: Pin<&mut B>) {
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
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

/// Most answers are shorter, in bytes.
const USUAL: usize = 2 * 1024;

/// A JSON answer; 500 without a body if the value is none of JSON's.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<BoxedBody> {
    let mut bytes = Vec::with_capacity(USUAL);
    if serde_json::to_writer(&mut bytes, value).is_err() {
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let mut response = Response::new(full(bytes));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Whether an answer is a stream of events (SSE).
pub(crate) fn is_event_stream(answer: &Response<BoxedBody>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"))
}
