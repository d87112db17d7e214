//! The spans of this crate and the names in them. They name the configured issuer, never anything
//! of a token.

use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;
use tracing::{Span, field::Empty};

/// The issuer as configured.
const ISSUER: &str = "oauth.issuer";
/// Why keys are fetched: `no_keys`, `age`, `unknown_key` or `mismatch`.
const CAUSE: &str = "oauth.keys.cause";

/// Fetching an issuer's keys, its metadata included.
pub(crate) fn fetch_keys(issuer: &str, cause: &'static str) -> Span {
    tracing::info_span!(
        "auth.keys.fetch",
        otel.kind = "client",
        otel.status_code = Empty,
        { ISSUER } = issuer,
        { CAUSE } = cause,
        { ERROR_TYPE } = Empty,
    )
}

/// Asking an issuer what an opaque token means (RFC 7662).
pub(crate) fn introspect(issuer: &str) -> Span {
    tracing::info_span!(
        "auth.introspect",
        otel.kind = "client",
        otel.status_code = Empty,
        { ISSUER } = issuer,
        { ERROR_TYPE } = Empty,
    )
}

/// Asking an issuer for a token of the upstream API (RFC 8693).
pub(crate) fn exchange(issuer: &str) -> Span {
    tracing::info_span!(
        "auth.exchange",
        otel.kind = "client",
        otel.status_code = Empty,
        { ISSUER } = issuer,
        { ERROR_TYPE } = Empty,
    )
}

/// A request to an issuer that failed; `kind` is one of a few words.
pub(crate) fn failed(span: &Span, kind: &'static str) {
    span.record(ERROR_TYPE, kind);
    span.record("otel.status_code", "ERROR");
}
