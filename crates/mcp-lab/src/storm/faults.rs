//! What fails: at the API, write by write; around the instances, one event after the other.

use std::time::Duration;

use fastrand::Rng;
use strum::VariantArray;

use super::world::Without;
use crate::chaos::fleet::INSTANCES;
use mcp_test_support::api::Fault;

/// One in eight hangs or answers late: that lasts until connections to the API are reset.
pub(super) fn at_the_api(random: &mut Rng) -> Fault {
    match random.u8(..24) {
        0 => Fault::Hang,
        1..3 => Fault::Delay(Duration::from_millis(random.u64(100..1_500))),
        3..12 => Fault::CloseAfterWrite,
        12..15 => Fault::Close,
        15..17 => Fault::Garbage,
        _ => Fault::Status([500, 502, 503, 504, 429][random.usize(..5)]),
    }
}

/// Something that happens while clients write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(super) enum Event {
    /// An instance gets SIGKILL and is started again.
    InstanceKilled,
    /// The same, while Redis hangs.
    InstanceKilledWhileRedisHangs,
    /// Every connection between clients and instances is reset.
    ClientsReset,
    /// Redis hangs for less time than a command may take.
    RedisHangsBriefly,
    /// Redis hangs until instances have given it up.
    RedisHangs,
    /// Every connection to Redis is reset, several times.
    RedisConnectionsReset,
    /// Redis gets SIGKILL, and is back later with what it acknowledged.
    RedisKilled,
}

impl Event {
    fn kills_an_instance(self) -> bool {
        matches!(
            self,
            Self::InstanceKilled | Self::InstanceKilledWhileRedisHangs
        )
    }
}

/// The events of one part in order, each with the instance it may kill: every one once for each
/// thousand writes, at least once.
pub(super) fn plan(seed: u64, without: Without, writes: usize) -> Vec<(Event, usize)> {
    let mut random = Rng::with_seed(seed);
    let mut all = Vec::new();
    for _ in 0..(writes / 1_000).max(1) {
        let mut round: Vec<_> = Event::VARIANTS
            .iter()
            .filter(|event| without == Without::Refuse || !event.kills_an_instance())
            .map(|event| (*event, random.usize(..INSTANCES)))
            .collect();
        random.shuffle(&mut round);
        all.extend(round);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_in_the_plan_and_nobody_is_killed_who_writes_alone() {
        let refusing = plan(1, Without::Refuse, 400);
        assert_eq!(refusing, plan(1, Without::Refuse, 400));
        let has = |event: &Event| refusing.iter().any(|(it, _)| it == event);
        assert!(Event::VARIANTS.iter().all(has));
        let alone = plan(1, Without::PerInstance, 2_500);
        assert_eq!(alone.len(), 2 * (Event::VARIANTS.len() - 2));
        assert!(alone.iter().all(|(event, _)| !event.kills_an_instance()));
    }
}
