//! What the parts of a request cost besides its authentication (`mcp-session`'s bench `warm_path`),
//! beside the whole of it, in one run: `cargo bench -p mcp-transport-http --bench request --profile ci`
//!
//! The candidates take turns in short batches and the medians of the batches are compared, so that
//! a busy neighbour slows all of them. Read the ratios.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints, and stops where something is not as it should be"
)]

use std::{hint::black_box, sync::Arc, time::Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_test_support::{Issuer, client::Generation, http_client};
use mcp_transport_http::{HttpConfig, HttpServer, RequestPreview};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ClientJsonRpcMessage,
        ContentBlock, Tool,
    },
    service::RequestContext,
};
use serde_json::json;
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::{
    filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

const BATCH: u32 = 200;
const ROUNDS: usize = 60;

const TOOL: &str = "create_requirement";

/// A tool that does nothing.
#[derive(Clone)]
struct Idle;

impl ServerHandler for Idle {
    fn get_tool(&self, name: &str) -> Option<Tool> {
        (name == TOOL).then(|| Tool::new(TOOL, TOOL, Arc::default()))
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text("done")]).into())
    }
}

fn main() {
    // Lines as JSON, of level `info`.
    tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(
            tracing_subscriber::fmt::layer()
                .json()
                .with_writer(std::io::sink),
        )
        .init();
    let elsewhere = Runtime::new().unwrap();
    let issuer = elsewhere.block_on(Issuer::start()).unwrap();
    // Of this thread alone: waking another one would be most of what is measured.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let usual = server(&issuer);
    let direct = server(&issuer).with_direct_tools([TOOL]);
    let token = issuer.token().mint();
    let message = |generation: Generation| {
        let arguments = json!({ "message": "let returning shoppers pay with a saved card" });
        let params = json!({ "name": TOOL, "arguments": arguments });
        Bytes::from(generation.message(1, "tools/call", params).to_string())
    };
    let [legacy, modern] = Generation::BOTH.map(message);
    let call = |server: &HttpServer<Idle>, generation: Generation, body: &Bytes| {
        let mut request = Request::post("http://127.0.0.1:8080/mcp")
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header("mcp-protocol-version", generation.version());
        if generation == Generation::Modern {
            request = request.header("mcp-method", "tools/call");
            request = request.header("mcp-name", TOOL);
        }
        let request = request.body(Full::new(body.clone())).unwrap();
        let response = runtime.block_on(server.handle(request));
        assert_eq!(response.status(), StatusCode::OK);
    };
    let decode = |body: &Bytes| {
        black_box(serde_json::from_slice::<ClientJsonRpcMessage>(body).unwrap());
    };
    let mut candidates: Vec<Candidate<'_>> = vec![
        Candidate::new("whole request in process, 2025-11-25", || {
            call(&direct, Generation::Legacy, &legacy);
        }),
        Candidate::new("whole request in process, 2026-07-28", || {
            call(&direct, Generation::Modern, &modern);
        }),
        Candidate::new("the same by the SDK's service, 2025-11-25", || {
            call(&usual, Generation::Legacy, &legacy);
        }),
        Candidate::new("the same by the SDK's service, 2026-07-28", || {
            call(&usual, Generation::Modern, &modern);
        }),
        Candidate::new("the SDK decodes the message, 2025-11-25", || {
            decode(&legacy);
        }),
        Candidate::new("the SDK decodes the message, 2026-07-28", || {
            decode(&modern);
        }),
        Candidate::new("scope preview, 2025-11-25", || {
            black_box(RequestPreview::of(&legacy).unwrap());
        }),
        Candidate::new("scope preview, 2026-07-28", || {
            black_box(RequestPreview::of(&modern).unwrap());
        }),
        Candidate::new("a span and a JSON log line", || {
            let span = tracing::info_span!("request", method = "tools/call");
            span.in_scope(|| tracing::info!(tier = "memory", status = 200, "request"));
        }),
    ];
    for _ in 0..ROUNDS {
        for candidate in &mut candidates {
            candidate.round();
        }
    }
    let whole = candidates.first_mut().map_or(1.0, Candidate::median);
    println!("{:<44} {:>10} {:>8}", "step", "ns", "ratio");
    for candidate in &mut candidates {
        let (name, median) = (candidate.name, candidate.median());
        println!("{name:<44} {median:>10.0} {:>8.3}", median / whole);
    }
}

fn server(issuer: &Issuer) -> HttpServer<Idle> {
    let config = HttpConfig::new("http://127.0.0.1:8080", [issuer.url()]).unwrap();
    issuer.set_audience([config.resource.as_str()]);
    let trusted = IssuerConfig::new(issuer.url(), [config.resource.as_str()]);
    let verifier = TokenVerifier::new(vec![trusted], http_client(), VerifierConfig::default());
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier.unwrap(), Keyring::random(), store).build();
    HttpServer::new(config, sessions, Idle, |_, _| ())
}

struct Candidate<'a> {
    name: &'static str,
    step: Box<dyn FnMut() + 'a>,
    batches: Vec<f64>,
}

impl<'a> Candidate<'a> {
    fn new(name: &'static str, step: impl FnMut() + 'a) -> Self {
        Self {
            name,
            step: Box::new(step),
            batches: Vec::with_capacity(ROUNDS),
        }
    }

    fn round(&mut self) {
        let start = Instant::now();
        for _ in 0..BATCH {
            (self.step)();
        }
        let batch = start.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH);
        self.batches.push(batch);
    }

    fn median(&mut self) -> f64 {
        self.batches.sort_unstable_by(f64::total_cmp);
        self.batches.get(ROUNDS / 2).copied().unwrap_or_default()
    }
}
