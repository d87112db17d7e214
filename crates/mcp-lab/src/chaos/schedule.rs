//! Which outage comes when: decided by the seed alone.

use std::{fmt, time::Duration};

use fastrand::Rng;
use serde::Serialize;
use strum::VariantArray;

/// How long the suite runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Every event once, outages of a few seconds.
    Short,
    /// As many rounds of all events as fit into so many seconds, with outages in full length. At
    /// least one.
    Seconds(u64),
}

/// How tenants come by their tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// From an issuer; the server exchanges them.
    Exchanged,
    /// From the server's own authorization server, by a login and then by refreshing.
    Granted,
}

impl Mode {
    /// How many tenants call.
    pub(super) fn tenants(self) -> usize {
        match self {
            Self::Exchanged => 50,
            // Each is two processes, which refresh beside the calls.
            Self::Granted => 25,
        }
    }
}

/// Something that happens to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, VariantArray)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Every instance in turn gets SIGTERM and is started again.
    RollingRestart,
    /// Every instance in turn gets SIGKILL and is started again.
    RollingKill,
    /// Redis is killed; Sentinel promotes the replica.
    RedisKilled,
    /// Redis hangs (SIGSTOP), and goes on where it was.
    RedisHangs,
    /// Redis hangs, Sentinel promotes the replica, and the old master wakes up.
    RedisReplacedWhileHung,
    /// Redis is killed and comes back at once with nothing in it.
    RedisRestartsEmpty,
    /// Everything in Redis is deleted.
    RedisEmptied,
    /// An operator lets Sentinel swap master and replica.
    RedisFailover,
    /// All connections to Redis are closed.
    RedisConnectionsReset,
    /// The issuer refuses connections. Nobody gets a new token.
    IssuerDown,
    /// The issuer is down while every instance is replaced.
    DeployWhileIssuerDown,
    /// The issuer answers late.
    IssuerSlow,
    /// The issuer answers 200 with something that is no JSON.
    IssuerGarbage,
    /// The issuer does what it is asked, and the answers are lost.
    IssuerLosesAnswers,
    /// The issuer signs with a new key; the old one stays published.
    IssuerRotatesKeys,
    /// The issuer signs with a new key and withdraws the old one: its tokens are no longer good.
    IssuerWithdrawsKeys,
    /// The issuer's clock is 60 seconds ahead.
    IssuerClockAhead,
    /// The issuer's clock is 60 seconds behind.
    IssuerClockBehind,
    /// A new encryption key in two deploys: first as a previous one, then as the current one.
    EncryptionKeyRotation,
    /// Every connection between clients and instances is reset, several times.
    ConnectionsReset,
}

impl Event {
    /// What the report calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RollingRestart => "rolling restart",
            Self::RollingKill => "rolling kill",
            Self::RedisKilled => "redis killed, replaced",
            Self::RedisHangs => "redis hangs",
            Self::RedisReplacedWhileHung => "redis hangs, replaced",
            Self::RedisRestartsEmpty => "redis restarts empty",
            Self::RedisEmptied => "redis emptied",
            Self::RedisFailover => "redis failover",
            Self::RedisConnectionsReset => "redis connections reset",
            Self::IssuerDown => "issuer down",
            Self::DeployWhileIssuerDown => "deploy, issuer down",
            Self::IssuerSlow => "issuer slow",
            Self::IssuerGarbage => "issuer serves garbage",
            Self::IssuerLosesAnswers => "issuer loses answers",
            Self::IssuerRotatesKeys => "issuer rotates keys",
            Self::IssuerWithdrawsKeys => "issuer withdraws keys",
            Self::IssuerClockAhead => "issuer clock +60 s",
            Self::IssuerClockBehind => "issuer clock -60 s",
            Self::EncryptionKeyRotation => "encryption key rotation",
            Self::ConnectionsReset => "connections reset",
        }
    }

    /// How long it lasts, in seconds: in the short run and in full.
    fn seconds(self) -> (u64, u64) {
        match self {
            Self::RedisHangs => (4, 10),
            Self::IssuerDown => (4, 30),
            Self::IssuerSlow | Self::IssuerGarbage | Self::IssuerLosesAnswers => (2, 10),
            Self::IssuerClockAhead | Self::IssuerClockBehind => (2, 15),
            _ => (1, 3),
        }
    }

    /// Whether it is part of a run. The short one with logins leaves out what is like another event to them.
    fn is_of(self, mode: Mode, length: Length) -> bool {
        match self {
            Self::IssuerRotatesKeys
            | Self::IssuerWithdrawsKeys
            | Self::IssuerClockAhead
            | Self::IssuerClockBehind => mode == Mode::Exchanged,
            Self::IssuerLosesAnswers => mode == Mode::Granted,
            Self::RedisReplacedWhileHung
            | Self::RedisRestartsEmpty
            | Self::RedisFailover
            | Self::DeployWhileIssuerDown
            | Self::IssuerGarbage => mode == Mode::Exchanged || length != Length::Short,
            _ => true,
        }
    }

    /// Whether an instance may end, or Redis forget, what has just been done and is known nowhere else.
    pub(super) fn loses(self) -> bool {
        let forgets = matches!(
            self,
            Self::RedisKilled
                | Self::RedisReplacedWhileHung
                | Self::RedisRestartsEmpty
                | Self::RedisEmptied
                | Self::RedisFailover
        );
        let ends = matches!(self, Self::RollingKill | Self::IssuerLosesAnswers);
        forgets || ends || self.is_outage()
    }

    /// Long enough for an instance to be replaced in the middle of it.
    fn is_outage(self) -> bool {
        matches!(
            self,
            Self::RedisHangs | Self::IssuerDown | Self::IssuerSlow | Self::IssuerGarbage
        )
    }
}

