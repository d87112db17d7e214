//! How the server is: metrics, readiness, build.

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode};
use mcp_session::SharedStore as _;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json as object};

use super::access::Needs;
use super::answer::{json, text};
use super::routes::{self, Content, Route};
use super::{Admin, pages};
use crate::metrics::Exposition;
use crate::version;

pub(super) static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/metrics",
        needs: Needs::Metrics,
        id: "metrics",
        summary: "All numbers, for Prometheus",
        query: &[],
        body: None,
        content: Content::Other("text/plain"),
        answer: |admin, _| {
            Box::pin(async move { Ok(text(Exposition::MEDIA_TYPE, admin.metrics.text())) })
        },
    },
    Route {
        method: Method::GET,
        path: "/ready",
        needs: Needs::Metrics,
        id: "ready",
        summary: "Whether this instance takes new calls, and how its parts are; 503 while it stops",
        query: &[],
        body: None,
        content: Content::JsonOr(
            any_object,
            StatusCode::SERVICE_UNAVAILABLE,
            "The instance stops: it takes no new calls",
        ),
        answer: |admin, _| Box::pin(async move { Ok(admin.ready().await) }),
    },
    Route {
        method: Method::GET,
        path: "/health",
        needs: Needs::Nothing,
        id: "health",
        summary: "Whether the process answers",
        query: &[],
        body: None,
        content: Content::Json(any_object),
        answer: |_, _| Box::pin(async { Ok(json(StatusCode::OK, &object!({"status": "ok"}))) }),
    },
    Route {
        method: Method::GET,
        path: "/build",
        needs: Needs::Metrics,
        id: "build",
        summary: "What this program is and how it was built",
        query: &[],
        body: None,
        content: Content::Json(any_object),
        answer: |_, _| Box::pin(async { Ok(json(StatusCode::OK, &version::json())) }),
    },
    Route {
        method: Method::GET,
        path: "/",
        needs: Needs::Nothing,
        id: "index",
        summary: "The paths of this listener",
        query: &[],
        body: None,
        content: Content::Json(any_object),
        answer: |_, call| Box::pin(async move { Ok(index(call.request.headers())) }),
    },
];

/// For what people read, and no program should depend on.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

/// A browser is led to the pages.
fn index(headers: &HeaderMap) -> Response<Bytes> {
    if pages::are_wanted(headers) {
        return pages::first();
    }
    let mut paths: Vec<_> = routes::all().map(|route| route.path).collect();
    paths.dedup();
    json(StatusCode::OK, &object!({ "paths": paths }))
}

impl Admin {
    /// Ready is whoever takes new calls. The parts are shown and decide nothing: an outage behind
    /// the server takes no instance away.
    async fn ready(&self) -> Response<Bytes> {
        let status = if self.server.is_draining() {
            StatusCode::SERVICE_UNAVAILABLE
        } else {
            StatusCode::OK
        };
        json(status, &self.parts().await)
    }

    /// How the parts of this instance are.
    pub(super) async fn parts(&self) -> Value {
        let draining = self.server.is_draining();
        let issuers = self.verifier.status().into_iter().map(|issuer| {
            object!({
                "issuer": issuer.issuer,
                "keys": issuer.keys,
                "keys_age_seconds": issuer.keys_age.map(|age| age.as_secs()),
                "clock_ahead_seconds": issuer.clock_ahead,
                "fetched": issuer.fetched,
                "fetches_failed": issuer.fetches_failed,
            })
        });
        object!({
            "status": if draining { "draining" } else { "ready" },
            "draining": draining,
            "requests_in_flight": self.server.in_flight(),
            "issuers": issuers.collect::<Vec<_>>(),
            "store": self.store().await,
            "braingrid_api": { "circuit": circuit(self.api.is_circuit_open()) },
        })
    }

    async fn store(&self) -> Value {
        let Some(redis) = &self.redis else {
            return object!({ "kind": "memory" });
        };
        let error = redis.ping().await.err().map(|error| error.to_string());
        object!({
            "kind": "redis",
            "answers": error.is_none(),
            "error": error,
            "circuit": circuit(redis.is_circuit_open()),
        })
    }
}

fn circuit(open: bool) -> &'static str {
    if open { "open" } else { "closed" }
}
