//! What `cargo xtask` starts: the stand-ins alone, the demonstration, the load test, the chaos suite,
//! the storm of writes, revocations under load, a cluster that is
//! lost, the conformance suite.
//!
//! Both stand-ins say so wherever they are seen. The one for the BrainGrid API encodes this
//! project's assumptions about an API whose specification is not public.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the program's whole purpose is to tell a person or a script what it started"
)]

mod chaos_command;
mod cluster_command;
mod conformance;
mod dev;
mod instructions_command;
mod load_test_command;
mod revocations_command;
mod storm_command;

use std::{fmt::Display, process::ExitCode};

use clap::{Parser, Subcommand};
use mcp_lab::load_test::ServerCore;
use mcp_test_support::{Api, Issuer};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

/// braingrid-mcp among stand-ins, under load and in trouble. Development only.
#[derive(Parser)]
#[command(version, bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Build and start everything on this machine, with a demonstration
    ///
    /// The identity provider and the BrainGrid API are stand-ins from crates/mcp-test-support; the server
    /// is the real binary, over HTTP, with its own authorization server. Two users log in, a real MCP
    /// client makes one call; then what to type for your own client is printed, and everything stays up
    /// until Ctrl-C.
    #[command(override_usage = "cargo xtask dev [OPTIONS]")]
    Dev(dev::Options),
    /// Let everything around a fleet of servers fail, and count who noticed
    ///
    /// Three instances, 50 tenants who read and write all the time, a Redis with replica and Sentinel,
    /// an issuer with a clock of its own. Restarts, kills, hangs, failovers, outages, key rotations and
    /// wrong clocks come in an order that the seed decides. Fails when a good token is refused, a call
    /// fails on two instances, or anybody meets somebody else's data. With `--granted` tenants are clients of
    /// the server's own authorization server, and it fails too when anybody has to log in again. `cargo xtask
    /// test` runs a short form of both.
    #[command(override_usage = "cargo xtask chaos [OPTIONS]")]
    Chaos(chaos_command::Options),
    /// Send writes again and again while a fleet fails, and count what was done twice or lost
    ///
    /// Three instances, one Redis, and 20 clients who send each write until somebody answers for it.
    /// Instances and Redis are killed, Redis hangs, connections break, the API does the work and loses
    /// the answer, in an order that the seed decides. Fails when the API did a write twice, when one was
    /// answered as done and is not there, or when one was done and its client not told that it may be.
    /// `cargo xtask test` runs a short form of it.
    #[command(override_usage = "cargo xtask storm [OPTIONS]")]
    Storm(storm_command::Options),
    /// Revoke under load, while the news of it are cut off, and count who is served nevertheless
    ///
    /// Three instances, one Redis, operators who revoke users, members, organizations, clients and
    /// tokens, and callers who go on all the time. Instances are cut off from news, or from Redis altogether, and
    /// Redis is emptied. Fails when somebody is served after all know, or refused who is not denied, or
    /// when a call with a known token costs a command of the store. How long a revocation takes is reported.
    /// `cargo xtask test` runs 60 of the 1,000.
    #[command(override_usage = "cargo xtask revocations [OPTIONS]")]
    Revocations(revocations_command::Options),
    /// Fill a cluster of Redis with a million sessions, lose it, and count who has to log in
    ///
    /// Six nodes, three instances, a token of its own for each session. Says what a session takes, and what
    /// kinds of calls cost in commands. Then a master is killed, the issuer is away while an instance is
    /// replaced, and all masters lose everything, while callers go on. Fails when a good token is refused or not
    /// served, or when a call with a known token costs a command.
    #[command(override_usage = "cargo xtask cluster [OPTIONS]")]
    Cluster(cluster_command::Options),
    /// Measure the server under the load of many tenants, beside the bare SDK
    ///
    /// Starts a stand-in issuer, an API that answers at once, a real Redis and the servers, and sends
    /// calls of many tenants in both protocol generations. Every answer is checked: whole, for this
    /// call, and for nobody else. Servers take turns with a core of their own; ratios to the bare SDK
    /// (the same tool on rmcp alone, without authentication, sessions and telemetry) end every run.
    /// Takes about half a minute.
    ///
    /// Exit code 0: every answer was right, however slow. 1: one was not, or something did not start.
    ///
    /// `load-test instructions` counts the processor instructions of a warm call instead.
    LoadTest(Box<load_test_command::Options>),
    /// Count the processor instructions of a warm call, and hold them to their budget
    ///
    /// By callgrind; it does not depend on how busy the machine is. The alarm of the continuous
    /// integration: over the budget in `load_test/instructions.rs` it fails.
    #[command(override_usage = "cargo xtask load-test instructions [OPTIONS]")]
    Instructions(instructions_command::Options),
    /// Run the official conformance suite against the server and the fixture
    ///
    /// Two targets: a fixture with the suite's own tools on our transport, and the server itself. Both
    /// are behind real tokens; a proxy adds them, as the suite cannot. What may fail, and why, stands in
    /// crates/mcp-lab/conformance. The suite and a Node.js for it are installed from npm below the
    /// target directory; its reports go to target/conformance/reports.
    #[command(override_usage = "cargo xtask conformance [OPTIONS]")]
    Conformance(conformance::Options),
    /// Start the stand-in OAuth issuer alone
    Issuer {
        /// Port on the loopback address; 0 takes a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Audience of the tokens it makes (repeatable)
        #[arg(long)]
        audience: Vec<String>,
    },
    /// Start the stand-in for the BrainGrid API alone
    Api {
        /// Port on the loopback address; 0 takes a free one
        #[arg(long, default_value_t = 0)]
        port: u16,
        /// Introspection endpoint for opaque tokens, with the client's id and secret in the URL
        #[arg(long)]
        introspect: Option<url::Url>,
    },
}

