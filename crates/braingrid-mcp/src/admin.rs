//! What operators may ask on the admin listener, and change: metrics, log level, readiness.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use mcp_auth::TokenVerifier;
use mcp_core::BrainGridClient;
use mcp_session::{RedisStore, SharedStore as _};
use mcp_transport_http::ServerStatus;
use serde_json::{Value, json};

use crate::metrics::Exposition;
use crate::telemetry::LogControl;
use crate::version;

/// The running server, as operators see it.
pub(crate) struct Admin {
    pub(crate) metrics: Exposition,
    pub(crate) log: LogControl,
    pub(crate) server: ServerStatus,
    pub(crate) verifier: TokenVerifier,
    /// Without Redis, sessions are in this process.
    pub(crate) redis: Option<RedisStore>,
    pub(crate) api: BrainGridClient,
}

/// Every path, with what may be done there.
const PATHS: &[(&str, &str)] = &[
    ("/metrics", "GET"),
    ("/log-level", "GET, PUT"),
    ("/ready", "GET"),
    ("/health", "GET"),
    ("/build", "GET"),
];

impl Admin {
    /// Answers one request.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Response<Bytes> {
        let path = request.uri().path();
        let read = matches!(*request.method(), Method::GET | Method::HEAD);
        match path {
            "/metrics" if read => text(Exposition::MEDIA_TYPE, self.metrics.text()),
            "/log-level" if read => self.level(),
            "/log-level" if request.method() == Method::PUT => self.set_level(request.body()),
            "/ready" if read => self.ready().await,
            "/health" if read => answer(StatusCode::OK, &json!({"status": "ok"})),
            "/build" if read => answer(StatusCode::OK, &version::json()),
            "/" if read => {
                let paths: Vec<_> = PATHS.iter().map(|(path, _)| path).collect();
                answer(StatusCode::OK, &json!({"paths": paths}))
            }
            _ => match PATHS.iter().find(|(known, _)| *known == path) {
                Some((_, methods)) => not_allowed(methods),
                None => answer(StatusCode::NOT_FOUND, &json!({"error": "no such path"})),
            },
        }
    }

    fn level(&self) -> Response<Bytes> {
        answer(StatusCode::OK, &json!({"level": self.log.current()}))
    }

    /// The body: a level or directives, bare or as `{"level": "debug"}`.
    fn set_level(&self, body: &[u8]) -> Response<Bytes> {
        let given = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(fields)) => fields
                .get("level")
                .and_then(Value::as_str)
                .map(str::to_owned),
            Ok(Value::String(level)) => Some(level),
            _ => std::str::from_utf8(body).ok().map(str::to_owned),
        };
        match self.log.set(given.as_deref().unwrap_or_default()) {
            Ok(()) => {
                tracing::warn!(level = self.log.current(), "the log level was changed");
                self.level()
            }
            Err(error) => answer(
                StatusCode::BAD_REQUEST,
                &json!({"error": error.to_string()}),
            ),
        }
    }

    /// Ready is whoever takes new calls. The parts are shown and decide nothing: an outage behind
    /// the server takes no instance away.
    async fn ready(&self) -> Response<Bytes> {
        let draining = self.server.is_draining();
        let (status, word) = if draining {
            (StatusCode::SERVICE_UNAVAILABLE, "draining")
        } else {
            (StatusCode::OK, "ready")
        };
        let issuers = self.verifier.status().into_iter().map(|issuer| {
            json!({
                "issuer": issuer.issuer,
                "keys": issuer.keys,
                "keys_age_seconds": issuer.keys_age.map(|age| age.as_secs()),
                "clock_ahead_seconds": issuer.clock_ahead,
                "fetched": issuer.fetched,
                "fetches_failed": issuer.fetches_failed,
            })
        });
        let detail = json!({
            "status": word,
            "draining": draining,
            "requests_in_flight": self.server.in_flight(),
            "issuers": issuers.collect::<Vec<_>>(),
            "store": self.store().await,
            "braingrid_api": { "circuit": circuit(self.api.is_circuit_open()) },
        });
        answer(status, &detail)
    }

    async fn store(&self) -> Value {
        let Some(redis) = &self.redis else {
            return json!({ "kind": "memory" });
        };
        let error = redis.ping().await.err().map(|error| error.to_string());
        json!({
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

fn answer(status: StatusCode, value: &Value) -> Response<Bytes> {
    let mut response = text("application/json", format!("{value:#}\n"));
    *response.status_mut() = status;
    response
}

fn text(media_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn not_allowed(methods: &'static str) -> Response<Bytes> {
    let mut response = answer(
        StatusCode::METHOD_NOT_ALLOWED,
        &json!({"error": "not this way"}),
    );
    let allow = HeaderValue::from_static(methods);
    response.headers_mut().insert(header::ALLOW, allow);
    response
}
