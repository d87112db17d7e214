//! What the operator chose, as typed values. The only file that reads the environment.
//!
//! Defaults < file < environment < flags. All of it comes from the table in `settings`; all
//! that is wrong with it is reported at once. Below this file, configuration is arguments.

mod issuers;
mod layers;
mod parse;
mod print;
mod problem;
mod reader;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;
use zeroize::Zeroizing;

pub(crate) use issuers::IssuerSettings;
use layers::{Environment, Layer, NotUnicode, Origin};
pub(crate) use parse::{LogFormat, Transport};
pub(crate) use print::{documentation, effective_json, effective_text};
pub(crate) use problem::Problems;
use reader::Reader;
pub(crate) use settings::{Group, Kind, SETTINGS, Setting};

/// Everything the server is told.
#[derive(Debug)]
pub(crate) struct Config {
    /// Which transport to serve, and what that one needs.
    pub(crate) serve: Serve,
    /// The BrainGrid API.
    pub(crate) api: ApiSettings,
    /// Which tools to offer.
    pub(crate) tools: ToolSettings,
    /// What to log, and how.
    pub(crate) log: LogSettings,
    /// Where traces go.
    pub(crate) telemetry: TelemetrySettings,
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
    /// How long calls under way may take at shutdown.
    pub(crate) drain_timeout: Duration,
    /// Who may call.
    pub(crate) auth: AuthSettings,
    /// How sessions are kept.
    pub(crate) session: SessionSettings,
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
    /// The audience under which the BrainGrid API accepts the caller's token.
    pub(crate) upstream_audience: String,
}

/// How sessions are kept.
#[derive(Debug)]
pub(crate) struct SessionSettings {
    /// The shared store; memory of this process without it.
    pub(crate) redis_url: Option<SecretString>,
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
#[derive(Debug)]
pub(crate) struct ApiSettings {
    /// Its base URL.
    pub(crate) base_url: Url,
}

/// Which tools to offer.
#[derive(Debug)]
pub(crate) struct ToolSettings {
    /// Only those that change nothing.
    pub(crate) read_only: bool,
    /// Only these, when not empty.
    pub(crate) tools: Vec<String>,
    /// Not these.
    pub(crate) exclude_tools: Vec<String>,
    /// Also those whose API call is a guess.
    pub(crate) experimental: bool,
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

/// Where traces go.
#[derive(Debug)]
pub(crate) struct TelemetrySettings {
    /// The URL for traces over OTLP/HTTP; `None` turns traces off.
    pub(crate) traces_endpoint: Option<Url>,
    /// The name of the environment.
    pub(crate) environment: String,
}

/// A configuration and how it came about.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The typed configuration.
    pub(crate) config: Config,
    /// Each setting that the chosen transport reads, as it may be shown.
    pub(crate) effective: Vec<Effective>,
}

/// One setting as it is in effect.
#[derive(Debug)]
pub(crate) struct Effective {
    setting: &'static Setting,
    value: Option<String>,
    origin: Origin,
}

/// The flags that were given, by setting key.
pub(crate) type Flags = BTreeMap<&'static str, String>;

/// Everything outside the program that configuration is made of.
pub(crate) struct Surroundings {
    environment: Environment,
    directory: PathBuf,
}

impl Surroundings {
    /// The environment and the working directory of this process.
    pub(crate) fn of_this_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            let value = value
                .into_string()
                .map(SecretString::from)
                .map_err(|_| NotUnicode);
            Some((name.into_string().ok()?, value))
        });
        Self {
            environment: Environment(variables.collect()),
            directory: PathBuf::from("."),
        }
    }
}

/// Reads the configuration, or says everything that is wrong with it.
pub(crate) fn load(flags: &Flags, around: &Surroundings) -> Result<Loaded, Problems> {
    let mut reader = read_layers(flags, around)?;
    let transport = reader.value(&settings::TRANSPORT, Transport::Stdio, parse::transport);
    let config = read_config(&mut reader, transport);
    let effective = effective(&reader, transport);
    match config {
        Some(config) if reader.problems.is_empty() => Ok(Loaded { config, effective }),
        _ => Err(Problems(reader.problems)),
    }
}

