//! One method per operation of the API, each for a [`Caller`].

use std::{fmt, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    ApiStatus, BrainGridConfig, ConfigError, Page,
    call::{json, listed, paged, shown, written},
    decode,
    model::{Profile, Project, Requirement, Task},
    routes::{self, Class},
    send::{Request, Sender},
    short_ids::ShortIds,
};
use crate::{
    caller::Caller,
    error::ApiError,
    ids::{ProjectRef, RequirementRef, TaskRef},
};

/// BrainGrid's HTTP API. A cheap clone; connections, limits and the circuit breaker are shared.
#[derive(Clone)]
pub struct BrainGridClient {
    pub(super) inner: Arc<Inner>,
    pub(super) gate: Option<SendGate>,
}

/// Whether a write may leave: asked right before each attempt.
pub(crate) type SendGate = Arc<dyn Fn() -> Result<(), ApiError> + Send + Sync>;

pub(super) struct Inner {
    pub(super) sender: Sender,
    pub(super) short_ids: ShortIds,
}

impl fmt::Debug for BrainGridClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrainGridClient").finish_non_exhaustive()
    }
}

/// A page of a list, as asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Paging {
    pub(crate) page: u32,
    pub(crate) limit: u32,
}

/// What a write answered: `None` when it was done but the answer does not show the thing.
pub(super) type Written<T> = Result<Option<T>, ApiError>;

