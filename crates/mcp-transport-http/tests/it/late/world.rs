//! A server whose tools take until they are told to go on, and answers of it that have begun.

use std::{
    error::Error,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_test_support::{
    Issuer,
    client::{Generation, RawHttp, RawRequest},
};
use mcp_transport_http::{HttpConfig, HttpServer, Phase, ServerStatus};
use rmcp::{ErrorData, RoleServer, ServerHandler, model, service::RequestContext};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
const TOOLS: [&str; 5] = ["wait", "tell", "refuse", "lack", "panic"];

#[derive(Clone, Default)]
struct Tools(Arc<State>);

#[derive(Default)]
pub(crate) struct State {
    pub(crate) begun: Notify,
    pub(crate) told: Notify,
    pub(crate) go_on: Notify,
    pub(crate) ended: Notify,
    pub(crate) was_cancelled: AtomicBool,
}

impl State {
    /// Tells a client of the progress that asked for it.
    async fn tell(&self, context: &RequestContext<RoleServer>) {
        if let Some(token) = context.meta.get_progress_token() {
            let progress = model::ProgressNotificationParam::new(token, 0.5);
            context.peer.notify_progress(progress).await.unwrap();
            self.told.notify_one();
        }
    }
}

impl ServerHandler for Tools {
    fn get_info(&self) -> model::ServerConfig {
        let tools = model::ServerCapabilities::builder().enable_tools().build();
        model::ServerConfig::new(tools)
    }

    fn get_tool(&self, name: &str) -> Option<model::Tool> {
        let known = TOOLS.into_iter().find(|known| *known == name)?;
        Some(model::Tool::new(known, known, Arc::default()))
    }

    /// Whatever comes of it, it takes until it is told to go on.
    async fn call_tool(
        &self,
        params: model::CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<model::CallToolResponse, ErrorData> {
        self.0.begun.notify_one();
        if params.name == "tell" {
            self.0.tell(&context).await;
        }
        let cancelled = tokio::select! {
            () = context.ct.cancelled() => true,
            () = self.0.go_on.notified() => false,
        };
        self.0.was_cancelled.store(cancelled, Ordering::SeqCst);
        self.0.ended.notify_one();
        match &*params.name {
            "refuse" => return Err(ErrorData::invalid_params("no", None)),
            "lack" => {
                let wanted = model::ClientCapabilities::default();
                return Err(ErrorData::missing_required_client_capability(wanted));
            }
            "panic" => panic!("as asked"),
            _ => {}
        }
        if !cancelled {
            self.0.tell(&context).await;
        }
        Ok(model::CallToolResult::success(vec![model::ContentBlock::text("waited")]).into())
    }
}

/// A server that gives a sign of life at once and often, and a token for it.
pub(crate) struct World {
    pub(crate) http: RawHttp,
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) state: Arc<State>,
    pub(crate) status: ServerStatus,
    /// The statuses that the observer was told.
    pub(crate) observed: Arc<Mutex<Vec<u16>>>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
    _issuer: Issuer,
}

impl World {
    pub(crate) async fn start(direct: bool) -> Result<Self, Box<dyn Error>> {
        Self::quiet_for(Duration::ZERO, direct).await
    }

    pub(crate) async fn quiet_for(quiet: Duration, direct: bool) -> Result<Self, Box<dyn Error>> {
        let issuer = Issuer::start().await?;
        issuer.set_audience(["https://one.test/mcp"]);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let mut config = HttpConfig::new(&url, [issuer.url()])?;
        config.quiet_before_stream = quiet;
        config.keep_alive = Duration::from_millis(5);
        let mut trusted = IssuerConfig::new(issuer.url(), ["https://one.test/mcp"]);
        trusted.organization_required = false;
        let client = mcp_auth::http_client()?;
        let verifier = TokenVerifier::new(vec![trusted], client, VerifierConfig::default())?;
        let store = Arc::new(MemoryStore::default());
        let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
        let tools = Tools::default();
        let state = Arc::clone(&tools.0);
        let observed = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&observed);
        let mut server = HttpServer::new(config, sessions, tools, |_, _| ()).with_observer(
            Arc::new(move |request| told.lock().unwrap().push(request.status)),
        );
        if direct {
            server = server.with_direct_tools(TOOLS);
        }
        let status = server.status();
        let (phase, phases) = watch::channel(Phase::Serving);
        let serving = tokio::spawn(server.serve_in_phases(listener, phases));
        Ok(Self {
            http: RawHttp::new(format!("{url}/mcp")),
            url,
            token: issuer.token().subject("ada").without("org_id").mint(),
            state,
            status,
            observed,
            phase,
            serving,
            _issuer: issuer,
        })
    }

    pub(crate) fn call(&self, generation: Generation, tool: &str) -> RawRequest {
        let call = self.http.call(generation, tool, &json!({}));
        call.bearer(&self.token)
    }

    pub(crate) async fn no_connection(&self) {
        let none = async {
            while self.status.connections().open > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, none).await.unwrap();
    }

    pub(crate) async fn nothing_in_flight(&self) {
        let none = async {
            while self.status.in_flight() > 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(LIMIT, none).await.unwrap();
    }
}

/// An answer that has begun.
pub(crate) struct Begun {
    pub(crate) response: reqwest::Response,
    pub(crate) text: String,
}

impl Begun {
    pub(crate) async fn of(request: RawRequest) -> Self {
        let response = timeout(LIMIT, request.open()).await.unwrap();
        Self {
            response: response.unwrap(),
            text: String::new(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.response.headers().get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Reads on, until this was said so often.
    pub(crate) async fn until(&mut self, text: &str, times: usize) {
        while self.text.matches(text).count() < times {
            let part = timeout(LIMIT, self.response.chunk()).await;
            let part = part.unwrap().unwrap().expect("more is to come");
            self.text += std::str::from_utf8(&part).unwrap();
        }
    }

    pub(crate) async fn end(mut self) -> String {
        self.text += &self.response.text().await.unwrap();
        self.text
    }

    /// The only message in a stream, which is its last event.
    pub(crate) async fn message(self) -> Value {
        let text = self.end().await;
        let (comments, event) = text.split_once("event: message\ndata: ").unwrap();
        assert_eq!(comments.replace(": waiting\n\n", ""), "");
        serde_json::from_str(event.strip_suffix("\n\n").unwrap()).unwrap()
    }
}
