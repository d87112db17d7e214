//! Work that is finished also when nobody waits for it any more.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use crate::trace_context::Place;

/// Does the work where it is waited for. When that ends early, `left` is called and the work goes on
/// in a task of its own: a task for each call would cost more, and few need one.
///
/// `None` when the work panicked.
pub fn run_to_end<F, L>(work: F, left: L) -> impl Future<Output = Option<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce() + Unpin,
{
    RunToEnd {
        work: Some((Box::pin(work), left)),
        place: Place::here(),
    }
}

struct RunToEnd<F, L>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce(),
{
    work: Option<(Pin<Box<F>>, L)>,
    /// Of where it was begun: it may be dropped outside any runtime.
    place: Place,
}

impl<F, L> Future for RunToEnd<F, L>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce() + Unpin,
{
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((work, _)) = &mut self.work else {
            return Poll::Ready(None);
        };
        let polled = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Some(output),
            Err(panic) => {
                // The payload may itself panic when dropped; forgetting it is the safe way out.
                std::mem::forget(panic);
                tracing::error!("a handler panicked");
                None
            }
        };
        self.work = None;
        Poll::Ready(polled)
    }
}

impl<F, L> Drop for RunToEnd<F, L>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce(),
{
    fn drop(&mut self) {
        let Some((work, left)) = self.work.take() else {
            return;
        };
        left();
        self.place.spawn(work);
    }
}
