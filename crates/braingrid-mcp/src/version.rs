//! What this program is and how it was built: `--version`, also as JSON.

use serde_json::{Value, json};

/// The commit it was built from, where whoever built it said so. Asking git at every build would
/// compile this crate again after every commit.
const COMMIT: Option<&str> = option_env!("BRAINGRID_COMMIT");

/// For people: one line.
pub(crate) fn text() -> String {
    format!("braingrid-mcp {}\n", env!("CARGO_PKG_VERSION"))
}

/// For scripts and for bug reports.
pub(crate) fn json() -> Value {
    json!({
        "name": "braingrid-mcp",
        "version": env!("CARGO_PKG_VERSION"),
        "commit": COMMIT.filter(|commit| !commit.is_empty()),
        "target": env!("BRAINGRID_TARGET"),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
        "features": features(),
        "mcp_revisions": mcp_core::protocol_revisions().collect::<Vec<_>>(),
    })
}

/// The optional parts that were compiled in.
fn features() -> Vec<&'static str> {
    let optional = [("login", cfg!(feature = "login"))];
    let present = optional.into_iter().filter(|(_, present)| *present);
    present.map(|(name, _)| name).collect()
}
