//! An rmcp server of one's own, hosted and protected by any issuer:
//! `cargo run -p mcp-transport-http --example protected_server https://auth.example.com http://127.0.0.1:8080`

use std::{error::Error, future::Future, sync::Arc};

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_transport_http::{HttpConfig, HttpServer};
use rmcp::{ErrorData, RoleServer, ServerHandler, model, service::RequestContext};
use tokio::net::TcpListener;

/// Who calls, as the tools see it.
#[derive(Clone)]
struct Caller(String);

#[derive(Clone)]
struct Greeter;

impl ServerHandler for Greeter {
    fn get_info(&self) -> model::ServerConfig {
        let tools = model::ServerCapabilities::builder().enable_tools().build();
        model::ServerConfig::new(tools)
    }

    async fn list_tools(
        &self,
        _: Option<model::PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<model::ListToolsResult, ErrorData> {
        let greet = model::Tool::new("greet", "Greets the caller.", Arc::new(no_arguments()));
        Ok(model::ListToolsResult::with_all_items(vec![greet]))
    }

    async fn call_tool(
        &self,
        _: model::CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<model::CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<http::request::Parts>();
        let caller = parts.and_then(|parts| parts.extensions.get::<Caller>());
        let Caller(name) = caller.ok_or_else(|| ErrorData::internal_error("no caller", None))?;
        let text = model::ContentBlock::text(format!("Hello, {name}!"));
        Ok(model::CallToolResult::success(vec![text]).into())
    }
}

fn no_arguments() -> model::JsonObject {
    model::JsonObject::from_iter([("type".to_owned(), "object".into())])
}

/// The whole assembly: issuer, sessions, server.
pub(crate) async fn serve(
    issuer: &str,
    public_url: &str,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Box<dyn Error>> {
    let config = HttpConfig::new(public_url, [issuer])?;
    let mut trusted = IssuerConfig::new(issuer, [&config.resource]);
    trusted.organization_required = false;
    let client = mcp_auth::http_client()?;
    let verifier = TokenVerifier::new(vec![trusted], client, VerifierConfig::default())?;
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
    let server = HttpServer::new(config, sessions, Greeter, |session, _token| {
        Caller(session.principal().subject().to_owned())
    });
    server.serve(listener, shutdown).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(public_url)) = (arguments.next(), arguments.next()) else {
        return Err("usage: protected_server ISSUER PUBLIC_URL".into());
    };
    let listener = TcpListener::bind("127.0.0.1:8080").await?;
    serve(&issuer, &public_url, listener, async {
        tokio::signal::ctrl_c().await.unwrap_or_default();
    })
    .await
}
