//! [`CircuitBreaker`]: a far end that fails again and again is not asked for a while, so that its
//! outage costs requests nothing.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// What lets an open circuit close again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfOpen {
    /// One request in each such time is let through; what it reports decides.
    After(Duration),
    /// A probe beside the requests, which calls [`CircuitBreaker::close`]. No request is let
    /// through before, and one that succeeds late changes nothing.
    ByProbe,
}

/// Counts failures in a row; open from the threshold on. Clocks are the caller's.
///
/// ```
/// use std::time::{Duration, Instant};
/// use mcp_outbound::{CircuitBreaker, HalfOpen};
///
/// let breaker = CircuitBreaker::new(1, HalfOpen::After(Duration::from_secs(5)));
/// let now = Instant::now();
/// assert!(breaker.failed(now), "this failure opened it");
/// assert_eq!(breaker.admit(now), Err(Duration::from_secs(5)));
/// assert!(breaker.admit(now + Duration::from_secs(5)).is_ok(), "half-open");
/// ```
#[derive(Debug)]
pub struct CircuitBreaker {
    threshold: u32,
    half_open: HalfOpen,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// Until when nothing is let through; for ever where a probe decides.
    open_until: Option<Until>,
}

#[derive(Debug, Clone, Copy)]
enum Until {
    Probed,
    Instant(Instant),
}

impl CircuitBreaker {
    /// Closed. A `threshold` of 0 counts as 1.
    pub fn new(threshold: u32, half_open: HalfOpen) -> Self {
        Self {
            threshold: threshold.max(1),
            half_open,
            state: Mutex::default(),
        }
    }

    /// Whether a request may go out now. The one that is let through an open circuit is its probe:
    /// the others are held back until it reports.
    ///
    /// # Errors
    /// How long to wait; [`Duration::MAX`] where a probe decides.
    pub fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state();
        match state.open_until {
            None => Ok(()),
            Some(Until::Probed) => Err(Duration::MAX),
            Some(Until::Instant(until)) if now < until => Err(until - now),
            Some(Until::Instant(_)) => {
                state.open_until = Some(self.until(now));
                Ok(())
            }
        }
    }

    /// Whether requests are held back.
    pub fn is_open(&self) -> bool {
        self.state().open_until.is_some()
    }

    /// A request was answered.
    pub fn succeeded(&self) {
        let mut state = self.state();
        state.failures = 0;
        if self.half_open != HalfOpen::ByProbe {
            state.open_until = None;
        }
    }

    /// A request failed by the far end's fault. `true` for the one failure that opens the circuit.
    pub fn failed(&self, now: Instant) -> bool {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures < self.threshold {
            return false;
        }
        let until = self.until(now);
        state.open_until.replace(until).is_none()
    }

    /// Closes it; failures are counted anew.
    pub fn close(&self) {
        *self.state() = State::default();
    }

    fn until(&self, now: Instant) -> Until {
        match self.half_open {
            HalfOpen::After(pause) => now.checked_add(pause).map_or(Until::Probed, Until::Instant),
            HalfOpen::ByProbe => Until::Probed,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_circuit_opens_once_after_failures_in_a_row() {
        let (breaker, now) = (CircuitBreaker::new(3, HalfOpen::ByProbe), Instant::now());
        assert!(!breaker.failed(now) && !breaker.failed(now));
        breaker.succeeded();
        assert!(!breaker.failed(now) && !breaker.failed(now));
        assert!(!breaker.is_open());
        assert!(breaker.failed(now), "the third failure in a row opens it");
        assert!(breaker.is_open());
        assert!(!breaker.failed(now), "it is open already");
    }

    #[test]
    fn a_success_that_was_under_way_does_not_close_a_circuit_that_a_probe_closes() {
        let (breaker, now) = (CircuitBreaker::new(1, HalfOpen::ByProbe), Instant::now());
        assert!(breaker.failed(now));
        breaker.succeeded();
        assert!(breaker.is_open());
        assert_eq!(breaker.admit(now), Err(Duration::MAX));
        breaker.close();
        assert!(!breaker.is_open());
        assert!(breaker.failed(now), "the count starts again");
    }

    #[test]
    fn an_open_circuit_lets_one_request_through_at_a_time() {
        let breaker = CircuitBreaker::new(2, HalfOpen::After(Duration::from_secs(5)));
        let start = Instant::now();
        breaker.failed(start);
        assert_eq!(breaker.admit(start), Ok(()));
        breaker.failed(start);
        assert_eq!(breaker.admit(start), Err(Duration::from_secs(5)));
        let later = start + Duration::from_secs(6);
        assert_eq!(breaker.admit(later), Ok(()));
        assert!(breaker.admit(later).is_err());
        breaker.succeeded();
        assert_eq!(breaker.admit(later), Ok(()));
    }
}
