//! `load-test`: reads what to measure, runs it, prints the report.

use std::{fmt::Write as _, fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use mcp_lab::load_test::{self, Config, Scenario, ServerCore};
use mcp_test_support::client::Generation;
use strum::VariantArray as _;

/// What to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true, required_unless_present = "url")]
    server: Option<PathBuf>,
    /// Measure a server that runs already, at this URL of its endpoint (scenarios steady and soak)
    #[arg(long, requires = "token_file")]
    url: Option<String>,
    /// Tokens for --url, one a line
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// `bare`: the same tool on bare rmcp; `none`
    #[arg(long, default_value = "bare", value_parser = ["bare", "none"])]
    baseline: String,
    /// The bare server's binary
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
    /// Compare with another MCP server (repeatable): its URL, or a command that listens on $PORT and
    /// reads `OAUTH_ISSUER`, `BRAINGRID_API_URL` and `REDIS_URL`
    #[arg(long)]
    compare: Vec<String>,
    /// The tool to call (default: `create_requirement`; with --url: `auth_status`)
    #[arg(long)]
    tool: Option<String>,
    /// Its arguments as JSON
    #[arg(long, default_value = "{}", requires = "tool")]
    arguments: String,
    /// What to measure (repeatable): a name from --help, or `all`
    #[arg(long, default_value = "steady", value_parser = scenario_names(), long_help = scenarios_help())]
    scenario: Vec<String>,
    /// As clients of which revision: 2025-11-25, 2026-07-28, or both
    #[arg(long, default_value = "both", value_parser = ["both", "2025-11-25", "2026-07-28"])]
    revision: String,
    /// Connections of the closed loop (repeatable)
    #[arg(long, default_values_t = [16])]
    connections: Vec<usize>,
    /// Calls per second of the open loop (default: half of what the closed loop found)
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds of one measurement
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Seconds of the soak
    #[arg(long, default_value_t = 60.0)]
    soak_seconds: f64,
    /// How often each measurement is made; medians are reported
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How many tenants call
    #[arg(long, default_value_t = 100)]
    users: usize,
    /// Instances of the scenario `replicas`
    #[arg(long, default_value_t = 2)]
    replicas: usize,
    /// Set a variable for our server, NAME=VALUE (repeatable)
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Measure the profile that is shipped, instead of ci, which links faster
    #[arg(long)]
    release: bool,
    /// Do not give the servers a core of their own
    #[arg(long)]
    unpinned: bool,
    /// Cargo's profile of the binaries, for the report
    #[arg(long, hide = true, default_value = "unknown")]
    profile: String,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Write the report as JSON to this file too
    #[arg(long)]
    json_file: Option<PathBuf>,
    /// Write the report as a page with charts to this file too
    #[arg(long)]
    html: Option<PathBuf>,
}

fn scenarios_help() -> String {
    let mut text = "What to measure (repeatable), or `all`:".to_owned();
    for scenario in Scenario::VARIANTS {
        let _ = write!(text, "\n  {:<10} {}", scenario.name(), scenario.about());
    }
    text
}

fn scenario_names() -> Vec<&'static str> {
    std::iter::once("all")
        .chain(Scenario::VARIANTS.iter().map(|it| it.name()))
        .collect()
}

impl Options {
    /// Leaves a core to the servers; before threads are started.
    pub(crate) fn pin(&self) -> Option<ServerCore> {
        if self.unpinned || self.url.is_some() {
            return None;
        }
        load_test::leave_a_core()
    }

    fn config(&self, core: Option<ServerCore>) -> anyhow::Result<Config> {
        let named = |name: &str| self.scenario.iter().any(|it| it == name || it == "all");
        let scenarios: Vec<_> = Scenario::VARIANTS
            .iter()
            .copied()
            .filter(|it| named(it.name()))
            .collect();
        if let (Some(_), Some(other)) = (
            &self.url,
            scenarios
                .iter()
                .find(|scenario| !scenario.needs_no_stand_ins()),
        ) {
            bail!(
                "{} needs servers that it may start: not with --url",
                other.name()
            );
        }
        let tokens = match &self.token_file {
            Some(file) => {
                let text = fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                text.split_whitespace().map(str::to_owned).collect()
            }
            None => Vec::new(),
        };
        if self.release {
            bail!("--release is for cargo xtask, which builds what is measured");
        }
        if self.users == 0
            || self.rounds == 0
            || self.replicas == 0
            || self.connections.contains(&0)
        {
            bail!("users, rounds, replicas and connections begin at 1");
        }
        if self.url.is_some() && tokens.is_empty() {
            bail!("--token-file holds no token");
        }
        // Somebody else's API may charge for what is created.
        let tool = self
            .tool
            .clone()
            .or_else(|| self.url.as_ref().map(|_| "auth_status".to_owned()));
        let arguments = serde_json::from_str(&self.arguments).context("--arguments is no JSON")?;
        Ok(Config {
            server: self.server.clone().unwrap_or_default(),
            url: self.url.clone(),
            tokens,
            bare: self
                .bare
                .clone()
                .filter(|_| self.baseline == "bare" && self.url.is_none()),
            compare: self.compare.clone(),
            tool: tool.map(|tool| (tool, arguments)),
            scenarios,
            generations: Generation::BOTH
                .into_iter()
                .filter(|it| self.revision == "both" || self.revision == it.version())
                .collect(),
            connections: self.connections.clone(),
            rate: self.rate,
            length: Duration::try_from_secs_f64(self.seconds).context("--seconds")?,
            soak: Duration::try_from_secs_f64(self.soak_seconds).context("--soak-seconds")?,
            rounds: self.rounds,
            users: self.users,
            replicas: self.replicas,
            core,
            environment: variables(&self.environment)?,
            profile: self.profile.clone(),
            progress: true,
        })
    }
}

/// Variables as `--env` takes them.
pub(crate) fn variables(pairs: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let pairs = pairs.iter().map(|pair| {
        let (name, value) = pair.split_once('=').context("--env takes NAME=VALUE")?;
        Ok((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}

pub(crate) async fn run(options: &Options, core: Option<ServerCore>) -> anyhow::Result<()> {
    let report = load_test::run(&options.config(core)?).await?;
    let json = serde_json::to_string_pretty(&report)?;
    if let Some(file) = &options.json_file {
        fs::write(file, &json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if let Some(file) = &options.html {
        let page = load_test::page(&report);
        fs::write(file, page).with_context(|| format!("cannot write {}", file.display()))?;
    }
    if options.json {
        println!("{json}");
    } else {
        println!("\n{report}");
    }
    report.verdict()
}
