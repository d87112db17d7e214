//! From the merged layers to the typed configuration, with the rules that join settings.

mod auth;
mod http;
mod session;
mod telemetry;
mod tools;

use super::model::{ApiSettings, Config, LoginSettings, Serve, StdioSettings};
use super::parse::words::Transport;
use super::reader::Reader;
use super::settings::{self, Setting};
use super::{Surroundings, upstream};
pub(super) use http::read_listen;

/// Reads every part before it gives up, so that nothing wrong stays unsaid.
pub(super) fn read_config(
    reader: &mut Reader,
    transport: Transport,
    around: &Surroundings,
) -> Option<Config> {
    let mut serve = match transport {
        Transport::Stdio => Serve::Stdio(read_stdio(reader, around)),
        Transport::Http => Serve::Http(Box::new(http::read_http(reader, around))),
    };
    let base_url = reader.optional(&settings::API_URL);
    if let Serve::Stdio(stdio) = &mut serve {
        stdio.login.api.clone_from(&base_url);
        stdio.login.organization.clone_from(&stdio.organization);
    }
    let tools = tools::read_tools(reader);
    let log = telemetry::read_log(reader);
    let (mut telemetry, logs) = telemetry::read_telemetry(reader);
    let audit = telemetry::read_audit(reader, transport, logs);
    telemetry.prometheus = matches!(&serve, Serve::Http(http) if http.admin.is_some());
    if let (Serve::Http(http), Some(api)) = (&serve, &base_url) {
        let resource = format!("{}/mcp", http.public_url_at(http.listen.port()));
        let audience = &http.auth.upstream_audience;
        let warning = upstream::tautology(&resource, audience, api.as_str());
        reader.warnings.extend(warning);
    }
    let warnings = std::mem::take(&mut reader.warnings);
    Some(Config {
        serve,
        api: ApiSettings {
            base_url: base_url?,
        },
        tools,
        log,
        telemetry,
        audit,
        warnings,
    })
}

fn read_stdio(reader: &mut Reader, around: &Surroundings) -> StdioSettings {
    StdioSettings {
        token: reader.secret(&settings::API_TOKEN),
        organization: reader.optional(&settings::ORGANIZATION_ID),
        login: Box::new(read_login(reader, around)),
    }
}

fn read_login(reader: &mut Reader, around: &Surroundings) -> LoginSettings {
    let chosen = reader.optional(&settings::LOGIN_DIR);
    LoginSettings {
        issuer: reader.optional(&settings::OAUTH_ISSUER).unwrap_or_default(),
        api: None,
        organization: None,
        client_id: reader.optional(&settings::CLIENT_ID),
        resource: reader.optional(&settings::UPSTREAM_AUDIENCE),
        scopes: read_scopes(reader, &settings::LOGIN_SCOPES),
        store: reader.value(&settings::LOGIN_STORE),
        own_directory: chosen.is_some(),
        directory: chosen.or_else(|| around.user_folder()),
    }
}

/// Each scope once, whether blanks or commas stand between them.
fn read_scopes(reader: &mut Reader, setting: &Setting<Vec<String>>) -> Vec<String> {
    once(reader.list(setting))
}

fn once(lists: Vec<Vec<String>>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for entry in lists.into_iter().flatten() {
        if !all.contains(&entry) {
            all.push(entry);
        }
    }
    all
}
