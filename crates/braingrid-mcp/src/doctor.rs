//! `doctor`: walks from the configuration to the client, and says of each link what is right or
//! what to do.

mod clients;
mod credential;
mod edge;
mod finding;
mod issuer;
mod store;
mod upstream;

use std::time::Duration;

use clap::Args;
use reqwest::Client;

use crate::cli::exit;
use crate::config::{self, Config, Flags, HttpSettings, Serve, StdioSettings, Surroundings};
use crate::{complain, print};
use finding::Finding;

/// `braingrid-mcp doctor`.
#[derive(Debug, Clone, Args)]
pub(crate) struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
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
    pub(super) const REDIS: &str = "Redis";
    pub(super) const ENCRYPTION: &str = "encryption keys";
    pub(super) const API: &str = "BrainGrid API";
    pub(super) const PUBLIC_URL: &str = "public URL";
    pub(super) const CHALLENGE: &str = "challenge";
    pub(super) const ORIGIN: &str = "Origin rule";
    pub(super) const CLIENTS: &str = "client set-up";

    /// What cannot be looked at without a configuration.
    pub(super) const BEHIND_CONFIGURATION: [&str; 10] = [
        CREDENTIAL, CLOCK, METADATA, KEYS, REDIS, ENCRYPTION, API, PUBLIC_URL, CHALLENGE, ORIGIN,
    ];
}

/// Looks at everything and prints what it found; fails when there is something to fix.
pub(crate) fn examine(args: &DoctorArgs, flags: &Flags, around: &Surroundings) -> Result<(), u8> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(complain(exit::INTERNAL))?;
    let mut findings = match config::load(flags, around) {
        Ok(loaded) => runtime
            .block_on(walk(loaded.config))
            .map_err(|error| complain(exit::INTERNAL)(format!("{error:#}")))?,
        Err(problems) => without_configuration(problems),
    };
    findings.extend(clients::examine(around));
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
    let rest = check::BEHIND_CONFIGURATION.map(|check| Finding::not_checked(check, "not checked"));
    wrong.chain(rest).collect()
}

async fn walk(config: Config) -> anyhow::Result<Vec<Finding>> {
    let client = mcp_auth::http_client()?;
    let transport = match &config.serve {
        Serve::Stdio(_) => "stdio",
        Serve::Http(_) => "http",
    };
    let mut findings = if config.warnings.is_empty() {
        let says = format!("{transport}; `braingrid-mcp config` shows all of it");
        vec![Finding::good(check::CONFIGURATION, says)]
    } else {
        let look = "correct it, or leave it if it is meant so";
        let warnings = config.warnings.iter();
        warnings
            .map(|warning| Finding::warning(check::CONFIGURATION, warning, look))
            .collect()
    };
    match config.serve {
        Serve::Stdio(stdio) => findings.extend(walk_stdio(stdio, config.api, &client).await?),
        Serve::Http(http) => findings.extend(walk_http(*http, config.api, &client).await?),
    }
    Ok(findings)
}

async fn walk_stdio(
    stdio: StdioSettings,
    api: config::ApiSettings,
    client: &Client,
) -> anyhow::Result<Vec<Finding>> {
    let credential = credential::examine(&stdio);
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
    Ok(findings)
}

async fn walk_http(
    http: HttpSettings,
    api: config::ApiSettings,
    client: &Client,
) -> anyhow::Result<Vec<Finding>> {
    let callers = "not needed: every caller brings a token";
    let mut findings = vec![Finding::not_needed(check::CREDENTIAL, callers)];
    let issuers = http
        .auth
        .issuers
        .iter()
        .map(|issuer| issuer.issuer.as_str());
    let peers: Vec<_> = issuers.chain([api.base_url.as_str()]).collect();
    findings.push(issuer::clock(client, &peers, http.auth.leeway).await);
    findings.extend(issuer::metadata_and_keys(client, &http).await);
    findings.extend(store::redis_and_keys(&http.session).await);
    findings.push(upstream::reachable(client, &api).await);
    findings.extend(edge::examine(client, &http).await);
    Ok(findings)
}
