//! From the merged layers to the typed configuration, with the rules that join settings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::Surroundings;
use super::issuers::IssuerSettings;
use super::layers::Origin;
use super::model::{
    AdminSettings, ApiSettings, AuditTarget, AuthSettings, Config, DogStatsdSettings, HttpSettings,
    LimitSettings, LogSettings, LoginSettings, SealingKeys, Serve, SessionSettings, StdioSettings,
    TelemetrySettings, ToolSettings,
};
use super::parse::{self, AuditChoice, LoginStore, Propagator, TraceSampler, Transport};
use super::reader::{self, Reader};
use super::settings::Setting;
use super::{issuers, platform, redis, settings, upstream, web};

/// Reads every part before it gives up, so that nothing wrong stays unsaid.
pub(super) fn read_config(
    reader: &mut Reader,
    transport: Transport,
    around: &Surroundings,
) -> Option<Config> {
    let mut serve = match transport {
        Transport::Stdio => Serve::Stdio(read_stdio(reader, around)),
        Transport::Http => Serve::Http(Box::new(read_http(reader, around))),
    };
    let base_url = reader.optional(&settings::API_URL, parse::api_url);
    if let Serve::Stdio(stdio) = &mut serve {
        stdio.login.api.clone_from(&base_url);
        stdio.login.organization.clone_from(&stdio.organization);
    }
    let tools = read_tools(reader);
    let log = read_log(reader);
    let (mut telemetry, logs) = read_telemetry(reader);
    let audit = read_audit(reader, transport, logs);
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
        token: reader.secret(&settings::API_TOKEN, reader::token),
        organization: reader.optional(&settings::ORGANIZATION_ID, parse::organization),
        login: Box::new(read_login(reader, around)),
    }
}

fn read_login(reader: &mut Reader, around: &Surroundings) -> LoginSettings {
    let chosen = reader.optional(&settings::LOGIN_DIR, |value| Ok(PathBuf::from(value)));
    LoginSettings {
        issuer: reader
            .optional(&settings::OAUTH_ISSUER, parse::issuer)
            .unwrap_or_default(),
        api: None,
        organization: None,
        client_id: reader.optional(&settings::CLIENT_ID, parse::client_id),
        resource: reader.optional(&settings::UPSTREAM_AUDIENCE, parse::audience),
        scopes: read_scopes(reader, &settings::LOGIN_SCOPES),
        store: reader.value(&settings::LOGIN_STORE, LoginStore::Auto, parse::login_store),
        own_directory: chosen.is_some(),
        directory: chosen.or_else(|| around.user_folder()),
    }
}

fn read_http(reader: &mut Reader, around: &Surroundings) -> HttpSettings {
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
        allowed_origins: read_origins(reader),
        allowed_hosts: reader.list(&settings::ALLOWED_HOSTS, web::host),
        trusted_proxies: read_proxies(reader, public_url.as_deref()),
        drain_timeout: read_drain_timeout(reader, around),
        limits: LimitSettings {
            connections: reader.optional(&settings::MAX_CONNECTIONS, parse::count),
            strangers_per_address: reader
                .optional(&settings::MAX_CONNECTIONS_PER_ADDRESS, parse::count),
            memory: reader.optional(&settings::MEMORY_BUDGET, parse::memory),
        },
        auth: read_auth(reader, public_url.as_deref(), listen.port()),
        session: read_session(reader),
        admin: read_admin(reader),
        public_url,
    }
}

fn read_drain_timeout(reader: &mut Reader, around: &Surroundings) -> Duration {
    let within = reader.value(&settings::DRAIN_TIMEOUT, Duration::from_secs(8), |value| {
        parse::duration_within(value, 0, 3_600)
    });
    let warning = platform::kills_before(within, around);
    reader.warnings.extend(warning);
    within
}

/// This server does not speak TLS, so under an https URL something is in front.
fn read_proxies(reader: &mut Reader, public_url: Option<&str>) -> Vec<String> {
    let proxies = reader.list(&settings::TRUSTED_PROXIES, parse::proxy);
    let named = proxies.iter().filter(|it| *it != "forwarded").count();
    if named > 1 && proxies.iter().any(|it| it == "none") {
        let fix = "leave out none, or the others";
        reader.report(
            &settings::TRUSTED_PROXIES,
            "none stands beside proxies",
            fix,
        );
    } else if named < proxies.len() && proxies.iter().all(|it| it == "forwarded" || it == "none") {
        reader.report(
            &settings::TRUSTED_PROXIES,
            "forwarded stands there without a proxy that writes it",
            "name the proxies too, such as private,forwarded",
        );
    }
    let unset = reader.origin(&settings::TRUSTED_PROXIES) == Origin::Default;
    if unset && public_url.is_some_and(|url| url.starts_with("https:")) {
        reader.warnings.push(
            "TRUSTED_PROXIES is not set, and a proxy is in front, for MCP_HOST is https: limits per \
             address are off, and logs name the proxy instead of clients; name its addresses or \
             networks, such as 10.0.0.0/8, or write private or peer"
                .to_owned(),
        );
    }
    proxies
}

