//! One access line per request. It tells what happened and from which address, never who: no user,
//! organization or token.
//! Every word in it is one of ours or of a standard; what a client makes up becomes `-`.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, request::Parts};
use mcp_outbound::HeadSampler;
use mcp_session::{Resolved, Session};
use opentelemetry::trace::TraceId;
use rmcp::model::ProtocolVersion;

use crate::{
    client_address::ClientAddress,
    connections::Place,
    headers::{PROTOCOL_VERSION, REQUEST_ID},
    observe::{AnsweredRequest, Rejection, RequestObserver},
    preview::RequestPreview,
    request_id,
    trace::{self, Trace},
};

/// Longest request id of a client that is written down.
const MAX_ID: usize = 64;

/// What the handler finds the client's own request id under.
const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("x-client-request-id");

/// In place of a name that a client made up.
const UNKNOWN: &str = "-";

/// What the access line of one request will say; filled in on the way.
pub(crate) struct AccessLine {
    started: Instant,
    request_id: HeaderValue,
    /// What the client calls the request, where that is plain.
    client_request_id: Option<HeaderValue>,
    address: Option<ClientAddress>,
    http_method: &'static str,
    /// The route, never the path as sent: a path may hold anything.
    route: &'static str,
    pub(crate) trace: Trace,
    trace_id: Option<TraceId>,
    mcp_method: Option<&'static str>,
    tool: Option<Cow<'static, str>>,
    protocol_version: Option<&'static str>,
    tier: Option<&'static str>,
    /// The place of its connection, which is told when it is known who calls.
    pub(crate) place: Option<Arc<Place>>,
    pub(crate) outcome: &'static str,
    /// Until it was known who calls.
    auth: Option<Duration>,
    /// What the handler took.
    handler: Option<Duration>,
    /// What an observer wants to know of a refusal; filled in only where there is one.
    pub(crate) issuer: Option<String>,
    /// What a token was for that was not for us: plain, bounded, and no token.
    pub(crate) audience: Option<String>,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) session: Option<Arc<Session>>,
    /// Why whoever calls is let in no more.
    pub(crate) cause: Option<&'static str>,
    /// A header of the message that was sent with two values.
    pub(crate) contradicted: Option<&'static str>,
    refused: bool,
    finished: bool,
    /// Whether another line has taken its place.
    handed_over: bool,
}

impl AccessLine {
    /// Begins with what the head says. `path` is that of the route, for a request that has a span.
    pub(crate) fn start(
        head: Option<&HeadSampler>,
        http_method: &Method,
        route: &'static str,
        path: Option<&str>,
        headers: &HeaderMap,
    ) -> Self {
        let http_method = name_of(http_method);
        let request_id = new_request_id();
        let trace = match path {
            Some(path) => Trace::begin(head, http_method, path, text(&request_id), headers),
            None => Trace::none(),
        };
        let client_request_id = headers.get(REQUEST_ID);
        let mut line = Self::new(http_method, route, trace, request_id);
        line.client_request_id = client_request_id.filter(|id| is_plain(id)).cloned();
        // Probes come every few seconds and say nothing new.
        line.finished = matches!(route, "health" | "ready");
        line
    }

    fn new(
        http_method: &'static str,
        route: &'static str,
        trace: Trace,
        request_id: HeaderValue,
    ) -> Self {
        Self {
            started: Instant::now(),
            request_id,
            client_request_id: None,
            address: None,
            http_method,
            route,
            trace,
            trace_id: None,
            mcp_method: None,
            tool: None,
            protocol_version: None,
            tier: None,
            place: None,
            outcome: "ok",
            auth: None,
            handler: None,
            issuer: None,
            audience: None,
            user_agent: None,
            session: None,
            cause: None,
            contradicted: None,
            refused: false,
            finished: false,
            handed_over: false,
        }
    }

    /// The line, for an answer that ends later than its head is sent. What stays in its place has the
    /// request id, and says nothing.
    pub(crate) fn hand_over(&mut self) -> Self {
        let mut rest = Self::new(
            self.http_method,
            self.route,
            Trace::none(),
            self.request_id.clone(),
        );
        rest.finished = true;
        rest.handed_over = true;
        std::mem::replace(self, rest)
    }

    pub(crate) fn request_id(&self) -> &str {
        text(&self.request_id)
    }

