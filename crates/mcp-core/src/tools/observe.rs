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

/// An operation under way; reports when it is dropped, so that one that is given up counts too.
pub(super) struct Operation(Option<Open>);

struct Open {
    observer: OperationObserver,
    started: Instant,
    method: &'static str,
    tool: Option<Cow<'static, str>>,
    protocol_version: Option<&'static str>,
    outcome: &'static str,
}

impl Operation {
    /// Begins to watch, if somebody wants to know.
    pub(super) fn begin(
        observer: Option<&OperationObserver>,
        method: &'static str,
        context: &RequestContext<RoleServer>,
    ) -> Self {
        Self(observer.map(|observer| {
            Open {
                observer: Arc::clone(observer),
                started: Instant::now(),
                method,
                tool: None,
                protocol_version: context
                    .protocol_version()
                    .and_then(|version| known(&version)),
                outcome: "cancelled",
            }
        }))
    }

    pub(super) fn of_tool(&mut self, tool: &Tool) {
        if let Some(open) = &mut self.0 {
            open.tool = Some(tool.name.clone());
        }
    }

    pub(super) fn in_revision(&mut self, version: &ProtocolVersion) {
        if let Some(open) = &mut self.0 {
            open.protocol_version = known(version);
        }
    }

    pub(super) fn end(mut self, outcome: &'static str) {
        if let Some(open) = &mut self.0 {
            open.outcome = outcome;
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let Some(open) = &self.0 else { return };
        (open.observer)(&FinishedOperation {
            method: open.method,
            tool: open.tool.as_ref(),
            protocol_version: open.protocol_version,
            outcome: open.outcome,
            duration: open.started.elapsed(),
        });
    }
}

/// A revision by its own name: what a client makes up has none here.
fn known(version: &ProtocolVersion) -> Option<&'static str> {
    let mut known = ProtocolVersion::KNOWN_VERSIONS.iter();
    known
        .find(|known| *known == version)
        .map(ProtocolVersion::as_str)
}