/// An event of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What happens.
    pub event: Event,
    /// How long it lasts, in milliseconds; rolling restarts take as long as they take.
    pub lasts_ms: u64,
    /// The instance that is killed in the middle of it.
    pub kills: Option<usize>,
}

impl Step {
    pub(super) fn lasts(&self) -> Duration {
        Duration::from_millis(self.lasts_ms)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} ms", self.event.name(), self.lasts_ms)?;
        match self.kills {
            Some(instance) => write!(f, ", instance {instance} killed meanwhile"),
            None => Ok(()),
        }
    }
}

/// What a round of all events takes beside the outages themselves, roughly, in milliseconds.
const ROUND_OVERHEAD: u64 = 60_000;

/// The events of a run, in order. The same seed and length give the same schedule.
#[must_use]
pub fn plan(seed: u64, length: Length, mode: Mode) -> Vec<Step> {
    let mut random = Rng::with_seed(seed);
    let first = round(&mut random, length, mode);
    let Length::Seconds(seconds) = length else {
        return first;
    };
    let mut left = seconds * 1_000;
    let (mut all, mut next) = (Vec::new(), first);
    loop {
        let takes = next.iter().map(|step| step.lasts_ms).sum::<u64>() + ROUND_OVERHEAD;
        if !all.is_empty() && left < takes {
            return all;
        }
        left = left.saturating_sub(takes);
        all.append(&mut next);
        next = round(&mut random, length, mode);
    }
}

fn round(random: &mut Rng, length: Length, mode: Mode) -> Vec<Step> {
    let mut events = Event::VARIANTS.to_vec();
    events.retain(|event| event.is_of(mode, length));
    for last in (1..events.len()).rev() {
        events.swap(last, random.usize(..=last));
    }
    events
        .into_iter()
        .map(|event| step(event, random, length))
        .collect()
}

fn step(event: Event, random: &mut Rng, length: Length) -> Step {
    let (short, full) = event.seconds();
    let seconds = if length == Length::Short { short } else { full };
    // Up to a fifth more, so that nothing falls into step with the server's own pauses.
    let lasts_ms = seconds * 1_000 + random.u64(..seconds * 200);
    let victim = random.usize(..super::fleet::INSTANCES);
    Step {
        event,
        lasts_ms,
        kills: event.is_outage().then_some(victim),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_the_schedule() {
        for length in [Length::Short, Length::Seconds(1_000)] {
            let plan = |seed| plan(seed, length, Mode::Exchanged);
            assert_eq!(plan(7), plan(7));
            assert_ne!(plan(7), plan(8));
        }
    }

    #[test]
    fn every_event_is_in_every_round_of_its_run() {
        for mode in [Mode::Exchanged, Mode::Granted] {
            for length in [Length::Short, Length::Seconds(1)] {
                let events = Event::VARIANTS.iter();
                let mut events = events.filter(|event| event.is_of(mode, length));
                let plan = plan(1, length, mode);
                assert_eq!(plan.len(), events.clone().count());
                let is_there = |event: &Event| plan.iter().any(|step| step.event == *event);
                assert!(events.all(is_there));
            }
            let (long, once) = (Length::Seconds(1_200), Length::Seconds(1));
            assert!(plan(1, long, mode).len() >= 2 * plan(1, once, mode).len());
        }
        let full = |event: &Event, mode| event.is_of(mode, Length::Seconds(1));
        let either = |event| full(event, Mode::Exchanged) || full(event, Mode::Granted);
        assert!(Event::VARIANTS.iter().all(either));
    }
}
