//! How long to wait before a far end is asked again.

use std::time::Duration;

/// Exponential backoff with jitter: waiting times that double up to a limit, each stretched by up
/// to a half at random, so that the instances of a fleet do not come back in step.
///
/// ```
/// # use std::time::Duration;
/// use mcp_outbound::Backoff;
///
/// let mut waits = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
/// let first = waits.next().unwrap();
/// assert!((100..=150).contains(&first.as_millis()));
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    /// Begins with `first`, and stays at `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { next: first, max }
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let pause = self.next.min(self.max);
        self.next = pause.saturating_mul(2);
        Some(pause + pause.mul_f64(fastrand::f64() / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
