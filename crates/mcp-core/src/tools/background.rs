//! The tasks extension (SEP-2663, `io.modelcontextprotocol/tasks`): a tool that takes minutes answers
//! at once with a task, and goes on; the client asks for its result, at any instance.
//!
//! Whoever begins a task owns it; to everybody else it is not there. When the instance that works on
//! it dies, the next one its owner asks takes it over: the write journal says what was done.

mod answer;
pub(super) mod experimental;
mod kept;
mod listen;
mod listeners;
mod work;

use std::time::{Duration, SystemTime};

use async_trait::async_trait;

pub(super) use self::listeners::Listeners;
use crate::{Caller, OrganizationId};

/// Keeps tasks, for one instance or for all.
#[async_trait]
pub trait TaskStore: Send + Sync {
    /// Begins a task, which is durable when this completes; its id and who works on it. `about` is kept
    /// as long as the task, `request` for whoever takes it over.
    ///
    /// # Errors
    /// When it cannot be kept, or its owner has too many under way: the call is made without one then.
    async fn begin(
        &self,
        owner: &TaskOwner,
        about: String,
        request: String,
    ) -> Result<(String, Box<dyn TaskWork>), TaskStoreUnavailable>;

    /// A task of this owner.
    ///
    /// # Errors
    /// When the store is away.
    async fn find(
        &self,
        owner: &TaskOwner,
        id: &str,
    ) -> Result<Option<FoundTask>, TaskStoreUnavailable>;

    /// Cancels a task of this owner, if there is one; whether there is.
    ///
    /// # Errors
    /// When the store is away.
    async fn cancel(&self, owner: &TaskOwner, id: &str) -> Result<bool, TaskStoreUnavailable>;

    /// The ids of this owner's tasks, in any order.
    ///
    /// # Errors
    /// When the store is away.
    async fn list(&self, owner: &TaskOwner) -> Result<Vec<String>, TaskStoreUnavailable>;

    /// How long a task is kept.
    fn ttl(&self) -> Duration;
}

/// Tasks cannot be kept, or not be looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("tasks cannot be kept right now")]
pub struct TaskStoreUnavailable;

/// Whose task it is.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskOwner {
    /// Who.
    pub caller: Caller,
    /// Where.
    pub organization: Option<OrganizationId>,
}

/// A task, as it was found.
#[non_exhaustive]
pub struct FoundTask {
    /// What it is about.
    pub about: String,
    /// What was kept for whoever takes it over.
    pub request: String,
    /// When it began.
    pub created_at: SystemTime,
    /// When it changed last.
    pub updated_at: SystemTime,
    /// When somebody was at work on it last, and not only took it over.
    pub worked_at: SystemTime,
    /// Where it is.
    pub state: FoundState,
}

impl FoundTask {
    /// A task that was found.
    pub fn new(
        (about, request): (String, String),
        [created_at, updated_at, worked_at]: [SystemTime; 3],
        state: FoundState,
    ) -> Self {
        Self {
            about,
            request,
            created_at,
            updated_at,
            worked_at,
            state,
        }
    }
}

/// Where a task is.
pub enum FoundState {
    /// Somebody works on it.
    Working,
    /// Nobody works on it any more, although it is not over.
    Orphaned(Box<dyn OrphanedTask>),
    /// Another process began it and has its answer, or had it when it ended.
    Elsewhere,
    /// It was cancelled.
    Cancelled,
    /// This came of it.
    Done(String),
}

/// A task on which nobody works any more.
#[async_trait]
pub trait OrphanedTask: Send + Sync {
    /// Takes it over; nothing if somebody was faster.
    async fn take_over(self: Box<Self>) -> Option<Box<dyn TaskWork>>;
}

/// The right to work on a task.
#[async_trait]
pub trait TaskWork: Send + Sync {
    /// Renews the lease; completes when the task is not to go on.
    async fn watch(&self);

    /// Says what came of it.
    async fn finish(self: Box<Self>, result: String);

    /// Gives it up: another instance may take it over at once.
    async fn give_up(self: Box<Self>);
}
