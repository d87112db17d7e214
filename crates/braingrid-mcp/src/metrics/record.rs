//! The one way to record what happened: events, each told by the crate where it happens.

mod authorization_server;

use std::{borrow::Cow, sync::Arc};

use http::Method;
use mcp_authorization_server::Event;
use mcp_core::{FinishedApiRequest, FinishedOperation};
use mcp_transport_http::AnsweredRequest;
use opentelemetry::{
    KeyValue, Value,
    metrics::{Counter, Meter},
};

use super::{
    client::client_kind,
    dogstatsd::Agent,
    names::{self, Metric},
    series::{Durations, Labels},
};
use authorization_server::AuthorizationServer;

/// Upper bounds in seconds: from an answer out of memory to five minutes of BrainGrid's AI.
const BOUNDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0,
];

/// Records events. It waits for nothing.
pub(crate) struct Recorder {
    operations: Durations<Operation>,
    requests: Durations<HttpRequest>,
    api_requests: Durations<ApiRequest>,
    refusals: Counter<u64>,
    provider_events: Counter<u64>,
    authorization_server: AuthorizationServer,
    agent: Option<Arc<Agent>>,
}

impl Recorder {
    pub(super) fn new(meter: &Meter, agent: Option<Arc<Agent>>) -> Self {
        Self {
            operations: durations(meter, &names::OPERATIONS),
            requests: durations(meter, &names::REQUESTS),
            api_requests: durations(meter, &names::API_REQUESTS),
            refusals: counter(meter, &names::REFUSALS),
            provider_events: counter(meter, &names::PROVIDER_EVENTS),
            authorization_server: AuthorizationServer::new(meter),
            agent,
        }
    }

    /// An MCP request is over.
    pub(crate) fn operation(&self, done: &FinishedOperation<'_>) {
        let labels = Operation {
            method: done.method,
            tool: done.tool.cloned(),
            revision: done.protocol_version,
            outcome: done.outcome,
        };
        self.operations.record(labels, done.duration);
        if let (Some(agent), Some(tool)) = (&self.agent, done.tool) {
            agent.tool_called(tool, done.outcome == "ok", done.duration);
        }
    }

    /// An HTTP request was answered.
    pub(crate) fn request(&self, done: &AnsweredRequest<'_>) {
        let labels = HttpRequest {
            method: done.http_method,
            route: done.route,
            status: done.status,
        };
        self.requests.record(labels, done.duration);
        if let Some(refusal) = &done.rejection {
            let issuer = refusal.issuer.unwrap_or("other").to_owned();
            let labels = [
                KeyValue::new(names::REASON, refusal.reason),
                KeyValue::new(names::ISSUER, issuer),
                KeyValue::new(names::CLIENT, client_kind(refusal.user_agent)),
            ];
            self.refusals.add(1, &labels);
        }
    }

    /// An identity provider told something.
    pub(crate) fn provider_event(&self, source: &'static str, outcome: &'static str) {
        let labels = [
            KeyValue::new(names::SOURCE, source),
            KeyValue::new(names::OUTCOME, outcome),
        ];
        self.provider_events.add(1, &labels);
    }

    /// Something happened in our own authorization server.
    pub(crate) fn authorization_server(&self, event: Event) {
        self.authorization_server.record(event);
    }

    /// A request to BrainGrid is over.
    pub(crate) fn api_request(&self, done: &FinishedApiRequest) {
        let labels = ApiRequest {
            operation: done.operation,
            method: standard(&done.method),
            status: done.status,
            outcome: done.outcome,
        };
        self.api_requests.record(labels, done.duration);
    }
}

/// The labels of an MCP request.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Operation {
    tool: Option<Cow<'static, str>>,
    method: &'static str,
    revision: Option<&'static str>,
    outcome: &'static str,
}

impl Labels for Operation {
    fn attributes(&self) -> Vec<KeyValue> {
        let mut labels = vec![
            KeyValue::new(names::METHOD, self.method),
            KeyValue::new(names::OUTCOME, self.outcome),
        ];
        if let Some(tool) = &self.tool {
            labels.push(KeyValue::new(names::TOOL, Value::from(tool.clone())));
        }
        if let Some(revision) = self.revision {
            labels.push(KeyValue::new(names::REVISION, revision));
        }
        if let Some(error) = error_type(self.outcome) {
            labels.push(KeyValue::new(names::ERROR, error));
        }
        labels
    }
}

/// The labels of an HTTP request.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct HttpRequest {
    method: &'static str,
    route: &'static str,
    status: u16,
}

impl Labels for HttpRequest {
    fn attributes(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new(names::HTTP_METHOD, self.method),
            KeyValue::new(names::HTTP_ROUTE, self.route),
            KeyValue::new(names::HTTP_STATUS, i64::from(self.status)),
        ]
    }
}

/// The labels of a request to BrainGrid.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ApiRequest {
    operation: &'static str,
    method: &'static str,
    status: Option<u16>,
    outcome: &'static str,
}

impl Labels for ApiRequest {
    fn attributes(&self) -> Vec<KeyValue> {
        let mut labels = vec![
            KeyValue::new(names::OPERATION, self.operation),
            KeyValue::new(names::HTTP_METHOD, self.method),
        ];
        if let Some(status) = self.status {
            labels.push(KeyValue::new(names::HTTP_STATUS, i64::from(status)));
        }
        if self.outcome != "ok" {
            labels.push(KeyValue::new(names::ERROR, self.outcome));
        }
        labels
    }
}

fn counter(meter: &Meter, metric: &Metric) -> Counter<u64> {
    let counter = meter.u64_counter(metric.name).with_unit(metric.unit);
    counter.with_description(metric.says).build()
}

fn durations<L: Labels>(meter: &Meter, metric: &Metric) -> Durations<L> {
    let histogram = meter.f64_histogram(metric.name).with_unit(metric.unit);
    let histogram = histogram.with_description(metric.says);
    Durations::new(histogram.with_boundaries(BOUNDS.to_vec()).build())
}

/// As the semantic conventions of MCP have it: the JSON-RPC code, or `tool_error` for a result that
/// is one. A call that cannot be done as it was made is the caller's mistake and no error.
fn error_type(outcome: &str) -> Option<&'static str> {
    match outcome {
        "ok" | "invalid_params" => None,
        "internal_error" => Some("-32603"),
        "cancelled" => Some("cancelled"),
        _ => Some("tool_error"),
    }
}

/// The method as a word of our own.
fn standard(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "_OTHER",
    }
}
