//! [`PooledClient`]: HTTP for one far end, called all the time: hyper with a pool and packed
//! answers. No redirects: one would carry the credential elsewhere.

use std::{error::Error as _, io::Read as _, time::Duration};

use bytes::{Buf as _, Bytes};
use flate2::bufread::MultiGzDecoder;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Frame, Incoming};
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::ClientConfig;

use crate::{
    connect::Connector,
    proxies::{Proxies, ProxyError},
    room::{MemoryHook, NoRoom, Room, Rooms},
};

/// A pool of connections to one far end.
pub struct PooledClient {
    client: Client<Connector, Full<Bytes>>,
    user_agent: HeaderValue,
    max_response_bytes: usize,
}

/// An answer, whole and unpacked.
pub struct Fetched {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; empty where that of a refusal could not be read.
    pub body: Bytes,
    /// What is held for its size.
    pub room: Option<Room>,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The request did not leave, or certainly was not looked at (RFC 9113 sections 6.8 and 8.7).
    #[error("the connection failed")]
    NotSent,
    /// It did not come in time.
    #[error("it did not answer in time")]
    Timeout,
    /// The connection broke, or the answer cannot be unpacked.
    #[error("the connection broke")]
    Broken,
    /// It is longer than the limit.
    #[error("its answer is too long")]
    TooLarge,
    /// Too large for now: others take the memory.
    #[error("its answer is too large for now")]
    NoRoom,
}

impl PooledClient {
    /// For requests to `base`, over connections opened within `connect`. Answers longer than
    /// `max_response_bytes`, unpacked, are refused.
    ///
    /// # Errors
    /// For a proxy that cannot be used.
    pub fn new(
        base: &Uri,
        tls: ClientConfig,
        proxies: &Proxies,
        connect: Duration,
        user_agent: &'static str,
        max_response_bytes: usize,
    ) -> Result<Self, ProxyError> {
        let connector = Connector::new(base, tls, proxies, connect)?;
        let mut client = Client::builder(TokioExecutor::new());
        client
            .pool_idle_timeout(Duration::from_mins(1))
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            // All calls share one connection of HTTP/2. When its far end is gone without a word,
            // they learn it from a ping, in time for a read (30 s) to be repeated on a new one.
            .http2_keep_alive_interval(Duration::from_secs(10))
            .http2_keep_alive_timeout(Duration::from_secs(10));
        Ok(Self {
            client: client.build(connector),
            user_agent: HeaderValue::from_static(user_agent),
            max_response_bytes,
        })
    }

    /// Sends the request and reads the whole answer, within `limit`. What answers a request that
    /// changes nothing is given up where it is large and `memory` has no room for it.
    ///
    /// # Errors
    /// [`FetchError`], by what may have happened at the far end.
    pub async fn fetch(
        &self,
        mut request: Request<Full<Bytes>>,
        limit: Duration,
        changes: bool,
        memory: Option<&MemoryHook>,
    ) -> Result<Fetched, FetchError> {
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::USER_AGENT, self.user_agent.clone());
        let exchanged = async {
            let answer = self
                .client
                .request(request)
                .await
                .map_err(|error| reason(&error))?;
            self.read(answer, Rooms::new(memory, !changes)).await
        };
        let exchanged = tokio::time::timeout(limit, exchanged).await;
        exchanged.unwrap_or(Err(FetchError::Timeout))
    }

    async fn read(
        &self,
        answer: Response<Incoming>,
        mut rooms: Rooms<'_>,
    ) -> Result<Fetched, FetchError> {
        let (head, body) = answer.into_parts();
        let body = match self.body(&head.headers, body, &mut rooms).await {
            // Of a refusal the status is the meaning: its body only explains it.
            Err(_) if !head.status.is_success() => Bytes::new(),
            body => body?,
        };
        Ok(Fetched {
            status: head.status,
            headers: head.headers,
            body,
            room: rooms.into_room(),
        })
    }

    async fn body(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        rooms: &mut Rooms<'_>,
    ) -> Result<Bytes, FetchError> {
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > self.max_response_bytes {
            return Err(FetchError::TooLarge);
        }
        rooms.cover(announced).await?;
        let mut body = Limited::new(body, self.max_response_bytes);
        let (mut parts, mut size) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            match frame.map(Frame::into_data) {
                Ok(Ok(data)) => {
                    size += data.len();
                    rooms.cover(size).await?;
                    parts.push(data);
                }
                Ok(Err(_)) => {}
                Err(error) if error.is::<LengthLimitError>() => return Err(FetchError::TooLarge),
                Err(_) => return Err(FetchError::Broken),
            }
        }
        let body = joined(parts);
        let coding = headers.get(header::CONTENT_ENCODING);
        let packed = coding.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"gzip"));
        // Nothing at all, as with a 204, is not packed, whatever the header says.
        if packed && !body.is_empty() {
            return self.unpack(body, rooms).await;
        }
        Ok(body)
    }

    /// What was packed, up to the limit: a small answer may unpack to a huge one.
    async fn unpack(&self, packed: Bytes, rooms: &mut Rooms<'_>) -> Result<Bytes, FetchError> {
        let limit = self.max_response_bytes;
        let mut body = Vec::with_capacity(limit.min(4 * packed.len()));
        rooms.cover(body.capacity()).await?;
        let mut unpacking = MultiGzDecoder::new(packed.reader());
        loop {
            let most = u64::try_from(UNPACKED).unwrap_or(u64::MAX);
            match unpacking.by_ref().take(most).read_to_end(&mut body) {
                Ok(0) => return Ok(body.into()),
                Ok(_) if body.len() > limit => return Err(FetchError::TooLarge),
                Ok(_) => rooms.cover(body.len()).await?,
                Err(_) => return Err(FetchError::Broken),
            }
        }
    }
}

/// Bytes that are unpacked before there is asked for room for more.
const UNPACKED: usize = 256 * 1024;

fn joined(mut parts: Vec<Bytes>) -> Bytes {
    if parts.len() <= 1 {
        return parts.pop().unwrap_or_default();
    }
    parts.concat().into()
}

impl From<NoRoom> for FetchError {
    fn from(_: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Whether the far end can have seen the request.
fn reason(error: &legacy::Error) -> FetchError {
    if error.is_connect() || is_refused(error) {
        FetchError::NotSent
    } else {
        FetchError::Broken
    }
}

/// RFC 9113, sections 6.8 and 8.7: a stream that was refused, or that came after the last one the
/// server means to look at, was not processed.
fn is_refused(error: &legacy::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            let no_error = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
            let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
            return error.is_remote() && (no_error || refused);
        }
        source = error.source();
    }
    false
}
