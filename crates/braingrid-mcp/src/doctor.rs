//! `doctor`: walks from the configuration to the client, and says of each link what is right or
//! what to do.

mod admission;
mod call;
mod clients;
mod credential;
mod edge;
mod exchange;
mod finding;
mod issuer;
mod provider;
mod store;
mod upstream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use reqwest::Client;
use secrecy::SecretString;

use crate::cli::exit;
use crate::config::{self, Config, Flags, HttpSettings, Serve, StdioSettings, Surroundings};
use crate::tenants::AddressArgs;
use crate::{print, program, report, token_text};
use finding::Finding;

/// `braingrid-mcp doctor`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
    /// Make one call to the hosted server with the token in this file (- reads standard input)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Log in as a client of the hosted server does, and make one call; nothing is kept
    #[cfg(feature = "login")]
    #[arg(long, conflicts_with = "token_file")]
    login: bool,
    #[command(flatten)]
    address: AddressArgs,
}

/// The clock difference that servers which check tokens usually allow.
const LEEWAY_ELSEWHERE: Duration = Duration::from_mins(1);

/// The links, in the order of the chain.
mod check {
    pub(super) const CONFIGURATION: &str = "configuration";
    pub(super) const CREDENTIAL: &str = "credential";
    pub(super) const CLOCK: &str = "clock";
    pub(super) const METADATA: &str = "issuer metadata";
    pub(super) const KEYS: &str = "issuer keys";
    pub(super) const PROVIDER: &str = "provider metadata";
    pub(super) const PROVIDER_KEYS: &str = "provider keys";
    pub(super) const PROVIDER_CLIENT: &str = "provider client";
    pub(super) const REDIRECT_URI: &str = "redirect URI";
    pub(super) const REDIS: &str = "Redis";
    pub(super) const ENCRYPTION: &str = "encryption keys";
    pub(super) const EVENTS: &str = "events of the provider";
    pub(super) const API: &str = "BrainGrid API";
    pub(super) const PUBLIC_URL: &str = "public URL";
    pub(super) const CHALLENGE: &str = "challenge";
    pub(super) const ORIGIN: &str = "Origin rule";
    pub(super) const ORGANIZATIONS: &str = "organizations";
    pub(super) const REGISTRATION: &str = "client registration";
    pub(super) const REFRESH: &str = "refresh";
    pub(super) const TOKEN: &str = "token";
    pub(super) const EXCHANGE: &str = "token exchange";
    pub(super) const EXCHANGED: &str = "exchanged token";
    pub(super) const INITIALIZE: &str = "initialize";
    pub(super) const TOOLS_LIST: &str = "tools/list";
    pub(super) const TOOLS_CALL: &str = "tools/call";
    pub(super) const CLIENTS: &str = "client set-up";

    /// What cannot be looked at without a configuration.
    pub(super) const BEHIND_CONFIGURATION: &[&str] = &[
        CREDENTIAL,
        CLOCK,
        METADATA,
        KEYS,
        REDIS,
        ENCRYPTION,
        API,
        PUBLIC_URL,
        CHALLENGE,
        ORIGIN,
        ORGANIZATIONS,
        REGISTRATION,
        REFRESH,
    ];
}

/// Looks at everything and prints what it found; fails when there is something to fix.
pub(crate) fn run(args: &DoctorArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(report(exit::INTERNAL))?;
    let mut findings = match config::load(flags, around) {
        Ok(loaded) => runtime
            .block_on(probe(loaded.config, args))
            .map_err(|error| report(exit::INTERNAL)(format!("{error:#}")))?,
        Err(problems) => without_configuration(problems),
    };
    findings.extend(clients::check(around));
    if args.json {
        print(&format!("{:#}\n", finding::json(&findings)))?;
    } else {
        print(&finding::text(&findings))?;
    }
    if finding::is_well(&findings) {
        Ok(())
    } else {
        Err(exit::NO)
    }
}

fn without_configuration(problems: config::Problems) -> Vec<Finding> {
    let wrong = problems.0.into_iter().map(|problem| {
        let says = format!("{}: {}", problem.setting, problem.what);
        Finding::problem(check::CONFIGURATION, says, problem.fix)
    });
    let rest = check::BEHIND_CONFIGURATION
        .iter()
        .map(|&check| Finding::not_checked(check, "not checked"));
    wrong.chain(rest).collect()
}

async fn probe(config: Config, args: &DoctorArgs) -> anyhow::Result<Vec<Finding>> {
    let client = mcp_auth::http_client()?;
    let transport = match &config.serve {
        Serve::Stdio(_) => "stdio",
        Serve::Http(_) => "http",
    };
    let mut findings = if config.warnings.is_empty() {
        let says = format!("{transport}; `{}` shows all of it", program::run("config"));
        vec![Finding::good(check::CONFIGURATION, says)]
    } else {
        let look = "correct it, or leave it if it is meant so";
        let warnings = config.warnings.iter();
        warnings
            .map(|warning| Finding::warning(check::CONFIGURATION, warning, look))
            .collect()
    };
    match config.serve {
        Serve::Stdio(stdio) => {
            findings.extend(probe_stdio(stdio, config.api, &client).await?);
            if args.calls() {
                let says = "not called: that is for a hosted server (MCP_TRANSPORT=http)";
                findings.push(Finding::not_checked(check::TOOLS_CALL, says));
            }
        }
        Serve::Http(http) => findings.extend(probe_http(*http, config.api, &client, args).await?),
    }
    Ok(findings)
}

