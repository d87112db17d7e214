//! The limit the load test measures the server against: the same tool on bare rmcp, as its own
//! examples build it: with its router made once, and with our allocator, so that what is compared is
//! the work. No authentication, no sessions, no telemetry, no retries, no limits.
//!
//! Listens on `PORT`; asks the API at `BRAINGRID_API_URL`.
#![expect(
    clippy::disallowed_methods,
    reason = "two variables, and no configuration worth the name"
)]

use std::{borrow::Cow, convert::Infallible, sync::Arc};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::{router::tool::ToolRouter, wrapper::Parameters},
    model::{CallToolResult, ContentBlock, ServerCapabilities, ServerConfig},
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Clone)]
struct Bare {
    router: Arc<ToolRouter<Self>>,
    client: Client<HttpConnector, Full<Bytes>>,
    api: Arc<str>,
}

/// The arguments of the tool.
#[derive(Deserialize, JsonSchema)]
struct Create {
    /// The rough idea
    message: String,
    /// Where to
    project_id: String,
}

/// What the API answers, as far as it is shown.
#[derive(Deserialize, Serialize)]
struct Requirement<'a> {
    id: Cow<'a, str>,
    short_id: Cow<'a, str>,
    name: Cow<'a, str>,
    status: Cow<'a, str>,
    content: Cow<'a, str>,
    url: Cow<'a, str>,
}

#[tool_router]
impl Bare {
    #[tool(description = "Turns a rough idea into a requirement")]
    async fn create_requirement(
        &self,
        Parameters(wanted): Parameters<Create>,
    ) -> Result<CallToolResult, ErrorData> {
        let failed = |_| ErrorData::internal_error("the API did not answer", None);
        let body = self.ask(&wanted).await.map_err(failed)?;
        let made: Requirement<'_> = serde_json::from_slice(&body)
            .map_err(|_| ErrorData::internal_error("the API's answer cannot be read", None))?;
        let text = format!(
            "Created in {}.\n# {} {} [{}]\n\n{}",
            wanted.project_id, made.short_id, made.name, made.status, made.content
        );
        let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
        result.structured_content = Some(json!({ "requirement": made }));
        Ok(result)
    }
}

impl Bare {
    async fn ask(&self, wanted: &Create) -> anyhow::Result<Bytes> {
        let (api, project) = (&self.api, &wanted.project_id);
        let body = serde_json::to_vec(&json!({ "prompt": wanted.message }))?;
        let request = Request::post(format!(
            "{api}/api/v1/projects/{project}/requirements/specify"
        ))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
        let answer = self.client.request(request).await?;
        anyhow::ensure!(answer.status().is_success(), "the API refused");
        Ok(answer.into_body().collect().await?.to_bytes())
    }
}

#[tool_handler(router = self.router)]
impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let port: u16 = std::env::var("PORT").context("PORT")?.parse()?;
    let bare = Bare {
        router: Arc::new(Bare::tool_router()),
        client: Client::builder(TokioExecutor::new()).build_http(),
        api: std::env::var("BRAINGRID_API_URL")
            .context("BRAINGRID_API_URL")?
            .into(),
    };
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true);
    let service = StreamableHttpService::new(
        move || Ok(bare.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let service = service.clone();
            async move {
                Ok::<_, Infallible>(if request.uri().path() == "/mcp" {
                    service.handle(request).await
                } else {
                    let mut response = Response::new(Full::new(Bytes::new()).boxed());
                    *response.status_mut() = StatusCode::NOT_FOUND;
                    response
                })
            }
        });
        tokio::spawn(async move {
            // A client that goes away is its own business.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