    /// Where the request comes from.
    pub(crate) fn from(&mut self, address: ClientAddress) {
        self.address = Some(address);
    }

    /// It is known who calls, or that it is not.
    pub(crate) fn authenticated(&mut self, resolved: Option<&Resolved>) {
        self.auth = Some(self.started.elapsed());
        if let Some(resolved) = resolved {
            let tier = resolved.tier.as_str();
            self.tier = Some(tier);
            self.trace.span.record(trace::TIER, tier);
            if let Some(place) = &self.place {
                let principal = resolved.session.principal();
                place.authenticated(principal.issuer(), principal.subject());
            }
        }
    }

    /// It is known what is asked for. `tool` gives the name of a tool that exists.
    pub(crate) fn message(
        &mut self,
        preview: &RequestPreview<'_>,
        headers: &HeaderMap,
        tool: impl FnOnce(&str) -> Option<Cow<'static, str>>,
    ) {
        // A response has none.
        let method = Some(&*preview.method).filter(|method| !method.is_empty());
        self.mcp_method = method.map(|method| known(METHODS, method));
        self.tool = preview
            .tool
            .as_deref()
            .map(|name| tool(name).unwrap_or(Cow::Borrowed(UNKNOWN)));
        let in_header = || headers.get(PROTOCOL_VERSION)?.to_str().ok();
        let version = preview.protocol_version.as_deref().or_else(in_header);
        self.protocol_version = version.map(version_of);
        self.trace_id = preview.traceparent.as_deref().and_then(trace::trace_id);
        let span = &self.trace.span;
        if !span.is_disabled() {
            span.record(trace::MCP_METHOD, self.mcp_method);
            span.record(trace::MCP_VERSION, self.protocol_version);
            span.record(trace::TOOL, self.tool.as_deref());
        }
    }

    /// What the handler will find of this in the request: its id and, as `x-client-request-id`, the
    /// client's own; the client's address, as an [`IpAddr`](std::net::IpAddr); and the trace.
    pub(crate) fn attach(&self, parts: &mut Parts) {
        let headers = &mut parts.headers;
        headers.insert(REQUEST_ID, self.request_id.clone());
        match &self.client_request_id {
            Some(id) => drop(headers.insert(CLIENT_REQUEST_ID, id.clone())),
            None => drop(headers.remove(CLIENT_REQUEST_ID)),
        }
        if let Some(address) = self.address {
            parts.extensions.insert(address.ip());
        }
        self.trace.attach(parts);
    }

    /// What is said of an answer that was not refused before the message was read.
    pub(crate) fn outcome_by(&mut self, status: StatusCode) {
        self.outcome = match status {
            status if status.is_client_error() => "protocol_error",
            status if status.is_server_error() => "internal_error",
            _ => "ok",
        };
    }

    /// The handler has answered after so long.
    pub(crate) fn handled(&mut self, duration: Duration) {
        self.handler = Some(duration);
    }

    /// The request is rejected before any work begins.
    pub(crate) fn refuse(&mut self, reason: &'static str) {
        self.outcome = reason;
        self.refused = true;
    }

    /// What an observer is told.
    fn answered(&self, status: StatusCode) -> AnsweredRequest<'_> {
        let rejection = || Rejection {
            reason: self.outcome,
            issuer: self.issuer.as_deref(),
            user_agent: self
                .user_agent
                .as_ref()
                .and_then(|agent| agent.to_str().ok()),
            request_id: self.request_id(),
            client_request_id: self.client_request_id.as_ref().map(text),
            client_address: self.address.map(|address| address.ip()),
            session: self.session.as_deref(),
            cause: self.cause,
            tool: self.tool.as_deref(),
        };
        AnsweredRequest {
            http_method: self.http_method,
            route: self.route,
            status: status.as_u16(),
            duration: self.started.elapsed(),
            rejection: self.refused.then(rejection),
        }
    }

    /// Writes the line, ends the span and tells the observer. Of an answer that tells of a call's
    /// progress the duration is that until its head.
    pub(crate) fn finish(&mut self, status: StatusCode, observer: Option<&RequestObserver>) {
        if self.handed_over {
            return;
        }
        self.close(status.as_u16());
        if let Some(observer) = observer {
            observer(&self.answered(status));
        }
    }

    fn close(&mut self, status: u16) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.trace.end(status, self.outcome);
        let trace_id = self.trace_id.or_else(|| self.trace.id());
        let proxy = self
            .address
            .filter(|address| address.peer() != address.ip());
        let proxy = proxy.map(|address| address.peer());
        tracing::info!(
            target: "access",
            request_id = self.request_id(),
            client_request_id = self.client_request_id.as_ref().map(text),
            client_address = self.address.map(|address| tracing::field::display(address.ip())),
            peer_address = proxy.map(tracing::field::display),
            trace_id = trace_id.map(tracing::field::display),
            http_method = self.http_method,
            route = self.route,
            mcp_method = self.mcp_method,
            tool = self.tool.as_deref(),
            protocol_version = self.protocol_version,
            tier = self.tier,
            outcome = self.outcome,
            audience = self.audience.as_deref(),
            cause = self.cause,
            status,
            auth_us = self.auth.map(micros),
            handler_us = self.handler.map(micros),
            duration_us = micros(self.started.elapsed()),
            "request"
        );
    }

    /// The request id as a header value.
    pub(crate) fn request_id_header(&self) -> HeaderValue {
        self.request_id.clone()
    }
}

