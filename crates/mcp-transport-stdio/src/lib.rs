//! Serves BrainGrid's tools to one local MCP client over standard input and output.
