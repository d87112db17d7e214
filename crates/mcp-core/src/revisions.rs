//! Which revisions of MCP are spoken.

use rmcp::model::ProtocolVersion;

/// The revisions of the Model Context Protocol that [`ToolSet`](crate::ToolSet) answers, oldest
/// first.
pub fn protocol_revisions() -> impl Iterator<Item = &'static str> {
    ProtocolVersion::KNOWN_VERSIONS
        .iter()
        .map(ProtocolVersion::as_str)
}
