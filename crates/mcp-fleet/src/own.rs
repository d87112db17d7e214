//! What a process knows of its own writes, for while the store is away
//! ([`WithoutStore::PerInstance`](crate::WithoutStore::PerInstance) only).
//!
//! Whoever writes here has the write's claim, but for a last word that took long; that one only changes
//! what it wrote itself.

use std::time::Duration;

use mcp_session::{Fact, FactStore as _, MemoryFacts, Put, StoreError};
use serde::{Deserialize, Serialize};

use crate::record::Record;

#[derive(Debug, Clone, Default)]
pub(crate) struct Own {
    facts: MemoryFacts,
}

/// What this process said of a write last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    pub(crate) record: Record,
    /// Its name and version in the shared store, if it ever was there.
    pub(crate) shared: Option<(String, u64)>,
    /// The shared store does not know it.
    pub(crate) only_here: bool,
}

impl Own {
    /// What was said last, and the version of the note.
    pub(crate) async fn read(&self, name: &str) -> Option<(Note, u64)> {
        let fact = self.facts.read(name).await.ok()??;
        Some((serde_json::from_slice(&fact.value).ok()?, fact.version))
    }

    pub(crate) async fn write(
        &self,
        name: &str,
        note: &Note,
        kept: Duration,
    ) -> Result<(), StoreError> {
        let full = match self.put(name, note, kept).await {
            Err(StoreError::Full) => note.record.bare(),
            result => return result,
        };
        let record = full.ok_or(StoreError::Full)?;
        let note = Note {
            record,
            ..note.clone()
        };
        self.put(name, &note, kept).await
    }

    async fn put(&self, name: &str, note: &Note, kept: Duration) -> Result<(), StoreError> {
        let json = || serde_json::to_vec(note).map_err(|_| StoreError::Full);
        let put = self.facts.put_if_absent(name, json()?, kept).await?;
        if let Put::Exists(Fact { version, .. }) = put {
            let set = self.facts.compare_and_set(name, version, json()?, kept);
            set.await?;
        }
        Ok(())
    }

    pub(crate) async fn remove(&self, name: &str) {
        // Memory does not fail to remove.
        drop(self.facts.take(name).await);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::State;

    #[tokio::test]
    async fn without_room_that_it_was_done_is_remembered_without_what_was_kept() {
        let record = Record {
            at: 0,
            settles_at: 0,
            by: String::new(),
            from: String::new(),
            of: String::new(),
            state: State::Running,
        };
        let mut note = Note {
            record,
            shared: None,
            only_here: true,
        };
        let (own, minute) = (
            Own {
                facts: MemoryFacts::new(500),
            },
            Duration::from_mins(1),
        );
        own.write("k", &note, minute).await.unwrap();
        note.record = note.record.done(Some(&"x".repeat(600)), true);
        own.write("k", &note, minute).await.unwrap();
        let (noted, _) = own.read("k").await.unwrap();
        assert_eq!(noted.record, note.record.bare().unwrap());
        own.write("l", &note, minute).await.unwrap_err();
    }
}
