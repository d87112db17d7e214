//! What operators may ask on the admin listener, and change.
//!
//! Reading and changing are separate rights. Each kind of thing has a file with its routes and answers;
//! `routes.rs` joins them. Whatever changes something is told to the audit log here, in one place.

mod access;
mod answer;
mod browser;
mod guesses;
mod log_level;
mod openapi;
mod pages;
mod paging;
mod revocations;
mod routes;
mod sessions;
mod status;
mod tasks;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use mcp_auth::TokenVerifier;
use mcp_core::BrainGridClient;
use mcp_fleet::{Denials, Tasks};
use mcp_outbound::run_to_end;
use mcp_session::{RedisStore, SessionTiers};
use mcp_transport_http::ServerStatus;

pub(crate) use access::Access;
use access::{Refusal, address_of};
use answer::Problem;
pub(crate) use browser::Browsers;
use routes::{Call, Route};

use crate::audit::{Audit, OperatorAction};
use crate::metrics::Exposition;
use crate::operators::Operator;
use crate::telemetry::LogControl;

/// The running server, as operators see it.
pub(crate) struct Admin {
    pub(crate) access: Access,
    pub(crate) browsers: Browsers,
    pub(crate) audit: Option<Audit>,
    pub(crate) metrics: Exposition,
    pub(crate) log: LogControl,
    pub(crate) server: ServerStatus,
    pub(crate) verifier: TokenVerifier,
    pub(crate) sessions: SessionTiers,
    pub(crate) denials: Denials,
    pub(crate) tasks: Tasks,
    /// Without Redis, sessions are in this process.
    pub(crate) redis: Option<RedisStore>,
    pub(crate) api: BrainGridClient,
}

impl Admin {
    /// Answers one request. A change and its record are made to the end, also for whoever hangs up.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return self.routed(request).await;
        }
        let answered = run_to_end(async move { self.routed(request).await }, || {}).await;
        answered.unwrap_or_else(|| {
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "it failed; the log says more",
            )
            .into()
        })
    }

    async fn routed(self: Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        if is_below(path, pages::BEGIN) {
            return self.page(request).await;
        }
        let (route, step) = match routes::find(request.method(), path) {
            Ok(found) => found,
            Err(methods) if methods.is_empty() => {
                return Problem::new(StatusCode::NOT_FOUND, "no such path").into();
            }
            Err(methods) => return not_allowed(&methods),
        };
        match self.access.admit(route.needs, &request).await {
            Ok(operator) => self.perform(route, request, step, operator).await,
            Err(refusal) => {
                self.tell_refusal(route.id, &refusal, &request);
                Response::from(&refusal)
            }
        }
    }

    /// Answers on a route for somebody who may. What changes anything is on record before the answer.
    async fn perform(
        self: &Arc<Self>,
        route: &'static Route,
        request: Request<Bytes>,
        step: String,
        operator: Option<Operator>,
    ) -> Response<Bytes> {
        let mut action = OperatorAction::new(route.id, address_of(&request));
        action.operator = operator.map(|operator| operator.name);
        let call = Call { request, step };
        let answered = match call.check_query(route) {
            Ok(()) => (route.answer)(Arc::clone(self), call).await,
            Err(problem) => Err(problem),
        };
        let mut response = answered.unwrap_or_else(Response::from);
        if route.method != Method::GET {
            action.target = response.extensions_mut().remove().unwrap_or_default();
            self.tell_action(outcome(response.status()), action).await;
        }
        response
    }

    /// Puts on record what an operator did.
    async fn tell_action(&self, outcome: &'static str, action: OperatorAction) {
        if let Some(audit) = &self.audit {
            audit.write_operator_action(outcome, action).await;
        }
    }

    fn tell_refusal(&self, id: &'static str, refusal: &Refusal, request: &Request<Bytes>) {
        let (Some(audit), Some(reason)) = (&self.audit, refusal.reason()) else {
            return;
        };
        let mut action = OperatorAction::new(id, address_of(request));
        action.operator = refusal.operator().map(|operator| operator.name.clone());
        audit.refused_operator(reason, action);
    }

    /// The issuers of this server.
    fn issuers(&self) -> Vec<String> {
        let status = self.verifier.status().into_iter();
        status.map(|issuer| issuer.issuer).collect()
    }
}

fn is_below(path: &str, begin: &str) -> bool {
    let rest = path.strip_prefix(begin);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How a change ended.
fn outcome(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..300 => "ok",
        400..500 => "refused",
        _ => "failed",
    }
}

fn not_allowed(methods: &[Method]) -> Response<Bytes> {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not this way");
    let mut response = Response::from(problem);
    let names: Vec<_> = methods.iter().map(Method::as_str).collect();
    // Names of methods are always a header's value.
    if let Ok(allow) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}
