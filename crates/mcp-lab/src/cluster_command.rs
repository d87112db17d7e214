//! `cluster`: fills a cluster, loses it, and prints the report.

use std::path::PathBuf;

use clap::Args;
use mcp_lab::cluster::{self, Config};

use super::print_report;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true)]
    server: PathBuf,
    /// How many sessions; a million take a GiB of memory, and as much for the replicas
    #[arg(long, default_value_t = 1_000_000)]
    sessions: usize,
    /// Of how many organizations
    #[arg(long, default_value_t = 10_000)]
    tenants: usize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let config = Config {
        server: options.server.clone(),
        sessions: options.sessions,
        tenants: options.tenants,
        verbose: true,
    };
    let report = cluster::run(&config).await?;
    print_report(&report, options.json)?;
    report.verdict()
}
