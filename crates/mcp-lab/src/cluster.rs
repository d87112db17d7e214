//! A cluster of Redis with many sessions: a shard is lost, then everything, and nobody is signed out.
//!
//! Six small nodes, three masters and their replicas, without persistence. Three instances of the real binary
//! write the sessions there themselves: a client with a token of its own for each, so that every record is
//! verified, sealed and stored as always. Then it is counted what kinds of calls cost in commands. Callers go on from here to
//! the end, while a master is killed and its replica takes over, the issuer is away and an instance is replaced
//! (it has nothing but the cluster), and all masters lose everything.
//!
//! **What is a failure.** A good token that is refused, by any instance at any time, or a call that is not
//! answered; a session that is not there after it was replicated; a call with a known token that costs a
//! command. Sizes and times are reported.
#![expect(
    clippy::indexing_slicing,
    reason = "instances are numbered, and their number is fixed"
)]

mod nodes;
mod report;
mod sizing;
mod world;

use std::{path::PathBuf, time::Instant};

pub use report::{Kind, Node, Report};

use self::world::World;

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's binary.
    pub server: PathBuf,
    /// How many.
    pub sessions: usize,
    /// Of how many organizations.
    pub tenants: usize,
    /// Tells on stderr what is happening.
    pub verbose: bool,
}

/// Runs it.
///
/// # Errors
///
/// When something around the server does not start; what the server does wrong is in the report.
pub async fn run(config: &Config) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let mut world = World::start(config).await?;
    world.fill().await?;
    world.count_commands().await?;
    world.begin_calls();
    world.lose_a_shard().await?;
    world.lose_the_issuer().await?;
    world.lose_everything().await?;
    world.finish(begun).await
}
