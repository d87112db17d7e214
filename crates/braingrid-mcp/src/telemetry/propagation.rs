//! How a trace comes in and goes on: `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::HeaderHook;
use opentelemetry::propagation::{Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, global};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::config::Propagator;

/// Made once: it goes with every request.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Makes these the propagators of the process.
pub(super) fn install(propagators: &[Propagator]) {
    let made = propagators.iter().map(|propagator| {
        let made: Box<dyn TextMapPropagator + Send + Sync> = match propagator {
            Propagator::TraceContext => Box::new(TraceContextPropagator::new()),
            Propagator::Baggage => Box::new(BaggagePropagator::new()),
        };
        made
    });
    global::set_text_map_propagator(TextMapCompositePropagator::new(made.collect()));
}

/// Adds the current trace to the headers of a request to BrainGrid. Where nobody collects spans,
/// that is the trace the client named, if it named one.
pub(crate) fn pass_on() -> HeaderHook {
    std::sync::Arc::new(|headers| {
        Context::map_current(|context| {
            if context.has_active_span() {
                let inject = |propagator: &dyn TextMapPropagator| {
                    propagator.inject_context(context, &mut Headers(headers));
                };
                global::get_text_map_propagator(inject);
            }
        });
    })
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        // `tracestate` of most traces.
        if value.is_empty() {
            return;
        }
        let name = match key {
            "traceparent" => Ok(TRACEPARENT),
            key => HeaderName::from_bytes(key.as_bytes()),
        };
        // What is no header is left out: the request matters more than its trace.
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