impl BrainGridClient {
    /// A client; makes no request.
    ///
    /// # Errors
    /// When the base URL is not one that can be called.
    pub fn new(config: BrainGridConfig) -> Result<Self, ConfigError> {
        let inner = Inner {
            sender: Sender::new(config)?,
            short_ids: ShortIds::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
            gate: None,
        })
    }

    /// The same client, whose writes leave only when `gate` lets them.
    pub(crate) fn gated(&self, gate: SendGate) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            gate: Some(gate),
        }
    }

    /// Within this a write is answered or given up, once it was sent.
    pub(crate) fn write_timeout(&self, slow: bool) -> Duration {
        let class = if slow { Class::Slow } else { Class::Write };
        self.inner.sender.timeout(class)
    }

    /// Whether the circuit is open: BrainGrid failed again and again, and is not asked for a while.
    pub fn is_circuit_open(&self) -> bool {
        self.status().is_circuit_open
    }

    /// How it stands with the way to BrainGrid.
    pub fn status(&self) -> ApiStatus {
        self.inner.sender.status()
    }

    /// Who the credential belongs to.
    ///
    /// # Errors
    /// As every call; [`ApiError::Unauthorized`] says that it belongs to nobody.
    pub async fn profile(&self, caller: &Caller) -> Result<Profile, ApiError> {
        let request = Request {
            route: routes::profile(),
            query: Vec::new(),
            body: None,
            // Not resolved: this is the call by which it is.
            organization: caller.organization().id().cloned(),
            gate: None,
        };
        let answer = self.inner.sender.send(caller, &request).await?;
        shown(&answer, "profile", Profile::decode)
    }

    pub(crate) async fn projects(
        &self,
        caller: &Caller,
        paging: Paging,
        repository: Option<&str>,
    ) -> Result<Page<Project>, ApiError> {
        let mut query = paged(paging);
        query.extend(repository.map(|name| ("repository", name.to_owned())));
        let answer = self.call(caller, routes::projects(), query, None).await?;
        listed(&answer, "projects", Project::decode)
    }

    pub(crate) async fn project(
        &self,
        caller: &Caller,
        project: &ProjectRef,
    ) -> Result<Project, ApiError> {
        let answer = self
            .call(caller, routes::project(project), Vec::new(), None)
            .await?;
        shown(&answer, "project", Project::decode)
    }

    pub(crate) async fn requirements(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        paging: Paging,
        status: Option<&str>,
    ) -> Result<Page<Requirement>, ApiError> {
        let mut query = paged(paging);
        query.extend(status.map(|status| ("status", status.to_owned())));
        let answer = self
            .call(caller, routes::requirements(project), query, None)
            .await?;
        listed(&answer, "requirements", Requirement::decode)
    }

    pub(crate) async fn requirement(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
    ) -> Result<Requirement, ApiError> {
        let route = routes::requirement(project, requirement);
        let answer = self.call(caller, route, Vec::new(), None).await?;
        shown(&answer, "requirement", Requirement::decode)
    }

    /// Saves a requirement as written.
    pub(crate) async fn create_requirement(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: Value,
    ) -> Written<Requirement> {
        let answer = self
            .write(caller, routes::create_requirement(project), Some(body))
            .await?;
        written(&answer, "requirement", Requirement::decode)
    }

    /// Lets BrainGrid refine a rough idea into a requirement.
    pub(crate) async fn specify_requirement(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: Value,
    ) -> Written<Requirement> {
        let answer = self
            .write(caller, routes::specify_requirement(project), Some(body))
            .await?;
        written(&answer, "requirement", Requirement::decode)
    }

    pub(crate) async fn update_requirement(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        body: Value,
    ) -> Written<Requirement> {
        let route = routes::update_requirement(project, requirement);
        let answer = self.write(caller, route, Some(body)).await?;
        written(&answer, "requirement", Requirement::decode)
    }

    /// Lets BrainGrid break a requirement down; the tasks, when the answer shows them.
    pub(crate) async fn breakdown(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
    ) -> Written<Vec<Task>> {
        let answer = self
            .write(caller, routes::breakdown(project, requirement), None)
            .await?;
        let tasks = json(&answer).and_then(|body| decode::list(body, "tasks", Task::decode));
        match tasks {
            Some(page) if !page.items.is_empty() => Ok(Some(page.items)),
            _ => written(&answer, "requirement", Requirement::decode).map(|found| {
                found
                    .map(|found| found.tasks)
                    .filter(|tasks| !tasks.is_empty())
            }),
        }
    }

    pub(crate) async fn tasks(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        paging: Paging,
        status: Option<&str>,
    ) -> Result<Page<Task>, ApiError> {
        let mut query = paged(paging);
        query.extend(status.map(|status| ("status", status.to_owned())));
        let answer = self
            .call(caller, routes::tasks(project, requirement), query, None)
            .await?;
        listed(&answer, "tasks", Task::decode)
    }

    pub(crate) async fn task(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        task: &TaskRef,
    ) -> Result<Task, ApiError> {
        let route = routes::task(project, requirement, task);
        let answer = self.call(caller, route, Vec::new(), None).await?;
        shown(&answer, "task", Task::decode)
    }

    pub(crate) async fn create_task(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        body: Value,
    ) -> Written<Task> {
        let answer = self
            .write(
                caller,
                routes::create_task(project, requirement),
                Some(body),
            )
            .await?;
        written(&answer, "task", Task::decode)
    }

    pub(crate) async fn update_task(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        task: &TaskRef,
        body: Value,
    ) -> Written<Task> {
        let route = routes::update_task(project, requirement, task);
        let answer = self.write(caller, route, Some(body)).await?;
        written(&answer, "task", Task::decode)
    }

    /// Deletes a task.
    pub(crate) async fn delete_task(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        task: &TaskRef,
    ) -> Result<(), ApiError> {
        let route = routes::delete_task(project, requirement, task);
        let answer = self.write(caller, route, None).await?;
        written(&answer, "task", Task::decode).map(drop)
    }

    /// Adds a tag to a requirement (a guessed route).
    pub(crate) async fn add_tag(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        body: Value,
    ) -> Written<Value> {
        self.guess(caller, routes::add_tag(project, requirement), body)
            .await
    }

    /// Creates a git branch for a requirement (a guessed route).
    pub(crate) async fn create_branch(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        body: Value,
    ) -> Written<Value> {
        self.guess(caller, routes::create_branch(project, requirement), body)
            .await
    }

    /// Reviews a pull request against a requirement (a guessed route).
    pub(crate) async fn review(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        body: Value,
    ) -> Written<Value> {
        self.guess(caller, routes::review(project, requirement), body)
            .await
    }
}
