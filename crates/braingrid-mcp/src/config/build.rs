//! From the merged layers to the typed configuration, with the rules that join settings.

mod auth;
mod http;
mod limits;
mod login;
mod logs;
mod operators;
mod revocation;
mod session;
mod telemetry;
mod tools;
mod writes;

use mcp_core::ToolOptions;
use mcp_fleet::JournalConfig;
use url::Url;

use super::parse::words::Transport;
use super::reader::Reader;
use super::settings::{self, Setting};
use super::{Surroundings, upstream};

pub(crate) use auth::AuthSettings;
pub(super) use http::read_listen;
pub(crate) use http::{HttpSettings, LimitSettings};
pub(crate) use limits::RateSettings;
#[cfg(feature = "login")]
pub(crate) use login::LoginSettings;
pub(crate) use login::StdioSettings;
pub(crate) use logs::{AuditTarget, LogSettings};
pub(crate) use operators::{AdminSettings, OperatorSettings};
pub(super) use operators::{is_of_operators, read_operator};
pub(crate) use revocation::{EventSettings, TransmitterSettings};
pub(crate) use session::{SealingKeys, SessionSettings};
pub(crate) use telemetry::{DogStatsdSettings, TelemetrySettings};

/// Everything the server is told.
#[derive(Debug)]
pub(crate) struct Config {
    /// Which transport to serve, and what that one needs.
    pub(crate) serve: Serve,
    /// The BrainGrid API.
    pub(crate) api: ApiSettings,
    /// Which tools to offer.
    pub(crate) tools: ToolOptions,
    /// How writes are remembered, if they are.
    pub(crate) writes: Option<JournalConfig>,
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

/// The BrainGrid API.
#[derive(Debug, Clone)]
pub(crate) struct ApiSettings {
    /// Its base URL.
    pub(crate) base_url: Url,
}

/// Reads every part before it gives up, so that nothing wrong stays unsaid.
pub(super) fn read_config(
    reader: &mut Reader,
    transport: Transport,
    around: &Surroundings,
) -> Option<Config> {
    let mut serve = match transport {
        Transport::Stdio => Serve::Stdio(login::read_stdio(reader, around)),
        Transport::Http => Serve::Http(Box::new(http::read_http(reader, around))),
    };
    // For commands alone, but what is wrong with it is said to whoever asks.
    operators::read_for_commands(reader);
    let base_url = reader.optional(&settings::API_URL);
    if let Serve::Stdio(stdio) = &mut serve {
        stdio.login.api.clone_from(&base_url);
        stdio.login.organization.clone_from(&stdio.organization);
    }
    let tools = tools::read_tools(reader);
    let writes = writes::read_writes(reader, transport);
    let log = logs::read_log(reader);
    let (mut telemetry, log_records) = telemetry::read_telemetry(reader);
    let audit = logs::read_audit(reader, transport, log_records);
    telemetry.prometheus = matches!(&serve, Serve::Http(http) if http.admin.is_some());
    if let (Serve::Http(http), Some(api)) = (&serve, &base_url) {
        let resource = format!("{}/mcp", http.public_url_at(http.listen.port()));
        upstream::check_own(reader, &resource, api.as_str(), &http.auth.issuers);
    }
    let warnings = std::mem::take(&mut reader.warnings);
    Some(Config {
        serve,
        api: ApiSettings {
            base_url: base_url?,
        },
        tools,
        writes,
        log,
        telemetry,
        audit,
        warnings,
    })
}

/// Each scope once, whether blanks or commas stand between them.
fn read_scopes<D: Copy>(reader: &mut Reader, setting: &Setting<Vec<String>, D>) -> Vec<String> {
    once(reader.list(setting))
}

pub(super) fn once(lists: Vec<Vec<String>>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for entry in lists.into_iter().flatten() {
        if !all.contains(&entry) {
            all.push(entry);
        }
    }
    all
}