fn main() -> ExitCode {
    mcp_test_support::install_tls_provider();
    let what = Arguments::parse().what;
    // Cores are chosen before there are threads.
    let core = match &what {
        What::LoadTest(options) => options.pin(),
        _ => None,
    };
    let outcome = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(what, core)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(what: What, core: Option<ServerCore>) -> anyhow::Result<()> {
    match what {
        What::Instructions(options) => instructions_command::run(&options).await,
        What::LoadTest(options) => load_test_command::run(&options, core).await,
        What::Dev(options) => dev::run(&options).await,
        What::Chaos(options) => chaos_command::run(&options).await,
        What::Storm(options) => storm_command::run(&options).await,
        What::Revocations(options) => revocations_command::run(&options).await,
        What::Cluster(options) => cluster_command::run(&options).await,
        What::Conformance(options) => conformance::run(&options).await,
        What::Issuer { port, audience } => {
            let issuer = Issuer::start_on(port).await?;
            issuer.set_audience(audience.iter().map(String::as_str));
            println!(
                "stand-in OAuth issuer (it signs whatever it is asked to): {}",
                issuer.url()
            );
            println!("key set: {}", issuer.jwks_url());
            println!(
                "a token: curl -X POST {}/__stand-in/token -d '{{\"sub\":\"me\"}}'",
                issuer.url()
            );
            until_stopped().await
        }
        What::Api { port, introspect } => {
            let api = Api::start_on(port).await?;
            if let Some(endpoint) = introspect {
                api.introspect_at(endpoint);
            }
            println!("stand-in BrainGrid API: {}", api.url());
            println!("it encodes our ASSUMPTIONS about an API whose specification is not public");
            println!("what it was asked: curl {}/__stand-in/requests", api.url());
            until_stopped().await
        }
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn until_stopped() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        stop = tokio::signal::ctrl_c() => Ok(stop?),
        _ = terminate.recv() => Ok(()),
    }
}

/// Prints what a run found, for a script or for people.
fn print_report(report: &(impl Serialize + Display), json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        println!("\n{report}");
    }
    Ok(())
}
