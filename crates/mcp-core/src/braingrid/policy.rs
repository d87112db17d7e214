//! Decides without I/O when a request may be repeated, and how long to wait before.

use std::time::Duration;

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
}
