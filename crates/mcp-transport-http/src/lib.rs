//! A hosted, multi-tenant Streamable HTTP server for any rmcp ServerHandler.
