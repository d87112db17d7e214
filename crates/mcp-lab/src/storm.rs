//! The storm of writes: whatever fails, no write is done twice and none is lost.
//!
//! Three instances of the real binary, one Redis, an API that does whatever it is asked to as often as
//! it is asked, and 20 clients. Each write has a text of its own, and its client sends the identical
//! call again, whatever came back, until it is answered as done or told three times in a row that the
//! outcome is unknown; a quarter of what was done then comes once more. Meanwhile instances and Redis
//! are killed, Redis hangs, connections of all three kinds break, and the API does the work and loses
//! the answer, hangs, or refuses. What it performed is counted by text, and the [`Report`] compares
//! that with what the clients were told.
//!
//! **Two parts.** In the first, writes are refused while Redis is away (`WRITES=refuse`): clients go
//! from instance to instance, send some calls to two at once, and instances are killed at any time. In
//! the second (`per-instance`, the default), Redis is away as often, but a client stays with one
//! instance for each write and none is killed: what an instance does alone, no other can know.
//!
//! **The store survives.** Redis is killed too, and comes back with everything it acknowledged
//! (`appendfsync always`). A store that comes back empty, or a replica that had not heard, may let a
//! write be done twice; that is documented and not tried here.
//!
//! **A change without a key** is done again when it comes again, for there and back is two changes: it
//! is counted, and may be.

#![expect(
    clippy::indexing_slicing,
    reason = "instances, kinds and faults are numbered here, and their number is fixed"
)]

mod call;
mod client;
mod faults;
mod report;
mod world;
mod write;

use std::{path::PathBuf, time::Instant};

pub use report::{Part, Report};

use self::world::Without;

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's binary.
    pub server: PathBuf,
    /// Decides the writes, and what fails when.
    pub seed: u64,
    /// How many writes, of both parts together.
    pub writes: usize,
    /// Tells on stderr what is happening.
    pub verbose: bool,
}

/// Runs both parts.
///
/// # Errors
///
/// When something around the server does not start; what the server does wrong is in the report.
pub async fn run(config: &Config) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let alone = config.writes / 4;
    let parts = vec![
        world::storm(config, Without::Refuse, config.writes - alone).await?,
        world::storm(config, Without::PerInstance, alone).await?,
    ];
    Ok(Report {
        seed: config.seed,
        seconds: begun.elapsed().as_secs_f64(),
        parts,
    })
}
