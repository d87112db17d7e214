//! Counts the writes that are under way, so that a server that stops can wait for them.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

/// Counts the writes that were begun and are not finished.
#[derive(Clone)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl InFlight {
    pub(super) fn begin(&self) -> Begun {
        // Nobody waits for more.
        self.0.send_if_modified(|count| {
            *count += 1;
            false
        });
        Begun(self.0.clone())
    }

    pub(super) fn count(&self) -> usize {
        *self.0.borrow()
    }

    /// Waits until there is none; how many there are when `timeout` is over first.
    pub(super) async fn drained(&self, timeout: Duration) -> usize {
        let mut count = self.0.subscribe();
        let none = count.wait_for(|count| *count == 0);
        match tokio::time::timeout(timeout, none).await {
            Ok(_) => 0,
            Err(_) => self.count(),
        }
    }
}

/// One write in flight.
pub(super) struct Begun(Arc<watch::Sender<usize>>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.send_if_modified(|count| {
            *count = count.saturating_sub(1);
            *count == 0
        });
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
