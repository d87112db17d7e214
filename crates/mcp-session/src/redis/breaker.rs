//! Circuit breaker: a Redis that fails again and again is left alone, so that its outage costs
//! requests nothing. While the circuit is open one background probe at a time asks whether it is
//! back (half-open); no request ever waits for a probe.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

/// Counts failures in a row; open from the limit on, until a probe succeeds.
#[derive(Debug)]
pub(super) struct Breaker {
    failures: AtomicU32,
    open: AtomicBool,
    limit: u32,
}

impl Breaker {
    pub(super) fn new(limit: u32) -> Self {
        Self {
            failures: AtomicU32::new(0),
            open: AtomicBool::new(false),
            limit,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    pub(super) fn succeeded(&self) {
        self.failures.store(0, Ordering::Release);
    }

    /// Returns `true` for the one failure that opens the circuit: its reporter starts the probe.
    pub(super) fn failed(&self) -> bool {
        let failures = self
            .failures
            .fetch_add(1, Ordering::AcqRel)
            .saturating_add(1);
        failures >= self.limit && !self.open.swap(true, Ordering::AcqRel)
    }

    pub(super) fn close(&self) {
        self.succeeded();
        self.open.store(false, Ordering::Release);
    }
}

/// Waiting times that double up to a limit, each stretched by up to a half at random so that the
/// instances of a fleet do not come back in step.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next.min(self.max);
        self.next = pause.saturating_mul(2);
        Some(pause + pause.mul_f64(random_fraction() / 2.0))
    }
}

/// A number in 0.0..1.0: good enough to spread reconnects, never used for secrets.
fn random_fraction() -> f64 {
    let bits = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuit_opens_once_after_failures_in_a_row() {
        let breaker = Breaker::new(3);
        assert!(!breaker.failed() && !breaker.failed());
        breaker.succeeded();
        assert!(!breaker.failed() && !breaker.failed());
        assert!(!breaker.is_open());
        assert!(breaker.failed(), "the third failure in a row opens it");
        assert!(breaker.is_open());
        assert!(!breaker.failed(), "it is open already");
    }

    #[test]
    fn a_success_that_was_under_way_does_not_close_an_open_circuit() {
        let breaker = Breaker::new(1);
        assert!(breaker.failed());
        breaker.succeeded();
        assert!(breaker.is_open());
        breaker.close();
        assert!(!breaker.is_open());
        assert!(breaker.failed(), "the count starts again");
    }

    #[test]
    fn pauses_double_up_to_the_limit_and_are_spread() {
        let pauses: Vec<_> = Backoff::new(Duration::from_millis(100), Duration::from_millis(350))
            .take(4)
            .collect();
        for (pause, base) in pauses.iter().zip([100, 200, 350, 350]) {
            let base = Duration::from_millis(base);
            assert!(
                *pause >= base && *pause <= base.mul_f64(1.5),
                "{pause:?} for {base:?}"
            );
        }
    }
}
