//! Settings: the process as a whole.

use std::path::PathBuf;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::words::{self, Transport};

settings! {
    CONFIG_FILE: Setting<PathBuf> =
        Setting::new(Group::General, UsedBy::Both, "config", &["BRAINGRID_CONFIG"], words::path)
        .flag("config", "FILE")
        .kind(Kind::FilePath)
        .says(
            "Configuration file",
            "Without it, `braingrid-mcp.toml` in your own configuration folder is read when it is there; \
                     never one in the working directory. A file named here has to be there.",
        );

    TRANSPORT: WithDefault<Transport> = Setting::new(
        Group::General, UsedBy::Both, "transport", &["MCP_TRANSPORT"],
        words::transport,
    )
        .flag("transport", "NAME")
        .default("stdio")
        .says(
            "stdio or http",
            "`stdio` serves one local client. `http` (also `httpStream`, `streamable-http`) serves \
                     many users over Streamable HTTP.",
        );

    ENVIRONMENT: WithDefault<String> =
        Setting::new(Group::General, UsedBy::Both, "environment", &["BRAINGRID_ENV"], words::word)
        .default("production")
        .says(
            "Name of the environment",
            "Goes to traces as `deployment.environment.name`. Changes no behaviour.",
        );
}
