//! Revocations under load: whoever is denied is refused by every instance, whatever happens to the news.
//!
//! Three instances of the real binary over one Redis, as which each instance has a user of its own: what an
//! instance may do there is taken from it and given back (`ACL SETUSER`), so that one is cut off from the news, or from
//! Redis altogether, and the others are not. Operators revoke by the Admin API of an instance, in turn
//! each kind that there is; now and then at the instance that is cut off. Callers go on all the time.
//!
//! **What is measured.** From the moment a revocation is sent until an instance refuses the token, for each
//! instance that is not cut off. Reported, as how busy the machine is decides it.
//!
//! **What is a failure.** A token that is served after all instances could hear again and know as many
//! denials as were said; one that is served after it was refused; a neighbour that is refused. Each denial has a
//! neighbour that differs in the one thing it is about: another user, organization, client or token, or a later
//! login. A call with a known token that costs a command of the store.
//!
//! **Emptied.** In the middle Redis loses everything. The instances write back what they know, and one
//! that is started then lets nobody in.
#![expect(
    clippy::indexing_slicing,
    reason = "instances are numbered, and their number is fixed"
)]

pub(crate) mod callers;
pub(crate) mod operators;
mod report;
mod store;
mod victim;
mod world;

use std::{path::PathBuf, time::Instant};

pub use report::{Delay, Report};

use self::{
    store::Cut,
    world::{Emptied, World},
};
use crate::chaos::fleet::INSTANCES;

/// In each of them as many are revoked; one instance is cut off in all but the first.
const PARTS: usize = 5;

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's binary.
    pub server: PathBuf,
    /// How many.
    pub revocations: usize,
    /// Once Redis was emptied, waits until instances look there by themselves, as they do once a minute.
    /// Otherwise their subscriptions break, as those of a Redis that was restarted.
    pub patient: bool,
    /// Tells on stderr what is happening.
    pub verbose: bool,
}

/// Runs it.
///
/// # Errors
///
/// When something around the server does not start, or an instance never learns of a denial; what the
/// server does wrong is in the report.
pub async fn run(config: &Config) -> anyhow::Result<Report> {
    let begun = Instant::now();
    let mut world = World::start(config).await?;
    for part in 0..PARTS {
        // Each instance is cut off once in both ways, as far as there are parts.
        let cut = (part > 0).then(|| {
            let kind = [Cut::News, Cut::Everything][part % 2];
            (part % INSTANCES, kind)
        });
        world
            .revoke(
                config.revocations * part / PARTS..config.revocations * (part + 1) / PARTS,
                cut,
            )
            .await?;
        if part == PARTS / 2 {
            world
                .empty_the_store(Emptied {
                    patient: config.patient,
                })
                .await?;
        }
    }
    world.finish(begun).await
}
