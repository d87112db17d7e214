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
pub(crate) const ISSUER: &str = "issuer";
pub(crate) const CLIENT: &str = "client";
pub(crate) const TIER: &str = "tier";

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

metric!(
    OPERATIONS,
    Histogram,
    "mcp.server.operation.duration",
    "s",
    [METHOD, TOOL, REVISION, ERROR, OUTCOME],
    "MCP requests; `outcome` is `ok` or the kind of the error"
);
metric!(
    REQUESTS,
    Histogram,
    "http.server.request.duration",
    "s",
    [HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS],
    "HTTP requests, until the head of the answer; of calls that take longer than 5 s, until its end"
);
metric!(
    API_REQUESTS,
    Histogram,
    "http.client.request.duration",
    "s",
    [OPERATION, HTTP_METHOD, HTTP_STATUS, ERROR],
    "Requests to the BrainGrid API, repetitions included"
);
metric!(
    REFUSALS,
    Counter,
    "mcp.server.auth.refusals",
    "{request}",
    [REASON, ISSUER, CLIENT],
    "Requests sent away before any work; `issuer` is a configured one or `other`"
);
metric!(
    SIGNOUTS,
    Counter,
    "mcp.server.signout",
    "{user}",
    [REASON],
    "Users sent away with a token that had been good"
);
metric!(
    REFUSED_TOKENS,
    Counter,
    "mcp.server.auth.refused_tokens",
    "{token}",
    [REASON, ISSUER],
    "Tokens that an issuer did sign and that are refused, each once"
);
metric!(
    RESOLVED,
    Counter,
    "mcp.server.auth.resolutions",
    "{request}",
    [TIER],
    "Requests authenticated, by the tier that knew the answer"
);
metric!(
    KEY_FETCHES,
    Counter,
    "mcp.server.keys.fetches",
    "{fetch}",
    [ISSUER, OUTCOME],
    "Fetches of an issuer's keys"
);
metric!(
    KEYS_AGE,
    Gauge,
    "mcp.server.keys.age",
    "s",
    [ISSUER],
    "Since the keys in use were asked for; absent without keys"
);
metric!(
    CLOCK,
    Gauge,
    "mcp.server.issuer.clock_difference",
    "s",
    [ISSUER],
    "Between this machine's clock and the issuer's; absent when it was not seen lately"
);
metric!(
    KEYS,
    Gauge,
    "mcp.server.keys.usable",
    "{key}",
    [ISSUER],
    "Usable keys of an issuer in this process"
);
metric!(
    INTROSPECTIONS,
    Counter,
    "mcp.server.introspections",
    "{request}",
    [ISSUER, OUTCOME],
    "Questions to an issuer about an opaque token"
);
metric!(
    EXCHANGES,
    Counter,
    "mcp.server.exchanges",
    "{request}",
    [ISSUER, OUTCOME],
    "Tokens that an issuer was asked to exchange for one of the API: ok, refused or failed"
);
metric!(
    INTROSPECTIONS_WAITING,
    Gauge,
    "mcp.server.introspections.waiting",
    "{request}",
    [ISSUER],
    "Requests that wait until the issuer is asked about their opaque token"
);
metric!(
    STORE_OPEN,
    Gauge,
    "mcp.server.store.circuit.open",
    "{circuit}",
    [],
    "1 while Redis is left alone after failures"
);
metric!(
    API_OPEN,
    Gauge,
    "mcp.server.api.circuit.open",
    "{circuit}",
    [],
    "1 while the BrainGrid API is left alone after failures"
);
metric!(
    IN_FLIGHT,
    Gauge,
    "mcp.server.requests.in_flight",
    "{request}",
    [],
    "Calls being answered"
);
metric!(
    WRITES_IN_FLIGHT,
    Gauge,
    "mcp.server.writes.in_flight",
    "{call}",
    [],
    "Writing tool calls begun and not finished"
);
metric!(
    DRAINING,
    Gauge,
    "mcp.server.draining",
    "{server}",
    [],
    "1 while the server stops"
);
metric!(
    SESSIONS,
    Gauge,
    "mcp.server.sessions",
    "{session}",
    [],
    "Sessions in memory, roughly"
);
metric!(
    SESSION_BYTES,
    Gauge,
    "mcp.server.sessions.size",
    "By",
    [],
    "Memory they take, roughly"
);
metric!(
    MEMORY_HITS,
    Counter,
    "mcp.server.session.memory.hits",
    "{request}",
    [],
    "Sessions found in memory"
);
metric!(
    COALESCED,
    Counter,
    "mcp.server.session.coalesced",
    "{request}",
    [],
    "Requests served by the work of another one"
);
metric!(
    STORE_HITS,
    Counter,
    "mcp.server.session.store.hits",
    "{session}",
    [],
    "Sessions found in the store"
);
metric!(
    STORE_MISSES,
    Counter,
    "mcp.server.session.store.misses",
    "{session}",
    [],
    "Sessions not in the store"
);
metric!(
    STORE_ERRORS,
    Counter,
    "mcp.server.session.store.errors",
    "{lookup}",
    [],
    "Look-ups the store failed"
);
metric!(
    VERIFICATIONS,
    Counter,
    "mcp.server.session.verifications",
    "{token}",
    [],
    "Tokens verified, whatever came out"
);
metric!(
    KNOWN_BAD,
    Counter,
    "mcp.server.session.known_bad.hits",
    "{request}",
    [],
    "Tokens known to be bad"
);
metric!(
    DENIED,
    Counter,
    "mcp.server.session.denied",
    "{request}",
    [],
    "Principals denied"
);
metric!(
    UNOPENED,
    Counter,
    "mcp.server.session.records.unopened",
    "{record}",
    [],
    "Records that did not open: altered, or sealed by a foreign key"
);
metric!(
    UNUSABLE,
    Counter,
    "mcp.server.session.records.unusable",
    "{record}",
    [],
    "Records that opened and are not accepted here"
);
metric!(
    RESEALED,
    Counter,
    "mcp.server.session.records.resealed",
    "{record}",
    [],
    "Records sealed anew under the current key"
);
metric!(
    WRITES,
    Counter,
    "mcp.server.session.writes",
    "{session}",
    [],
    "Sessions written to the store"
);
metric!(
    WRITES_FAILED,
    Counter,
    "mcp.server.session.writes.failed",
    "{session}",
    [],
    "Writes the store did not take"
);
metric!(
    WRITES_DROPPED,
    Counter,
    "mcp.server.session.writes.dropped",
    "{session}",
    [],
    "Writes given up because too many waited"
);
metric!(
    JOURNAL,
    Counter,
    "mcp.server.journal.writes",
    "{write}",
    [OUTCOME],
    "Writes that were made before, by what became of them: `replayed`, `joined` (the same was under way), `resolved` (by reading back), `unknown`"
);
metric!(
    JOURNAL_AWAY,
    Counter,
    "mcp.server.journal.writes.away",
    "{write}",
    [],
    "Writes begun while the shared store was away: remembered by this instance only"
);
metric!(
    LOG_LINES_DROPPED,
    Counter,
    "mcp.server.log.lines.dropped",
    "{line}",
    [],
    "Log lines lost because standard error was not read"
);
metric!(
    AUDIT_RECORDS,
    Counter,
    "mcp.server.audit.records",
    "{record}",
    [],
    "Audit records written"
);
metric!(
    AUDIT_LOST,
    Counter,
    "mcp.server.audit.records.lost",
    "{record}",
    [],
    "Audit records lost"
);

