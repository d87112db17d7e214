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
    /// How long an answer may wait to be read.
    answer: Duration,
    state: Mutex<State>,
    /// Told of the first request.
    first_came: Notify,
}

#[derive(Debug)]
struct State {
    in_flight: usize,
    /// Those of them whose body has not come yet.
    reading: usize,
    /// Requests so far.
    begun: u64,
    /// Answers that are not written yet: when each must be.
    unsent: Vec<(u64, Instant)>,
    /// When it will have been without a request for too long, unless one is in flight then.
    deadline: Instant,
}

/// A request of the connection is being answered.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

/// The body of a request is being read.
#[derive(Debug)]
pub(crate) struct Reading(Arc<Activity>);

/// How long clients take to read an answer, at most.
const USUAL: Duration = Duration::from_secs(10);

impl Activity {
    pub(crate) fn new(first: Duration, next: Duration, answer: Duration) -> Arc<Self> {
        let state = Mutex::new(State {
            in_flight: 0,
            reading: 0,
            begun: 0,
            unsent: Vec::new(),
            deadline: Instant::now() + first,
        });
        Arc::new(Self {
            first,
            next,
            answer,
            state,
            first_came: Notify::new(),
        })
    }

    /// Counts a request in, until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        let mut state = self.state();
        state.in_flight += 1;
        state.begun += 1;
        let first = state.begun == 1;
        drop(state);
        if first {
            self.first_came.notify_one();
        }
        Busy(Arc::clone(self))
    }

    /// Resolves when there was a request. For one task.
    pub(crate) async fn used(&self) {
        if self.state().begun == 0 {
            self.first_came.notified().await;
        }
    }

    /// How many requests there were, and whether one is in flight.
    pub(crate) fn progress(&self) -> (u64, bool) {
        let state = self.state();
        (state.begun, state.in_flight > 0)
    }

    /// Whether no request is in flight.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().in_flight == 0
    }

    /// Whether it waits for its client alone: for the rest of a body, or, longer than usual, until an
    /// answer is read. Nothing that was begun ends with it.
    pub(crate) fn waits_for_client(&self) -> bool {
        let state = self.state();
        let usual = Instant::now() + self.answer.saturating_sub(USUAL);
        let unread = state.unsent.iter().filter(|(_, until)| *until <= usual);
        state.in_flight == state.reading + unread.count()
    }

    /// Counts a body that is being read, until the guard is dropped.
    pub(crate) fn reading(self: &Arc<Self>) -> Reading {
        self.state().reading += 1;
        Reading(Arc::clone(self))
    }

    /// Resolves when there has been no request, or an answer was not read, for too long.
    pub(crate) async fn stopped(&self) {
        loop {
            let now = Instant::now();
            // Requests may come and go meanwhile, and bring the deadline nearer.
            let soon = now + self.first.min(self.next).min(self.answer);
            let deadline = self.state().next_deadline();
            match deadline {
                Some(deadline) if deadline <= now => return,
                deadline => sleep_until(deadline.map_or(soon, |it| it.min(soon))).await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// When the connection will have done nothing for too long.
    fn next_deadline(&self) -> Option<Instant> {
        let idle = (self.in_flight == 0).then_some(self.deadline);
        let unsent = self.unsent.iter().map(|(_, deadline)| *deadline);
        unsent.chain(idle).min()
    }
}

/// An answer that is not written yet. Its request is in flight as long.
#[derive(Debug)]
pub(crate) struct Unsent {
    busy: Busy,
    number: u64,
}

impl Busy {
    /// The request has an answer, which must be written within the usual time and `extra`.
    pub(crate) fn unsent(self, extra: Duration) -> Unsent {
        let deadline = Instant::now() + self.0.answer + extra;
        let mut state = self.0.state();
        // They are in order, so no other one has this number.
        let number = state.unsent.last().map_or(0, |(last, _)| last + 1);
        state.unsent.push((number, deadline));
        drop(state);
        Unsent { busy: self, number }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        let mut state = self.busy.0.state();
        state.unsent.retain(|(number, _)| *number != self.number);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.reading = state.reading.saturating_sub(1);
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
        assert!(is_stopped(&Activity::new(SHORT, LONG, LONG)).await);
        assert!(!is_stopped(&Activity::new(LONG, SHORT, LONG)).await);
    }

    #[tokio::test]
    async fn a_request_in_flight_keeps_it_and_its_end_starts_the_wait_for_the_next() {
        let activity = Activity::new(SHORT, SHORT, LONG);
        let (one, other) = (activity.begin(), activity.begin());
        drop(one);
        assert!(!is_stopped(&activity).await);
        drop(other);
        assert!(is_stopped(&activity).await);
        let patient = Activity::new(SHORT, LONG, LONG);
        drop(patient.begin());
        assert!(!is_stopped(&patient).await);
    }

    #[tokio::test]
    async fn a_deadline_that_comes_nearer_is_seen() {
        let activity = Activity::new(LONG, SHORT, LONG);
        let mut stopped = std::pin::pin!(activity.stopped());
        let waiting = tokio::time::timeout(SHORT, stopped.as_mut()).await;
        assert!(waiting.is_err());
        drop(activity.begin());
        assert!(tokio::time::timeout(SHORT * 5, stopped).await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_that_is_not_read_ends_the_connection_and_one_that_is_does_not() {
        let activity = Activity::new(LONG, LONG, SHORT);
        let read = activity.begin().unsent(Duration::ZERO);
        let (slow, stream) = (activity.begin(), activity.begin().unsent(LONG));
        drop(read);
        assert!(!is_stopped(&activity).await);
        let _unread = slow.unsent(Duration::ZERO);
        assert!(is_stopped(&activity).await);
        drop(stream);
    }
}
