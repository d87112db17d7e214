//! Everything around the server, and the server.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mcp_auth::{AccessToken, IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_core::{Caller, Credential, CredentialError, Organization, ToolSet};
use mcp_session::{Keyring, MemoryStore, Session, SessionTiers};
use mcp_test_support::{
    Api, Issuer, RedisServer, ServerCommand, ServerProcess, client::RawHttp, free_port, random_hex,
};
use mcp_transport_http::{HttpConfig, HttpServer};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

/// Long enough for a busy machine; nothing waits this long when all is well.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_braingrid-mcp");

/// An issuer, an API, perhaps a Redis, and the settings that servers share.
pub(crate) struct World {
    pub(crate) issuer: Issuer,
    pub(crate) api: Api,
    pub(crate) redis: Option<RedisServer>,
    /// The public URL all instances share, as behind a load balancer.
    public_url: String,
    pub(crate) encryption_key: String,
    /// The folder of the local user.
    pub(crate) home: TempDir,
}

impl World {
    /// One instance's world: no Redis.
    pub(crate) async fn small() -> Self {
        mcp_test_support::install_tls_provider();
        let public_url = format!("http://127.0.0.1:{}", free_port().unwrap());
        let issuer = Issuer::start().await.unwrap();
        let resource = format!("{public_url}/mcp");
        issuer.set_audience([resource.as_str()]);
        let api = Api::start().await.unwrap();
        let encryption_key = random_hex(32);
        Self {
            issuer,
            api,
            redis: None,
            public_url,
            encryption_key,
            home: tempfile::tempdir().unwrap(),
        }
    }

    /// A fleet's world: a real Redis between the instances.
    pub(crate) async fn shared() -> Self {
        let redis = RedisServer::start().await.unwrap();
        Self {
            redis: Some(redis),
            ..Self::small().await
        }
    }

    pub(crate) fn redis(&self) -> &RedisServer {
        self.redis.as_ref().expect("this world has a Redis")
    }

    /// Waits until so many instances, all that were started, have read the sixteen sets of denials: what
    /// comes to Redis later is for calls. Nothing else may have run a script before.
    pub(crate) async fn have_read_denials(&self, instances: u64) {
        let started = Instant::now();
        loop {
            let stats = self.redis().commandstats().await.unwrap();
            if stats.get("eval") >= Some(&(16 * instances)) {
                return;
            }
            assert!(
                started.elapsed() < LIMIT,
                "the denials are not read: {stats:?}"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// The command of one more instance.
    pub(crate) fn command(&self) -> ServerCommand {
        self.command_on(free_port().unwrap())
    }

    fn command_on(&self, port: u16) -> ServerCommand {
        let command = ServerCommand::http(BINARY, port)
            .env("MCP_HOST", &self.public_url)
            .env("OAUTH_ISSUER", self.issuer.url())
            .env("UPSTREAM_AUDIENCE", self.resource())
            .env("BRAINGRID_API_URL", self.api.url())
            .env("LOG_LEVEL", "debug");
        match &self.redis {
            Some(redis) => command
                .env("REDIS_URL", redis.url())
                .env("ENCRYPTION_KEY", &self.encryption_key),
            None => command,
        }
    }

    /// The command of the one instance that the public URL leads to.
    pub(crate) fn command_at_public_url(&self) -> ServerCommand {
        let port = self.public_url.rsplit(':').next().unwrap();
        self.command_on(port.parse().unwrap())
    }

    /// That instance, listening.
    pub(crate) async fn server_at_public_url(&self) -> ServerProcess {
        self.start(&self.command_at_public_url()).await
    }

    /// The identifier tokens are issued for.
    pub(crate) fn resource(&self) -> String {
        format!("{}/mcp", self.public_url)
    }

    /// One more instance, listening.
    pub(crate) async fn server(&self) -> ServerProcess {
        self.start(&self.command()).await
    }

    /// What it says at its start can be read then: it answers before all of it has come through the pipe.
    pub(crate) async fn start(&self, command: &ServerCommand) -> ServerProcess {
        let server = command.spawn().unwrap();
        server.wait_ready(LIMIT).await.unwrap();
        assert!(server.said("listening", LIMIT).await, "{}", server.text());
        server
    }

    /// One more instance that has fetched the issuer's keys.
    pub(crate) async fn warm_server(&self) -> ServerProcess {
        let before = self.issuer.count(Issuer::JWKS_PATH);
        let server = self.server().await;
        server.said("issuer keys fetched", LIMIT).await;
        assert_eq!(
            self.issuer.count(Issuer::JWKS_PATH),
            before + 1,
            "{}",
            server.text()
        );
        server
    }

    /// A good token of a user in an organization.
    pub(crate) fn token(&self, subject: &str, organization: &str) -> String {
        self.issuer
            .token()
            .subject(subject)
            .organization(organization)
            .mint()
    }

    /// The command of a local server, or of what else a user runs: nobody is logged in.
    pub(crate) fn stdio_command(&self) -> ServerCommand {
        ServerCommand::new(BINARY)
            .env("BRAINGRID_API_URL", self.api.url())
            .env("OAUTH_ISSUER", self.issuer.url())
            .env("BRAINGRID_LOGIN_STORE", "file")
            .env("BRAINGRID_LOGIN_DIR", self.home.path().join("login"))
    }
}

/// A raw client of one instance.
pub(crate) fn client_of(server: &ServerProcess) -> RawHttp {
    RawHttp::new(server.mcp_url())
}

/// Arguments of `create_requirement` in the project every organization starts with.
pub(crate) fn idea(message: &str) -> Value {
    json!({ "message": message, "project_id": "PROJ-1" })
}

/// The access lines of this MCP method or tool.
pub(crate) fn tiers(lines: &[Value]) -> Vec<String> {
    let tier = |line: &Value| line.get("tier")?.as_str().map(str::to_owned);
    lines.iter().filter_map(tier).collect()
}

/// The same parts as in the binary, in this process: for what a configuration cannot say.
pub(crate) struct Here {
    pub(crate) resource: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Here {
    /// Serves these tools over HTTP to whoever the world's issuer vouches for.
    pub(crate) async fn serve(world: &World, tools: ToolSet) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let public_url = format!("http://{}", listener.local_addr().unwrap());
        let resource = format!("{public_url}/mcp");
        world.issuer.set_audience([resource.as_str()]);
        let issuer = IssuerConfig::new(world.issuer.url(), [&resource]);
        let client = mcp_auth::http_client().unwrap();
        let verifier = TokenVerifier::new(vec![issuer], client, VerifierConfig::default()).unwrap();
        let store = Arc::new(MemoryStore::default());
        let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
        let config = HttpConfig::new(&public_url, [world.issuer.url()]).unwrap();
        let server =
            HttpServer::new(config, sessions, tools, caller).with_methods(mcp_core::METHODS);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(server.serve(listener, async {
            stopped.await.ok();
        }));
        Self {
            resource,
            stop,
            serving,
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
    }
}

/// Whoever calls, with the token that was presented.
fn caller(session: &Arc<Session>, token: &AccessToken) -> Caller {
    struct Presented(String);
    #[async_trait::async_trait]
    impl Credential for Presented {
        async fn bearer(&self) -> Result<SecretString, CredentialError> {
            Ok(self.0.clone().into())
        }
        fn reject(&self, _: &SecretString) {}
    }
    let organization = session.principal().organization();
    let organization = Organization::known(organization.unwrap().parse().unwrap());
    let credential = Arc::new(Presented(token.expose().to_owned()));
    Caller::new(None, organization, Vec::new(), credential)
}
