//! `storm`: runs the storm of writes and prints its report.

use std::path::PathBuf;

use clap::Args;
use mcp_lab::storm::{self, Config};

use super::print_report;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true)]
    server: PathBuf,
    /// Decides the writes, and what fails when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many writes, a quarter of them with WRITES=per-instance
    #[arg(long, default_value_t = 12_000)]
    writes: usize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let config = Config {
        server: options.server.clone(),
        seed: options.seed,
        writes: options.writes,
        verbose: true,
    };
    let report = storm::run(&config).await?;
    print_report(&report, options.json)?;
    report.verdict()
}
