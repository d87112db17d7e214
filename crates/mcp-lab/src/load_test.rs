//! The load test: MCP traffic of many tenants, every answer checked, beside the bare SDK.
//!
//! Starts the stand-ins and the servers, sends calls in both protocol generations and reports what
//! was seen. Ours and the servers it is compared with take turns, round by round, with one core of
//! their own: a busy neighbour then slows all of them, and the ratios stay true.
//!
//! **The far end** is a stub that answers at once, for the generator and everything around the
//! server must cost less than the server. **The limit** is the same tool on bare rmcp, without
//! authentication, sessions and telemetry (`benches/bare_rmcp.rs`).
//!
//! **What is a failure.** An answer that is not whole, not to this call, or names another tenant; a
//! request at the API in which two tenants meet. Never a time: machines differ.
#![expect(
    clippy::indexing_slicing,
    reason = "positions are taken modulo the length of what is never empty"
)]

mod call;
mod connection;
mod drive;
mod instructions;
mod machine;
mod page;
mod report;
mod scenarios;
mod stub;
mod target;
mod tenants;
mod world;

use std::{path::PathBuf, time::Duration};

pub use instructions::{BUDGET, Instructions, count_instructions};
pub use machine::{Machine, ServerCore, leave_a_core};
pub use page::page;
pub use report::{Figure, Ratio, Report, Row, Section};
pub use scenarios::Scenario;
use serde_json::Value;

use mcp_test_support::client::Generation;

/// What to run.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Our server's binary.
    pub server: PathBuf,
    /// A server that runs already, instead of ours.
    pub url: Option<String>,
    /// Tokens for that one.
    pub tokens: Vec<String>,
    /// The bare server's binary.
    pub bare: Option<PathBuf>,
    /// Other servers to compare with: a URL, or a line for the shell that listens on `PORT`.
    pub compare: Vec<String>,
    /// A tool and its arguments instead of `create_requirement`.
    pub tool: Option<(String, Value)>,
    /// What to do.
    pub scenarios: Vec<Scenario>,
    /// As which clients.
    pub generations: Vec<Generation>,
    /// How many connections at a time, one run for each.
    pub connections: Vec<usize>,
    /// Calls per second of the open loop; nothing: half of what the closed loop found.
    pub rate: Option<f64>,
    /// How long one measurement takes.
    pub length: Duration,
    /// How long the soak takes.
    pub soak: Duration,
    /// How often each measurement is made.
    pub rounds: usize,
    /// How many tenants call.
    pub users: usize,
    /// How many instances the scenario with replicas starts.
    pub replicas: usize,
    /// Which core is the servers'.
    pub core: Option<ServerCore>,
    /// Variables for our server besides the necessary ones.
    pub environment: Vec<(String, String)>,
    /// Cargo's profile, for the report.
    pub profile: String,
    /// Tells on stderr what is being measured.
    pub progress: bool,
}

/// Runs the scenarios.
///
/// # Errors
/// When something does not start; what a server answers wrongly is in the report.
pub async fn run(config: &Config) -> anyhow::Result<Report> {
    let machine = Machine::look(config.core);
    let mut world = world::World::start(config).await?;
    let mut sections = Vec::new();
    for scenario in &config.scenarios {
        sections.push(scenarios::run(*scenario, &mut world).await?);
    }
    Ok(Report {
        at: jiff::Timestamp::now().to_string(),
        machine,
        profile: config.profile.clone(),
        sections,
        mixed_up_at_the_api: world.stub.mixed_up(),
        complaints: world.complaints(),
    })
}