async fn probe_stdio(
    stdio: StdioSettings,
    api: config::ApiSettings,
    client: &Client,
) -> anyhow::Result<Vec<Finding>> {
    let credential = credential::check(&stdio);
    let given = credential.given;
    let mut findings = vec![credential.finding];
    let not_here = |check| Finding::not_needed(check, "not needed for stdio");
    let mut peers = vec![api.base_url.as_str()];
    let issuer = credential::issuer(&stdio);
    peers.extend(issuer.as_deref());
    findings.push(issuer::clock(client, &peers, LEEWAY_ELSEWHERE).await);
    findings.push(match &issuer {
        Some(issuer) => issuer::for_login(client, issuer).await,
        None => not_here(check::METADATA),
    });
    findings.extend([check::KEYS, check::REDIS, check::ENCRYPTION].map(not_here));
    findings.push(upstream::with_credential(stdio, api, given).await?);
    findings.extend([check::PUBLIC_URL, check::CHALLENGE, check::ORIGIN].map(not_here));
    findings.push(not_here(check::ORGANIZATIONS));
    findings.extend([check::REGISTRATION, check::REFRESH].map(not_here));
    Ok(findings)
}

async fn probe_http(
    http: HttpSettings,
    api: config::ApiSettings,
    client: &Client,
    args: &DoctorArgs,
) -> anyhow::Result<Vec<Finding>> {
    let callers = "not needed: every caller brings a token";
    let mut findings = vec![Finding::not_needed(check::CREDENTIAL, callers)];
    let issuers = http
        .auth
        .issuers
        .iter()
        .map(|it| it.accepted.issuer.as_str());
    let peers: Vec<_> = issuers.chain([api.base_url.as_str()]).collect();
    findings.push(issuer::clock(client, &peers, http.auth.verifier.leeway).await);
    findings.extend(issuer::metadata_and_keys(client, &http).await);
    findings.extend(provider::check(client, &http).await);
    findings.extend(store::redis_and_keys(&http).await);
    findings.extend(http.revocation.events.as_ref().map(|events| {
        let says = format!("taken in at {}", events.paths().join(", "));
        Finding::good(check::EVENTS, says)
    }));
    findings.push(upstream::reachable(client, &api).await);
    findings.extend(edge::check(client, &http, &args.address).await);
    let token = args.token_file.as_deref().map(token_of);
    #[cfg(feature = "login")]
    let token = match token {
        None if args.login => Some(log_in(&http, &args.address).await),
        token => token,
    };
    let mut exchanged = Vec::new();
    let called = match token {
        None => None,
        Some(Ok(token)) => {
            exchanged = exchange::check(client, &http, api, &token).await?;
            Some(call::probe(client, &http, &args.address, &token).await)
        }
        Some(Err(finding)) => Some(call::Probe {
            findings: vec![finding],
            went_through: false,
        }),
    };
    let proven = called.as_ref().is_some_and(|called| called.went_through);
    findings.extend(admission::check(client, &http, proven).await);
    findings.extend(exchanged);
    findings.extend(called.into_iter().flat_map(|called| called.findings));
    Ok(findings)
}

impl DoctorArgs {
    #[cfg(feature = "login")]
    fn calls(&self) -> bool {
        self.token_file.is_some() || self.login
    }

    #[cfg(not(feature = "login"))]
    fn calls(&self) -> bool {
        self.token_file.is_some()
    }
}

fn token_of(file: &Path) -> Result<SecretString, Finding> {
    token_text::read(file).map_err(|why| {
        let says = format!("the token of --token-file: {why}");
        Finding::problem(check::TOKEN, says, "name a file that holds a token alone")
    })
}

/// Logs in at the first issuer, for this server's resource, as a client would.
#[cfg(feature = "login")]
async fn log_in(http: &HttpSettings, address: &AddressArgs) -> Result<SecretString, Finding> {
    let issuer = http.auth.issuers.first();
    let mut scopes = http.auth.scopes.clone();
    if !scopes.is_empty() && !scopes.iter().any(|scope| scope == "offline_access") {
        scopes.push("offline_access".to_owned());
    }
    let request = mcp_login::LoginRequest {
        issuer: issuer
            .map(|it| it.accepted.issuer.clone())
            .unwrap_or_default(),
        client_id: None,
        resource: Some(format!(
            "{}/mcp{}",
            http.public_url_at(http.listen.port()),
            address.below()
        )),
        scopes,
    };
    match crate::login::in_a_browser(request, false).await {
        Ok(login) => Ok(login.access_token().clone()),
        Err(error) => Err(Finding::problem(
            check::TOKEN,
            format!("a login as a client of this server fails: {error}"),
            "see the issuer's lines; the same happens to every client",
        )),
    }
}
