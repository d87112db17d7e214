//! A stream that is read to its end also when its client has left: the SDK ends the call whose stream is
//! dropped, and in a revision before 2026-07-28 a lost connection cancels nothing.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use tokio::runtime::Handle;

use crate::body::BoxedBody;

/// The same answer, whose body is read to its end when nobody does so any more.
pub(crate) fn whoever_leaves(answer: Response<BoxedBody>) -> Response<BoxedBody> {
    // One whose length is known is all there.
    if answer.body().size_hint().exact().is_some() {
        return answer;
    }
    answer.map(|body| ReadOn(Some(body)).boxed())
}

/// A body that is not at its end.
struct ReadOn(Option<BoxedBody>);

impl Body for ReadOn {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None)) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.0.as_ref();
        body.map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ReadOn {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take() else {
            return;
        };
        // Without a runtime nothing goes on anyway.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { while body.frame().await.is_some() {} });
        }
    }
}
