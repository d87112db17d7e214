//! The process: its connections, its memory, and what it writes down.

use super::{Kind, Metric};

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
