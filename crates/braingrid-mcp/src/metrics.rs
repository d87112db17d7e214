//! What the session tiers count, as OpenTelemetry metrics. Without a collector this is free: the
//! global meter then does nothing.

use std::sync::Arc;

use mcp_session::TierStats;
use opentelemetry::global;

/// Reads one counter.
type Read = fn(&TierStats) -> u64;

/// Name, what is counted, where it is kept. Never a user, an organization or a token.
const COUNTERS: [(&str, &str, Read); 13] = [
    (
        "mcp.session.memory.hits",
        "Sessions found in memory",
        |stats| stats.memory_hits.get(),
    ),
    (
        "mcp.session.coalesced",
        "Requests served by the work of another one",
        |stats| stats.coalesced.get(),
    ),
    (
        "mcp.session.store.hits",
        "Sessions found in the store",
        |stats| stats.store_hits.get(),
    ),
    (
        "mcp.session.store.misses",
        "Sessions not in the store",
        |stats| stats.store_misses.get(),
    ),
    (
        "mcp.session.store.errors",
        "Look-ups the store failed",
        |stats| stats.store_errors.get(),
    ),
    ("mcp.session.verifications", "Tokens verified", |stats| {
        stats.verifications.get()
    }),
    (
        "mcp.session.known_bad.hits",
        "Tokens known to be bad",
        |stats| stats.known_bad_hits.get(),
    ),
    ("mcp.session.denied", "Principals denied", |stats| {
        stats.denied.get()
    }),
    (
        "mcp.session.records.unopened",
        "Records that did not open",
        |stats| stats.records_unopened.get(),
    ),
    (
        "mcp.session.records.resealed",
        "Records sealed anew under the current key",
        |stats| stats.records_resealed.get(),
    ),
    (
        "mcp.session.writes",
        "Sessions written to the store",
        |stats| stats.writes.get(),
    ),
    (
        "mcp.session.writes.failed",
        "Writes the store did not take",
        |stats| stats.writes_failed.get(),
    ),
    (
        "mcp.session.writes.dropped",
        "Writes given up because too many waited",
        |stats| stats.writes_dropped.get(),
    ),
];

/// Lets the collector see what the tiers count.
pub(crate) fn observe(stats: &Arc<TierStats>) {
    let meter = global::meter(env!("CARGO_PKG_NAME"));
    for (name, description, read) in COUNTERS {
        let stats = Arc::clone(stats);
        meter
            .u64_observable_counter(name)
            .with_description(description)
            .with_callback(move |observer| observer.observe(read(&stats), &[]))
            .build();
    }
}
