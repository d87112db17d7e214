//! `conformance`: the official suite of the Model Context Protocol, against the server itself and
//! against a fixture on the same transport. See docs/conformance.md.

mod authorization;
mod baseline;
mod proxy;
mod report;
mod suite;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use mcp_test_support::{Api, Issuer, ServerCommand, ServerProcess, free_port};
use tokio::net::TcpListener;

use self::{
    baseline::Group,
    proxy::TokenProxy,
    report::{Outcome, Scenarios},
    suite::Set,
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
    /// The server's own authorization server
    Authorization,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::Fixture => "fixture",
            Self::Product => "product",
            Self::Authorization => "authorization",
        }
    }
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let issuer = Issuer::start().await?;
    let api = Api::start().await?;
    let mut outcomes = Vec::new();
    for target in [Target::Fixture, Target::Product, Target::Authorization] {
        if options.only.is_some_and(|only| only != target) {
            continue;
        }
        outcomes.extend(match target {
            Target::Authorization => authorization::check(options, &api).await?,
            _ => check(options, target, &issuer, &api).await?,
        });
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
    let listed = Listed::read(options, target)?;
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
        let set = Set {
            options,
            target,
            revision,
            listed: &listed,
        };
        outcomes.push(outcome(set, &resource).await?);
    }
    std::fs::write(
        report_folder(options, target).join("server.log"),
        server.text(),
    )?;
    server.stop(STOP_LIMIT).await?;
    listed.check(options, &outcomes)?;
    Ok(outcomes)
}

/// What may fail of a target.
struct Listed(Vec<Group>);

impl Listed {
    fn read(options: &Options, target: Target) -> anyhow::Result<Self> {
        let mut groups = baseline::read(&baseline_path(options, target))?;
        // A list of its own, for the suite takes no entry of a scenario that it does not count.
        if target != Target::Authorization {
            groups.extend(baseline::read(&tasks_path(options, target))?);
        }
        Ok(Self(groups))
    }

    fn entries(&self) -> BTreeSet<&str> {
        baseline::entries(&self.0)
    }

    /// The suite tolerates entries for checks that did not run: a name that changed would stay.
    fn check(&self, options: &Options, outcomes: &[Outcome]) -> anyhow::Result<()> {
        let met = |entry: &&str| {
            outcomes
                .iter()
                .any(|outcome| outcome.expected.contains(*entry))
        };
        if let Some(entry) = self.entries().into_iter().find(|entry| !met(entry)) {
            let folder = options.baselines.display();
            bail!("{entry} is listed in {folder}, but did not fail");
        }
        Ok(())
    }
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
        Target::Product | Target::Authorization => ServerCommand::http(&options.server, port)
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

/// One set against one target.
async fn outcome(set: Set<'_>, url: &str) -> anyhow::Result<Outcome> {
    let (options, revision) = (set.options, set.revision);
    let folder = set.folder()?;
    let mut program = suite::program(options);
    program
        .args(["server", "--url", url, "--requirements", revision])
        .arg("--expected-failures")
        .arg(baseline_path(options, set.target))
        .arg("--output-dir")
        .arg(&folder);
    let ended = tokio::time::timeout(SUITE_LIMIT, program.output()).await;
    let output = ended
        .with_context(|| format!("the suite still runs after {SUITE_LIMIT:?}"))?
        .context("cannot start the suite")?;
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8_lossy(&log);
    let package = suite::package(options);
    let all = Scenarios::read(&package.join(format!("requirements/{revision}.yaml")))?;
    set.outcome(&folder, output.status.success(), &log, &all)
}
