//! The spans of this crate, the names in them, and how a trace comes in and goes on.
//!
//! The span of an MCP request is the tool's as well, as OpenTelemetry's conventions for MCP have
//! it. Its parent is what the message says (`_meta`, SEP-414), else the span of the HTTP request
//! around it. Arguments and results are never in a span.

use std::fmt;

use futures::future::Either;
use http::request::Parts;
use mcp_outbound::{HeadSampler, is_untraced, remote_context};
use opentelemetry::{
    Context,
    context::FutureExt as _,
    propagation::Extractor,
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, HTTP_REQUEST_METHOD as HTTP_METHOD, HTTP_REQUEST_RESEND_COUNT as RESENDS,
    HTTP_RESPONSE_STATUS_CODE as HTTP_STATUS, JSONRPC_REQUEST_ID as REQUEST_ID,
    NETWORK_TRANSPORT as TRANSPORT, RPC_RESPONSE_STATUS_CODE as RPC_STATUS,
    SERVER_ADDRESS as SERVER,
};
use rmcp::{
    ErrorData, RoleServer,
    model::{CallToolResponse, JsonObject, NumberOrString, ProtocolVersion},
    service::RequestContext,
};
use tracing::{Instrument as _, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// OpenTelemetry, generative AI: what a tool call is called there.
const GEN_AI_OPERATION: &str = "gen_ai.operation.name";
/// OpenTelemetry, generative AI: the tool.
const TOOL: &str = "gen_ai.tool.name";
/// OpenTelemetry, MCP: the method of the message.
const METHOD: &str = "mcp.method.name";
/// OpenTelemetry, MCP: the revision.
const VERSION: &str = "mcp.protocol.version";
/// How the request ended, as metrics have it.
const OUTCOME: &str = "mcp.request.outcome";
/// What BrainGrid is asked for.
const OPERATION: &str = "braingrid.operation";

/// What the span of a message is called inside this process: samplers know it by this name.
pub const REQUEST_SPAN: &str = "mcp.request";

/// What the span of a request is called: the method, and the tool where there is one.
struct Name<'a>(&'a str, Option<&'a str>);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)?;
        match self.1 {
            Some(tool) => write!(f, " {tool}"),
            None => Ok(()),
        }
    }
}

/// The trace of one MCP request.
pub(crate) struct RequestTrace {
    span: Span,
    /// Where there is no span: the context to be passed on as it is.
    passing: Option<Context>,
}

impl RequestTrace {
    /// Begins the span of a request, if it is traced; `tool` is one that exists.
    pub(crate) fn begin(
        head: Option<&HeadSampler>,
        method: &'static str,
        tool: Option<&str>,
        context: &RequestContext<RoleServer>,
    ) -> Self {
        let parts = context.extensions.get::<Parts>();
        let around = parts.and_then(|parts| parts.extensions.get::<Context>());
        // The client's span may be named in both places: then one is below the other.
        let client = around.and_then(|around| around.get::<SpanContext>());
        let elsewhere = remote_context(&Meta(&context.meta)).filter(|of_message| {
            client.is_none_or(|client| !same(client, of_message.span().span_context()))
        });
        let linked = around.filter(|_| elsewhere.is_some());
        let mut parent = elsewhere.or_else(|| around.cloned());
        if let Some(head) = head {
            parent = Some(head(parent.unwrap_or_default()));
        }
        if parent.as_ref().is_some_and(is_untraced) {
            return Self {
                span: Span::none(),
                passing: parent,
            };
        }
        let span = tracing::info_span!(
            parent: None,
            REQUEST_SPAN,
            otel.name = %Name(method, tool),
            otel.kind = "server",
            otel.status_code = Empty,
            { METHOD } = method,
            { VERSION } = context.protocol_version().as_ref().and_then(known),
            { REQUEST_ID } = plain(&context.id).map(tracing::field::display),
            { RPC_STATUS } = Empty,
            { GEN_AI_OPERATION } = tool.map(|_| "execute_tool"),
            { TOOL } = tool,
            { TRANSPORT } = if parts.is_some() { "tcp" } else { "pipe" },
            { ERROR_TYPE } = Empty,
            { OUTCOME } = Empty,
        );
        if span.is_disabled() {
            return Self {
                span,
                passing: parent,
            };
        }
        if let Some(around) = linked {
            span.add_link(around.span().span_context().clone());
        }
        if let Some(parent) = parent {
            // Fails only for a span that has begun, and this one has not.
            let _ = span.set_parent(parent);
        }
        Self {
            span,
            passing: None,
        }
    }

