//! Runs a handler until the client is done or the process is to stop.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use rmcp::ServerHandler;
use rmcp::service::{QuitReason, ServerInitializeError, serve_server};
use rmcp::transport::async_rw::AsyncRwTransport;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

use crate::drain::Draining;
use crate::misfit::Sifted;

/// What a process that serves over stdio has for its whole stop: clients end theirs with a signal, and
/// kill it two seconds later.
pub const STOP: Duration = Duration::from_millis(1_500);

/// Why serving failed. The end of the input and a stop signal are no failures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StdioError {
    /// The client's first message opens no MCP connection.
    #[error("the client sent something other than an MCP request that opens a connection")]
    Handshake,
    /// The connection could not be used: standard output is closed, for example.
    #[error("the client cannot be reached any more")]
    Disconnected,
    /// The service itself failed.
    #[error("the service ended unexpectedly")]
    Failed,
}

/// Serves one client over standard input and output until the input ends or `shutdown` completes.
///
/// Calls that are under way are answered first: for [`AFTER_END`](crate::AFTER_END), or for 1.3 seconds
/// after a stop signal. What is not answered then gets an error that says so. A handler that goes on when
/// nobody waits for it keeps count of its work, and whoever calls this waits for that, too.
///
/// # Errors
/// When the connection is not opened as MCP demands, or breaks.
pub async fn serve<H: ServerHandler>(
    handler: H,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StdioError> {
    let (input, output) = rmcp::transport::io::stdio_pipes();
    serve_over(handler, input, output, shutdown).await
}

/// Like [`serve`], over any pair of streams.
///
/// # Errors
/// When the connection is not opened as MCP demands, or breaks.
pub async fn serve_over<H, R, W>(
    handler: H,
    input: R,
    output: W,
    shutdown: impl Future<Output = ()>,
) -> Result<(), StdioError>
where
    H: ServerHandler,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let (stop, stopping) = watch::channel(false);
    let (misfits, taken_out) = mpsc::unbounded_channel();
    let inner = AsyncRwTransport::new_server(Sifted::new(input, misfits), output);
    let transport = Draining::new(inner, taken_out, stopping);
    let mut service = pin!(run(handler, transport));
    tokio::select! {
        outcome = &mut service => return outcome,
        () = shutdown => {}
    }
    stop.send_replace(true);
    service.await
}

async fn run<H, R, W>(
    handler: H,
    transport: Draining<AsyncRwTransport<rmcp::RoleServer, R, W>>,
) -> Result<(), StdioError>
where
    H: ServerHandler,
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let service = match serve_server(handler, transport).await {
        Ok(service) => service,
        Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(ServerInitializeError::TransportError { .. }) => return Err(StdioError::Disconnected),
        // What the client sent is not repeated: it may hold anything.
        Err(_) => return Err(StdioError::Handshake),
    };
    match service.waiting().await {
        Ok(QuitReason::Closed | QuitReason::Cancelled) => Ok(()),
        Ok(_) | Err(_) => Err(StdioError::Failed),
    }
}
