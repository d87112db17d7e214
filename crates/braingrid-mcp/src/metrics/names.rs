//! Every metric: its name, unit, labels and meaning. `docs/observability.md`, the dashboards and the
//! alerts are checked against this table.
//!
//! A label's values come from this program or its configuration, never from a request: no user, no
//! organization, no token, nothing that a client makes up.

/// The prefix of what no standard names. DogStatsD puts it before every other name too.
pub(crate) const PREFIX: &str = "mcp.server.";

/// Most sets of labels that one metric may have; what comes later is counted in one more.
pub(crate) const MOST_SERIES: usize = 1_000;

/// How a metric is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
    /// A distribution.
    Histogram,
}

/// A metric.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "checked against what is exported")
    )]
    pub(crate) kind: Kind,
    /// In UCUM.
    pub(crate) unit: &'static str,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "checked against what is exported")
    )]
    pub(crate) labels: &'static [&'static str],
    pub(crate) says: &'static str,
}

// Labels of the semantic conventions.
pub(crate) use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE as ERROR, HTTP_REQUEST_METHOD as HTTP_METHOD,
    HTTP_RESPONSE_STATUS_CODE as HTTP_STATUS, HTTP_ROUTE,
};
// Of MCP and generative AI, whose conventions no library has.
pub(crate) const TOOL: &str = "gen_ai.tool.name";
pub(crate) const METHOD: &str = "mcp.method.name";
pub(crate) const REVISION: &str = "mcp.protocol.version";
// Labels of our own.
pub(crate) const OUTCOME: &str = "outcome";
pub(crate) const OPERATION: &str = "operation";
pub(crate) const REASON: &str = "reason";
pub(crate) const CAUSE: &str = "cause";
pub(crate) const SOURCE: &str = "source";
pub(crate) const ISSUER: &str = "issuer";
pub(crate) const CLIENT: &str = "client";
pub(crate) const TIER: &str = "tier";
pub(crate) const SCOPE: &str = "scope";

/// Declares a metric.
macro_rules! metric {
    ($id:ident, $kind:ident, $name:literal, $unit:literal, [$($label:expr),*], $says:literal) => {
        pub(crate) static $id: Metric = Metric {
            name: $name,
            kind: Kind::$kind,
            unit: $unit,
            labels: &[$($label),*],
            says: $says,
        };
    };
}

mod authorization_server;
mod callers;
mod calls;
mod limits;
mod process;
mod sessions;

pub(crate) use authorization_server::*;
pub(crate) use callers::*;
pub(crate) use calls::*;
pub(crate) use limits::*;
pub(crate) use process::*;
pub(crate) use sessions::*;

/// Every metric, in the order of the documentation.
#[cfg(test)]
pub(crate) static METRICS: &[&Metric] = &[
    &OPERATIONS,
    &REQUESTS,
    &API_REQUESTS,
    &REFUSALS,
    &SIGNOUTS,
    &REFUSED_TOKENS,
    &RESOLVED,
    &KEY_FETCHES,
    &KEYS_AGE,
    &CLOCK,
    &KEYS,
    &INTROSPECTIONS,
    &EXCHANGES,
    &INTROSPECTIONS_WAITING,
    &PROVIDER_REQUESTS,
    &LOGINS,
    &REFRESHES,
    &CONSENTS,
    &AUTHORIZATION_REFUSALS,
    &STORE_OPEN,
    &API_OPEN,
    &API_TENANTS_OPEN,
    &API_IN_FLIGHT,
    &API_WAITING,
    &LIMITED,
    &LIMITS_TOLD,
    &LIMITS_ALONE,
    &LIMITS_INSTANCES,
    &IN_FLIGHT,
    &WRITES_IN_FLIGHT,
    &DRAINING,
    &CONNECTIONS,
    &CONNECTION_LIMIT,
    &CONNECTIONS_REFUSED,
    &CONNECTIONS_DISPLACED,
    &REQUEST_BYTES,
    &REQUEST_BYTES_LIMIT,
    &NO_ROOM,
    &SESSIONS,
    &SESSION_BYTES,
    &MEMORY_HITS,
    &COALESCED,
    &STORE_HITS,
    &STORE_MISSES,
    &STORE_ERRORS,
    &VERIFICATIONS,
    &KNOWN_BAD,
    &DENIED,
    &DENIALS,
    &DENIALS_AGE,
    &PROVIDER_EVENTS,
    &UNOPENED,
    &UNUSABLE,
    &RESEALED,
    &WRITES,
    &WRITES_FAILED,
    &WRITES_DROPPED,
    &JOURNAL,
    &JOURNAL_AWAY,
    &LOG_LINES_DROPPED,
    &AUDIT_RECORDS,
    &AUDIT_LOST,
];
