//! A gate that requests wait at until a test opens it: an event instead of a sleep.

use tokio::sync::watch;

/// Starts closed; [`Gate::open`] lets everyone through, now and later. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    opened: watch::Sender<bool>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            opened: watch::Sender::new(false),
        }
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.opened.send_replace(true);
    }

    /// Waits until the gate is open.
    pub async fn passed(&self) {
        let mut opened = self.opened.subscribe();
        // The sender lives in `self`, so the wait can only end with an open gate.
        let _ = opened.wait_for(|open| *open).await;
    }
}
