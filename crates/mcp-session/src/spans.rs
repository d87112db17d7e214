//! The spans of this crate and the names in them. They tell of tiers and commands, never of a
//! token, a person or a key.

use mcp_auth::AuthError;
use opentelemetry_semantic_conventions::attribute::{
    DB_OPERATION_NAME as DB_OPERATION, DB_SYSTEM_NAME as DB_SYSTEM, ERROR_TYPE,
};
use tracing::{Span, field::Empty};

use crate::resolved::Resolved;

/// Which tier answered: [`Tier::as_str`](crate::Tier::as_str).
const TIER: &str = "mcp.session.tier";

/// Finding out who a token speaks for, where memory does not know.
pub(crate) fn resolve() -> Span {
    tracing::info_span!("session.resolve", { TIER } = Empty, { ERROR_TYPE } = Empty)
}

/// What came of it.
pub(crate) fn resolved(span: &Span, result: &Result<Resolved, AuthError>) {
    match result {
        Ok(resolved) => span.record(TIER, resolved.tier.as_str()),
        Err(error) => span.record(ERROR_TYPE, error.label()),
    };
}

/// A command to Redis on behalf of a request; writes behind it belong to none and have no span.
pub(crate) fn redis(operation: &'static str) -> Span {
    if Span::current().is_disabled() {
        return Span::none();
    }
    tracing::info_span!(
        "redis",
        otel.name = operation,
        otel.kind = "client",
        otel.status_code = Empty,
        { DB_SYSTEM } = "redis",
        { DB_OPERATION } = operation,
        { ERROR_TYPE } = Empty,
    )
}

/// A command that failed.
pub(crate) fn failed(span: &Span, error: &'static str) {
    span.record(ERROR_TYPE, error);
    span.record("otel.status_code", "ERROR");
}
