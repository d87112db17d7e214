//! `revocations`: revokes under load and prints the report.

use std::path::PathBuf;

use clap::Args;
use mcp_lab::revocations::{self, Config};

use super::print_report;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true)]
    server: PathBuf,
    /// How many
    #[arg(long, default_value_t = 1_000)]
    revocations: usize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let config = Config {
        server: options.server.clone(),
        revocations: options.revocations,
        patient: true,
        verbose: true,
    };
    let report = revocations::run(&config).await?;
    print_report(&report, options.json)?;
    report.verdict()
}
