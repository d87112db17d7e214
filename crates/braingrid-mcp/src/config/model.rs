//! The typed configuration: one struct for each consumer.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use mcp_core::ToolOptions;
use secrecy::SecretString;
use url::Url;
use zeroize::Zeroizing;

use super::issuers::IssuerSettings;
use super::parse::logs::LogFormat;
use super::parse::traces::{Propagator, TraceSampler};
use super::parse::words::LoginStore;

/// Everything the server is told.
#[derive(Debug)]
pub(crate) struct Config {
    /// Which transport to serve, and what that one needs.
    pub(crate) serve: Serve,
    /// The BrainGrid API.
    pub(crate) api: ApiSettings,
    /// Which tools to offer.
    pub(crate) tools: ToolOptions,
    /// What to log, and how.
    pub(crate) log: LogSettings,
    /// Where traces go.
    pub(crate) telemetry: TelemetrySettings,
    /// Where the audit log goes, if it goes anywhere.
    pub(crate) audit: Option<AuditTarget>,
    /// What is odd but no error; to be logged once at start.
    pub(crate) warnings: Vec<String>,
}

/// The transport and its settings.
#[derive(Debug)]
pub(crate) enum Serve {
    /// One local client over standard input and output.
    Stdio(StdioSettings),
    /// Many users over Streamable HTTP.
    Http(Box<HttpSettings>),
}

/// The local caller.
#[derive(Debug)]
pub(crate) struct StdioSettings {
    /// `BRAINGRID_API_TOKEN`.
    pub(crate) token: Option<SecretString>,
    /// The organization to work in, when it is chosen.
    pub(crate) organization: Option<String>,
    /// The user's own login.
    pub(crate) login: Box<LoginSettings>,
}

/// The user's own login.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(feature = "login"),
    expect(
        dead_code,
        reason = "read, so that its mistakes are told, but not used"
    )
)]
pub(crate) struct LoginSettings {
    /// Where to log in.
    pub(crate) issuer: String,
    /// The API that the login is for; none where the setting is wrong.
    pub(crate) api: Option<Url>,
    /// The organization that it is for, when it is chosen.
    pub(crate) organization: Option<String>,
    /// As whom, when it is known there.
    pub(crate) client_id: Option<String>,
    /// What the tokens are for, when it is chosen.
    pub(crate) resource: Option<String>,
    /// What to ask for.
    pub(crate) scopes: Vec<String>,
    /// Where to keep the login.
    pub(crate) store: LoginStore,
    /// Its folder; none where the user has no home.
    pub(crate) directory: Option<PathBuf>,
    /// Whether the folder was chosen.
    pub(crate) own_directory: bool,
}

/// The HTTP edge.
#[derive(Debug)]
pub(crate) struct HttpSettings {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The origin that clients use, when it is chosen; see [`HttpSettings::public_url_at`].
    pub(crate) public_url: Option<String>,
    /// Web origins admitted beside the public one.
    pub(crate) allowed_origins: Vec<String>,
    /// `Host` names admitted beside the public one.
    pub(crate) allowed_hosts: Vec<String>,
    /// Proxies whose word about clients is taken.
    pub(crate) trusted_proxies: Vec<String>,
    /// How long a stop may take as a whole.
    pub(crate) drain_timeout: Duration,
    /// How much it may take on.
    pub(crate) limits: LimitSettings,
    /// Who may call.
    pub(crate) auth: AuthSettings,
    /// How sessions are kept.
    pub(crate) session: SessionSettings,
    /// The listener for operators.
    pub(crate) admin: Option<AdminSettings>,
}

/// How much the HTTP edge may take on; what is not chosen follows from the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitSettings {
    /// Open connections.
    pub(crate) connections: Option<usize>,
    /// Connections of one address that were never authenticated.
    pub(crate) strangers_per_address: Option<usize>,
    /// Bytes for connections, requests and answers.
    pub(crate) memory: Option<usize>,
}

/// The listener for operators.
#[derive(Debug, Clone)]
pub(crate) struct AdminSettings {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// `Host` names admitted beside loopback names and the address itself.
    pub(crate) allowed_hosts: Vec<String>,
}

