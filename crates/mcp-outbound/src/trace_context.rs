//! Where a trace comes in, and how it goes on (W3C Trace Context).

use std::sync::Arc;

use opentelemetry::{
    Context, context::FutureExt as _, global, propagation::Extractor, trace::TraceContextExt,
};
use tokio::runtime::Handle;
use tracing::{Instrument as _, Span};

/// Decides at the head of a request, before any span is made, whether it is traced. It is given the
/// context that the request belongs to, an empty one where it names none, and gives back the one to
/// go on in: where the span in that is this process's own and not sampled, the request has no spans.
///
/// Without one, spans are made wherever a subscriber wants them.
pub type HeadSampler = Arc<dyn Fn(Context) -> Context + Send + Sync>;

/// Whether it was decided that what happens in this context has no spans.
pub fn is_untraced(context: &Context) -> bool {
    let span = context.span();
    let span = span.span_context();
    span.is_valid() && !span.is_remote() && !span.is_sampled()
}

/// The context that `from` names. Where it has no `traceparent`, as most have none, nothing is asked.
pub fn remote_context(from: &dyn Extractor) -> Option<Context> {
    from.get("traceparent")?;
    let context = global::get_text_map_propagator(|propagator| {
        propagator.extract_with_context(&Context::new(), from)
    });
    context.span().span_context().is_valid().then_some(context)
}

/// A place in a trace, for work that may have to leave the task it began in.
pub(crate) struct Place {
    span: Span,
    passing: Option<Context>,
    runtime: Option<Handle>,
}

impl Place {
    /// Where the caller is.
    pub(crate) fn here() -> Self {
        let span = Span::current();
        let passes = span.is_disabled() && Context::map_current(TraceContextExt::has_active_span);
        Self {
            span,
            passing: passes.then(Context::current),
            runtime: Handle::try_current().ok(),
        }
    }

    /// Gives work a task of its own at this place. Where that is in no runtime, nothing runs.
    pub(crate) fn spawn<F>(&self, work: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let Some(runtime) = &self.runtime else {
            return;
        };
        match &self.passing {
            Some(context) => drop(runtime.spawn(work.with_context(context.clone()))),
            None => drop(runtime.spawn(work.instrument(self.span.clone()))),
        }
    }
}
