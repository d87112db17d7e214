//! Our own authorization server, and the identity provider behind it.

use super::{Kind, Metric, OPERATION, OUTCOME, REASON};

metric!(
    PROVIDER_REQUESTS,
    Histogram,
    "mcp.server.provider.request.duration",
    "s",
    [OPERATION, OUTCOME],
    "Questions to the identity provider, repetitions included: `metadata`, `redeem` (a code), `refresh`, `revoke`; `ok`, `refused` (a grant or a user), `misconfigured` or `unavailable`"
);
metric!(
    LOGINS,
    Counter,
    "mcp.server.authorization.logins",
    "{login}",
    [],
    "Users who came back from the provider, and whose client got a code"
);
metric!(
    REFRESHES,
    Counter,
    "mcp.server.authorization.refreshes",
    "{request}",
    [],
    "Refresh tokens of clients that were answered with the next tokens, or with the same once more"
);
metric!(
    CONSENTS,
    Counter,
    "mcp.server.authorization.consents",
    "{decision}",
    [OUTCOME],
    "Consent to a client: the page was shown (`asked`), answered (`given`, `withheld`), or not needed (`remembered`)"
);
metric!(
    AUTHORIZATION_REFUSALS,
    Counter,
    "mcp.server.authorization.refusals",
    "{request}",
    [OPERATION, REASON],
    "Requests that came to nothing: `authorize`, `callback`, `token`, `refresh`, `register`, `revoke`, by the error code that the client gets"
);
