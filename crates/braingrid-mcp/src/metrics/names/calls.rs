//! What is done for clients, and what of it the BrainGrid API and the journal do.

use super::{
    ERROR, HTTP_METHOD, HTTP_ROUTE, HTTP_STATUS, Kind, METHOD, Metric, OPERATION, OUTCOME,
    REVISION, TOOL,
};

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
