//! One method per operation of the API, each for a [`Caller`].

use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{
    BrainGridConfig, ConfigError, Page,
    decode::{self, Fields},
    model::{Profile, Project, Requirement, Task},
    reply::{Answer, unclear},
    routes::{self, Class, Route},
    send::{Request, Sender},
};
use crate::{
    caller::Caller,
    error::{ApiError, Unclear},
    ids::{OrganizationId, ProjectRef, RequirementRef, TaskRef},
};

/// BrainGrid's HTTP API. A cheap clone; connections, limits and the circuit breaker are shared.
#[derive(Clone)]
pub struct BrainGridClient(Arc<Sender>);

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
type Written<T> = Result<Option<T>, ApiError>;

impl BrainGridClient {
    /// A client; makes no request.
    ///
    /// # Errors
    /// When the base URL is not one that can be called.
    pub fn new(config: BrainGridConfig) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Sender::new(config)?)))
    }

    /// Who the credential belongs to.
    pub(crate) async fn profile(&self, caller: &Caller) -> Result<Profile, ApiError> {
        let request = Request {
            route: routes::profile(),
            query: Vec::new(),
            body: None,
            // Not resolved: this is the call by which it is.
            organization: caller.organization().id().cloned(),
        };
        let answer = self.0.send(caller, &request).await?;
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
            Some(page) => Ok(Some(page.items)),
            None => written(&answer, "requirement", Requirement::decode).map(|found| {
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

    /// Deletes a task; the answer's body does not matter.
    pub(crate) async fn delete_task(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        requirement: &RequirementRef,
        task: &TaskRef,
    ) -> Result<(), ApiError> {
        let route = routes::delete_task(project, requirement, task);
        self.write(caller, route, None).await.map(drop)
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

    async fn guess(&self, caller: &Caller, route: Route, body: Value) -> Written<Value> {
        let answer = self.write(caller, route, Some(body)).await?;
        Ok(json(&answer))
    }

    async fn write(
        &self,
        caller: &Caller,
        route: Route,
        body: Option<Value>,
    ) -> Result<Answer, ApiError> {
        self.call(caller, route, Vec::new(), body).await
    }

    async fn call(
        &self,
        caller: &Caller,
        route: Route,
        query: Vec<(&'static str, String)>,
        body: Option<Value>,
    ) -> Result<Answer, ApiError> {
        let organization = caller
            .organization()
            .resolve(async || self.profile_organization(caller).await)
            .await?;
        self.0
            .send(
                caller,
                &Request {
                    route,
                    query,
                    body,
                    organization,
                },
            )
            .await
    }

    /// The organization the profile names; none when there is no profile to be had here.
    async fn profile_organization(
        &self,
        caller: &Caller,
    ) -> Result<Option<OrganizationId>, ApiError> {
        match self.profile(caller).await {
            Ok(profile) => Ok(profile.organization()),
            Err(
                ApiError::NotFound(_)
                | ApiError::Invalid { .. }
                | ApiError::Failed(Unclear::Unreadable),
            ) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn paged(paging: Paging) -> Vec<(&'static str, String)> {
    vec![
        ("page", paging.page.to_string()),
        ("limit", paging.limit.to_string()),
    ]
}

fn json(answer: &Answer) -> Option<Value> {
    decode::json(&answer.body, answer.event_stream)
}

fn shown<T>(
    answer: &Answer,
    noun: &str,
    decode: impl Fn(Fields) -> Option<T>,
) -> Result<T, ApiError> {
    json(answer)
        .and_then(|body| decode(decode::entity(body, noun)?))
        .ok_or_else(|| unclear(Class::Read, Unclear::Unreadable))
}

fn listed<T>(
    answer: &Answer,
    nouns: &str,
    decode: impl Fn(Fields) -> Option<T>,
) -> Result<Page<T>, ApiError> {
    json(answer)
        .and_then(|body| decode::list(body, nouns, decode))
        .ok_or_else(|| unclear(Class::Read, Unclear::Unreadable))
}

/// A 2xx with an empty body, or with JSON that shows no `noun` and no error, says "done".
fn written<T>(answer: &Answer, noun: &str, decode: impl Fn(Fields) -> Option<T>) -> Written<T> {
    if answer.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let unreadable = || unclear(Class::Write, Unclear::Unreadable);
    let body = json(answer).ok_or_else(unreadable)?;
    let denies = body.get("success") == Some(&Value::Bool(false))
        || body.get("error").is_some_and(|error| !error.is_null());
    match decode::entity(body, noun).and_then(decode) {
        Some(found) => Ok(Some(found)),
        None if denies => Err(unreadable()),
        None => Ok(None),
    }
}
