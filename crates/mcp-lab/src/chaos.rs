//! The chaos suite: everything around a fleet fails, again and again, and nobody is signed out.
//!
//! Three instances of the real binary, a Redis with replica and Sentinel, an issuer with a clock
//! of its own, and 50 tenants who read and write all the time, in both protocol generations. A
//! seeded schedule of outages runs over them; the [`Report`] counts what the tenants saw.
//!
//! **Who balances.** The clients themselves: every call goes to the next instance, and one that
//! fails is repeated once on the one after it. A balancer in between would pin connections; this
//! way consecutive calls of a tenant always meet different instances, and a repeated one never
//! meets the instance that failed it. In front of each instance is a door (a TCP relay) that keeps
//! the address when the instance restarts, and can reset every connection.
//!
//! **Where tokens come from** ([`Mode`]). From an issuer, which exchanges them (RFC 8693): while it is away,
//! nobody shows a token that no instance has seen, as there is nothing to exchange it for. Or from the
//! server's own authorization server: then tenants are clients that register themselves and log in once, with a
//! browser and through the consent page. Each is two processes that share what they hold, refresh at the same
//! moment, every few seconds, and lose some of the answers. No event may send anybody to a login again, or make
//! a refresh refused. What the provider does with a refresh token that comes twice is decided by the event: it
//! takes it once more where an instance may die, or Redis forget, between the provider's answer and the
//! client's (`Event::loses`), and refuses it where not.
//!
//! **Whose token the API sees.** One that a client has is a failure in both.
//!
//! **What is a failure.** 401 for a good token, on any attempt; a call that failed twice, not
//! counting attempts that were under way when their instance was killed or its connections reset;
//! an answer or a request at the API that belongs to somebody else. A write of which an attempt was cut
//! off so may be told to be unknown, which is counted apart: nobody knows, and to send it again is how
//! something is made twice ([`crate::storm`] counts that). A token is good until it
//! expires by either clock or the issuer withdraws the key that signed it.
#![expect(
    clippy::indexing_slicing,
    reason = "instances, phases and the two servers are numbered here, and their number is fixed"
)]

mod bars;
mod call;
mod client;
pub(crate) mod door;
mod events;
pub(crate) mod fleet;
mod identity;
mod record;
mod redis;
mod report;
mod schedule;
mod tenant;
mod world;

use std::{path::PathBuf, sync::Arc, time::Instant};

pub use bars::Bars;
pub use client::Logins;
pub use report::{AtRest, PhaseReport, Report};
pub use schedule::{Event, Length, Mode, Step, plan};

use self::{identity::Identity, record::Recorder, world::World};

/// What to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The server's binary.
    pub server: PathBuf,
    /// Decides the schedule.
    pub seed: u64,
    /// How long.
    pub length: Length,
    /// Where tokens come from.
    pub mode: Mode,
    /// Tells on stderr what is happening.
    pub verbose: bool,
}

/// Runs the suite.
///
/// # Errors
///
/// When something around the server does not start; what the server does wrong is in the report.
pub async fn run(config: &Config) -> anyhow::Result<Report> {
    let schedule = plan(config.seed, config.length, config.mode);
    let names = schedule.iter().map(|step| step.event.name());
    let recorder = Arc::new(Recorder::new(["calm"].into_iter().chain(names)));
    let mut world = World::start(config, Arc::clone(&recorder)).await?;
    let begun = Instant::now();
    world.calm().await?;
    for (number, step) in schedule.iter().enumerate() {
        recorder.enter(number + 1);
        world.say(&format!("{:5.1} s  {step}", begun.elapsed().as_secs_f64()));
        world.perform(step).await?;
    }
    recorder.enter(0);
    world.calm().await?;
    let mut report = Report::new(config, schedule, &recorder);
    if let Some(clients) = &world.clients {
        clients.all_refresh().await?;
        report.logins = Some(clients.logins());
    }
    world.rest().await;
    if let Identity::Issuer(issuer) = &world.callers.login.identity {
        let issuer = issuer.clone();
        let (warm_calls, redis_commands) = world.commands_of_warm_calls().await?;
        report.at_rest = Some(AtRest {
            warm_calls,
            redis_commands,
            bars: bars::measure(&mut world, &issuer, config.length).await?,
        });
    }
    report.see(&recorder, begun.elapsed());
    world.stop().await;
    Ok(report)
}
