//! `conformance`: the official suite of the Model Context Protocol, against the server itself and
//! against a fixture on the same transport. See docs/conformance.md.

mod baseline;
mod proxy;
mod report;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use mcp_test_support::{Api, Issuer, ServerCommand, ServerProcess, free_port};
use tokio::net::TcpListener;

use self::{
    proxy::TokenProxy,
    report::{Outcome, Scenarios},
};

/// Each revision is a set of its own: the wire differs.
const REVISIONS: [&str; 2] = ["2026-07-28", "2025-11-25"];
const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(15);
const SUITE_LIMIT: Duration = Duration::from_mins(4);

/// What to run, and where.
#[derive(Args)]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true)]
    server: PathBuf,
    /// The fixture's binary
    #[arg(long, hide = true)]
    fixture: PathBuf,
    /// Folder in which npm installed the suite and Node.js
    #[arg(long, hide = true)]
    suite: PathBuf,
    /// Folder with the reviewed lists of expected failures, one per target
    #[arg(long, hide = true)]
    baselines: PathBuf,
    /// Folder for what the suite reports
    #[arg(long, hide = true)]
    reports: PathBuf,
    /// Only this target
    #[arg(long)]
    only: Option<Target>,
}

/// What the suite is let loose on.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The suite's own tools on our transport
    Fixture,
    /// The server as it ships
    Product,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Fixture => "fixture",
            Self::Product => "product",
        }
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let issuer = Issuer::start().await?;
    let api = Api::start().await?;
    let mut outcomes = Vec::new();
    for target in [Target::Fixture, Target::Product] {
        if options.only.is_none_or(|only| only == target) {
            outcomes.extend(check(options, target, &issuer, &api).await?);
        }
    }
    report::print(&outcomes);
    println!("reports: {}", options.reports.display());
    if !outcomes.iter().all(|outcome| outcome.success) {
        bail!(
            "the suite disagrees with the lists in {}: see docs/conformance.md",
            options.baselines.display()
        );
    }
    Ok(())
}

/// Both sets against one target.
async fn check(
    options: &Options,
    target: Target,
    issuer: &Issuer,
    api: &Api,
) -> anyhow::Result<Vec<Outcome>> {
    // Two lists, for the suite takes no entry of a scenario that it does not count.
    let mut groups = baseline::read(&baseline_path(options, target))?;
    groups.extend(baseline::read(&tasks_path(options, target))?);
    let listed = baseline::entries(&groups);
    let entrance = TcpListener::bind(("127.0.0.1", 0)).await?;
    // As in a deployment, the public URL is the proxy's: the server knows itself by that name.
    let public_url = format!("http://127.0.0.1:{}", entrance.local_addr()?.port());
    let resource = format!("{public_url}/mcp");
    let port = free_port()?;
    let mut server = start(options, target, port, &public_url, issuer, api)?;
    server.wait_ready(START_LIMIT).await?;
    issuer.set_audience([resource.as_str()]);
    let token = issuer.token().subject("user_ada").organization("org_ada");
    let address = ([127, 0, 0, 1], port).into();
    let _proxy = TokenProxy::start(entrance, address, token.mint());

    let mut outcomes = Vec::new();
    for revision in REVISIONS {
        outcomes.push(suite(options, target, revision, &resource, &listed).await?);
    }
    std::fs::write(
        report_folder(options, target).join("server.log"),
        server.text(),
    )?;
    server.stop(STOP_LIMIT).await?;
    let met = |entry: &&str| {
        outcomes
            .iter()
            .any(|outcome| outcome.expected.contains(*entry))
    };
    // The suite tolerates entries for checks that did not run: a name that changed would stay.
    if let Some(entry) = listed.into_iter().find(|entry| !met(entry)) {
        let folder = options.baselines.display();
        bail!("{entry} is listed in {folder}, but did not fail");
    }
    Ok(outcomes)
}

fn baseline_path(options: &Options, target: Target) -> PathBuf {
    options.baselines.join(format!("{}.yaml", target.name()))
}

/// The list of what may fail of the tasks extension.
fn tasks_path(options: &Options, target: Target) -> PathBuf {
    options
        .baselines
        .join(format!("{}-tasks.yaml", target.name()))
}

fn start(
    options: &Options,
    target: Target,
    port: u16,
    public_url: &str,
    issuer: &Issuer,
    api: &Api,
) -> anyhow::Result<ServerProcess> {
    let command = match target {
        Target::Fixture => ServerCommand::http(&options.fixture, port)
            .arg(port.to_string())
            .arg(public_url)
            .arg(issuer.url()),
        Target::Product => ServerCommand::http(&options.server, port)
            .env("MCP_HOST", public_url)
            .env("OAUTH_ISSUER", issuer.url())
            .env("UPSTREAM_AUDIENCE", format!("{public_url}/mcp"))
            .env("BRAINGRID_API_URL", api.url()),
    };
    command.own_process_group().spawn()
}

fn report_folder(options: &Options, target: Target) -> PathBuf {
    options.reports.join(target.name())
}

/// One set against one target, with everything the suite says kept in a folder.
async fn suite(
    options: &Options,
    target: Target,
    revision: &'static str,
    url: &str,
    listed: &BTreeSet<&str>,
) -> anyhow::Result<Outcome> {
    let folder = report_folder(options, target).join(revision);
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    let modules = options.suite.join("node_modules");
    let package = modules.join("@modelcontextprotocol/conformance");
    let mut program = tokio::process::Command::new(modules.join("node/bin/node"));
    program
        .arg(package.join("dist/index.js"))
        .args(["server", "--url", url, "--requirements", revision])
        .arg("--expected-failures")
        .arg(baseline_path(options, target))
        .arg("--output-dir")
        .arg(&folder)
        .stdin(std::process::Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(SUITE_LIMIT, program.output()).await;
    let output = ended
        .with_context(|| format!("the suite still runs after {SUITE_LIMIT:?}"))?
        .with_context(|| format!("cannot start Node.js in {}", modules.display()))?;
    let log = [output.stdout, output.stderr].concat();
    std::fs::write(folder.join("suite.log"), &log)?;
    let success = output.status.success();
    if !success {
        println!("{} {revision}:", target.name());
        println!("{}", verdict(&String::from_utf8_lossy(&log)));
    }
    let all = Scenarios::read(&package.join(format!("requirements/{revision}.yaml")))?;
    Outcome::read(target.name(), revision, success, &folder, &all, listed)
}

/// The end of the suite's log: what it expected and what it found.
fn verdict(log: &str) -> &str {
    log.rfind("Total:")
        .map_or(log, |at| log.get(at..).unwrap_or_default())
}