/// The address on which a server with these settings listens. Looks at nothing else, so that a
/// health check works wherever the server does.
pub(crate) fn listen_address(flags: &Flags, around: &Surroundings) -> Result<SocketAddr, Problems> {
    let mut flags = flags.clone();
    flags.insert(settings::TRANSPORT.key, "http".to_owned());
    let mut reader = read_layers(&flags, around)?;
    reader.problems.clear();
    let listen = read_listen(&mut reader);
    if reader.problems.is_empty() {
        Ok(listen)
    } else {
        Err(Problems(reader.problems))
    }
}

/// Merges the layers. Variables that only the other transport reads are left out: names like
/// `PORT` or `REDIS_URL` may be meant for another program.
fn read_layers(flags: &Flags, around: &Surroundings) -> Result<Reader, Problems> {
    let mut problems = Vec::new();
    let file = layers::file(config_file(flags, around), &around.directory, &mut problems);
    let stack = |wanted: &dyn Fn(&Setting) -> bool, problems: &mut _, warnings: &mut _| {
        let environment = layers::environment(&around.environment, wanted, problems, warnings);
        vec![
            layers::defaults(),
            file.clone(),
            environment,
            layers::flags(flags),
        ]
    };
    let transport_only = |setting: &Setting| setting.key == settings::TRANSPORT.key;
    let http = transport_of(stack(&transport_only, &mut Vec::new(), &mut Vec::new()))?;
    let http = http == Transport::Http;
    let mut warnings = layers::near_misses(&around.environment);
    let all = stack(
        &|setting| setting.read_by(http),
        &mut problems,
        &mut warnings,
    );
    let merged = layers::merge(all).map_err(|problem| Problems(vec![problem]))?;
    Ok(Reader::new(merged, problems, warnings))
}

/// The transport alone; a bad one is reported later, with everything else.
fn transport_of(layers: Vec<Layer>) -> Result<Transport, Problems> {
    let merged = layers::merge(layers).map_err(|problem| Problems(vec![problem]))?;
    let mut reader = Reader::new(merged, Vec::new(), Vec::new());
    Ok(reader.value(&settings::TRANSPORT, Transport::Stdio, parse::transport))
}

/// The configuration file that is named by flag or variable.
fn config_file(flags: &Flags, around: &Surroundings) -> Option<(PathBuf, Origin)> {
    let setting = &settings::CONFIG_FILE;
    if let Some(path) = flags.get(setting.key) {
        return Some((PathBuf::from(path), Origin::Flag { name: "config" }));
    }
    let name = setting.name();
    let value = around.environment.0.get(name)?.as_ref().ok()?;
    let path = secrecy::ExposeSecret::expose_secret(value);
    let origin = Origin::Environment {
        name: name.to_owned(),
    };
    (!path.is_empty()).then(|| (PathBuf::from(path), origin))
}

/// Reads every part before it gives up, so that nothing wrong stays unsaid.
fn read_config(reader: &mut Reader, transport: Transport) -> Option<Config> {
    let serve = match transport {
        Transport::Stdio => Serve::Stdio(read_stdio(reader)),
        Transport::Http => Serve::Http(Box::new(read_http(reader))),
    };
    let base_url = reader.optional(&settings::API_URL, parse::base_url);
    let tools = read_tools(reader);
    let log = read_log(reader);
    let telemetry = read_telemetry(reader);
    let warnings = std::mem::take(&mut reader.warnings);
    Some(Config {
        serve,
        api: ApiSettings {
            base_url: base_url?,
        },
        tools,
        log,
        telemetry,
        warnings,
    })
}

fn read_stdio(reader: &mut Reader) -> StdioSettings {
    StdioSettings {
        token: reader.secret(&settings::API_TOKEN, reader::token),
        organization: reader.optional(&settings::ORGANIZATION_ID, parse::organization),
    }
}

fn read_http(reader: &mut Reader) -> HttpSettings {
    let listen = read_listen(reader);
    let public_url = reader.optional(&settings::PUBLIC_URL, parse::public_url);
    if public_url.is_none() && !listen.ip().is_loopback() {
        reader.warnings.push(
            "MCP_HOST is not set: clients on other machines will be refused; set it to the URL \
             that they use, such as https://mcp.example.com"
                .to_owned(),
        );
    }
    HttpSettings {
        listen,
        allowed_origins: reader.list(&settings::ALLOWED_ORIGINS, parse::origin),
        drain_timeout: reader.value(&settings::DRAIN_TIMEOUT, Duration::from_secs(10), |value| {
            parse::duration_within(value, 0, 3_600)
        }),
        auth: read_auth(reader, public_url.as_deref(), listen.port()),
        session: read_session(reader),
        public_url,
    }
}

