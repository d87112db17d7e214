//! Tells an auditor about every call that changes something, and every call refused for its scopes:
//! what it is about to do before a write leaves, and how it ended.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::future::BoxFuture;
use http::{HeaderName, HeaderValue};
use rmcp::{RoleServer, model::JsonObject, service::RequestContext};

use crate::Caller;

/// Is told when a call begins, and gives what is to be told of the rest. It is on the path of the
/// call and may not wait for anything.
pub type Auditor = Arc<dyn Fn(&AuditedCall<'_>) -> Box<dyn CallAudit> + Send + Sync>;

/// What an auditor keeps of a call that is under way.
pub trait CallAudit: Send + Sync {
    /// A write is about to leave for BrainGrid; it leaves when this completes. Told once, and not at
    /// all when nothing comes to be sent.
    fn intend(&self) -> BoxFuture<'static, ()>;

    /// The call is over: `ok`, `replayed` where another call had done it, or the name of what went wrong.
    /// Told once, however it ends.
    fn end(&self, outcome: &'static str);
}

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
    /// What the client called that request: its word, in the header `x-client-request-id`.
    pub client_request_id: Option<&'a str>,
    /// The client's address, where the transport put one into the extensions of the request.
    pub client_address: Option<IpAddr>,
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the HTTP request that a call came with, if it came with one.
pub(super) fn request_id(context: &RequestContext<RoleServer>) -> Option<&HeaderValue> {
    let parts = context.extensions.get::<http::request::Parts>()?;
    parts.headers.get(REQUEST_ID)
}

/// A call that is under way. However it ends, the auditor hears of it. A cheap handle.
#[derive(Clone, Default)]
pub(super) struct Audited(Option<Arc<Trail>>);

struct Trail {
    audit: Box<dyn CallAudit>,
    intended: AtomicBool,
    ended: AtomicBool,
}

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
        let header = |name| parts.and_then(|parts| parts.headers.get(name)?.to_str().ok());
        Self(Some(Arc::new(Trail {
            audit: auditor(&AuditedCall {
                caller,
                tool,
                arguments,
                request_id: header("x-request-id"),
                client_request_id: header("x-client-request-id"),
                client_address: parts.and_then(|parts| parts.extensions.get().copied()),
            }),
            intended: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        })))
    }

    /// Completes when a write may leave.
    pub(super) async fn intend(&self) {
        if let Some(trail) = &self.0
            && !trail.intended.swap(true, Ordering::Relaxed)
        {
            trail.audit.intend().await;
        }
    }

    pub(super) fn end(&self, outcome: &'static str) {
        if let Some(trail) = &self.0 {
            trail.end(outcome);
        }
    }
}

impl Trail {
    fn end(&self, outcome: &'static str) {
        if !self.ended.swap(true, Ordering::Relaxed) {
            self.audit.end(outcome);
        }
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.end("aborted");
    }
}
