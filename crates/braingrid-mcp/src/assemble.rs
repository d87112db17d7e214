//! Configuration to object graph, in order, without logic.

use crate::config::{ApiSettings, HttpSettings, StdioSettings, ToolSettings};
use crate::shutdown::Shutdown;

/// Serves one local client.
pub(crate) async fn run_stdio(
    _stdio: StdioSettings,
    _api: ApiSettings,
    _tools: ToolSettings,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    shutdown.requested().await;
    Ok(())
}

/// Serves many users.
pub(crate) async fn run_http(
    _http: HttpSettings,
    _api: ApiSettings,
    _tools: ToolSettings,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    shutdown.requested().await;
    Ok(())
}
