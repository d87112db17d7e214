//! [`EventIds`]: which events of others came before, whichever instance took them in.

use std::{sync::Arc, time::Duration};

use mcp_session::{FactStore, Keyring, MemoryFacts, StoreError};

/// The ids of events that were taken in. Whoever sends one sends it again when the answer is lost, so an id
/// is remembered after what followed of its event was done, and a store that is away knows of none: an event
/// has to be harmless when it comes again.
#[derive(Clone)]
pub struct EventIds {
    facts: Arc<dyn FactStore>,
    keyring: Arc<Keyring>,
    lasting: Duration,
}

impl EventIds {
    /// Ids that all instances know, for so long: longer than an event is taken in after it was sent.
    pub fn shared(facts: Arc<dyn FactStore>, keyring: Arc<Keyring>, lasting: Duration) -> Self {
        Self {
            facts,
            keyring,
            lasting,
        }
    }

    /// Ids of a single instance, which a restart forgets.
    pub fn in_process(keyring: Arc<Keyring>, lasting: Duration) -> Self {
        Self::shared(Arc::new(MemoryFacts::default()), keyring, lasting)
    }

    /// Whether this event of this source was taken in before, as far as the store can tell.
    pub async fn is_known(&self, source: &str, id: &str) -> bool {
        for name in self.names(source, id) {
            match self.facts.read(&name).await {
                Ok(Some(_)) => return true,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "whether an event came before cannot be found out");
                    return false;
                }
            }
        }
        false
    }

    /// It was taken in.
    ///
    /// # Errors
    /// [`StoreError`] where that is not remembered.
    pub async fn remember(&self, source: &str, id: &str) -> Result<(), StoreError> {
        let Some(name) = self.names(source, id).into_iter().next() else {
            return Ok(());
        };
        let put = self.facts.put_if_absent(&name, Vec::new(), self.lasting);
        put.await.map(drop)
    }

    /// Under the current key and those before it: keyed hashes, which tell nothing of the event.
    fn names(&self, source: &str, id: &str) -> Vec<String> {
        self.keyring
            .names("event", &[source.as_bytes(), id.as_bytes()])
    }
}
