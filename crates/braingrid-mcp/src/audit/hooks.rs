//! What the tools and the HTTP edge tell of calls and refusals, as records.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use jiff::Timestamp;
use mcp_core::{Auditor, CallAudit, Caller};
use mcp_session::Session;
use mcp_transport_http::{Rejection, RequestObserver};
use serde_json::Map;

use crate::caller::parties_of;

use super::{Audit, Digest, Event, Record, new_call_id};

impl Audit {
    /// For [`mcp_core::ToolSet::with_auditor`].
    pub(crate) fn of_calls(&self, digest: Digest) -> Auditor {
        let audit = self.clone();
        Arc::new(move |call| {
            let none = Map::new();
            let arguments = call.arguments.unwrap_or(&none);
            let mut record = Record::now(Event::ToolCall, "");
            record.subject = call.caller.subject().map(str::to_owned);
            record.name(call.caller.parties());
            record.arguments = Some(digest.of(
                organization_of(call.caller).as_deref(),
                call.tool,
                arguments,
            ));
            record.tool = Some(call.tool.to_owned());
            record.request_id = call.request_id.map(str::to_owned);
            record.client_request_id = call.client_request_id.map(str::to_owned);
            record.client_address = call.client_address;
            record.call_id = Some(new_call_id());
            Box::new(Call {
                audit: audit.clone(),
                caller: call.caller.clone(),
                record,
            })
        })
    }

    /// For [`mcp_transport_http::HttpServer::with_observer`].
    pub(crate) fn of_refusals(&self) -> RequestObserver {
        let audit = self.clone();
        Arc::new(move |request| {
            if let Some(rejection) = &request.rejection
                // Stopping is nobody's fault, and no decision about anybody; and without a token
                // nobody asked for anything yet: every client's first request is like that.
                && !matches!(rejection.reason, "draining" | "no_token" | "limited")
            {
                audit.record(refused(rejection));
            }
        })
    }
}

/// A call under way, and what is known of it.
struct Call {
    audit: Audit,
    caller: Caller,
    record: Record,
}

impl Call {
    fn now(&self, event: Event, outcome: &'static str) -> Record {
        let mut record = self.record.clone();
        record.time = Timestamp::now();
        (record.event, record.outcome) = (event, outcome);
        // Over stdio, the call itself may have found out which it is.
        record.organization = organization_of(&self.caller);
        record
    }
}

impl CallAudit for Call {
    fn intend(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.audit.write(self.now(Event::Intent, "pending")))
    }

    fn end(&self, outcome: &'static str) {
        self.audit.record(self.now(Event::ToolCall, outcome));
    }
}

/// A person is named only where a verified token named them.
fn refused(rejection: &Rejection<'_>) -> Record {
    let mut record = Record::now(Event::Refusal, rejection.reason);
    if let Some(principal) = rejection.session.map(Session::principal) {
        record.subject = Some(principal.subject().to_owned());
        record.organization = principal.organization().map(str::to_owned);
    }
    if let Some(session) = rejection.session {
        record.name(parties_of(session));
    }
    record.cause = rejection.cause.map(str::to_owned);
    record.tool = rejection.tool.map(str::to_owned);
    record.request_id = Some(rejection.request_id.to_owned());
    record.client_request_id = rejection.client_request_id.map(str::to_owned);
    record.client_address = rejection.client_address;
    record
}

fn organization_of(caller: &Caller) -> Option<String> {
    let id = caller.organization().id()?;
    Some(id.as_str().to_owned())
}
