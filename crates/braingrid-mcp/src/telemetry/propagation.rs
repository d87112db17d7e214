//! How a trace comes in and goes on: `traceparent` and `tracestate`.

use http::{HeaderMap, HeaderName, HeaderValue};
use mcp_core::HeaderHook;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
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
            Propagator::TraceContext => Box::new(TraceContext::default()),
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

/// OpenTelemetry's own propagator, but for how the header is written, which goes with every request.
#[derive(Debug, Default)]
struct TraceContext(TraceContextPropagator);

impl TextMapPropagator for TraceContext {
    fn inject_context(&self, context: &Context, injector: &mut dyn Injector) {
        let span = context.span();
        let span = span.span_context();
        if !span.is_valid() {
            return;
        }
        let mut header = String::with_capacity(55);
        header.push_str("00-");
        push_hex(&mut header, &span.trace_id().to_bytes());
        header.push('-');
        push_hex(&mut header, &span.span_id().to_bytes());
        header.push_str(if span.is_sampled() { "-01" } else { "-00" });
        injector.set("traceparent", header);
        let state = span.trace_state().header();
        if !state.is_empty() {
            injector.set("tracestate", state);
        }
    }

    fn extract_with_context(&self, context: &Context, extractor: &dyn Extractor) -> Context {
        self.0.extract_with_context(context, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        self.0.fields()
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    let digit = |half: u8| {
        char::from(if half < 10 {
            b'0' + half
        } else {
            b'a' - 10 + half
        })
    };
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    #[test]
    fn the_headers_are_those_of_opentelemetry() {
        let state = TraceState::from_key_value([("vendor", "1")]).unwrap();
        let (trace, span) = (TraceId::from(0x0af7_6519_16cd_43dd), SpanId::from(0xb7ad));
        for (flags, state) in [
            (TraceFlags::SAMPLED, TraceState::default()),
            (TraceFlags::NOT_SAMPLED, state),
        ] {
            let span = SpanContext::new(trace, span, flags, false, state);
            let context = Context::new().with_remote_span_context(span);
            let (mut ours, mut theirs) = (HeaderMap::new(), HeaderMap::new());
            TraceContext::default().inject_context(&context, &mut Headers(&mut ours));
            TraceContextPropagator::new().inject_context(&context, &mut Headers(&mut theirs));
            // An empty one is left out, as the standard would have it.
            if theirs["tracestate"].is_empty() {
                theirs.remove("tracestate");
            }
            assert_eq!(ours, theirs);
        }
    }
}
