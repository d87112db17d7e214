//! What users type to start the program that logs in.

use std::sync::OnceLock;

static PROGRAM: OnceLock<String> = OnceLock::new();

/// Says what users type, as messages then have it; `braingrid-mcp` without. The first call counts.
pub fn set_program(command: &str) {
    PROGRAM.get_or_init(|| command.to_owned());
}

pub(crate) fn program() -> &'static str {
    PROGRAM.get().map_or("braingrid-mcp", String::as_str)
}
