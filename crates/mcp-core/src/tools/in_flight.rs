//! Counts the writes that are under way, so that a server that stops can wait for them.

use std::time::Duration;

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

/// Counts the writes that were begun and are not finished.
#[derive(Clone, Default)]
pub(super) struct InFlight(TaskTracker);

impl InFlight {
    /// One write more, until this is dropped.
    pub(super) fn begin(&self) -> TaskTrackerToken {
        self.0.token()
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// Waits until there is none; how many there are when `timeout` is over first.
    pub(super) async fn drained(&self, timeout: Duration) -> usize {
        self.0.close();
        match tokio::time::timeout(timeout, self.0.wait()).await {
            Ok(()) => 0,
            Err(_) => self.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drain_waits_for_what_was_begun() {
        let in_flight = InFlight::default();
        let begun = in_flight.begin();
        assert_eq!(in_flight.count(), 1);
        assert_eq!(in_flight.drained(Duration::ZERO).await, 1);
        let waiting = in_flight.clone();
        let drained = tokio::spawn(async move { waiting.drained(Duration::from_secs(30)).await });
        drop(begun);
        assert_eq!(drained.await.unwrap(), 0);
    }
}
