//! Settings: the process as a whole.

use super::{Group, Kind, Setting, UsedBy};

pub(crate) static CONFIG_FILE: Setting = Setting::new(
    Group::General,
    UsedBy::Both,
    "config",
    &["BRAINGRID_CONFIG"],
)
.flag("config", "FILE")
.kind(Kind::FilePath)
.says(
    "Configuration file",
    "Without it, `braingrid-mcp.toml` in your own configuration folder is read when it is there; \
             never one in the working directory. A file named here has to be there.",
);

pub(crate) static TRANSPORT: Setting = Setting::new(
    Group::General,
    UsedBy::Both,
    "transport",
    &["MCP_TRANSPORT"],
)
.flag("transport", "NAME")
.default("stdio")
.says(
    "stdio or http",
    "`stdio` serves one local client. `http` (also `httpStream`, `streamable-http`) serves \
             many users over Streamable HTTP.",
);

pub(crate) static ENVIRONMENT: Setting = Setting::new(
    Group::General,
    UsedBy::Both,
    "environment",
    &["BRAINGRID_ENV"],
)
.default("production")
.says(
    "Name of the environment",
    "Goes to traces as `deployment.environment.name`. Changes no behaviour.",
);
