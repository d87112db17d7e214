//! The span of a request and the names in it, and where its trace comes from.
//!
//! One server span per HTTP request, in the trace its `traceparent` header names. The message in
//! it may name a trace of its own (`_meta`, 2026-07-28): then the handler's span belongs to that
//! one and links to this one, as OpenTelemetry's conventions for MCP want it.

use futures::future::Either;
use http::{HeaderMap, request::Parts};
use mcp_outbound::{HeadSampler, is_untraced, remote_context};
use opentelemetry::{
    Context,
    context::FutureExt as _,
    propagation::Extractor,
    trace::{SpanContext, TraceContextExt as _, TraceId},
};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD as HTTP_METHOD, HTTP_RESPONSE_STATUS_CODE as HTTP_STATUS,
    HTTP_ROUTE,
};

use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::headers::TRACEPARENT;

/// OpenTelemetry, generative AI: the tool.
pub(crate) const TOOL: &str = "gen_ai.tool.name";
/// OpenTelemetry, MCP: the method of the message.
pub(crate) const MCP_METHOD: &str = "mcp.method.name";
/// OpenTelemetry, MCP: the revision.
pub(crate) const MCP_VERSION: &str = "mcp.protocol.version";
/// Which tier knew the session.
pub(crate) const TIER: &str = "mcp.session.tier";
/// The request id of the access line.
const REQUEST_ID: &str = "http.request.id";

/// What the span of a request is called inside this process: samplers know it by this name.
pub const REQUEST_SPAN: &str = "http.request";

/// The trace a request belongs to.
pub(crate) struct Trace {
    /// The span of this request; none where nobody collects spans, or not of this request.
    pub(crate) span: Span,
    /// What the request comes from, or goes on in where it has no span.
    around: Option<Context>,
}

impl Trace {
    /// No trace: for probes.
    pub(crate) fn none() -> Self {
        Self {
            span: Span::none(),
            around: None,
        }
    }

    /// Begins the span of a request, if it is traced.
    pub(crate) fn begin(
        head: Option<&HeadSampler>,
        method: &'static str,
        path: &str,
        request_id: &str,
        headers: &HeaderMap,
    ) -> Self {
        let mut around = remote_context(&Headers(headers));
        if let Some(head) = head {
            around = Some(head(around.unwrap_or_default()));
        }
        if around.as_ref().is_some_and(is_untraced) {
            let span = Span::none();
            return Self { span, around };
        }
        let span = tracing::info_span!(
            parent: None,
            REQUEST_SPAN,
            otel.name = format_args!("{method} {path}"),
            otel.kind = "server",
            otel.status_code = Empty,
            { HTTP_METHOD } = method,
            { HTTP_ROUTE } = path,
            { HTTP_STATUS } = Empty,
            { MCP_METHOD } = Empty,
            { MCP_VERSION } = Empty,
            { TOOL } = Empty,
            { TIER } = Empty,
            { REQUEST_ID } = request_id,
            { ERROR_TYPE } = Empty,
        );
        if let Some(around) = &around {
            // Fails where the span is none; then there is nothing to place.
            let _ = span.set_parent(around.clone());
        }
        Self { span, around }
    }

    /// Does work that has spans of its own: where the request is not traced, so that it has none.
    pub(crate) fn within<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        match self.around.as_ref().filter(|around| is_untraced(around)) {
            Some(untraced) => Either::Left(work.with_context(untraced.clone())),
            None => Either::Right(work),
        }
    }

    /// Puts into the request what the handler needs to go on with the trace, as a
    /// [`Context`]: that of the span, with the client's [`SpanContext`] in it, or, where there is
    /// no span, the client's alone. Not the span itself, which would end with the last handle.
    pub(crate) fn attach(&self, parts: &mut Parts) {
        let around = self.around.as_ref();
        if self.span.is_disabled() {
            if let Some(around) = around {
                parts.extensions.insert(around.clone());
            }
            return;
        }
        let context = self.span.context();
        let client = around.map(|around| around.span().span_context().clone());
        parts.extensions.insert(match client {
            Some(client) => context.with_value::<SpanContext>(client),
            None => context,
        });
    }

    /// Ends the span. What went wrong on this side is an error, a refusal is not.
    pub(crate) fn end(&self, status: u16, outcome: &'static str) {
        if self.span.is_disabled() {
            return;
        }
        // Other numbers become texts on their way.
        self.span.record(HTTP_STATUS, i64::from(status));
        if outcome != "ok" {
            self.span.record(ERROR_TYPE, outcome);
        }
        if status >= 500 {
            self.span.record("otel.status_code", "ERROR");
        }
        // Said and done: tasks of the SDK keep handles to it for a while.
        self.span.context().span().end();
    }

    /// The trace's id, if there is one.
    pub(crate) fn id(&self) -> Option<TraceId> {
        let id = |context: &Context| context.span().span_context().trace_id();
        let id = if self.span.is_disabled() {
            id(self.around.as_ref()?)
        } else {
            id(&self.span.context())
        };
        (id != TraceId::INVALID).then_some(id)
    }
}

/// The trace id in a `traceparent` (W3C Trace Context), if it is one.
pub(crate) fn trace_id(traceparent: &str) -> Option<TraceId> {
    let mut fields = traceparent.split('-');
    let (version, id) = (fields.next()?, fields.next()?);
    let fits = version.len() == 2 && id.len() == 32;
    let id = TraceId::from_hex(id).ok().filter(|_| fits)?;
    (id != TraceId::INVALID).then_some(id)
}

/// The context that a request may name.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            // Asked for with each request.
            "traceparent" => self.0.get(TRACEPARENT),
            other => self.0.get(other),
        };
        value?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_is_read_from_what_is_one() {
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let found = trace_id(&format!("00-{id}-00f067aa0ba902b7-01"));
        assert_eq!(found.map(|id| id.to_string()).as_deref(), Some(id));
        for other in [
            "",
            "00-",
            "00-zz-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "a secret",
        ] {
            assert_eq!(trace_id(other), None, "{other}");
        }
    }
}
