//! What this instance works on while nobody waits for it.

use http::{Method, StatusCode};
use mcp_fleet::TaskHere;
use schemars::JsonSchema;
use serde::Serialize;

use super::Admin;
use super::access::Needs;
use super::answer::{Problem, json};
use super::paging::{LIMIT, OFFSET, Page, Time};
use super::routes::{Answered, Call, Content, Route, schema};
use crate::audit::Target;
use crate::operators::Right;

pub(super) static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/admin/v1/tasks",
        needs: Needs::Right(Right::Read),
        id: "tasks",
        summary: "What this instance works on while nobody waits for it, the oldest first",
        query: &[OFFSET, LIMIT],
        body: None,
        content: Content::Json(schema::<TaskList>),
        answer: |admin, call| Box::pin(async move { admin.list_tasks(&call) }),
    },
    Route {
        method: Method::DELETE,
        path: "/admin/v1/tasks/{id}",
        needs: Needs::Right(Right::Write),
        id: "cancel_task",
        summary: "Cancels a task of this instance; what was sent to BrainGrid already is done",
        query: &[],
        body: None,
        content: Content::Json(schema::<Task>),
        answer: |admin, call| Box::pin(async move { admin.cancel_task(&call.step).await }),
    },
];

/// A part of what this instance works on.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TaskList {
    /// Whose they are: `this instance`. Others have their own.
    of: &'static str,
    /// How many there are.
    pub(super) total: usize,
    /// How many of them are left out here, at the beginning.
    pub(super) offset: usize,
    pub(super) tasks: Vec<Task>,
}

/// Something that is worked on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(super) struct Task {
    /// When it began.
    pub(super) since: Time,
    pub(super) id: String,
    /// The tool.
    pub(super) tool: String,
    /// Whose it is: the issuer of the token.
    pub(super) issuer: String,
    /// Who, as that issuer names them.
    pub(super) subject: String,
    /// For which organization.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) organization: Option<String>,
    /// `working`, or `cancelled` of one that has just been.
    pub(super) state: &'static str,
}

impl Admin {
    fn list_tasks(&self, call: &Call) -> Answered {
        Ok(json(StatusCode::OK, &self.tasks_here(Page::of(call)?)))
    }

    /// What is worked on, the oldest first.
    pub(super) fn tasks_here(&self, page: Page) -> TaskList {
        let tasks = self.tasks.working_here().into_iter();
        let mut tasks: Vec<_> = tasks.map(|task| Task::of(task, "working")).collect();
        tasks.sort_unstable();
        TaskList {
            of: "this instance",
            total: tasks.len(),
            offset: page.offset,
            tasks: page.part(tasks).collect(),
        }
    }

    async fn cancel_task(&self, id: &str) -> Answered {
        let not_there = || {
            Problem::new(
                StatusCode::NOT_FOUND,
                "this instance works on no such task; it may be over, or another instance's",
            )
        };
        let here = self.tasks.working_here();
        let task = here
            .into_iter()
            .find(|task| task.id == id)
            .ok_or_else(not_there)?;
        let owner: Vec<_> = task.owner.iter().map(String::as_str).collect();
        match self.tasks.cancel(&owner, id).await {
            Ok(true) => {
                let target = Target::from([("task", id.to_owned())]);
                let mut response = json(StatusCode::OK, &Task::of(task, "cancelled"));
                response.extensions_mut().insert(target);
                Ok(response)
            }
            Ok(false) => Err(not_there()),
            Err(error) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                format!("it cannot be cancelled now: {error}"),
            )),
        }
    }
}

impl Task {
    fn of(task: TaskHere, state: &'static str) -> Self {
        let mut owner = task.owner.into_iter();
        let (issuer, subject) = (owner.next(), owner.next());
        Self {
            since: task.since.into(),
            id: task.id,
            tool: task.about,
            issuer: issuer.unwrap_or_default(),
            subject: subject.unwrap_or_default(),
            organization: owner.next().filter(|it| !it.is_empty()),
            state,
        }
    }
}
