//! Tools about the tasks of a requirement.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::{
    args::{TaskStatus, Text, paging},
    definition::Definition,
    projects::choose,
    readback::{Confirmed, Lookalike, perhaps, shows, unknown},
    render,
    requirements::{insert, no_requirement},
    run::{Call, ToolError},
};
use crate::{
    ApiError, ProjectRef, RequirementRef, TaskRef,
    braingrid::{Page, Paging, model::Task},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        Definition::write(
            "breakdown_project_requirement",
            "Let BrainGrid break a requirement without tasks down into tasks. Takes minutes, costs \
             credits.",
            breakdown,
        )
        .slow(),
        Definition::read("list_project_tasks", "List a requirement's tasks.", list),
        Definition::read(
            "get_project_task",
            "Show a task with its full prompt; without task_id the next one to do.",
            get,
        ),
        Definition::write(
            "create_project_task",
            "Add a task to a requirement.",
            create,
        ),
        Definition::write("update_project_task", "Change a task.", update)
            .idempotent()
            .destructive(),
        Definition::write("delete_project_task", "Delete a task for good.", delete)
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

    async fn all(&self, call: &Call) -> Result<Page<Task>, ApiError> {
        let all = Paging {
            page: 1,
            limit: 100,
        };
        call.client()
            .tasks(call.caller(), &self.project, &self.requirement, all, None)
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
            requirement_id: self.requirement.to_string(),
            task,
        }
    }

    fn many(&self, tasks: Vec<Task>) -> TaskList {
        TaskList {
            project_id: self.project.to_string(),
            requirement_id: self.requirement.to_string(),
            tasks,
            has_more: None,
            total: None,
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
    #[schemars(skip)]
    requirement_id: String,
    task: Task,
}

#[derive(Serialize, JsonSchema)]
struct TaskList {
    #[schemars(skip)]
    project_id: String,
    #[schemars(skip)]
    requirement_id: String,
    tasks: Vec<Task>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    total: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Breakdown {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
}

async fn breakdown(call: Call, wanted: Breakdown) -> Result<(String, TaskList), ToolError> {
    let place = Place::find(&call, wanted.project_id, wanted.requirement_id).await?;
    // Also what makes it possible to tell afterwards whether it was done.
    let before = place
        .all(&call)
        .await
        .map_err(|error| place.no_requirement(error))?;
    let Place {
        project,
        requirement,
    } = &place;
    if !before.items.is_empty() {
        return Err(ToolError::Refused(format!(
            "{requirement} already has {} tasks. list_project_tasks shows them; add more with create_project_task.",
            before.items.len()
        )));
    }
    call.still_wanted()?;
    let sent = call
        .client()
        .breakdown(call.caller(), project, requirement)
        .await;
    let (tasks, how) = match sent {
        Ok(Some(tasks)) if !tasks.is_empty() => (tasks, Confirmed::ByAnswer),
        Ok(_) => {
            let tasks = place
                .all(&call)
                .await
                .map(|page| page.items)
                .unwrap_or_default();
            (tasks, Confirmed::ByAnswer)
        }
        Err(error) if error.is_unclear() => {
            let tasks = place
                .all(&call)
                .await
                .map(|page| page.items)
                .unwrap_or_default();
            if tasks.is_empty() {
                return Err(unknown(
                    error,
                    &format!(
                        "BrainGrid may still be working: look at list_project_tasks of {requirement} in a minute, before trying again."
                    ),
                ));
            }
            (tasks, Confirmed::ByReadingBack)
        }
        Err(error) => return Err(place.no_requirement(error)),
    };
    let tasks: Vec<_> = tasks.into_iter().map(Task::without_content).collect();
    let text = match tasks.len() {
        0 => format!(
            "BrainGrid accepted it; list_project_tasks of {requirement} shows the tasks when they are there."
        ),
        count => format!(
            "{requirement} has {count} tasks now{how}:\n{}",
            lines(&tasks)
        ),
    };
    Ok((text, place.many(tasks)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
    status: Option<TaskStatus>,
    #[serde(default)]
    include_content: bool,
    page: Option<u32>,
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
    Ok((
        text,
        TaskList {
            has_more,
            total: page.total,
            ..place.many(page.items)
        },
    ))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names of the arguments")]
struct Get {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
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

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
    title: Text,
    /// The prompt, Markdown
    #[serde(alias = "description")]
    content: Option<Text>,
    external_id: Option<Text>,
}

async fn create(call: Call, wanted: Create) -> Result<(String, OneTask), ToolError> {
    let place = Place::find(&call, wanted.project_id, wanted.requirement_id).await?;
    let title = wanted.title.into_string();
    let mut body = Map::new();
    insert(&mut body, "title", Some(&title));
    insert(&mut body, "content", wanted.content);
    insert(&mut body, "external_id", wanted.external_id);
    call.still_wanted()?;
    let begun = Timestamp::now();
    let Place {
        project,
        requirement,
    } = &place;
    let sent = call
        .client()
        .create_task(call.caller(), project, requirement, body.into())
        .await;
    let (task, how) = match sent {
        Ok(task) => (task.unwrap_or_else(|| titled(&title)), Confirmed::ByAnswer),
        Err(error) if error.is_unclear() => {
            let mut same = place
                .all(&call)
                .await
                .map(|page| page.items)
                .unwrap_or_default();
            same.retain(|task| task.title.as_deref() == Some(&title));
            match Lookalike::of(same, begun, |task| task.created_at.as_deref()) {
                Lookalike::Surely(task) => (task, Confirmed::ByReadingBack),
                Lookalike::Perhaps(same) => {
                    let hint =
                        format!("Look for \"{title}\" in list_project_tasks of {requirement}");
                    return Err(unknown(error, &perhaps(&hint, &lines(&same))));
                }
            }
        }
        Err(error) => return Err(place.no_requirement(error)),
    };
    let task = task.without_content();
    let text = format!("Added to {requirement}{how}: {}", render::task_line(&task));
    Ok((text, place.one(task)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
    task_id: TaskRef,
    status: Option<TaskStatus>,
    title: Option<Text>,
    /// Markdown, replaces the prompt
    #[serde(alias = "description")]
    content: Option<Text>,
    external_id: Option<Text>,
}

async fn update(call: Call, wanted: Update) -> Result<(String, OneTask), ToolError> {
    let place = Place::find(
        &call,
        wanted.project_id.clone(),
        wanted.requirement_id.clone(),
    )
    .await?;
    let id = &wanted.task_id;
    let mut body = Map::new();
    insert(&mut body, "status", wanted.status.map(TaskStatus::as_str));
    insert(&mut body, "title", wanted.title.as_ref());
    insert(&mut body, "content", wanted.content.as_ref());
    insert(&mut body, "external_id", wanted.external_id.as_ref());
    if body.is_empty() {
        return Err(ToolError::Refused(
            "Nothing to change: pass status, title, content or external_id.".into(),
        ));
    }
    call.still_wanted()?;
    let Place {
        project,
        requirement,
    } = &place;
    let sent = call
        .client()
        .update_task(call.caller(), project, requirement, id, body.into())
        .await;
    let (task, how) = match sent {
        Ok(Some(task)) => (task, Confirmed::ByAnswer),
        Ok(None) => {
            let task = place.task(&call, id).await.unwrap_or_else(|_| bare(id));
            (task, Confirmed::ByAnswer)
        }
        Err(error) if error.is_unclear() => match place.task(&call, id).await {
            Ok(task) if is_changed(&wanted, &task) => (task, Confirmed::ByReadingBack),
            _ => {
                return Err(unknown(
                    error,
                    &format!(
                        "Check with get_project_task {id} of {requirement} before trying again."
                    ),
                ));
            }
        },
        Err(error) => return Err(place.no_task(error, id)),
    };
    let task = task.without_content();
    let text = format!("Updated{how}: {}", render::task_line(&task));
    Ok((text, place.one(task)))
}

/// Whether the task is as the call wanted it.
fn is_changed(wanted: &Update, found: &Task) -> bool {
    shows(
        wanted.status.map(TaskStatus::as_str),
        found.status.as_deref(),
        false,
    ) && shows(wanted.title.as_deref(), found.title.as_deref(), false)
        && shows(wanted.content.as_deref(), found.content.as_deref(), false)
        && shows(
            wanted.external_id.as_deref(),
            found.external_id.as_deref(),
            false,
        )
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Delete {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
    task_id: TaskRef,
    /// Must be true: the user agreed
    #[serde(default)]
    confirm: bool,
}

#[derive(Serialize)]
struct Deleted {
    deleted: bool,
    task_id: String,
}

async fn delete(call: Call, wanted: Delete) -> Result<(String, Deleted), ToolError> {
    let id = &wanted.task_id;
    if !wanted.confirm {
        return Err(ToolError::Refused(format!(
            "Deleting {id} cannot be undone. Ask the user, then pass confirm: true."
        )));
    }
    let place = Place::find(&call, wanted.project_id, wanted.requirement_id).await?;
    call.still_wanted()?;
    let Place {
        project,
        requirement,
    } = &place;
    let how = match call
        .client()
        .delete_task(call.caller(), project, requirement, id)
        .await
    {
        Ok(()) => Confirmed::ByAnswer,
        Err(error) if error.is_unclear() => match place.task(&call, id).await {
            Err(ApiError::NotFound(_)) => Confirmed::ByReadingBack,
            _ => {
                return Err(unknown(
                    error,
                    &format!(
                        "Check with get_project_task {id} of {requirement} before trying again."
                    ),
                ));
            }
        },
        Err(error) => return Err(place.no_task(error, id)),
    };
    let text = format!("Deleted {id} of {requirement}{how}.");
    Ok((
        text,
        Deleted {
            deleted: true,
            task_id: id.to_string(),
        },
    ))
}

fn lines(tasks: &[Task]) -> String {
    let lines: Vec<_> = tasks
        .iter()
        .map(|task| format!("- {}", render::task_line(task)))
        .collect();
    lines.join("\n")
}

fn titled(title: &str) -> Task {
    Task {
        title: Some(title.to_owned()),
        ..Task::default()
    }
}

fn bare(id: &TaskRef) -> Task {
    Task {
        short_id: Some(id.to_string()),
        ..Task::default()
    }
}
