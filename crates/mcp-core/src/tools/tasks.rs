//! Tools about the tasks of a requirement; those that change them are in `write`.

mod write;

use futures::FutureExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    args::{DEFAULT_LIMIT, MAX_LIMIT, TaskStatus, paging},
    call::Call,
    definition::{Definition, ToolOutput, answer},
    error::ToolError,
    journal::Made,
    projects::choose,
    readback::{ALL, shows},
    render,
    requirements::no_requirement,
};
use crate::{
    ApiError, ProjectRef, RequirementRef, TaskRef,
    braingrid::{Page, model::Task},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        Definition::create(
            "breakdown_project_requirement",
            "Let BrainGrid break a requirement without tasks down into tasks. Takes minutes, costs \
             credits.",
            write::breakdown,
            |call, made| show_all(call, made).boxed(),
        )
        .slow(),
        Definition::read("list_project_tasks", "The steps of a requirement: id, title, status of each. Use it to find a task_id.", list),
        Definition::read(
            "get_project_task",
            "Show a task with its full prompt; without task_id the next one to do.",
            get,
        ),
        Definition::create(
            "create_project_task",
            "Add one step to a requirement; content is the prompt that a coding agent gets.",
            write::create,
            |call, made| show_one(call, made).boxed(),
        ),
        Definition::write("update_project_task", "Set status, title or prompt of a task: IN_PROGRESS when you begin, COMPLETED when it is done.", write::update)
            .show_again(|call, made| show_one(call, made).boxed())
            .idempotent()
            .destructive(),
        Definition::write(
            "delete_project_task",
            "Delete a task for good, once the user has agreed; CANCELLED as its status keeps it.",
            write::delete,
        )
        .show_again(|_, made| std::future::ready(write::show_deleted(made)).boxed())
        .idempotent()
        .destructive(),
    ]
}

/// Which task is meant.
struct Place {
    project: ProjectRef,
    requirement: RequirementRef,
}

impl Place {
    async fn find(
        call: &Call,
        project: Option<ProjectRef>,
        requirement: RequirementRef,
    ) -> Result<Self, ToolError> {
        Ok(Self {
            project: choose(call, project, None).await?,
            requirement,
        })
    }

    /// Where a call did something before.
    fn of(made: &Made) -> Option<Self> {
        Some(Self {
            project: Made::id(made.project.as_ref())?,
            requirement: Made::id(made.requirement.as_ref())?,
        })
    }

    async fn all(&self, call: &Call) -> Result<Page<Task>, ApiError> {
        call.client()
            .tasks(call.caller(), &self.project, &self.requirement, ALL, None)
            .await
    }

    async fn task(&self, call: &Call, id: &TaskRef) -> Result<Task, ApiError> {
        call.client()
            .task(call.caller(), &self.project, &self.requirement, id)
            .await
    }

    fn one(&self, task: Task) -> OneTask {
        OneTask {
            project_id: self.project.to_string(),
            task: task.named_once(),
        }
    }

    fn many(&self, tasks: Vec<Task>) -> TaskList {
        TaskList {
            project_id: self.project.to_string(),
            tasks: tasks.into_iter().map(Task::brief).collect(),
            has_more: None,
            next_page: None,
        }
    }

    fn no_requirement(&self, error: ApiError) -> ToolError {
        no_requirement(error, &self.project, &self.requirement)
    }

