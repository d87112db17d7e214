//! What the tenants saw, per phase.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcp_test_support::lock;

/// Complaints that are kept word for word.
const COMPLAINTS: usize = 25;

/// Counts per phase; phases of the same name are one.
pub(super) struct Recorder {
    /// Which phase each step belongs to.
    steps: Vec<usize>,
    phases: Vec<Phase>,
    current: AtomicUsize,
    complaints: Mutex<Vec<String>>,
}

/// One phase's counts.
#[derive(Default)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) calls: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) withdrawn: AtomicU64,
    pub(super) misplaced: AtomicU64,
    durations: Mutex<Vec<u32>>,
}

impl Recorder {
    /// The names of all steps in order, "calm" first.
    pub(super) fn new(names: impl Iterator<Item = &'static str>) -> Self {
        let (mut steps, mut phases) = (Vec::new(), Vec::<Phase>::new());
        for name in names {
            let known = phases.iter().position(|phase| phase.name == name);
            steps.push(known.unwrap_or_else(|| {
                phases.push(Phase {
                    name,
                    ..Phase::default()
                });
                phases.len() - 1
            }));
        }
        Self {
            steps,
            phases,
            current: AtomicUsize::new(0),
            complaints: Mutex::default(),
        }
    }

    pub(super) fn enter(&self, step: usize) {
        self.current.store(step, Ordering::Relaxed);
    }

    /// The phase that is on.
    pub(super) fn phase(&self) -> &Phase {
        &self.phases[self.steps[self.current.load(Ordering::Relaxed)]]
    }

    pub(super) fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Of the calls of all phases, as [`Phase::percentile`].
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let all = self
            .phases
            .iter()
            .map(|phase| lock(&phase.durations).clone());
        percentile(&all.collect::<Vec<_>>().concat(), share)
    }

    /// Something that must not happen, in words.
    pub(super) fn complain(&self, what: &str) {
        let mut complaints = lock(&self.complaints);
        if complaints.len() < COMPLAINTS {
            complaints.push(format!("{}: {what}", self.phase().name));
        }
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).clone()
    }
}

impl Phase {
    pub(super) fn answered(&self, after: Duration) {
        let micros = u32::try_from(after.as_micros()).unwrap_or(u32::MAX);
        lock(&self.durations).push(micros);
    }

    /// The duration that this share of the calls did not exceed, in milliseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        percentile(&lock(&self.durations), share)
    }
}

/// Of durations in microseconds, in milliseconds; 0 of none.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank below the number of calls"
)]
pub(super) fn percentile(durations: &[u32], share: f64) -> f64 {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let at = rank.clamp(1, sorted.len().max(1)) - 1;
    sorted
        .get(at)
        .map_or(0.0, |micros| f64::from(*micros) / 1_000.0)
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let durations: Vec<u32> = (1..=200).rev().map(|ms| ms * 1_000).collect();
        assert!((percentile(&durations, 0.5) - 100.0).abs() < f64::EPSILON);
        assert!((percentile(&durations, 0.99) - 198.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 0.99).abs() < f64::EPSILON);
    }

    #[test]
    fn steps_of_one_name_are_one_phase() {
        let recorder = Recorder::new(["calm", "a", "b", "a"].into_iter());
        recorder.enter(1);
        count(&recorder.phase().calls);
        recorder.enter(3);
        count(&recorder.phase().calls);
        assert_eq!(recorder.phases()[1].calls.load(Ordering::Relaxed), 2);
    }
}