impl HttpSettings {
    /// The public origin, without a slash at its end, for a server that listens on `port`.
    pub(crate) fn public_url_at(&self, port: u16) -> String {
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("http://127.0.0.1:{port}"))
    }
}

/// Who may call.
#[derive(Debug)]
pub(crate) struct AuthSettings {
    /// Authorization servers; at least one.
    pub(crate) issuers: Vec<IssuerSettings>,
    /// Clock difference allowed.
    pub(crate) leeway: Duration,
    /// How long a token lives at most.
    pub(crate) token_lifetime: Duration,
    /// The audience under which the BrainGrid API accepts the caller's token.
    pub(crate) upstream_audience: String,
    /// Scopes that clients are told to ask for.
    pub(crate) scopes: Vec<String>,
    /// Which scopes tools need: `read`, `write` or a canonical tool name, and the scopes.
    pub(crate) tool_scopes: Vec<(String, Vec<String>)>,
    /// Scopes, and those they include.
    pub(crate) scope_hierarchy: Vec<(String, Vec<String>)>,
}

impl AuthSettings {
    /// The clients whose tokens are taken without audience.
    pub(crate) fn clients(&self) -> impl Iterator<Item = String> {
        let stand_ins = self
            .issuers
            .iter()
            .filter_map(|it| it.accepted.audience_from.as_ref());
        stand_ins.flat_map(|from| from.clients.iter().cloned())
    }
}

/// How sessions are kept.
#[derive(Debug)]
pub(crate) struct SessionSettings {
    /// The shared store; memory of this process without it.
    pub(crate) redis_url: Option<SecretString>,
    /// Certificates to trust for it, as PEM; the system's without them.
    pub(crate) redis_ca: Option<Vec<u8>>,
    /// The keys that seal sessions; always there when `redis_url` is.
    pub(crate) keys: Option<SealingKeys>,
    /// The longest life of a session.
    pub(crate) max_lifetime: Duration,
}

/// Encryption keys.
pub(crate) struct SealingKeys {
    /// Seals and opens.
    pub(crate) current: Zeroizing<[u8; 32]>,
    /// Open only.
    pub(crate) previous: Vec<Zeroizing<[u8; 32]>>,
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SealingKeys([redacted], {} previous)",
            self.previous.len()
        )
    }
}

/// The BrainGrid API.
#[derive(Debug, Clone)]
pub(crate) struct ApiSettings {
    /// Its base URL.
    pub(crate) base_url: Url,
}

/// What to log, and how.
#[derive(Debug)]
pub(crate) struct LogSettings {
    /// The level of this server's own messages.
    pub(crate) level: &'static str,
    /// Filter directives that replace the level.
    pub(crate) filter: Option<String>,
    /// The form of a line; `None` lets the terminal decide.
    pub(crate) format: Option<LogFormat>,
}

/// Where traces and metrics go.
#[derive(Debug)]
pub(crate) struct TelemetrySettings {
    /// The URL for traces over OTLP/HTTP; `None` turns traces off.
    pub(crate) traces_endpoint: Option<Url>,
    /// The URL for metrics over OTLP/HTTP; `None` turns metrics off.
    pub(crate) metrics_endpoint: Option<Url>,
    /// Whether Prometheus may ask for metrics.
    pub(crate) prometheus: bool,
    /// The Datadog agent that takes metrics.
    pub(crate) dogstatsd: Option<DogStatsdSettings>,
    /// Which requests are traced.
    pub(crate) sampler: TraceSampler,
    /// How a trace is joined and passed on.
    pub(crate) propagators: Vec<Propagator>,
    /// The name of the environment.
    pub(crate) environment: String,
}

/// A Datadog agent, and what it is told about this process.
#[derive(Debug, Clone)]
pub(crate) struct DogStatsdSettings {
    /// Name or address.
    pub(crate) host: String,
    /// UDP port.
    pub(crate) port: u16,
    /// Datadog's unified tags: `env`, `service`, `version`.
    pub(crate) tags: [(&'static str, String); 3],
}

/// Where the audit log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuditTarget {
    /// A file that is appended to.
    File(PathBuf),
    /// Standard output.
    Stdout,
    /// A collector, as log records over OTLP/HTTP.
    Otlp(Url),
}
