//! What happened, in order, with a way to wait for more to happen.

use std::{sync::Mutex, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::lock::lock;

/// An append-only list that tests read, count and wait on.
#[derive(Debug)]
pub struct Journal<T> {
    entries: Mutex<Vec<T>>,
    changed: watch::Sender<()>,
}

impl<T: Clone> Journal<T> {
    pub(crate) fn new() -> Self {
        Self {
            entries: Mutex::new(Vec::new()),
            changed: watch::Sender::new(()),
        }
    }

    pub(crate) fn push(&self, entry: T) {
        lock(&self.entries).push(entry);
        self.changed.send_replace(());
    }

    /// All entries so far.
    pub fn entries(&self) -> Vec<T> {
        lock(&self.entries).clone()
    }

    /// How many entries fit.
    pub fn count(&self, fits: impl Fn(&T) -> bool) -> usize {
        lock(&self.entries)
            .iter()
            .filter(|entry| fits(entry))
            .count()
    }

    /// Forgets everything so far.
    pub fn clear(&self) {
        lock(&self.entries).clear();
    }

    /// All entries so far, which are then forgotten.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *lock(&self.entries))
    }

    /// Waits until `enough` holds for the entries; `false` when `limit` passed first.
    pub async fn wait_until(&self, enough: impl Fn(&[T]) -> bool, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut changed = self.changed.subscribe();
        loop {
            if enough(&lock(&self.entries)) {
                return true;
            }
            if tokio::time::timeout_at(deadline, changed.changed())
                .await
                .is_err()
            {
                return enough(&lock(&self.entries));
            }
        }
    }
}
