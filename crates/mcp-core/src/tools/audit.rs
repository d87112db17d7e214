//! Tells an auditor about every call that changes something, and every call refused for its scopes.

use std::sync::Arc;

use rmcp::{RoleServer, model::JsonObject, service::RequestContext};

use crate::Caller;

/// Is told when a call begins, and gives what is to be told its outcome when it has ended. Both
/// are on the path of the call: neither may wait for anything.
pub type Auditor = Arc<dyn Fn(&AuditedCall<'_>) -> CallEnd + Send + Sync>;

/// Takes the outcome: `ok`, or the name of what went wrong.
pub type CallEnd = Box<dyn FnOnce(&'static str) + Send>;

/// A call of a tool.
#[derive(Debug)]
#[non_exhaustive]
pub struct AuditedCall<'a> {
    /// On whose behalf.
    pub caller: &'a Caller,
    /// The canonical name of the tool.
    pub tool: &'a str,
    /// The arguments as they came: for a digest, never to be kept.
    pub arguments: Option<&'a JsonObject>,
    /// The id of the HTTP request, where there is one.
    pub request_id: Option<&'a str>,
}

/// A call that is under way. However it ends, the auditor hears of it.
pub(super) struct Audited(Option<CallEnd>);

impl Audited {
    pub(super) fn begin(
        auditor: Option<&Auditor>,
        caller: &Caller,
        tool: &str,
        arguments: Option<&JsonObject>,
        context: &RequestContext<RoleServer>,
    ) -> Self {
        let Some(auditor) = auditor else {
            return Self(None);
        };
        let parts = context.extensions.get::<http::request::Parts>();
        let request_id = parts.and_then(|parts| parts.headers.get("x-request-id")?.to_str().ok());
        Self(Some(auditor(&AuditedCall {
            caller,
            tool,
            arguments,
            request_id,
        })))
    }

    pub(super) fn end(mut self, outcome: &'static str) {
        if let Some(end) = self.0.take() {
            end(outcome);
        }
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        if let Some(end) = self.0.take() {
            end("aborted");
        }
    }
}
