//! One world for a test: the API, the tools for one caller, a client that is connected to them.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use mcp_core::{
    BrainGridClient, BrainGridConfig, Caller, Credential, CredentialError, Organization,
    ToolOptions, ToolSet,
};
use mcp_test_support::{Algorithm, Api, SigningKey, TokenBuilder};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResult, ClientConfig, ProgressNotificationParam,
        ProtocolVersion,
    },
    service::{NotificationContext, RunningService, ServiceError},
};
use secrecy::SecretString;
use serde_json::Value;

pub(crate) const ORGANIZATION: &str = "org_1";

/// A credential that counts what is asked of it.
pub(crate) struct Tokens {
    tokens: Vec<String>,
    rejected: AtomicUsize,
}

impl Tokens {
    pub(crate) fn new(tokens: impl IntoIterator<Item = String>) -> Arc<Self> {
        Arc::new(Self {
            tokens: tokens.into_iter().collect(),
            rejected: AtomicUsize::new(0),
        })
    }

    pub(crate) fn rejections(&self) -> usize {
        self.rejected.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Credential for Tokens {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        let token = self
            .tokens
            .get(self.rejections())
            .or_else(|| self.tokens.last());
        let missing = || CredentialError::new("Set BRAINGRID_API_TOKEN to a BrainGrid token.");
        token.cloned().map(SecretString::from).ok_or_else(missing)
    }

    fn reject(&self, _: &SecretString) {
        self.rejected.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) fn token() -> String {
    builder().mint()
}

pub(crate) fn expired_token() -> String {
    builder().expires_in(-60).mint()
}

/// A caller of a hosted server: somebody of an organization.
pub(crate) fn caller_of(subject: &str, organization: &str) -> Caller {
    let token = builder().subject(subject).organization(organization);
    let known = Organization::known(organization.parse().unwrap());
    let credential = Tokens::new([token.mint()]);
    Caller::new(Some(subject.to_owned()), known, Vec::new(), credential)
        .of_issuer("https://issuer.example")
}

fn builder() -> TokenBuilder {
    let key = Arc::new(SigningKey::generate(Algorithm::Es256));
    TokenBuilder::new("https://issuer.example", &["braingrid".to_owned()], key)
        .organization(ORGANIZATION)
}

/// A client that remembers the progress it was told.
#[derive(Clone, Default)]
pub(crate) struct Client {
    pub(crate) progress: Arc<Mutex<Vec<f64>>>,
}

impl ClientHandler for Client {
    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.progress.lock().unwrap().push(progress.progress);
    }

    fn get_info(&self) -> ClientConfig {
        ClientConfig::default()
    }
}

pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) tools: ToolSet,
    pub(crate) client: RunningService<RoleClient, Client>,
    pub(crate) progress: Arc<Mutex<Vec<f64>>>,
}

/// What can differ from test to test.
pub(crate) struct Setup {
    pub(crate) options: ToolOptions,
    pub(crate) credential: Arc<dyn Credential>,
    pub(crate) organization: Organization,
    pub(crate) modern: bool,
    pub(crate) configure: fn(&mut BrainGridConfig),
    pub(crate) add: fn(ToolSet) -> ToolSet,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            options: ToolOptions::default(),
            credential: Tokens::new([token()]),
            organization: Organization::known(ORGANIZATION.parse().unwrap()),
            modern: true,
            configure: |_| {},
            add: |tools| tools,
        }
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        mcp_test_support::install_tls_provider();
        let api = Api::start().await.unwrap();
        let mut config = BrainGridConfig::new(api.url().parse().unwrap());
        (setup.configure)(&mut config);
        let tools = ToolSet::new(BrainGridClient::new(config).unwrap(), setup.options);
        let caller = Caller::new(None, setup.organization, Vec::new(), setup.credential);
        let tools = (setup.add)(tools).with_caller(caller);
        let (client, progress) = connect(tools.clone(), setup.modern).await;
        Self {
            api,
            tools,
            client,
            progress,
        }
    }

    /// The whole answer to a call.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> CallToolResult {
        self.try_call(tool, arguments).await.unwrap()
    }

    pub(crate) async fn try_call(
        &self,
        tool: &str,
        arguments: Value,
    ) -> Result<CallToolResult, ServiceError> {
        self.client.call_tool(params(tool, arguments)).await
    }

    /// The structured answer of a call that worked.
    pub(crate) async fn get(&self, tool: &str, arguments: Value) -> Value {
        let result = self.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{tool}: {}", text(&result));
        result.structured_content.unwrap()
    }

    /// The text of a call that did not.
    pub(crate) async fn error(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}: {}", text(&result));
        text(&result)
    }
}

pub(crate) fn params(tool: &str, arguments: Value) -> CallToolRequestParams {
    let params = CallToolRequestParams::new(tool.to_owned());
    match arguments {
        Value::Object(arguments) => params.with_arguments(arguments),
        _ => params,
    }
}

pub(crate) fn text(result: &CallToolResult) -> String {
    result
        .content
        .iter()
        .filter_map(|block| block.as_text())
        .map(|text| text.text.as_str())
        .collect()
}

/// Connects a client to the tools through a pipe.
pub(crate) async fn connect(
    tools: ToolSet,
    modern: bool,
) -> (RunningService<RoleClient, Client>, Arc<Mutex<Vec<f64>>>) {
    let (near, far) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move { tools.serve(far).await.unwrap().waiting().await });
    let handler = Client::default();
    let progress = handler.progress.clone();
    let lifecycle = if modern {
        ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        }
    } else {
        ClientLifecycleMode::Initialize
    };
    (
        handler.serve_with_lifecycle(near, lifecycle).await.unwrap(),
        progress,
    )
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "never happened: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