pub(super) fn read_listen(reader: &mut Reader) -> SocketAddr {
    let address = reader.value(
        &settings::BIND,
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        parse::address,
    );
    SocketAddr::new(address, reader.value(&settings::PORT, 8080, parse::port))
}

fn read_auth(reader: &mut Reader, public_url: Option<&str>, port: u16) -> AuthSettings {
    let upstream_audience = reader.optional(&settings::UPSTREAM_AUDIENCE, parse::audience);
    if upstream_audience.is_none() && reader.origin(&settings::UPSTREAM_AUDIENCE) == Origin::Default
    {
        let local = format!("http://127.0.0.1:{port}");
        // Not guessed where MCP_HOST is set, and cannot be read.
        let is_unset = reader.origin(&settings::PUBLIC_URL) == Origin::Default;
        let ours = public_url.or(is_unset.then_some(&*local));
        let shared = ours.map(|ours| {
            format!("; where the API shares this server's audience, that is {ours}/mcp")
        });
        reader.report(
            &settings::UPSTREAM_AUDIENCE,
            "it is not set, and without it no call may be sent on to the BrainGrid API",
            format!(
                "set it to the audience that the BrainGrid API accepts{}",
                shared.unwrap_or_default()
            ),
        );
    }
    let issuers = issuers::read(reader);
    AuthSettings {
        scopes: read_asked_scopes(reader, &issuers),
        issuers,
        leeway: reader.value(&settings::OAUTH_LEEWAY, Duration::from_secs(90), |value| {
            parse::duration_within(value, 0, 600)
        }),
        token_lifetime: reader.value(
            &settings::TOKEN_MAX_LIFETIME,
            Duration::from_hours(31 * 24),
            |value| parse::duration_within(value, 300, 366 * 86_400),
        ),
        upstream_audience: upstream_audience.unwrap_or_default(),
        tool_scopes: read_tool_scopes(reader),
        scope_hierarchy: read_hierarchy(reader),
    }
}