fn read_listen(reader: &mut Reader) -> SocketAddr {
    let address = reader.value(
        &settings::BIND,
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        parse::address,
    );
    SocketAddr::new(address, reader.value(&settings::PORT, 8080, parse::port))
}

fn read_auth(reader: &mut Reader, public_url: Option<&str>, port: u16) -> AuthSettings {
    let upstream_audience = reader.optional(&settings::UPSTREAM_AUDIENCE, parse::word);
    if upstream_audience.is_none() && reader.origin(&settings::UPSTREAM_AUDIENCE) == Origin::Default
    {
        let local = format!("http://127.0.0.1:{port}");
        let resource = format!("{}/mcp", public_url.unwrap_or(&local));
        reader.report(
            &settings::UPSTREAM_AUDIENCE,
            "it is not set, and without it no call may be sent on to the BrainGrid API",
            format!(
                "set it to the audience that the BrainGrid API accepts; where the API shares this \
                 server's audience, that is {resource}"
            ),
        );
    }
    AuthSettings {
        issuers: issuers::read(reader),
        leeway: reader.value(&settings::OAUTH_LEEWAY, Duration::from_secs(90), |value| {
            parse::duration_within(value, 0, 600)
        }),
        upstream_audience: upstream_audience.unwrap_or_default(),
    }
}

fn read_session(reader: &mut Reader) -> SessionSettings {
    let redis_url = reader.secret(&settings::REDIS_URL, |value| {
        parse::redis_url(value).map(|()| SecretString::from(value))
    });
    let current = reader.secret(&settings::ENCRYPTION_KEY, parse::key);
    let previous = reader.secrets(&settings::ENCRYPTION_KEYS_PREVIOUS, parse::key);
    let key_given = reader.origin(&settings::ENCRYPTION_KEY) != Origin::Default;
    if reader.origin(&settings::REDIS_URL) != Origin::Default && !key_given {
        reader.report(
            &settings::ENCRYPTION_KEY,
            "it is not set, and sessions in Redis are always sealed",
            "make one with: openssl rand -hex 32 (the same on every instance)",
        );
    } else if !previous.is_empty() && !key_given {
        reader.report(
            &settings::ENCRYPTION_KEYS_PREVIOUS,
            "there is no ENCRYPTION_KEY that replaced them",
            "set ENCRYPTION_KEY to the current key",
        );
    }
    SessionSettings {
        redis_url,
        keys: current.map(|current| SealingKeys { current, previous }),
        max_lifetime: reader.value(
            &settings::SESSION_CACHE_TTL,
            Duration::from_hours(7 * 24),
            |value| parse::duration_within(value, 1, 30 * 86_400),
        ),
    }
}

fn read_tools(reader: &mut Reader) -> ToolSettings {
    ToolSettings {
        read_only: reader.value(&settings::READ_ONLY, false, parse::switch),
        tools: reader.list(&settings::TOOLS, parse::word),
        exclude_tools: reader.list(&settings::EXCLUDE_TOOLS, parse::word),
        experimental: reader.value(&settings::EXPERIMENTAL, false, parse::switch),
    }
}

fn read_log(reader: &mut Reader) -> LogSettings {
    let level = reader.value(&settings::LOG_LEVEL, "info", parse::log_level);
    let filter = reader.optional(&settings::LOG_FILTER, parse::log_filter);
    let by_flag = matches!(reader.origin(&settings::LOG_LEVEL), Origin::Flag { .. });
    LogSettings {
        level,
        filter: filter.filter(|_| !by_flag),
        format: reader.optional(&settings::LOG_FORMAT, parse::log_format),
    }
}

fn read_telemetry(reader: &mut Reader) -> TelemetrySettings {
    let base = reader.optional(&settings::OTLP_ENDPOINT, parse::collector_url);
    let traces = reader.optional(&settings::OTLP_TRACES_ENDPOINT, parse::web_url);
    TelemetrySettings {
        traces_endpoint: traces.or(base),
        environment: reader.value(&settings::ENVIRONMENT, "production".to_owned(), parse::word),
    }
}

fn effective(reader: &Reader, transport: Transport) -> Vec<Effective> {
    SETTINGS
        .into_iter()
        .filter(|setting| setting.read_by(transport == Transport::Http))
        .map(|setting| Effective {
            setting,
            value: reader.shown(setting),
            origin: reader.origin(setting),
        })
        .collect()
}

#[cfg(test)]
mod tests;