    fn no_task(&self, error: ApiError, id: &TaskRef) -> ToolError {
        match error {
            ApiError::NotFound(_) => {
                let Self {
                    project,
                    requirement,
                } = self;
                let text = format!(
                    "There is no {id} of {requirement} in {project}. list_project_tasks shows which there are."
                );
                ToolError::Explained(error, text)
            }
            error => error.into(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct OneTask {
    #[schemars(skip)]
    project_id: String,
    task: Task,
}

#[derive(Serialize, JsonSchema)]
struct TaskList {
    #[schemars(skip)]
    project_id: String,
    tasks: Vec<Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<u32>,
}

#[derive(Deserialize, JsonSchema)]
struct List {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    requirement_id: RequirementRef,
    /// Only those in it
    status: Option<TaskStatus>,
    /// With the prompt of each
    #[serde(default)]
    include_content: bool,
    /// `next_page` of the answer before
    #[schemars(range(min = 1), extend("default" = 1))]
    page: Option<u32>,
    /// Items a page
    #[schemars(range(min = 1, max = MAX_LIMIT), extend("default" = DEFAULT_LIMIT))]
    limit: Option<u32>,
}

async fn list(call: Call, wanted: List) -> Result<(String, TaskList), ToolError> {
    let place = Place::find(&call, wanted.project_id, wanted.requirement_id).await?;
    let paging = paging(wanted.page, wanted.limit);
    let status = wanted.status.map(TaskStatus::as_str);
    let Place {
        project,
        requirement,
    } = &place;
    let found = call
        .client()
        .tasks(call.caller(), project, requirement, paging, status)
        .await;
    let mut page = found.map_err(|error| place.no_requirement(error))?;
    let has_more = render::more(&page, paging);
    // BrainGrid may leave the filter aside.
    page.items
        .retain(|item| shows(status, item.status.as_deref(), true));
    if !wanted.include_content {
        page.items = page.items.into_iter().map(Task::without_content).collect();
    }
    let line = |item: &Task| match &item.content {
        Some(content) => format!("{}\n\n{}\n", render::task_line(item), content.trim()),
        None => render::task_line(item),
    };
    let text = render::list(&page, has_more, paging, "tasks", line);
    call.note_all(render::remainder(&page, has_more, paging));
    Ok((
        text,
        TaskList {
            has_more,
            next_page: render::next_page(has_more, paging),
            ..place.many(page.items)
        },
    ))
}

#[derive(Deserialize, JsonSchema)]
#[expect(clippy::struct_field_names, reason = "the names of the arguments")]
struct Get {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    requirement_id: RequirementRef,
    /// TASK-n or UUID; default: the next to do
    task_id: Option<TaskRef>,
}

async fn get(call: Call, wanted: Get) -> Result<(String, OneTask), ToolError> {
    let place = Place::find(&call, wanted.project_id, wanted.requirement_id).await?;
    let id = match wanted.task_id {
        Some(id) => id,
        None => next(&call, &place).await?,
    };
    let task = place
        .task(&call, &id)
        .await
        .map_err(|error| place.no_task(error, &id))?;
    Ok((render::task(&task), place.one(task)))
}

/// The task that a call made or changed before; nothing if it is gone.
async fn show_one(call: Call, made: Made) -> Result<Option<ToolOutput>, ToolError> {
    let Some((place, id)) = Place::of(&made).zip(Made::id(made.task.as_ref())) else {
        return Err(made.cannot_be_shown("list_project_tasks"));
    };
    match place.task(&call, &id).await {
        Ok(task) => answer((render::task(&task), place.one(task))).map(Some),
        Err(ApiError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The tasks of the requirement that a call broke down before; nothing if there are none.
async fn show_all(call: Call, made: Made) -> Result<Option<ToolOutput>, ToolError> {
    let Some(place) = Place::of(&made) else {
        return Err(made.cannot_be_shown("list_project_tasks"));
    };
    match place.all(&call).await {
        // None were ever shown: BrainGrid may still be working.
        Ok(page) if page.items.is_empty() && made.tasks.unwrap_or_default() == 0 => {
            Err(made.cannot_be_shown("list_project_tasks"))
        }
        Ok(page) if page.items.is_empty() => Ok(None),
        Ok(page) => {
            let tasks: Vec<_> = page.items.into_iter().map(Task::without_content).collect();
            let (requirement, count) = (&place.requirement, tasks.len());
            let text = format!("{requirement} has {count} tasks:\n{}", write::lines(&tasks));
            answer((text, place.many(tasks))).map(Some)
        }
        Err(ApiError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The task to work on: the first in progress, else the first planned.
async fn next(call: &Call, place: &Place) -> Result<TaskRef, ToolError> {
    let tasks = place
        .all(call)
        .await
        .map_err(|error| place.no_requirement(error))?
        .items;
    let first = |status: TaskStatus| {
        tasks
            .iter()
            .find(|task| shows(Some(status.as_str()), task.status.as_deref(), false))
    };
    let found = first(TaskStatus::InProgress).or_else(|| first(TaskStatus::Planned));
    match found.and_then(Task::reference).map(str::parse) {
        Some(Ok(id)) => Ok(id),
        Some(Err(_)) => Err(ToolError::Internal),
        None => Err(ToolError::Refused(format!(
            "No task of {} is planned or in progress.",
            place.requirement
        ))),
    }
}
