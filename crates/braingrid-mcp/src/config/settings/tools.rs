//! Settings: which tools are offered.

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{tools, words};

settings! {
    READ_ONLY: WithDefault<bool> = Setting::new(
        Group::Tools, UsedBy::Both, "read_only", &["BRAINGRID_READ_ONLY"],
        words::switch,
    )
        .flag("read-only", "")
        .kind(Kind::Switch)
        .default("false")
        .says(
            "Tools that only read",
            "No tool that changes anything is offered.",
        );

    TOOLS: Setting<String> =
        Setting::new(Group::Tools, UsedBy::Both, "tools", &["BRAINGRID_TOOLS"], tools::tool)
        .flag("tools", "NAMES")
        .kind(Kind::List)
        .says("Offer only these tools", "Default: all of them.");

    EXCLUDE_TOOLS: Setting<String> = Setting::new(
        Group::Tools, UsedBy::Both, "exclude_tools", &["BRAINGRID_EXCLUDE_TOOLS"],
        tools::tool,
    )
        .flag("exclude-tools", "NAMES")
        .kind(Kind::List)
        .says("Leave these tools out", "");

    EXPERIMENTAL: WithDefault<bool> = Setting::new(
        Group::Tools, UsedBy::Both, "experimental", &["BRAINGRID_EXPERIMENTAL"],
        words::switch,
    )
        .flag("experimental", "")
        .kind(Kind::Switch)
        .default("false")
        .says(
            "Also unproven tools",
            "Tools whose BrainGrid API call is not publicly documented.",
        );
}
