//! Counts what is in flight, so that a stopping server can finish it and start nothing new.

use std::{
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::{sync::watch, time::sleep};
use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use crate::{body::BoxedBody, stop::Phase};

/// A handler that knows of the stop answers better than we can in its place: so long it may take.
const HANDLERS_ANSWER: Duration = Duration::from_millis(250);

/// The requests in flight, and whether new ones are welcome.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// Whether `phase` is past the first one: asked for each request.
    draining: AtomicBool,
    phase: watch::Sender<Phase>,
    in_flight: TaskTracker,
}

/// One request in flight.
#[derive(Debug)]
pub(crate) struct InFlight(
    #[expect(dead_code, reason = "it counts until it is dropped")] TaskTrackerToken,
);

impl Drain {
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Counts a request in; `None` while draining.
    pub(crate) fn enter(&self) -> Option<InFlight> {
        // Counted before the check: a request is either seen by the drain or refused.
        let guard = InFlight(self.in_flight.token());
        (!self.is_draining()).then_some(guard)
    }

    /// From now on the server is in this phase.
    pub(crate) fn enter_phase(&self, phase: Phase) {
        self.draining
            .store(phase >= Phase::Draining, Ordering::SeqCst);
        self.phase.send_replace(phase);
    }

    /// Completes in this phase or a later one.
    pub(crate) async fn reached(&self, phase: Phase) {
        phase.reached(self.phase.subscribe()).await;
    }

    /// Completes when a handler has had its time to answer for itself.
    pub(crate) async fn overdue(&self) {
        self.reached(Phase::Answering).await;
        sleep(HANDLERS_ANSWER).await;
    }

    /// Waits until nothing is in flight.
    pub(crate) async fn drained(&self) {
        self.in_flight.close();
        self.in_flight.wait().await;
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }
}

impl InFlight {
    /// Keeps the request counted until the last byte of its answer was handed on.
    pub(crate) fn until_sent(self, response: Response<BoxedBody>) -> Response<BoxedBody> {
        // A body whose length is known is handed on at once: nothing is left to wait for.
        if response.body().size_hint().exact().is_some() {
            return response;
        }
        response.map(|inner| {
            Counted {
                inner,
                _in_flight: self,
            }
            .boxed()
        })
    }
}

/// A streaming body that holds its request's place.
struct Counted {
    inner: BoxedBody,
    _in_flight: InFlight,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
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
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn draining_waits_for_what_is_in_flight_and_admits_nothing_new() {
        let drain = Arc::new(Drain::default());
        let first = drain.enter().unwrap();
        let waiting = tokio::spawn({
            let drain = Arc::clone(&drain);
            async move {
                drain.enter_phase(Phase::Draining);
                drain.drained().await;
            }
        });
        while !drain.is_draining() {
            tokio::task::yield_now().await;
        }
        assert!(drain.enter().is_none());
        assert_eq!(drain.in_flight(), 1);
        assert!(!waiting.is_finished());
        drop(first);
        waiting.await.unwrap();
    }
}
