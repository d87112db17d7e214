//! The answers to `tasks/get`, `tasks/cancel` and `tasks/update`.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures::FutureExt;
use jiff::{Timestamp, Unit};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CancelTaskParams, DetailedTask, GetTaskParams, GetTaskResult, Task, TaskPayload,
        TaskStatus, UpdateTaskParams,
    },
    service::RequestContext,
};

use super::{
    super::{
        ToolSet,
        registry::Entry,
        response::done_with,
        stopped::{begun_elsewhere, stopped},
    },
    FoundState, FoundTask, TaskOwner, TaskStore, TaskStoreUnavailable,
    kept::{done, kept},
};
use crate::Caller;

/// How often a client is to ask, and how often it is looked for one that listens.
pub(super) const POLL: Duration = Duration::from_secs(2);

impl ToolSet {
    /// The answer to `tasks/get`.
    pub(in super::super) async fn task(
        &self,
        params: GetTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<GetTaskResult, ErrorData> {
        let owner = self.task_owner(&context).await?;
        let task = self.detailed(&owner, &params.task_id, &context).await?;
        let mut result = GetTaskResult::new(task);
        result.meta = Some(self.shared.stamp.clone());
        Ok(result)
    }

    /// A task of this owner. Where nobody works on it any more, it is gone on with here.
    pub(super) async fn detailed(
        &self,
        owner: &TaskOwner,
        id: &str,
        context: &RequestContext<RoleServer>,
    ) -> Result<DetailedTask, ErrorData> {
        let (found, entry) = self.found(owner, id).await?;
        let task = self.shown(id, &found, &entry)?;
        if let FoundState::Orphaned(orphan) = found.state
            && let Some(work) = orphan.take_over().await
        {
            let request = (&*found.request, found.worked_at);
            self.go_on(id, entry, request, context.clone(), work).await;
        }
        Ok(task)
    }

    /// A task of this owner as it is, whether or not anybody works on it.
    pub(super) async fn seen(
        &self,
        owner: &TaskOwner,
        id: &str,
    ) -> Result<DetailedTask, ErrorData> {
        let (found, entry) = self.found(owner, id).await?;
        self.shown(id, &found, &entry)
    }

    fn shown(&self, id: &str, found: &FoundTask, entry: &Entry) -> Result<DetailedTask, ErrorData> {
        let times = (found.created_at, found.updated_at);
        let task = described(id, times, self.tasks()?.ttl());
        let payload = match &found.state {
            FoundState::Working | FoundState::Orphaned(_) => TaskPayload::Working,
            FoundState::Elsewhere => done(&self.of_another_process(entry, found.created_at)),
            FoundState::Cancelled => TaskPayload::Cancelled,
            FoundState::Done(kept) => done(kept),
        };
        Ok(DetailedTask::new(task, payload))
    }

    /// The answer to `tasks/cancel`.
    pub(in super::super) async fn cancel(
        &self,
        params: CancelTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let owner = self.task_owner(&context).await?;
        self.found(&owner, &params.task_id).await?;
        let there = self.tasks()?.cancel(&owner, &params.task_id).await;
        there
            .map_err(unavailable)?
            .then_some(())
            .ok_or_else(not_found)
    }

    /// The answer to `tasks/update`: no task here asks for anything, so whatever comes is ignored, as
    /// the extension has it.
    pub(in super::super) async fn update(
        &self,
        params: UpdateTaskParams,
        context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let owner = self.task_owner(&context).await?;
        self.found(&owner, &params.task_id).await.map(drop)
    }

    /// What to do about a task whose answer another process has.
    fn of_another_process(&self, entry: &Entry, begun: SystemTime) -> String {
        let name = &entry.tool.name;
        let error = if entry.creates() && self.is_remembered(begun) {
            begun_elsewhere(name)
        } else {
            stopped(name, true)
        };
        kept(entry, done_with(&error).0)
    }

    /// A task of this owner, and its tool, which the owner may still use.
    async fn found(
        &self,
        owner: &TaskOwner,
        id: &str,
    ) -> Result<(FoundTask, Arc<Entry>), ErrorData> {
        let found = self.tasks()?.find(owner, id).await;
        let found = found.map_err(unavailable)?.ok_or_else(not_found)?;
        let (tool, at) = told_apart(&found.about);
        if at != address_of(&owner.caller).as_deref() {
            return Err(not_found());
        }
        let entry = self.shared.registry.entry(tool);
        let entry = entry.ok_or_else(not_found)?;
        match self.may_not(entry, &owner.caller) {
            Some((error, _)) => Err(ErrorData::invalid_request(error.text(), None)),
            None => Ok((found, Arc::clone(entry))),
        }
    }

    /// Whose tasks whoever asks may see.
    pub(super) async fn task_owner(
        &self,
        context: &RequestContext<RoleServer>,
    ) -> Result<TaskOwner, ErrorData> {
        let caller = self.caller(context)?;
        // Boxed: it may ask BrainGrid, which is a large future.
        let organization = self.shared.client.organization_of(&caller).boxed().await;
        let organization =
            organization.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(TaskOwner {
            caller,
            organization,
        })
    }

    pub(super) fn tasks(&self) -> Result<&Arc<dyn TaskStore>, ErrorData> {
        let tasks = self.shared.tasks.as_ref();
        tasks.ok_or_else(not_found)
    }
}

/// What a task is about: its tool, and the address where it was begun, at which alone it is there.
pub(super) fn about(entry: &Entry, caller: &Caller) -> String {
    let tool = &entry.tool.name;
    match address_of(caller) {
        Some(address) => format!("{tool} {address}"),
        None => tool.to_string(),
    }
}

fn told_apart(about: &str) -> (&str, Option<&str>) {
    match about.split_once(' ') {
        Some((tool, address)) => (tool, Some(address)),
        None => (about, None),
    }
}

fn address_of(caller: &Caller) -> Option<String> {
    caller.address().map(ToString::to_string)
}

fn not_found() -> ErrorData {
    ErrorData::invalid_params(
        "no such task: it never was, is over for long, or is another's",
        None,
    )
}

pub(super) fn unavailable(error: TaskStoreUnavailable) -> ErrorData {
    ErrorData::internal_error(format!("{error}: try again in a moment"), None)
}

pub(super) fn described(
    id: &str,
    (created, updated): (SystemTime, SystemTime),
    ttl: Duration,
) -> Task {
    let text = |at: SystemTime| {
        let at = Timestamp::try_from(at).unwrap_or_default();
        at.round(Unit::Millisecond).unwrap_or(at).to_string()
    };
    let mut task = Task::new(id, TaskStatus::Working, text(created), text(updated));
    task.ttl_ms = u64::try_from(ttl.as_millis()).ok();
    task.poll_interval_ms = u64::try_from(POLL.as_millis()).ok();
    task
}
