//! A write, by what makes it the same as another, and how long that is remembered.

use std::{sync::atomic::AtomicU64, time::Duration};

use mcp_session::StoreError;

/// How long writes are remembered, and what holds while the store is away.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JournalConfig {
    /// How long a write that was done is replayed. 15 minutes by default.
    pub window: Duration,
    /// How often a write that takes long says that somebody is at work on it; three times as long
    /// without a word, and it is taken for abandoned. 5 s by default.
    pub beat: Duration,
    /// How far the clocks of instances may disagree. 60 s by default.
    pub skew: Duration,
    /// What happens to writes while the shared store is away.
    pub without_store: WithoutStore,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_mins(15),
            beat: Duration::from_secs(5),
            skew: Duration::from_mins(1),
            without_store: WithoutStore::PerInstance,
        }
    }
}

/// What happens to writes while the shared store is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WithoutStore {
    /// Each instance remembers its own: a write is doubled only if it is sent again to another one.
    #[default]
    PerInstance,
    /// They are refused.
    Refuse,
}

/// A write, by what makes it the same as another.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    /// Who it is for: issuer, subject, organization.
    pub caller: &'a [&'a str],
    /// What is done.
    pub tool: &'a str,
    /// The arguments, the same bytes whenever they mean the same.
    pub arguments: &'a [u8],
    /// The client's own name for this write; without it, the arguments are its name.
    pub key: Option<&'a str>,
    /// Whether the same again, later, gets this answer. Otherwise it is done again, for a change
    /// there and back is three changes; only what comes while it runs waits for it.
    pub replays: bool,
    /// Within this the request is answered or given up.
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
}

/// The store is away, and writes are refused then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal of writes is away: {0}")]
pub struct JournalAway(#[from] StoreError);

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
