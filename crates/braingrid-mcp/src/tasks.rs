//! The tasks of all instances, or of a user's local servers, as the tools know them.

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use mcp_core::{
    FoundState, FoundTask, OrphanedTask, TaskOwner, TaskStore, TaskStoreUnavailable, TaskWork,
};
use mcp_fleet::{RunningTask, TaskMarks, TaskState, Tasks, TasksConfig};
use mcp_session::{FileFacts, Keyring};
use tokio::sync::OnceCell;

use crate::journal::owner;

/// For [`mcp_core::ToolSet::with_tasks`].
pub(crate) fn of_tools(tasks: Tasks) -> Arc<dyn TaskStore> {
    Arc::new(ToolTasks { tasks, marks: None })
}

/// The same for a user's local servers: each has its own, and `folder` has the marks that they leave for
/// one another.
pub(crate) fn of_local_tools(folder: Option<PathBuf>, api: String) -> Arc<dyn TaskStore> {
    let tasks = Tasks::in_process(Arc::new(Keyring::random()), TasksConfig::default());
    let ttl = tasks.ttl();
    let marks = folder.map(|folder| LocalMarks {
        folder,
        api,
        ttl,
        marks: OnceCell::new(),
    });
    Arc::new(ToolTasks { tasks, marks })
}

/// What a user's local servers tell one another of their tasks.
struct LocalMarks {
    folder: PathBuf,
    /// Which BrainGrid is written to.
    api: String,
    ttl: Duration,
    marks: OnceCell<Option<TaskMarks>>,
}

impl LocalMarks {
    /// Opened when a task is begun or looked for.
    async fn marks(&self) -> Option<&TaskMarks> {
        let open = async || {
            let facts = FileFacts::new(&self.folder);
            // The journal says what is wrong with the folder.
            let keyring = Arc::new(facts.keyring().await.ok()?);
            Some(TaskMarks::new(Arc::new(facts), keyring, self.ttl))
        };
        self.marks.get_or_init(open).await.as_ref()
    }

    fn owner<'a>(&'a self, whose: &'a TaskOwner) -> Vec<&'a str> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        owner.into_iter().chain([&*self.api]).collect()
    }

    async fn leave(&self, whose: &TaskOwner, id: &str, about: &str) {
        let Some(marks) = self.marks().await else {
            return;
        };
        if let Err(error) = marks.leave(&self.owner(whose), id, about).await {
            tracing::debug!(%error, "a task is known to this process alone");
        }
    }

    async fn find(
        &self,
        whose: &TaskOwner,
        id: &str,
    ) -> Result<Option<FoundTask>, TaskStoreUnavailable> {
        let Some(marks) = self.marks().await else {
            return Ok(None);
        };
        let mark = marks.find(&self.owner(whose), id).await.map_err(away)?;
        Ok(mark.map(|mark| {
            let times = [mark.begun_at(); 3];
            FoundTask::new((mark.about, String::new()), times, FoundState::Elsewhere)
        }))
    }
}

struct ToolTasks {
    tasks: Tasks,
    /// Where local servers have theirs.
    marks: Option<LocalMarks>,
}

impl ToolTasks {
    /// What another process left of a task.
    async fn left(
        &self,
        whose: &TaskOwner,
        id: &str,
    ) -> Result<Option<FoundTask>, TaskStoreUnavailable> {
        match &self.marks {
            Some(marks) => marks.find(whose, id).await,
            None => Ok(None),
        }
    }
}

#[async_trait]
impl TaskStore for ToolTasks {
    async fn begin(
        &self,
        whose: &TaskOwner,
        about: String,
        request: String,
    ) -> Result<(String, Box<dyn TaskWork>), TaskStoreUnavailable> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        let [issuer, _, organization] = owner;
        let tenant = [issuer, organization];
        let begun = self.tasks.begin(&owner, &tenant, about.clone(), request);
        let (id, work) = begun.await.map_err(away)?;
        if let Some(marks) = &self.marks {
            marks.leave(whose, &id, &about).await;
        }
        Ok((id, Box::new(ToolTask(work))))
    }

    async fn find(
        &self,
        whose: &TaskOwner,
        id: &str,
    ) -> Result<Option<FoundTask>, TaskStoreUnavailable> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        let Some(found) = self.tasks.find(&owner, id).await.map_err(away)? else {
            return self.left(whose, id).await;
        };
        let record = found.record.clone();
        let times = [record.created_at(), record.updated_at(), record.worked_at()];
        let state = match record.state {
            TaskState::Working if found.is_orphaned => FoundState::Orphaned(Box::new(Orphan {
                tasks: self.tasks.clone(),
                owner: owner.map(str::to_owned),
                id: id.to_owned(),
                found,
            })),
            TaskState::Working => FoundState::Working,
            TaskState::Cancelled => FoundState::Cancelled,
            TaskState::Done(result) => FoundState::Done(result),
        };
        let task = FoundTask::new((record.about, record.request), times, state);
        Ok(Some(task))
    }

    async fn cancel(&self, whose: &TaskOwner, id: &str) -> Result<bool, TaskStoreUnavailable> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        let there = self.tasks.cancel(&owner, id).await.map_err(away)?;
        Ok(there || self.left(whose, id).await?.is_some())
    }

    async fn list(&self, whose: &TaskOwner) -> Result<Vec<String>, TaskStoreUnavailable> {
        let owner = owner(&whose.caller, whose.organization.as_ref());
        self.tasks.list(&owner).await.map_err(away)
    }

    fn ttl(&self) -> Duration {
        self.tasks.ttl()
    }
}

fn away(error: impl std::fmt::Display) -> TaskStoreUnavailable {
    tracing::warn!(%error, "tasks are not kept");
    TaskStoreUnavailable
}

struct Orphan {
    tasks: Tasks,
    owner: [String; 3],
    id: String,
    found: mcp_fleet::FoundTask,
}

#[async_trait]
impl OrphanedTask for Orphan {
    async fn take_over(self: Box<Self>) -> Option<Box<dyn TaskWork>> {
        let owner = self.owner.each_ref().map(String::as_str);
        let taken = self.tasks.take_over(&owner, &self.id, &self.found).await;
        match taken {
            Ok(work) => Some(Box::new(ToolTask(work?))),
            Err(error) => {
                tracing::warn!(%error, "a task is not taken over");
                None
            }
        }
    }
}

struct ToolTask(RunningTask);

#[async_trait]
impl TaskWork for ToolTask {
    async fn watch(&self) {
        self.0.watch().await;
    }

    async fn finish(self: Box<Self>, result: String) {
        self.0.finish(result).await;
    }

    async fn give_up(self: Box<Self>) {
        self.0.give_up().await;
    }
}
