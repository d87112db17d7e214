//! Settings: which tools are offered.

use super::{Group, Kind, Setting, UsedBy};

pub(crate) static READ_ONLY: Setting = Setting::new(
    Group::Tools,
    UsedBy::Both,
    "read_only",
    &["BRAINGRID_READ_ONLY"],
)
.flag("read-only", "")
.kind(Kind::Switch)
.default("false")
.says(
    "Tools that only read",
    "No tool that changes anything is offered.",
);

pub(crate) static TOOLS: Setting =
    Setting::new(Group::Tools, UsedBy::Both, "tools", &["BRAINGRID_TOOLS"])
        .flag("tools", "NAMES")
        .kind(Kind::List)
        .says("Offer only these tools", "Default: all of them.");

pub(crate) static EXCLUDE_TOOLS: Setting = Setting::new(
    Group::Tools,
    UsedBy::Both,
    "exclude_tools",
    &["BRAINGRID_EXCLUDE_TOOLS"],
)
.flag("exclude-tools", "NAMES")
.kind(Kind::List)
.says("Leave these tools out", "");

pub(crate) static EXPERIMENTAL: Setting = Setting::new(
    Group::Tools,
    UsedBy::Both,
    "experimental",
    &["BRAINGRID_EXPERIMENTAL"],
)
.flag("experimental", "")
.kind(Kind::Switch)
.default("false")
.says(
    "Also unproven tools",
    "Tools whose BrainGrid API call is not publicly documented.",
);
