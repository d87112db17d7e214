//! Serves one local MCP client over standard input and output.
//!
//! [`serve`] runs any rmcp [`ServerHandler`](rmcp::ServerHandler), for clients of every protocol
//! revision. The end of the input ends it, the stop signal too, and calls that are under way are
//! answered first. Nothing but MCP is ever written to standard output.
//!
//! [`StaticToken`] is the caller's credential: the token the user put into the environment.
//!
//! ```no_run
//! # async fn run(handler: impl rmcp::ServerHandler) -> Result<(), mcp_transport_stdio::StdioError> {
//! mcp_transport_stdio::serve(handler, async { tokio::signal::ctrl_c().await.unwrap_or_default() })
//!     .await
//! # }
//! ```

mod credentials;
mod drain;
mod misfit;
mod serve;

pub use credentials::StaticToken;
pub use drain::AFTER_END;
pub use serve::{STOP, StdioError, serve, serve_over};
