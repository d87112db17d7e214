//! [`TaskMarks`]: that a task was begun, for a process that does not have its answer.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use mcp_session::{FactStore, Keyring, StoreError};
use serde::{Deserialize, Serialize};

use crate::record::millis;

/// Marks of tasks that are kept in the process which began them, where no text may leave it: who is
/// asked for one after that process has ended knows what it was about. Cheap to clone.
#[derive(Clone)]
pub struct TaskMarks {
    store: Arc<dyn FactStore>,
    keyring: Arc<Keyring>,
    ttl: Duration,
}

/// What is known of a task that another process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TaskMark {
    /// What it is about, in the words of who began it.
    pub about: String,
    begun: u64,
}

impl TaskMark {
    /// When it began.
    pub fn begun_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.begun)
    }
}

impl fmt::Debug for TaskMarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskMarks")
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}

impl TaskMarks {
    /// Marks in this store, each for `ttl`.
    pub fn new(store: Arc<dyn FactStore>, keyring: Arc<Keyring>, ttl: Duration) -> Self {
        Self {
            store,
            keyring,
            ttl,
        }
    }

    /// Marks a task of this owner.
    ///
    /// # Errors
    /// When the mark cannot be kept.
    pub async fn leave(&self, owner: &[&str], id: &str, about: &str) -> Result<(), StoreError> {
        let name = self.names(owner, id).swap_remove(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let mark = TaskMark {
            about: about.to_owned(),
            begun: millis(now.unwrap_or_default()),
        };
        let json = serde_json::to_vec(&mark).ok();
        let sealed = json.and_then(|json| self.keyring.seal(&name, &json).ok());
        let sealed = sealed.ok_or(StoreError::Unreachable("it could not be sealed"))?;
        self.store.put_if_absent(&name, sealed, self.ttl).await?;
        Ok(())
    }

    /// The mark of a task of this owner; another's is as if it were not there.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn find(&self, owner: &[&str], id: &str) -> Result<Option<TaskMark>, StoreError> {
        for name in self.names(owner, id) {
            if let Some(fact) = self.store.read(&name).await? {
                let opened = self.keyring.open(&name, &fact.value).ok();
                return Ok(opened.and_then(|it| serde_json::from_slice(&it.plaintext).ok()));
            }
        }
        Ok(None)
    }

    /// The names of a mark under every key of the ring, the current first.
    fn names(&self, owner: &[&str], id: &str) -> Vec<String> {
        let parts = owner.iter().chain([&id]);
        let parts: Vec<_> = parts.map(|part| part.as_bytes()).collect();
        self.keyring.names("task-mark", &parts)
    }
}
