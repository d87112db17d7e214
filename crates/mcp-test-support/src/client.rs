//! MCP clients of three kinds: rmcp's own over HTTP and stdio, raw HTTP requests whose every header
//! can be bent, and a raw stdio line client.

mod http;
mod rmcp_client;
mod schema;
mod stdio;

pub use http::{RawAnswer, RawHttp, RawRequest};
pub use rmcp_client::{McpClient, call, connect_http, connect_stdio};
pub use schema::nonconformity;
pub use stdio::RawStdio;

use serde_json::{Value, json};

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// 2025-11-25: begins with `initialize`.
    Legacy,
    /// 2026-07-28: version and capabilities in every request.
    Modern,
}

impl Generation {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Legacy, Self::Modern];

    /// The protocol version.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }

    /// A JSON-RPC request; a modern one carries its `_meta`.
    #[must_use]
    pub fn message(self, id: u64, method: &str, params: Value) -> Value {
        let mut params = params;
        if let (Self::Modern, Some(fields)) = (self, params.as_object_mut()) {
            let meta = fields.entry("_meta").or_insert_with(|| json!({}));
            if let Some(meta) = meta.as_object_mut() {
                let ours = [
                    ("protocolVersion", json!(self.version())),
                    ("clientCapabilities", json!({})),
                    ("clientInfo", client_info()),
                ];
                for (name, value) in ours {
                    meta.entry(format!("io.modelcontextprotocol/{name}"))
                        .or_insert(value);
                }
            }
        }
        json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
    }
}

fn client_info() -> Value {
    json!({ "name": "mcp-test-support", "version": env!("CARGO_PKG_VERSION") })
}
