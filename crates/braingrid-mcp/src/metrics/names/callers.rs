//! Who calls: tokens that are taken or refused, and the issuers that say so.

use super::{CLIENT, ISSUER, Kind, Metric, OUTCOME, REASON, TIER};

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
