//! `chaos`: runs the suite and prints its report.

use std::path::PathBuf;

use clap::Args;
use mcp_lab::chaos::{self, Config, Length, Mode};

use super::print_report;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true)]
    server: PathBuf,
    /// Decides which outage comes when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long, at least one round of all outages
    #[arg(long, default_value_t = 600, conflicts_with = "short")]
    seconds: u64,
    /// Every outage once, and briefly, as in the tests
    #[arg(long)]
    short: bool,
    /// With the server's own authorization server: tenants log in once, and refresh
    #[arg(long)]
    granted: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let length = if options.short {
        Length::Short
    } else {
        Length::Seconds(options.seconds)
    };
    let config = Config {
        server: options.server.clone(),
        seed: options.seed,
        length,
        mode: if options.granted {
            Mode::Granted
        } else {
            Mode::Exchanged
        },
        verbose: true,
    };
    let report = chaos::run(&config).await?;
    print_report(&report, options.json)?;
    report.verdict()
}
