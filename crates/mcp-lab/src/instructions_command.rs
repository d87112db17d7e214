//! `instructions`: counts what a warm call takes, and holds our server to its budget.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use mcp_lab::load_test::{Config, count_instructions};

use crate::load_test_command::variables;

/// What to count.
#[derive(Args)]
pub(crate) struct Options {
    /// The server's binary
    #[arg(long, hide = true)]
    server: PathBuf,
    /// The bare server's binary, to compare with
    #[arg(long, hide = true)]
    bare: Option<PathBuf>,
    /// `bare`: beside the bare SDK; `none`: ours alone
    #[arg(long, default_value = "bare", value_parser = ["bare", "none"])]
    baseline: String,
    /// Let our server send spans and metrics to a collector
    #[arg(long)]
    exporting: bool,
    /// Set a variable for our server, NAME=VALUE (repeatable)
    #[arg(long = "env", value_name = "NAME=VALUE")]
    environment: Vec<String>,
    /// Leave callgrind's profiles of our server in this folder
    #[arg(long)]
    profiles: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    let config = Config {
        server: options.server.clone(),
        bare: options.bare.clone().filter(|_| options.baseline == "bare"),
        environment: variables(&options.environment)?,
        ..Config::default()
    };
    let counted = count_instructions(config, options.exporting, options.profiles.clone()).await?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&counted)?);
    } else {
        for line in &counted {
            println!("{line}");
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "budgets are far below 2^52")]
    let is_over =
        |per_call: f64, budget: Option<u64>| budget.is_some_and(|it| per_call > it as f64);
    if let Some(over) = counted.iter().find(|it| is_over(it.per_call, it.budget)) {
        bail!("over its budget, which stands in load_test/instructions.rs: {over}");
    }
    Ok(())
}
