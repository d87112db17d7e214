//! rmcp's client, in both generations.

use anyhow::Context;
use rmcp::{
    ClientLifecycleMode, ClientServiceExt, RoleClient,
    model::{
        CallToolRequestParams, CallToolResult, ClientCapabilities, ClientConfig, Implementation,
        ProtocolVersion,
    },
    service::{RunningService, ServiceError},
    transport::{
        StreamableHttpClientTransport, TokioChildProcess,
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::Value;
use tokio::process::Command;

use super::Generation;

/// A connected client; `call_tool`, `list_all_tools`, … are rmcp's. Ends on `cancel()` or drop.
pub type McpClient = RunningService<RoleClient, ClientConfig>;

/// Connects to a Streamable HTTP endpoint, with or without a bearer token.
pub async fn connect_http(
    url: &str,
    token: Option<&str>,
    generation: Generation,
) -> anyhow::Result<McpClient> {
    let mut config = StreamableHttpClientTransportConfig::with_uri(url);
    if let Some(token) = token {
        config = config.auth_header(token);
    }
    let transport = StreamableHttpClientTransport::with_client(crate::http_client(), config);
    let (info, lifecycle) = opening(generation);
    let client = info.serve_with_lifecycle(transport, lifecycle).await;
    client.with_context(|| format!("cannot open MCP at {url}"))
}

/// Starts a server over stdio, for example from
/// [`ServerCommand::command`](crate::ServerCommand::command); its standard error is shown.
pub async fn connect_stdio(command: Command, generation: Generation) -> anyhow::Result<McpClient> {
    let transport = TokioChildProcess::new(command)?;
    let (info, lifecycle) = opening(generation);
    info.serve_with_lifecycle(transport, lifecycle)
        .await
        .context("cannot open MCP over stdio")
}

/// Calls a tool.
///
/// # Errors
///
/// When the call failed as a request; a tool that failed is a result with `is_error`.
pub async fn call(
    client: &McpClient,
    tool: &str,
    arguments: Value,
) -> Result<CallToolResult, ServiceError> {
    let mut params = CallToolRequestParams::new(tool.to_owned());
    if let Value::Object(arguments) = arguments {
        params = params.with_arguments(arguments);
    }
    client.call_tool(params).await
}

fn opening(generation: Generation) -> (ClientConfig, ClientLifecycleMode) {
    let implementation = Implementation::new("mcp-test-support", env!("CARGO_PKG_VERSION"));
    let info = ClientConfig::new(ClientCapabilities::default(), implementation);
    match generation {
        Generation::Legacy => {
            let info = info.with_protocol_version(ProtocolVersion::V_2025_11_25);
            (info, ClientLifecycleMode::Initialize)
        }
        Generation::Modern => {
            let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
            (info, ClientLifecycleMode::Discover { preferred_versions })
        }
    }
}
