//! Counters of what came of questions.

use std::sync::atomic::{AtomicU64, Ordering};

/// How often an issuer was asked something, by what came of it.
#[derive(Debug, Default)]
pub(crate) struct Outcomes {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Outcomes {
    pub(crate) fn count(&self, succeeded: bool) {
        let counter = if succeeded {
            &self.succeeded
        } else {
            &self.failed
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it succeeded, and how often it failed.
    pub(crate) fn get(&self) -> (u64, u64) {
        (
            self.succeeded.load(Ordering::Relaxed),
            self.failed.load(Ordering::Relaxed),
        )
    }
}