metric!(
    CONNECTIONS,
    Gauge,
    "mcp.server.connections.open",
    "{connection}",
    [],
    "Open connections of clients"
);
metric!(
    CONNECTION_LIMIT,
    Gauge,
    "mcp.server.connections.limit",
    "{connection}",
    [],
    "Connections of clients there may be"
);
metric!(
    CONNECTIONS_REFUSED,
    Counter,
    "mcp.server.connections.refused",
    "{connection}",
    [],
    "Connections that found no place"
);
metric!(
    CONNECTIONS_DISPLACED,
    Counter,
    "mcp.server.connections.displaced",
    "{connection}",
    [],
    "Connections without a login that made room for others"
);
metric!(
    REQUEST_BYTES,
    Gauge,
    "mcp.server.memory.used",
    "By",
    [],
    "Bytes that connections, requests and answers are charged for"
);
metric!(
    REQUEST_BYTES_LIMIT,
    Gauge,
    "mcp.server.memory.limit",
    "By",
    [],
    "Bytes that they may be charged for"
);
metric!(
    NO_ROOM,
    Counter,
    "mcp.server.memory.refused",
    "{request}",
    [],
    "Times that there was no room for a head, a body or an answer"
);

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
    &STORE_OPEN,
    &API_OPEN,
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
