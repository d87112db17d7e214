//! What is allowed, and what is held back: limits, and the places on the way to BrainGrid.

use super::{Kind, Metric, SCOPE};

metric!(
    API_TENANTS_OPEN,
    Gauge,
    "mcp.server.api.circuit.tenants",
    "{tenant}",
    [],
    "Organizations for which alone the BrainGrid API is left alone after failures"
);
metric!(
    API_IN_FLIGHT,
    Gauge,
    "mcp.server.api.in_flight",
    "{request}",
    [],
    "Places for requests to the BrainGrid API that are taken"
);
metric!(
    API_WAITING,
    Gauge,
    "mcp.server.api.waiting",
    "{request}",
    [],
    "Requests to the BrainGrid API that wait for a place or for their turn"
);
metric!(
    LIMITED,
    Counter,
    "mcp.server.limited",
    "{request}",
    [SCOPE],
    "Calls and requests that reached a limit: of the `tenant`, the `user`, the user's calls of a kind (`read`, `write`, `expensive`), an `address`, or of what the API takes (`upstream`; it waits)"
);
metric!(
    LIMITS_TOLD,
    Counter,
    "mcp.server.limits.told",
    "{command}",
    [],
    "Times that the store was told what was spent, each one command"
);
metric!(
    LIMITS_ALONE,
    Counter,
    "mcp.server.limits.alone",
    "{request}",
    [],
    "Calls counted by this instance alone, for the store was away or late"
);
metric!(
    LIMITS_INSTANCES,
    Gauge,
    "mcp.server.limits.instances",
    "{instance}",
    [],
    "Instances that share the limits, as this one knows; absent before it does"
);
