//! Tools whose route at BrainGrid is a pure guess: off unless asked for, and they say so.

use std::fmt::Write as _;

use futures::FutureExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    args::Text,
    call::Call,
    definition::{Definition, ToolOutput, answer},
    error::ToolError,
    journal::Made,
    projects::choose,
    readback::unknown,
    render,
    requirements::{insert, no_requirement},
};
use crate::{
    ApiError, ProjectRef, RequirementRef,
    braingrid::{
        Paging,
        model::{Requirement, Task},
    },
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        Definition::read(
            "build_project_requirement",
            "Experimental: everything needed to build a requirement, and how to go about it.",
            build,
        )
        .experimental(),
        Definition::write(
            "acceptance_review",
            "Experimental, guessed API: review a pull request against a requirement. Takes minutes.",
            review,
        )
        .show_again(|_, made| std::future::ready(show_again(made)).boxed())
        .slow()
        .experimental(),
        Definition::write(
            "create_git_branch",
            "Experimental, guessed API: create a git branch for a requirement.",
            branch,
        )
        .show_again(|_, made| std::future::ready(show_again(made)).boxed())
        .open_world()
        .experimental(),
        Definition::write(
            "add_requirement_tag",
            "Experimental, guessed API: add a tag to a requirement.",
            tag,
        )
        .show_again(|_, made| std::future::ready(show_again(made)).boxed())
        .idempotent()
        .experimental(),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Build {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    requirement_id: RequirementRef,
}

#[derive(Serialize, JsonSchema)]
struct Guide {
    requirement: Requirement,
    tasks: Vec<Task>,
}

const HOW: &str = "Work through the tasks in order. For each: update_project_task to IN_PROGRESS, \
do it, check it against the acceptance criteria, update_project_task to COMPLETED.";

async fn build(call: Call, wanted: Build) -> Result<(String, Guide), ToolError> {
    let project = choose(&call, wanted.project_id, None).await?;
    let id = &wanted.requirement_id;
    let found = call.client().requirement(call.caller(), &project, id).await;
    let mut requirement = found.map_err(|error| no_requirement(error, &project, id))?;
    let all = Paging {
        page: 1,
        limit: 100,
    };
    let tasks = call
        .client()
        .tasks(call.caller(), &project, id, all, None)
        .await?
        .items;
    requirement.tasks.clear();
    let mut text = format!("{HOW}\n\n{}\n", render::requirement(&requirement));
    for task in &tasks {
        let _ = write!(text, "\n{}\n", render::task(task));
    }
    let guide = Guide {
        requirement: requirement.just_made(),
        tasks: tasks.into_iter().map(Task::brief).collect(),
    };
    call.tell(HOW);
    Ok((text, guide))
}

#[derive(Deserialize, JsonSchema)]
struct Review {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    requirement_id: RequirementRef,
    /// Number of the pull request
    #[schemars(range(min = 1))]
    pr: u32,
}

#[derive(Serialize, JsonSchema)]
struct Raw {
    answer: Value,
}

async fn review(call: Call, wanted: Review) -> Result<(String, Raw), ToolError> {
    let mut body = Map::new();
    insert(&mut body, "pr", Some(wanted.pr));
    let (project, id) = (
        choose(&call, wanted.project_id, None).await?,
        &wanted.requirement_id,
    );
    call.before_write().await?;
    let sent = call
        .client()
        .review(call.caller(), &project, id, body.into())
        .await;
    raw(sent, "Reviewed", &project, id)
}

#[derive(Deserialize, JsonSchema)]
struct Branch {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    requirement_id: RequirementRef,
    /// Of the branch; default: BrainGrid's choice
    name: Option<Text>,
    /// The branch to start from
    base: Option<Text>,
}

async fn branch(call: Call, wanted: Branch) -> Result<(String, Raw), ToolError> {
    let mut body = Map::new();
    insert(&mut body, "name", wanted.name);
    insert(&mut body, "base", wanted.base);
    let (project, id) = (
        choose(&call, wanted.project_id, None).await?,
        &wanted.requirement_id,
    );
    call.before_write().await?;
    let sent = call
        .client()
        .create_branch(call.caller(), &project, id, body.into())
        .await;
    raw(sent, "Branch created", &project, id)
}

#[derive(Deserialize, JsonSchema)]
struct Tag {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    requirement_id: RequirementRef,
    /// Of the tag
    name: Text,
    /// Hexadecimal: #RGB or #RRGGBB
    color: Option<Text>,
}

async fn tag(call: Call, wanted: Tag) -> Result<(String, Raw), ToolError> {
    let mut body = Map::new();
    insert(&mut body, "name", Some(wanted.name));
    insert(&mut body, "color", wanted.color);
    let (project, id) = (
        choose(&call, wanted.project_id, None).await?,
        &wanted.requirement_id,
    );
    call.before_write().await?;
    let sent = call
        .client()
        .add_tag(call.caller(), &project, id, body.into())
        .await;
    raw(sent, "Tagged", &project, id)
}

/// What a call was answered before, as far as that was kept.
fn show_again(made: Made) -> Result<Option<ToolOutput>, ToolError> {
    let id = made.requirement.as_deref().unwrap_or("the requirement");
    let answered = match made.answer {
        Some(shown) => (format!("Done ({id}).\n{shown:#}"), Raw { answer: shown }),
        None => {
            let text = format!("Done ({id}); what BrainGrid answered was not kept.");
            (
                text,
                Raw {
                    answer: Value::Null,
                },
            )
        }
    };
    answer(answered).map(Some)
}

/// The answer as it came: nothing is known about its shape.
fn raw(
    sent: Result<Option<Value>, ApiError>,
    done: &str,
    project: &ProjectRef,
    id: &RequirementRef,
) -> Result<(String, Raw), ToolError> {
    match sent {
        Ok(answer) => {
            let answer = answer.unwrap_or_default();
            Ok((format!("{done} ({id}).\n{answer:#}"), Raw { answer }))
        }
        Err(error) if error.is_unclear() => Err(unknown(
            error,
            &format!("Check {id} in BrainGrid before trying again."),
            false,
        )),
        Err(error) => Err(no_requirement(error, project, id)),
    }
}
