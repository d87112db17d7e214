//! Work that is finished also when nobody waits for it any more.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use futures::FutureExt as _;
use tokio::runtime::Handle;
use tracing::Instrument as _;

/// Does the work where it is waited for. When that ends early, `left` is called and the work goes on
/// in a task of its own: a task for each call would cost more, and would be needed for few.
///
/// `None` when the work panicked.
pub(crate) async fn finish<F, L>(work: F, left: L) -> Option<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce() + Unpin,
{
    let work = AssertUnwindSafe(work).catch_unwind().in_current_span();
    let finished = Finish {
        work: Some((Box::pin(work), left)),
    };
    match finished.await {
        Ok(output) => Some(output),
        Err(panic) => {
            // The payload may itself panic when dropped; forgetting it is the safe way out.
            std::mem::forget(panic);
            tracing::error!("the handler panicked");
            None
        }
    }
}

struct Finish<F, L>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce(),
{
    work: Option<(Pin<Box<F>>, L)>,
}

impl<F, L> Future for Finish<F, L>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce() + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some((work, _)) = &mut self.work else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<F, L> Drop for Finish<F, L>
where
    F: Future<Output: Send> + Send + 'static,
    L: FnOnce(),
{
    fn drop(&mut self) {
        if let Some((work, left)) = self.work.take() {
            left();
            // None only when the process ends.
            if let Ok(runtime) = Handle::try_current() {
                runtime.spawn(work);
            }
        }
    }
}
