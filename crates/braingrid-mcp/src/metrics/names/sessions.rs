//! Sessions: in memory, in the store, and on their way there.

use super::{CAUSE, Kind, Metric, OUTCOME, SOURCE};

metric!(
    STORE_OPEN,
    Gauge,
    "mcp.server.store.circuit.open",
    "{circuit}",
    [],
    "1 while Redis is left alone after failures"
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
    [CAUSE],
    "Requests refused because their principal is let in no more"
);
metric!(
    DENIALS,
    Gauge,
    "mcp.server.denials",
    "{denial}",
    [],
    "Users, organizations, clients and tokens that this instance lets in no more"
);
metric!(
    DENIALS_AGE,
    Gauge,
    "mcp.server.denials.age",
    "s",
    [],
    "Since all denials were read; since the start, if that never was"
);
metric!(
    PROVIDER_EVENTS,
    Counter,
    "mcp.server.provider.events",
    "{event}",
    [SOURCE, OUTCOME],
    "What identity providers told: `denied` (somebody is signed out), `ignored` (nothing here), `known` (it came before), `refused` (not believed), `failed` (to come again)"
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
