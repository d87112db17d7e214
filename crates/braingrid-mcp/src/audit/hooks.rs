//! What the tools and the HTTP edge tell of calls and refusals, as records.

use std::sync::Arc;

use jiff::Timestamp;
use mcp_core::{Auditor, Caller};
use mcp_session::Session;
use mcp_transport_http::{Refusal, RequestObserver};
use serde_json::Map;

use super::{Audit, Digest, Event, Record};

impl Audit {
    /// For [`mcp_core::ToolSet::with_auditor`].
    pub(crate) fn of_calls(&self, digest: Digest) -> Auditor {
        let audit = self.clone();
        Arc::new(move |call| {
            let none = Map::new();
            let arguments = call.arguments.unwrap_or(&none);
            let mut record = Record::now(Event::ToolCall, "");
            record.subject = call.caller.subject().map(str::to_owned);
            record.arguments = Some(digest.of(
                organization_of(call.caller).as_deref(),
                call.tool,
                arguments,
            ));
            record.tool = Some(call.tool.to_owned());
            record.request_id = call.request_id.map(str::to_owned);
            let (audit, caller) = (audit.clone(), call.caller.clone());
            Box::new(move |outcome| {
                record.time = Timestamp::now();
                record.outcome = outcome;
                // Over stdio, the call itself may have found out which it is.
                record.organization = organization_of(&caller);
                audit.record(record);
            })
        })
    }

    /// For [`mcp_transport_http::HttpServer::with_observer`].
    pub(crate) fn of_refusals(&self) -> RequestObserver {
        let audit = self.clone();
        Arc::new(move |request| {
            if let Some(refusal) = &request.refusal
                // Stopping is nobody's fault, and no decision about anybody.
                && refusal.reason != "draining"
            {
                audit.record(refused(refusal));
            }
        })
    }
}

/// A person is named only where a verified token named them.
fn refused(refusal: &Refusal<'_>) -> Record {
    let mut record = Record::now(Event::Refusal, refusal.reason);
    if let Some(principal) = refusal.session.map(Session::principal) {
        record.subject = Some(principal.subject().to_owned());
        record.organization = principal.organization().map(str::to_owned);
    }
    record.tool = refusal.tool.map(str::to_owned);
    record.request_id = Some(refusal.request_id.to_owned());
    record
}

fn organization_of(caller: &Caller) -> Option<String> {
    let id = caller.organization().id()?;
    Some(id.as_str().to_owned())
}
