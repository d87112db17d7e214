//! Decides without I/O: when a request may be repeated, how long to wait, when to stop asking.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::routes::Class;

/// How often one call is tried at most.
pub(crate) const ATTEMPTS: u32 = 3;
/// A longer wait is not slept through but told to the user.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// Why an attempt gave no answer to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// BrainGrid did not look at the request: no connection could be made, or it was refused as a
    /// stream of HTTP/2.
    NotSent,
    /// 429, or 503 with `Retry-After`: BrainGrid says that nothing was done.
    TurnedAway(Option<Duration>),
    /// Anything else: BrainGrid may have seen the request.
    Unclear,
}

/// How long to wait before the next attempt; `None` when there must not be one.
/// `attempt` counts from 1; `jitter` is in 0..=1.
pub(crate) fn retry_wait(
    class: Class,
    fault: Fault,
    attempt: u32,
    jitter: f64,
) -> Option<Duration> {
    if attempt >= ATTEMPTS {
        return None;
    }
    let backoff =
        (FIRST_BACKOFF * 2u32.saturating_pow(attempt)).mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
    let wait = match fault {
        // A little later than asked for, so that the callers do not all come back at once.
        Fault::TurnedAway(Some(asked)) => asked.saturating_add(backoff / 2),
        Fault::TurnedAway(None) | Fault::NotSent => backoff,
        Fault::Unclear if class == Class::Read => backoff,
        Fault::Unclear => return None,
    };
    (wait <= LONGEST_WAIT).then_some(wait)
}

/// A random number in 0..1, good enough to spread retries.
#[expect(clippy::cast_precision_loss, reason = "jitter needs no precision")]
pub(crate) fn jitter() -> f64 {
    let random = RandomState::new().hash_one(0u8);
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Stops asking when BrainGrid has been failing for everybody, and lets one call through at a
/// time to see whether it is back.
#[derive(Debug)]
pub(crate) struct Breaker {
    threshold: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    closed_until: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(threshold: u32, pause: Duration) -> Self {
        Self {
            threshold: threshold.max(1),
            pause,
            state: Mutex::default(),
        }
    }

    /// Whether a call may go out now; else how long to wait.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Duration> {
        let mut state = self.state();
        match state.closed_until {
            Some(until) if now < until => Err(until - now),
            // This call is the probe: the others keep waiting until it reports.
            Some(_) => {
                state.closed_until = Some(now + self.pause);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether calls are held back.
    pub(crate) fn is_open(&self) -> bool {
        self.state().closed_until.is_some()
    }

    pub(crate) fn succeeded(&self) {
        *self.state() = State::default();
    }

    pub(crate) fn failed(&self, now: Instant) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(1);
        if state.failures >= self.threshold {
            state.closed_until = Some(now + self.pause);
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
    fn write_is_repeated_only_when_nothing_was_done() {
        let wait = |fault| retry_wait(Class::Write, fault, 1, 0.5);
        assert_eq!(wait(Fault::Unclear), None);
        assert_eq!(retry_wait(Class::Slow, Fault::Unclear, 1, 0.5), None);
        assert!(wait(Fault::NotSent).is_some());
        assert!(
            wait(Fault::TurnedAway(Some(Duration::from_secs(1)))).unwrap()
                >= Duration::from_secs(1)
        );
    }

    #[test]
    fn read_is_repeated_with_growing_waits_and_then_no_more() {
        let wait = |attempt| retry_wait(Class::Read, Fault::Unclear, attempt, 0.0);
        assert!(wait(1).unwrap() < wait(2).unwrap());
        assert_eq!(wait(ATTEMPTS), None);
    }

    #[test]
    fn long_retry_after_is_not_slept_through() {
        let fault = Fault::TurnedAway(Some(Duration::from_mins(1)));
        assert_eq!(retry_wait(Class::Read, fault, 1, 0.0), None);
        assert_eq!(
            retry_wait(Class::Read, Fault::TurnedAway(Some(Duration::MAX)), 1, 1.0),
            None
        );
    }

    #[test]
    fn breaker_opens_and_lets_one_probe_through() {
        let breaker = Breaker::new(2, Duration::from_secs(5));
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
