//! Answers on their way out: counted, and given a time, until the last byte was written.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;

use crate::{
    body::BoxedBody,
    idle::{Busy, Unsent},
    memory::{Half, MemoryBudget, MemoryCharge, MemoryUser},
};

/// An answer up to this size is covered by what every connection is charged for, in bytes.
const SMALL: usize = 8 * 1024;

/// What an answer without a length, whose end nobody can tell, has more time for: the longest call.
const LONGEST_CALL: Duration = Duration::from_mins(10);

/// Says whose part of the budget the answer is counted to, where it is.
pub(crate) fn owed_to(
    user: MemoryUser,
    version: Version,
    mut response: Response<BoxedBody>,
) -> Response<BoxedBody> {
    if !is_covered(size_of(&response), version) {
        response.extensions_mut().insert(user);
    }
    response
}

/// Its length, where that is known.
pub(crate) fn size_of(response: &Response<BoxedBody>) -> Option<usize> {
    let size = response.body().size_hint().exact();
    size.map(|size| usize::try_from(size).unwrap_or(usize::MAX))
}

/// Whether an answer costs no more than its connection. Over HTTP/2 many small ones may wait on one.
fn is_covered(size: Option<usize>, version: Version) -> bool {
    size.is_some_and(|size| size <= SMALL && (size == 0 || version != Version::HTTP_2))
}

/// The answer, counted until it is written. That is seen by its bytes: the libraries drop them when
/// the socket has them, or when the connection is given up.
pub(crate) fn counted(
    memory: &MemoryBudget,
    busy: Busy,
    version: Version,
    response: Response<BoxedBody>,
) -> Response<BoxedBody> {
    let size = size_of(&response);
    if is_covered(size, version) {
        return response;
    }
    let user = response.extensions().get().copied();
    let extra = size.map_or(LONGEST_CALL, |_| Duration::ZERO);
    let held = Held {
        _charge: size.map(|size| memory.count(Half::Work, user, size)),
        _unsent: busy.unsent(extra),
    };
    let memory = memory.clone();
    response.map(|inner| {
        Counted {
            inner,
            memory,
            user,
            held: Some(held),
            has_length: size.is_some(),
        }
        .boxed()
    })
}

/// What is given back when an answer is written.
#[derive(Debug)]
struct Held {
    _charge: Option<MemoryCharge>,
    _unsent: Unsent,
}

/// A part of an answer, and what is held for it.
struct Part<G> {
    bytes: Bytes,
    _held: G,
}

impl<G: Send + 'static> Part<G> {
    fn of(bytes: Bytes, held: G) -> Bytes {
        Bytes::from_owner(Self { bytes, _held: held })
    }
}

impl<G> AsRef<[u8]> for Part<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body whose bytes are counted.
struct Counted {
    inner: BoxedBody,
    memory: MemoryBudget,
    user: Option<MemoryUser>,
    held: Option<Held>,
    /// Whether it comes in one piece; an event stream comes in many.
    has_length: bool,
}

impl Counted {
    fn part(&mut self, bytes: Bytes) -> Bytes {
        if self.has_length {
            let held = self.held.take();
            return Part::of(bytes, held);
        }
        let held = self.memory.count(Half::Work, self.user, bytes.len());
        Part::of(bytes, held)
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|it| self.part(it)))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{body, idle::Activity};

    #[tokio::test]
    async fn an_answer_is_counted_until_its_bytes_are_gone() {
        let memory = MemoryBudget::new(1 << 20);
        let activity = Activity::new(LONGEST_CALL, LONGEST_CALL, LONGEST_CALL);
        let send = |size: usize, version| {
            let response = Response::new(body::full(vec![b'x'; size]));
            counted(&memory, activity.begin(), version, response)
        };
        for (size, version, expected) in [
            (SMALL, Version::HTTP_11, 0),
            (SMALL + 1, Version::HTTP_11, SMALL + 1),
            (1, Version::HTTP_2, 1),
        ] {
            let response = send(size, version);
            assert_eq!(response.body().size_hint().exact(), Some(size as u64));
            let bytes = response.into_body().frame().await.unwrap().unwrap();
            let bytes = bytes.into_data().unwrap();
            assert_eq!((bytes.len(), memory.usage().used), (size, expected));
            assert_eq!(activity.is_idle(), expected == 0);
            drop(bytes);
            assert_eq!(memory.usage().used, 0);
            assert!(activity.is_idle());
        }
        drop(send(100_000, Version::HTTP_11));
        assert_eq!(memory.usage().used, 0);
    }
}
