//! What is kept of a write: sealed JSON, under a keyed name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_session::Keyring;
use serde::{Deserialize, Serialize};

/// A write that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When, in milliseconds since 1970, by the clock of the instance that began it.
    pub(crate) at: u64,
    /// The process that has it.
    pub(crate) by: String,
    /// A digest of tool and arguments: what a client's own key stands for.
    pub(crate) of: String,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// It may have been sent, and somebody is at work on it.
    Running,
    /// It may have been sent, and nobody knows what came of it.
    Unclear,
    /// It was done; what it was answered, unless that was too long to keep.
    Done(Option<String>),
}

/// Longest answer that is kept, in bytes; beyond, it is only known that it was done.
const MAX_ANSWER: usize = 32 * 1024;

impl Record {
    pub(crate) fn done(&self, answer: Option<&str>) -> Self {
        let kept = answer.filter(|answer| answer.len() <= MAX_ANSWER);
        self.now(State::Done(kept.map(str::to_owned)))
    }

    /// The same write in another state.
    pub(crate) fn now(&self, state: State) -> Self {
        Self {
            state,
            ..self.clone()
        }
    }

    pub(crate) fn begun_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.at)
    }

    pub(crate) fn sealed(&self, keyring: &Keyring, name: &str) -> Option<Vec<u8>> {
        let json = serde_json::to_vec(self).ok()?;
        keyring.seal(name, &json).ok()
    }

    /// Nothing for what does not open, or is of another version.
    pub(crate) fn opened(keyring: &Keyring, name: &str, sealed: &[u8]) -> Option<Self> {
        let opened = keyring.open(name, sealed).ok()?;
        serde_json::from_slice(&opened.plaintext).ok()
    }
}

pub(crate) fn millis_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