fn read_session(reader: &mut Reader) -> SessionSettings {
    let redis_url = reader.secret(&settings::REDIS_URL, |value| {
        redis::address(value).map(SecretString::from)
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
        redis_ca: reader.optional(&settings::REDIS_CA, parse::certificates),
        keys: current.map(|current| SealingKeys { current, previous }),
        max_lifetime: reader.value(
            &settings::SESSION_CACHE_TTL,
            Duration::from_hours(7 * 24),
            |value| parse::duration_within(value, 1, 30 * 86_400),
        ),
    }
}

/// Each origin once.
fn read_origins(reader: &mut Reader) -> Vec<String> {
    once(reader.list(&settings::ALLOWED_ORIGINS, web::origins))
}

/// Without a setting, those of OpenID Connect where every issuer has them.
fn read_asked_scopes(reader: &mut Reader, issuers: &[IssuerSettings]) -> Vec<String> {
    let scopes = read_scopes(reader, &settings::OAUTH_SCOPES);
    if scopes.iter().any(|scope| scope == "offline_access") {
        reader.warnings.push(
            "OAUTH_SCOPES names offline_access: clients add it themselves where the issuer's \
             metadata offer it (MCP 2026-07-28, authorization); leave it out unless yours do not"
                .to_owned(),
        );
    }
    let given = reader.origin(&settings::OAUTH_SCOPES) != Origin::Default;
    if given || issuers.iter().any(|issuer| issuer.scopes.is_empty()) {
        return scopes;
    }
    let all = issuers.iter().map(|issuer| issuer.scopes);
    once(
        all.map(|scopes| scopes.iter().map(|&scope| scope.to_owned()).collect())
            .collect(),
    )
}

/// Each scope once, whether blanks or commas stand between them.
fn read_scopes(reader: &mut Reader, setting: &Setting) -> Vec<String> {
    once(reader.list(setting, parse::scopes))
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

/// One entry for each name: of two, one would be without effect.
fn read_tool_scopes(reader: &mut Reader) -> Vec<(String, Vec<String>)> {
    let rules = reader.list(&settings::TOOL_SCOPES, parse::tool_scopes);
    for (at, (name, _)) in rules.iter().enumerate() {
        if rules.iter().take(at).any(|(other, _)| other == name) {
            let fix = format!("write its scopes in one entry: {name}=FIRST SECOND");
            reader.report(
                &settings::TOOL_SCOPES,
                format!("{name} stands there twice"),
                fix,
            );
        }
    }
    rules
}

fn read_hierarchy(reader: &mut Reader) -> Vec<(String, Vec<String>)> {
    let hierarchy = reader.list(&settings::SCOPE_HIERARCHY, parse::scope_hierarchy);
    if !hierarchy.is_empty() && reader.origin(&settings::TOOL_SCOPES) == Origin::Default {
        reader.warnings.push(
            "SCOPE_HIERARCHY is without effect: TOOL_SCOPES is not set, so no tool needs a scope"
                .to_owned(),
        );
    }
    hierarchy
}

fn read_tools(reader: &mut Reader) -> ToolSettings {
    let read = ToolSettings {
        read_only: reader.value(&settings::READ_ONLY, false, parse::switch),
        tools: reader.list(&settings::TOOLS, parse::tool),
        exclude_tools: reader.list(&settings::EXCLUDE_TOOLS, parse::tool),
        experimental: reader.value(&settings::EXPERIMENTAL, false, parse::switch),
    };
    let offered = read.options().selected();
    if offered.is_empty() {
        let setting = if read.tools.is_empty() {
            &settings::EXCLUDE_TOOLS
        } else {
            &settings::TOOLS
        };
        let why = read.tools.first().map(|name| why_not_offered(name, &read));
        let why = why.unwrap_or("all are left out");
        reader.report(
            setting,
            format!("no tool would be offered: {why}"),
            "name a tool that these settings leave, or unset them",
        );
        return read;
    }
    for name in read
        .tools
        .iter()
        .filter(|name| !offered.contains(&name.as_str()))
    {
        let why = why_not_offered(name, &read);
        reader.warnings.push(format!(
            "BRAINGRID_TOOLS names {name}, which is not offered: {why}"
        ));
    }
    read
}

fn why_not_offered(name: &str, settings: &ToolSettings) -> &'static str {
    let mut options = settings.options();
    options.experimental = true;
    if settings.exclude_tools.iter().any(|out| out == name) {
        "BRAINGRID_EXCLUDE_TOOLS leaves it out"
    } else if options.selected().contains(&name) {
        "it is experimental, and BRAINGRID_EXPERIMENTAL is off"
    } else {
        "it changes something, and BRAINGRID_READ_ONLY is on"
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

fn read_admin(reader: &mut Reader) -> Option<AdminSettings> {
    let allowed_hosts = reader.list(&settings::ADMIN_ALLOWED_HOSTS, web::host);
    let listen = reader.optional(&settings::ADMIN_BIND, parse::socket_address)?;
    if !listen.ip().is_loopback() {
        reader.warnings.push(
            "ADMIN_BIND is reached from other machines: it asks nobody who they are, so let a \
             firewall or a network policy decide who may"
                .to_owned(),
        );
    }
    Some(AdminSettings {
        listen,
        allowed_hosts,
    })
}

/// Also where log records would go.
fn read_telemetry(reader: &mut Reader) -> (TelemetrySettings, Option<Url>) {
    let base = reader.optional(&settings::OTLP_ENDPOINT, parse::collector_urls);
    let traces = reader.optional(&settings::OTLP_TRACES_ENDPOINT, parse::web_url);
    let metrics = reader.optional(&settings::OTLP_METRICS_ENDPOINT, parse::web_url);
    let logs = reader.optional(&settings::OTLP_LOGS_ENDPOINT, parse::web_url);
    let disabled = reader.value(&settings::OTEL_DISABLED, false, parse::switch);
    for (setting, url, path) in [
        (
            &settings::OTLP_ENDPOINT,
            base.as_ref().map(|it| &it.traces),
            "",
        ),
        (
            &settings::OTLP_TRACES_ENDPOINT,
            traces.as_ref(),
            "/v1/traces",
        ),
        (
            &settings::OTLP_METRICS_ENDPOINT,
            metrics.as_ref(),
            "/v1/metrics",
        ),
        (&settings::OTLP_LOGS_ENDPOINT, logs.as_ref(), "/v1/logs"),
    ] {
        reader.warnings.extend(collector_doubt(setting, url, path));
    }
    let base = base.filter(|_| !disabled);
    let environment = reader.value(&settings::ENVIRONMENT, "production".to_owned(), parse::word);
    let settings = TelemetrySettings {
        traces_endpoint: traces
            .filter(|_| !disabled)
            .or_else(|| base.clone().map(|base| base.traces)),
        metrics_endpoint: metrics
            .filter(|_| !disabled)
            .or_else(|| base.clone().map(|base| base.metrics)),
        prometheus: false,
        dogstatsd: read_dogstatsd(reader, &environment),
        sampler: read_sampler(reader),
        propagators: read_propagators(reader),
        environment,
    };
    let logs = logs
        .filter(|_| !disabled)
        .or_else(|| base.map(|base| base.logs));
    (settings, logs)
}

/// What makes it unlikely that a collector takes anything at this URL. No error: the variable may
/// be meant for other programs with the same environment.
fn collector_doubt(setting: &Setting, url: Option<&Url>, path: &str) -> Option<String> {
    let (name, url) = (setting.name(), url?);
    if url.port() == Some(4317) {
        return Some(format!(
            "{name} has port 4317, which is that of OTLP over gRPC: this server speaks OTLP over \
             HTTP, for which collectors listen on 4318"
        ));
    }
    (url.path() == "/" && !path.is_empty())
        .then(|| format!("{name} is used as it is and has no path: collectors take this at {path}"))
}

/// Without a sampler by name, this server's own. One that is not known here is meant for other
/// programs with the same environment.
fn read_sampler(reader: &mut Reader) -> TraceSampler {
    let per_second = reader.value(&settings::TRACES_PER_SECOND, 100, parse::number);
    let own = TraceSampler::AtMost(per_second);
    let Some(name) = reader.optional(&settings::OTEL_SAMPLER, parse::word) else {
        return own;
    };
    let ratio = match &*name {
        "traceidratio" | "parentbased_traceidratio" => {
            reader.value(&settings::OTEL_SAMPLER_ARG, 1.0, parse::ratio)
        }
        _ => 1.0,
    };
    TraceSampler::named(&name, ratio).unwrap_or_else(|| {
        reader.warnings.push(format!(
            "OTEL_TRACES_SAMPLER is {name:?}, which this server does not have; TRACES_PER_SECOND is \
             in force"
        ));
        own
    })
}

/// One that is not known here is meant for other programs with the same environment.
fn read_propagators(reader: &mut Reader) -> Vec<Propagator> {
    let names = reader.list(&settings::OTEL_PROPAGATORS, parse::word);
    let mut propagators = Vec::new();
    for name in names {
        match Propagator::named(&name) {
            Some(propagator) => propagators.push(propagator),
            None if name == "none" => {}
            None => reader.warnings.push(format!(
                "OTEL_PROPAGATORS names {name:?}, which this server does not have; it has \
                 tracecontext and baggage"
            )),
        }
    }
    propagators
}

fn read_audit(reader: &mut Reader, transport: Transport, logs: Option<Url>) -> Option<AuditTarget> {
    let setting = &settings::AUDIT_LOG;
    match reader.optional(setting, parse::audit_target)? {
        AuditChoice::Off => None,
        AuditChoice::File(path) => Some(AuditTarget::File(path)),
        AuditChoice::Stdout if transport == Transport::Http => Some(AuditTarget::Stdout),
        AuditChoice::Stdout => {
            let what = "over stdio, standard output belongs to MCP";
            reader.report(setting, what, "name a file, or use otlp");
            None
        }
        AuditChoice::Otlp if logs.is_some() => logs.map(AuditTarget::Otlp),
        AuditChoice::Otlp => {
            reader.report(
                setting,
                "there is no collector that it could go to",
                "set OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, and leave \
                 OTEL_SDK_DISABLED unset",
            );
            None
        }
    }
}

fn read_dogstatsd(reader: &mut Reader, environment: &str) -> Option<DogStatsdSettings> {
    let env = reader.optional(&settings::DOGSTATSD_ENV, parse::word);
    let service = "braingrid-mcp".to_owned();
    let service = reader.value(&settings::DOGSTATSD_SERVICE, service, parse::word);
    let version = reader.optional(&settings::DOGSTATSD_VERSION, parse::word);
    let version = version.unwrap_or_else(|| env!("CARGO_PKG_VERSION").to_owned());
    let port = reader.value(&settings::DOGSTATSD_PORT, 8125, parse::port);
    let host = reader.optional(&settings::DOGSTATSD_HOST, parse::agent_host)?;
    let env = env.unwrap_or_else(|| environment.to_owned());
    Some(DogStatsdSettings {
        host,
        port,
        tags: [("env", env), ("service", service), ("version", version)],
    })
}
