//! Tells an observer about every operation that ended, for metrics.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use rmcp::{
    RoleServer,
    model::{ProtocolVersion, Tool},
    service::RequestContext,
};

use mcp_outbound::HeadSampler;

use crate::spans::{Failed, RequestTrace, known};

/// Is told about every operation that ended.
pub type OperationObserver = Arc<dyn Fn(&FinishedOperation<'_>) + Send + Sync>;

/// An MCP request that was answered, or whose client left.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedOperation<'a> {
    /// The MCP method, such as `tools/call`.
    pub method: &'static str,
    /// The canonical name of the tool, for a call of one that exists here.
    pub tool: Option<&'a Cow<'static, str>>,
    /// The protocol revision, where the request or its client named a known one.
    pub protocol_version: Option<&'static str>,
    /// `ok`, `invalid_params` or `internal_error` for a JSON-RPC error, else the kind of the tool's
    /// error: `not_found`, `rate_limited`, `cancelled`, …
    pub outcome: &'static str,
    /// From the handler's begin to its end.
    pub duration: Duration,
}

/// An operation under way, for its observer and its trace. It is reported when it is dropped, so
/// that one that is given up counts too.
pub(super) struct Operation {
    trace: RequestTrace,
    watched: Option<Watched>,
    ended: bool,
}

struct Watched {
    observer: OperationObserver,
    started: Instant,
    method: &'static str,
    tool: Option<Cow<'static, str>>,
    protocol_version: Option<&'static str>,
    outcome: &'static str,
}

impl Operation {
    /// Begins to watch, if somebody wants to know. `tool` is one that exists.
    pub(super) fn begin(
        head: Option<&HeadSampler>,
        observer: Option<&OperationObserver>,
        method: &'static str,
        tool: Option<&Tool>,
        context: &RequestContext<RoleServer>,
    ) -> Self {
        let watched = observer.map(|observer| Watched {
            observer: Arc::clone(observer),
            started: Instant::now(),
            method,
            tool: tool.map(|tool| tool.name.clone()),
            protocol_version: context.protocol_version().as_ref().and_then(known),
            outcome: "cancelled",
        });
        Self {
            trace: RequestTrace::begin(head, method, tool.map(|tool| &*tool.name), context),
            watched,
            ended: false,
        }
    }

    pub(super) fn in_revision(&mut self, version: &ProtocolVersion) {
        if let Some(watched) = &mut self.watched {
            watched.protocol_version = known(version);
        }
    }

    /// Does the work in the operation's trace.
    pub(super) fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.trace.run(work)
    }

    pub(super) fn end(mut self, outcome: &'static str, failed: Failed<'_>) {
        if let Some(watched) = &mut self.watched {
            watched.outcome = outcome;
        }
        self.trace.end(outcome, failed);
        self.ended = true;
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.ended {
            self.trace.end("cancelled", Failed::No);
        }
        let Some(watched) = &self.watched else { return };
        (watched.observer)(&FinishedOperation {
            method: watched.method,
            tool: watched.tool.as_ref(),
            protocol_version: watched.protocol_version,
            outcome: watched.outcome,
            duration: watched.started.elapsed(),
        });
    }
}
