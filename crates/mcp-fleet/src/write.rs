//! A write, by what makes it the same as another, and how long that is remembered.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

use mcp_session::StoreError;

/// How long writes are remembered, and what holds while the store is away.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JournalConfig {
    /// How long a write that was done is replayed, at most a day. 15 minutes by default.
    pub window: Duration,
    /// How often a write that takes long says that somebody is at work on it, at least once a minute;
    /// three times as long without a word, and it is taken for abandoned. 5 s by default.
    pub beat: Duration,
    /// How far the clocks of instances may disagree, at most an hour. 60 s by default.
    pub skew: Duration,
    /// What happens to writes while the shared store is away.
    pub without_store: WithoutStore,
    /// The wall clock, which unlike the runtime's goes on while a machine is suspended.
    pub clock: fn() -> SystemTime,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(15),
            beat: Duration::from_secs(5),
            skew: Duration::from_mins(1),
            without_store: WithoutStore::PerInstance,
            clock: SystemTime::now,
        }
    }
}

impl JournalConfig {
    /// No pause of nothing, and no time that cannot be added to another.
    pub(crate) fn within_bounds(self) -> Self {
        Self {
            window: self.window.min(Duration::from_hours(24)),
            beat: self
                .beat
                .clamp(Duration::from_millis(10), Duration::from_mins(1)),
            skew: self.skew.min(Duration::from_hours(1)),
            ..self
        }
    }
}

/// What happens to writes while the shared store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutStore {
    /// Each instance remembers its own: a write is doubled only if it is sent again to another
    /// instance, or if the one that has it ends.
    #[default]
    PerInstance,
    /// They are refused.
    Refuse,
}

/// A write, by what makes it the same as another.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    /// Who it is for: issuer, subject, organization.
    pub caller: &'a [&'a str],
    /// What is done.
    pub tool: &'a str,
    /// The arguments, the same bytes whenever they mean the same.
    pub arguments: &'a [u8],
    /// The client's own name for this write; without it, or if it is empty, the arguments are its name.
    pub key: Option<&'a str>,
    /// Whether the same again, later, gets this answer. Otherwise it is done again, for a change
    /// there and back is three changes; only what comes while it runs waits for it, and one whose
    /// client was gone is read back first.
    pub replays: bool,
    /// Within this the request is answered or given up; at most an hour.
    pub timeout: Duration,
}

impl<'a> Write<'a> {
    /// A write that is replayed, without a key of the client's, of at most 30 s.
    pub fn new(caller: &'a [&'a str], tool: &'a str, arguments: &'a [u8]) -> Self {
        Self {
            caller,
            tool,
            arguments,
            key: None,
            replays: true,
            timeout: Duration::from_secs(30),
        }
    }

    pub(crate) fn key(&self) -> Option<&'a str> {
        self.key.filter(|key| !key.is_empty())
    }

    /// Whether the same again, later, is the same one.
    pub(crate) fn is_replayed(&self) -> bool {
        self.replays || self.key().is_some()
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.timeout.min(Duration::from_hours(1))
    }
}

/// Shows neither caller nor arguments.
impl fmt::Debug for Write<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write")
            .field("tool", &self.tool)
            .field("keyed", &self.key().is_some())
            .field("replays", &self.replays)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// It cannot be told whether a write was begun before, so it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct JournalAway(#[from] Why);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    #[error("the journal of writes is away: {0}")]
    Store(#[from] StoreError),
    #[error("the same write is still running")]
    StillRunning,
}

impl From<StoreError> for JournalAway {
    fn from(error: StoreError) -> Self {
        Self(Why::Store(error))
    }
}

/// How often a write met itself.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct JournalStats {
    /// Answered with what the first one was answered.
    pub replayed: AtomicU64,
    /// Answered so after waiting for the first one.
    pub joined: AtomicU64,
    /// Found out by reading back.
    pub resolved: AtomicU64,
    /// Told as unknown.
    pub unknown: AtomicU64,
    /// Begun without the shared store.
    pub without_store: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