    /// Does the work in this trace.
    pub(crate) fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        match &self.passing {
            Some(context) => Either::Left(work.with_context(context.clone())),
            None => Either::Right(work.instrument(self.span.clone())),
        }
    }

    /// How the request ended: the outcome, and the protocol error or whether the result is one.
    pub(crate) fn end(&self, outcome: &'static str, failed: Failed<'_>) {
        if self.span.is_disabled() {
            return;
        }
        self.span.record(OUTCOME, outcome);
        match failed {
            Failed::No => {}
            Failed::Result => {
                self.span.record(ERROR_TYPE, "tool_error");
                self.span.record("otel.status_code", "ERROR");
            }
            Failed::Protocol(error) => {
                let code = error.code.0;
                self.span.record(ERROR_TYPE, tracing::field::display(code));
                self.span.record(RPC_STATUS, tracing::field::display(code));
                // The others are the client's.
                if code == -32603 || (-32099..=-32000).contains(&code) {
                    self.span.record("otel.status_code", "ERROR");
                }
            }
        }
    }
}

/// What, if anything, is wrong with an answer.
pub(crate) enum Failed<'a> {
    No,
    /// A result that says so.
    Result,
    /// An error instead of a result.
    Protocol(&'a ErrorData),
}

impl<'a> Failed<'a> {
    /// Of the answer to a call.
    pub(crate) fn call(answer: &'a Result<CallToolResponse, ErrorData>) -> Self {
        match answer {
            Ok(CallToolResponse::Complete(result)) if result.is_error == Some(true) => Self::Result,
            answer => Self::other(answer),
        }
    }

    /// Of another answer.
    pub(crate) fn other<T>(answer: &'a Result<T, ErrorData>) -> Self {
        answer.as_ref().err().map_or(Self::No, Self::Protocol)
    }
}

/// A request to BrainGrid.
pub(crate) fn api_request(operation: &'static str, method: &str, server: Option<&str>) -> Span {
    // A subscriber would make it for nobody.
    if Context::map_current(is_untraced) {
        return Span::none();
    }
    tracing::info_span!(
        "braingrid.request",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        { OPERATION } = operation,
        { HTTP_METHOD } = method,
        { SERVER } = server,
        { HTTP_STATUS } = Empty,
        { RESENDS } = Empty,
        { ERROR_TYPE } = Empty,
    )
}

/// How a request to BrainGrid ended.
pub(crate) fn api_ended(span: &Span, status: Option<u16>, attempts: u32, error: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(status) = status {
        // Other numbers become texts on their way.
        span.record(HTTP_STATUS, i64::from(status));
    }
    if attempts > 1 {
        span.record(RESENDS, i64::from(attempts - 1));
    }
    if let Some(error) = error {
        span.record(ERROR_TYPE, error);
        span.record("otel.status_code", "ERROR");
    }
}

/// A revision by its own name: what a client makes up has none here.
pub(crate) fn known(version: &ProtocolVersion) -> Option<&'static str> {
    let mut known = ProtocolVersion::KNOWN_VERSIONS.iter();
    known
        .find(|known| *known == version)
        .map(ProtocolVersion::as_str)
}

/// An id that is a number or looks like one that a program made; a client may send any text.
fn plain(id: &NumberOrString) -> Option<&NumberOrString> {
    const LONGEST: usize = 36;
    match id {
        NumberOrString::Number(_) => Some(id),
        NumberOrString::String(text) => {
            let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (text.len() <= LONGEST && text.bytes().all(fits)).then_some(id)
        }
    }
}

/// Whether both name the same span.
fn same(one: &SpanContext, other: &SpanContext) -> bool {
    one.span_id() == other.span_id() && one.trace_id() == other.trace_id()
}

/// The context that a message may name.
struct Meta<'a>(&'a JsonObject);

impl Extractor for Meta<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.as_str()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }
}
