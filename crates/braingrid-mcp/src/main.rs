//! BrainGrid's MCP server.
mod cli;
mod config;

fn main() {}
