//! The write journal: an intent before a write leaves, its outcome after, so that the same write,
//! sent again, is not done twice.
//!
//! The same is what has the same caller, tool and arguments, or the client's idempotency key in
//! `_meta`. What was made within the journal's window is read again and shown; a change that was
//! answered is done again, for there and back is two changes; and a write whose outcome nobody knows
//! is looked for before it is sent once more.

mod made;
mod place;
mod run;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use rmcp::model::JsonObject;

pub(super) use self::{
    made::{Made, ShowAgain},
    place::Place,
    run::{idempotency_key, run},
};
use crate::{Caller, OrganizationId};

/// Where a client names a write: an idempotency key of its own, 1 to 200 characters.
pub const IDEMPOTENCY_KEY: &str = "com.braingrid/idempotency-key";

/// The argument of a tool that makes something, with which a second one is made.
pub(super) const ALLOW_DUPLICATE: &str = "allow_duplicate";

/// Remembers writes, for one instance or for all.
#[async_trait]
pub trait WriteJournal: Send + Sync {
    /// Notes that a write begins, unless it was begun before: then waits for whoever is at work on
    /// it. Dropping the future stops the waiting and nothing else.
    ///
    /// # Errors
    /// When writes are refused because the journal is away; nothing was noted then.
    async fn begin(&self, write: &JournalledWrite<'_>) -> Result<Begun, JournalUnavailable>;

    /// Forgets a write that was done: what it made is gone.
    async fn forget(&self, write: &JournalledWrite<'_>, version: u64);

    /// How long a write is remembered.
    fn window(&self) -> Duration;

    /// Whether it may keep what a tool answered, sealed; else ids only.
    fn keeps_answers(&self) -> bool;
}

/// The journal is away, and writes are refused then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the write journal is away")]
pub struct JournalUnavailable;

/// A write, by what makes it the same as another.
#[derive(Debug)]
#[non_exhaustive]
pub struct JournalledWrite<'a> {
    /// For whom.
    pub caller: &'a Caller,
    /// Where; nothing for a login that belongs to no organization.
    pub organization: Option<&'a OrganizationId>,
    /// The canonical name of the tool.
    pub tool: &'a str,
    /// The arguments as they are meant, without those that say nothing.
    pub arguments: &'a JsonObject,
    /// The client's own name for this write.
    pub key: Option<&'a str>,
    /// Whether the same again, later, is shown what this one made. Otherwise it is done again; only
    /// what comes while it runs waits for it.
    pub replays: bool,
    /// Within this its request is answered or given up.
    pub timeout: Duration,
}

/// What is known of a write that is about to begin.
pub enum Begun {
    /// Nobody did it: it may be sent.
    Send(Box<dyn WriteIntent>),
    /// It was done.
    #[non_exhaustive]
    Replay {
        /// When it was begun.
        at: SystemTime,
        /// What was kept of it.
        kept: Option<String>,
        /// Whether it was still under way when it was asked for again.
        joined: bool,
        /// For [`WriteJournal::forget`].
        version: u64,
    },
    /// It may have been sent, and nobody knows what came of it: it is to be looked for.
    #[non_exhaustive]
    ReadBack {
        /// When it was begun.
        at: SystemTime,
        /// Whether its request cannot arrive any more: what is not there now will not come.
        settled: bool,
        /// To be told what was found.
        intent: Box<dyn WriteIntent>,
    },
    /// The client's key stands for another write.
    KeyReused,
}

impl Begun {
    /// It was done.
    pub fn replay(at: SystemTime, kept: Option<String>, joined: bool, version: u64) -> Self {
        Self::Replay {
            at,
            kept,
            joined,
            version,
        }
    }

    /// It may have been sent.
    pub fn read_back(at: SystemTime, settled: bool, intent: Box<dyn WriteIntent>) -> Self {
        Self::ReadBack {
            at,
            settled,
            intent,
        }
    }
}

/// A write that this process has. Dropped without a word, it counts as abandoned.
#[async_trait]
pub trait WriteIntent: Send + Sync {
    /// Whether the request may leave now: nobody else has the write, and there is time left for the
    /// answer.
    fn may_send(&self) -> bool;

    /// Begins it anew, after it was looked for and is not there. `false` if its first request may
    /// still arrive, or somebody else was faster.
    async fn send_again(&mut self) -> bool;

    /// Tells what came of it.
    async fn end(self: Box<Self>, outcome: WriteOutcome);
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was done.
    Done {
        /// What is to be kept of it.
        kept: Option<String>,
        /// Whether the client was there to be answered.
        answered: bool,
        /// Whether that was found out by reading back.
        read_back: bool,
    },
    /// It may have been done.
    Unknown,
    /// It was surely not done: the same may be tried again at once.
    NotDone,
}
