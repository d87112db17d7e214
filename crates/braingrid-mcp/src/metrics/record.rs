//! The one way to record what happened: three events, each told by the crate where it happens.

use std::sync::Arc;

use http::Method;
use mcp_core::{FinishedOperation, FinishedRequest};
use mcp_transport_http::AnsweredRequest;
use opentelemetry::{
    KeyValue, Value,
    metrics::{Counter, Histogram, Meter},
};

use super::{
    client::client_kind,
    dogstatsd::Agent,
    names::{self, Metric},
};

/// Upper bounds in seconds: from an answer out of memory to five minutes of BrainGrid's AI.
const BOUNDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0,
];

/// Records events. It waits for nothing.
pub(crate) struct Recorder {
    operations: Histogram<f64>,
    requests: Histogram<f64>,
    api_requests: Histogram<f64>,
    refusals: Counter<u64>,
    agent: Option<Arc<Agent>>,
}

impl Recorder {
    pub(super) fn new(meter: &Meter, agent: Option<Arc<Agent>>) -> Self {
        Self {
            operations: histogram(meter, &names::OPERATIONS),
            requests: histogram(meter, &names::REQUESTS),
            api_requests: histogram(meter, &names::API_REQUESTS),
            refusals: meter
                .u64_counter(names::REFUSALS.name)
                .with_unit(names::REFUSALS.unit)
                .with_description(names::REFUSALS.says)
                .build(),
            agent,
        }
    }

    /// An MCP request is over.
    pub(crate) fn operation(&self, done: &FinishedOperation<'_>) {
        let mut labels = Vec::with_capacity(5);
        labels.push(KeyValue::new(names::METHOD, done.method));
        if let Some(tool) = done.tool {
            labels.push(KeyValue::new(names::TOOL, Value::from(tool.clone())));
        }
        if let Some(revision) = done.protocol_version {
            labels.push(KeyValue::new(names::REVISION, revision));
        }
        if let Some(error) = error_type(done.outcome) {
            labels.push(KeyValue::new(names::ERROR, error));
        }
        labels.push(KeyValue::new(names::OUTCOME, done.outcome));
        self.operations.record(done.duration.as_secs_f64(), &labels);
        if let (Some(agent), Some(tool)) = (&self.agent, done.tool) {
            agent.tool_called(tool, done.outcome == "ok", done.duration);
        }
    }

    /// An HTTP request was answered.
    pub(crate) fn request(&self, done: &AnsweredRequest<'_>) {
        let labels = [
            KeyValue::new(names::HTTP_METHOD, done.http_method),
            KeyValue::new(names::HTTP_ROUTE, done.route),
            KeyValue::new(names::HTTP_STATUS, i64::from(done.status)),
        ];
        self.requests.record(done.duration.as_secs_f64(), &labels);
        if let Some(refusal) = &done.refusal {
            let issuer = refusal.issuer.unwrap_or("other").to_owned();
            let labels = [
                KeyValue::new(names::REASON, refusal.reason),
                KeyValue::new(names::ISSUER, issuer),
                KeyValue::new(names::CLIENT, client_kind(refusal.user_agent)),
            ];
            self.refusals.add(1, &labels);
        }
    }

    /// A request to BrainGrid is over.
    pub(crate) fn api_request(&self, done: &FinishedRequest) {
        let mut labels = Vec::with_capacity(4);
        labels.push(KeyValue::new(names::OPERATION, done.operation));
        labels.push(KeyValue::new(names::HTTP_METHOD, standard(&done.method)));
        if let Some(status) = done.status {
            labels.push(KeyValue::new(names::HTTP_STATUS, i64::from(status)));
        }
        if done.outcome != "ok" {
            labels.push(KeyValue::new(names::ERROR, done.outcome));
        }
        self.api_requests
            .record(done.duration.as_secs_f64(), &labels);
    }
}

fn histogram(meter: &Meter, metric: &Metric) -> Histogram<f64> {
    meter
        .f64_histogram(metric.name)
        .with_unit(metric.unit)
        .with_description(metric.says)
        .with_boundaries(BOUNDS.to_vec())
        .build()
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