impl Drop for AccessLine {
    /// A request that nobody waits for any more has its line too.
    fn drop(&mut self) {
        if !self.finished {
            self.outcome = "client_left";
            // As nginx has it; nobody was answered.
            self.close(499);
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The methods of all revisions.
const METHODS: &[&str] = &[
    "tools/call",
    "tools/list",
    "initialize",
    "server/discover",
    "ping",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "resources/subscribe",
    "resources/unsubscribe",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "logging/setLevel",
    "subscriptions/listen",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    "tasks/update",
    "tasks/cancel",
];

fn known(names: &[&'static str], name: &str) -> &'static str {
    let mut names = names.iter();
    names.find(|known| **known == name).unwrap_or(&UNKNOWN)
}

fn version_of(name: &str) -> &'static str {
    let mut versions = ProtocolVersion::KNOWN_VERSIONS.iter();
    let version = versions.find(|known| known.as_str() == name);
    version.map_or(UNKNOWN, ProtocolVersion::as_str)
}

fn text(id: &HeaderValue) -> &str {
    // Request ids are plain; see below.
    id.to_str().unwrap_or_default()
}

/// A method that has a standard; a client may send any word of any length for another.
fn name_of(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"];
    known
        .into_iter()
        .find(|name| *name == method.as_str())
        .unwrap_or("other")
}

/// Whether a client's request id can be written down.
fn is_plain(id: &HeaderValue) -> bool {
    let fits = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-' || *b == b'_';
    (1..=MAX_ID).contains(&id.len()) && id.as_bytes().iter().all(fits)
}

/// Ours, always: an id that a client may choose could be another request's.
fn new_request_id() -> HeaderValue {
    let mut buffer = uuid::Uuid::encode_buffer();
    let made = request_id::new().hyphenated().encode_lower(&mut buffer);
    // Hexadecimal digits and hyphens are fit for a header.
    HeaderValue::from_str(made).unwrap_or(HeaderValue::from_static(UNKNOWN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_makes_up_is_a_dash() {
        assert_eq!(known(METHODS, "tools/call"), "tools/call");
        assert_eq!(version_of("2026-07-28"), "2026-07-28");
        for name in ["", "tools/call ", "a\n", "é", "user_ada", "{\"a\":1}"] {
            assert_eq!(known(METHODS, name), "-", "{name}");
            assert_eq!(version_of(name), "-", "{name}");
        }
    }

    #[test]
    fn a_method_nobody_knows_is_not_written_down() {
        assert_eq!(name_of(&Method::POST), "POST");
        let long = Method::from_bytes("X".repeat(100_000).as_bytes()).unwrap();
        assert_eq!(name_of(&long), "other");
    }

    #[test]
    fn a_request_id_of_a_client_is_written_down_when_it_is_plain() {
        for plain in ["abcdef-123", "7", "A_b"] {
            assert!(is_plain(&HeaderValue::from_static(plain)), "{plain}");
        }
        let long = "a".repeat(MAX_ID + 1);
        for other in ["", "a b", "a\"b", "{}", long.as_str()] {
            assert!(!is_plain(&HeaderValue::from_str(other).unwrap()), "{other}");
        }
    }
}
