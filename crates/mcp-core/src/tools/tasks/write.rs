//! Tools that change tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Map;

use super::{
    super::{
        args::{TaskStatus, Text},
        call::Call,
        definition::{ToolOutput, answer},
        error::ToolError,
        journal::Made,
        readback::{Confirmed, Listed, Lookalike, accepted, perhaps, reads, shows, unknown},
        render,
        requirements::insert,
    },
    OneTask, Place, TaskList,
};
use crate::{ApiError, ProjectRef, RequirementRef, TaskRef, braingrid::model::Task};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Breakdown {
    /// PROJ-n or UUID; default: the only one
    pub(super) project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    pub(super) requirement_id: RequirementRef,
}

pub(super) async fn breakdown(
    call: Call,
    wanted: Breakdown,
) -> Result<(String, TaskList), ToolError> {
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
    // Unless they may be what the same call made before.
    if !before.items.is_empty() && !call.place().is_looked_for() {
        return Err(ToolError::Refused(format!(
            "{requirement} already has {} tasks. list_project_tasks shows them; add more with create_project_task.",
            before.items.len()
        )));
    }
    call.before_write().await?;
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
            let all = Listed::of(place.all(&call).await);
            if all.items.is_empty() {
                return Err(unknown(
                    error,
                    &format!(
                        "BrainGrid may still be working: look at list_project_tasks of {requirement} in a minute, before trying again."
                    ),
                    all.is_empty(),
                ));
            }
            (all.items, call.read_back())
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
    call.tell(text.lines().next().unwrap_or_default().replace(':', "."));
    Ok((text, place.many(tasks)))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    /// PROJ-n or UUID; default: the only one
    pub(super) project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    pub(super) requirement_id: RequirementRef,
    /// One line that names it
    pub(super) title: Text,
    /// The prompt, Markdown
    #[schemars(extend("format" = "markdown"))]
    pub(super) content: Option<Text>,
    /// Its id in another tracker
    pub(super) external_id: Option<Text>,
}

pub(super) async fn create(call: Call, wanted: Create) -> Result<(String, OneTask), ToolError> {
    let place = Place::find(&call, wanted.project_id, wanted.requirement_id).await?;
    let title = wanted.title.into_string();
    let mut body = Map::new();
    insert(&mut body, "title", Some(&title));
    insert(&mut body, "content", wanted.content);
    insert(&mut body, "external_id", wanted.external_id);
    let begun = call.before_write().await?;
    let Place {
        project,
        requirement,
    } = &place;
    let sent = call
        .client()
        .create_task(call.caller(), project, requirement, body.into())
        .await;
    let (task, how) = match sent {
        Ok(Some(task)) => (task, Confirmed::ByAnswer),
        Ok(None) => {
            let text = accepted("list_project_tasks", requirement);
            call.tell(text.clone());
            return Ok((text, place.one(titled(&title))));
        }
        Err(error) if error.is_unclear() => {
            let all = Listed::of(place.all(&call).await);
            let is_same = |task: &Task| reads(Some(&title), task.title.as_deref());
            let absent = all.has_none_since(begun, |task| task.created_at.as_deref());
            let same = all.items.into_iter().filter(is_same).collect();
            match Lookalike::of(same, begun, |task| task.created_at.as_deref()) {
                Lookalike::Surely(task) => (task, call.read_back()),
                Lookalike::Perhaps(same) => {
                    let hint =
                        format!("Look for \"{title}\" in list_project_tasks of {requirement}");
                    return Err(unknown(error, &perhaps(&hint, &lines(&same)), absent));
                }
            }
        }
        Err(error) => return Err(place.no_requirement(error)),
    };
    let task = task.without_content();
    let text = format!("Added to {requirement}{how}: {}", render::task_line(&task));
    call.tell(format!("Added to {requirement}{how}."));
    Ok((text, place.one(task.brief())))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    /// PROJ-n or UUID; default: the only one
    pub(super) project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    pub(super) requirement_id: RequirementRef,
    /// TASK-n or UUID
    pub(super) task_id: TaskRef,
    /// What it becomes
    pub(super) status: Option<TaskStatus>,
    /// The new title
    pub(super) title: Option<Text>,
    /// Markdown, replaces the prompt
    #[schemars(extend("format" = "markdown"))]
    pub(super) content: Option<Text>,
    /// Its id in another tracker
    pub(super) external_id: Option<Text>,
}

pub(super) async fn update(call: Call, wanted: Update) -> Result<(String, OneTask), ToolError> {
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
    call.before_write().await?;
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
            Ok(task) if is_changed(&wanted, &task) => (task, call.read_back()),
            found => {
                return Err(unknown(
                    error,
                    &format!(
                        "Check with get_project_task {id} of {requirement} before trying again."
                    ),
                    found.is_ok(),
                ));
            }
        },
        Err(error) => return Err(place.no_task(error, id)),
    };
    let task = task.without_content();
    let text = format!("Updated{how}: {}", render::task_line(&task));
    call.tell(format!("Updated{how}."));
    Ok((text, place.one(task.brief())))
}

/// Whether the task is as the call wanted it.
fn is_changed(wanted: &Update, found: &Task) -> bool {
    shows(
        wanted.status.map(TaskStatus::as_str),
        found.status.as_deref(),
        false,
    ) && reads(wanted.title.as_deref(), found.title.as_deref())
        && reads(wanted.content.as_deref(), found.content.as_deref())
        && reads(wanted.external_id.as_deref(), found.external_id.as_deref())
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Delete {
    /// PROJ-n or UUID; default: the only one
    pub(super) project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    pub(super) requirement_id: RequirementRef,
    /// TASK-n or UUID
    pub(super) task_id: TaskRef,
    /// Must be true: the user agreed
    #[serde(default)]
    pub(super) confirm: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Deleted {
    pub(super) deleted: bool,
    pub(super) task_id: String,
}

pub(super) async fn delete(call: Call, wanted: Delete) -> Result<(String, Deleted), ToolError> {
    let id = &wanted.task_id;
    if !wanted.confirm {
        return Err(ToolError::Refused(format!(
            "Deleting {id} cannot be undone. Ask the user, then pass confirm: true."
        )));
    }
    let place = Place::find(&call, wanted.project_id, wanted.requirement_id).await?;
    call.before_write().await?;
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
            Err(ApiError::NotFound(_)) => call.read_back(),
            found => {
                return Err(unknown(
                    error,
                    &format!(
                        "Check with get_project_task {id} of {requirement} before trying again."
                    ),
                    found.is_ok(),
                ));
            }
        },
        Err(error) => return Err(place.no_task(error, id)),
    };
    let text = format!("Deleted {id} of {requirement}{how}.");
    call.tell(text.clone());
    Ok((
        text,
        Deleted {
            deleted: true,
            task_id: id.to_string(),
        },
    ))
}

/// What a call deleted before.
pub(super) fn show_deleted(made: Made) -> Result<Option<ToolOutput>, ToolError> {
    let id = made.task.unwrap_or_default();
    let text = format!("Deleted {id}.");
    answer((
        text,
        Deleted {
            deleted: true,
            task_id: id,
        },
    ))
    .map(Some)
}

pub(super) fn lines(tasks: &[Task]) -> String {
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
