//! What is kept of a write: sealed JSON, under a keyed name.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_session::Keyring;
use serde::{Deserialize, Serialize};

/// A write that was begun. Times are milliseconds since 1970, by the clock of who wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// When its request could leave first.
    pub(crate) at: u64,
    /// From then on that request cannot arrive any more.
    pub(crate) settles_at: u64,
    /// Which begin has it, of all of all instances.
    pub(crate) by: String,
    /// Which begin could send the request.
    pub(crate) from: String,
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
    /// It was done.
    Done {
        /// What came of it, unless that was too long to keep.
        kept: Option<String>,
        /// Whether the client was there to hear of it.
        answered: bool,
    },
}

/// Longest thing that is kept of what was done, in bytes of JSON; beyond, it is only known that it was.
const MAX_KEPT: usize = 8 * 1024;

impl Record {
    pub(crate) fn done(&self, kept: Option<&str>, answered: bool) -> Self {
        let fits = |kept: &&str| serde_json::to_string(kept).is_ok_and(|it| it.len() <= MAX_KEPT);
        self.now(State::Done {
            kept: kept.filter(fits).map(str::to_owned),
            answered,
        })
    }

    /// The same write in another state.
    pub(crate) fn now(&self, state: State) -> Self {
        Self {
            state,
            ..self.clone()
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::Done { .. })
    }

    /// The same, without what was kept of it: shorter.
    pub(crate) fn bare(&self) -> Option<Self> {
        match self.state {
            State::Done {
                kept: Some(_),
                answered,
            } => Some(self.done(None, answered)),
            _ => None,
        }
    }

    pub(crate) fn begun_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.at)
    }

    /// The same, as if it had begun now if it claims to begin later: by a clock that was put back it
    /// would never settle.
    pub(crate) fn begun_by(mut self, now: u64) -> Self {
        let ahead = self.at.saturating_sub(now);
        self.at -= ahead;
        self.settles_at = self.settles_at.saturating_sub(ahead);
        self
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

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
