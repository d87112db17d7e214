//! Hears from other instances which sessions to forget, from the first session on.

use std::sync::{Arc, OnceLock};

use futures::StreamExt as _;
use tokio::task::AbortHandle;

use crate::{key::SessionKey, store::Heard, tiers::Inner};

/// Listens until it is dropped.
#[derive(Default)]
pub(crate) struct Listener(OnceLock<AbortHandle>);

impl Listener {
    /// Begins to listen, once. Not when the tiers are built: that connects to nothing.
    pub(crate) fn start(&self, tiers: &Inner) {
        self.0.get_or_init(|| {
            let mut messages = tiers.store.listen(SessionKey::FORGOTTEN);
            let (memory, writer) = (tiers.memory.clone(), tiers.writer.clone());
            let renewals = Arc::clone(&tiers.renewals);
            let listening = tokio::spawn(async move {
                while let Some(heard) = messages.next().await {
                    let Heard::Message(message) = heard else {
                        continue;
                    };
                    for key in SessionKey::from_message(&message) {
                        // First: what is under way must not come after.
                        renewals.forget(key).await;
                        writer.cancel(key);
                        memory.invalidate(&key).await;
                    }
                }
            });
            listening.abort_handle()
        });
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(listening) = self.0.get() {
            listening.abort();
        }
    }
}
