//! BrainGrid's MCP server.
fn main() {}
