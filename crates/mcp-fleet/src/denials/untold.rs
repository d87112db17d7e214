//! What the other instances may not have been told: it is tried again soon, and not left to their next
//! reading of the index. An answer that is lost leaves the index as it should be, and the others without the
//! news.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Denial;

/// Most that are told again; what is beyond it, the others find in the index within a minute.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Untold {
    denials: Mutex<Vec<Denial>>,
    waiting: Notify,
}

impl Untold {
    /// To be told again.
    pub(super) fn keep(&self, denial: &Denial) {
        let mut denials = self.denials();
        if denials.len() < MOST && !denials.contains(denial) {
            denials.push(denial.clone());
        }
    }

    /// All that is to be told again; what cannot be is to be [kept](Self::keep) again.
    pub(super) fn take(&self) -> Vec<Denial> {
        std::mem::take(&mut *self.denials())
    }

    /// There is something that should not wait for a minute.
    pub(super) fn call(&self) {
        self.waiting.notify_one();
    }

    pub(super) async fn called(&self) {
        self.waiting.notified().await;
    }

    fn denials(&self) -> MutexGuard<'_, Vec<Denial>> {
        self.denials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
