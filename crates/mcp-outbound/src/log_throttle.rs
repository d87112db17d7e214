//! Lets a log line through once per interval, so that an outage does not flood the log.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

const INTERVAL: Duration = Duration::from_secs(10);

/// A limit of one line in ten seconds, for lines about the same trouble.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    suppressed: u64,
}

impl LogThrottle {
    /// Whether the line is to be written now; if so, how many were suppressed since the last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_early = |last| now.saturating_duration_since(last) < INTERVAL;
        if state.last.is_some_and(is_early) {
            state.suppressed += 1;
            return None;
        }
        state.last = Some(now);
        Some(std::mem::take(&mut state.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_passes_once_per_interval_and_says_how_many_did_not() {
        let (throttle, start) = (LogThrottle::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(throttle.pass_at(start), Some(0));
        assert_eq!(throttle.pass_at(after(9)), None);
        assert_eq!(throttle.pass_at(after(9)), None);
        assert_eq!(throttle.pass_at(after(10)), Some(2));
        assert_eq!(throttle.pass_at(after(11)), None);
    }
}
