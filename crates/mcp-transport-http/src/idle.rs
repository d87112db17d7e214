//! Which connections do nothing. Each one has a place that others may be waiting for, so it is
//! closed after a time, whatever its client sent or did not send.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// What a connection is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    /// How long it may take to the first request.
    first: Duration,
    /// How long it may take to the next one.
    next: Duration,
    state: Mutex<State>,
    /// Told of the first request.
    first_came: Notify,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// Whether there ever was a request.
    used: bool,
    /// When it will have been without a request for too long, unless one is in flight then.
    deadline: Instant,
}

/// A request of the connection is being answered.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Activity {
    pub(crate) fn new(first: Duration, next: Duration) -> Arc<Self> {
        let state = State {
            in_flight: 0,
            used: false,
            deadline: Instant::now() + first,
        };
        let state = Mutex::new(state);
        Arc::new(Self {
            first,
            next,
            state,
            first_came: Notify::new(),
        })
    }

    /// Counts a request in, until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.state();
        state.in_flight += 1;
        let first = !std::mem::replace(&mut state.used, true);
        drop(state);
        if first {
            self.first_came.notify_one();
        }
        Busy(Arc::clone(self))
    }

    /// Resolves when there was a request. For one task.
    pub(crate) async fn used(&self) {
        if !self.state().used {
            self.first_came.notified().await;
        }
    }

    /// Resolves when there has been no request for too long.
    pub(crate) async fn stopped(&self) {
        loop {
            let now = Instant::now();
            // A request may come and go meanwhile, and bring the deadline nearer.
            let soon = now + self.first.min(self.next);
            let look_again = match &*self.state() {
                State {
                    in_flight: 0,
                    deadline,
                    ..
                } if *deadline <= now => return,
                State {
                    in_flight: 0,
                    deadline,
                    ..
                } => soon.min(*deadline),
                _ => soon,
            };
            sleep_until(look_again).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.deadline = Instant::now() + self.0.next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_hours(1);

    async fn is_stopped(activity: &Activity) -> bool {
        tokio::time::timeout(SHORT * 5, activity.stopped())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn a_connection_without_a_first_request_stops() {
        assert!(is_stopped(&Activity::new(SHORT, LONG)).await);
        assert!(!is_stopped(&Activity::new(LONG, SHORT)).await);
    }

    #[tokio::test]
    async fn a_request_in_flight_keeps_it_and_its_end_starts_the_wait_for_the_next() {
        let activity = Activity::new(SHORT, SHORT);
        let (one, other) = (activity.begin(), activity.begin());
        drop(one);
        assert!(!is_stopped(&activity).await);
        drop(other);
        assert!(is_stopped(&activity).await);
        let patient = Activity::new(SHORT, LONG);
        drop(patient.begin());
        assert!(!is_stopped(&patient).await);
    }

    #[tokio::test]
    async fn a_deadline_that_comes_nearer_is_seen() {
        let activity = Activity::new(LONG, SHORT);
        let mut stopped = std::pin::pin!(activity.stopped());
        let waiting = tokio::time::timeout(SHORT, stopped.as_mut()).await;
        assert!(waiting.is_err());
        drop(activity.begin());
        assert!(tokio::time::timeout(SHORT * 5, stopped).await.is_ok());
    }
}
