//! Tools about requirements; those that change them are in `write`.

mod write;

use futures::{
    FutureExt,
    stream::{self, StreamExt},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    args::{DEFAULT_LIMIT, MAX_LIMIT, RequirementStatus, paging},
    call::Call,
    definition::{Definition, ToolOutput, answer},
    error::ToolError,
    journal::Made,
    projects::choose,
    readback::shows,
    render,
};
use crate::{ApiError, ProjectRef, RequirementRef, braingrid::model::Requirement};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        Definition::read(
            "list_project_requirements",
            "What is to be built in a project: id, name, status, progress of each. Use it to find a requirement_id.",
            list,
        ),
        Definition::read(
            "get_project_requirement",
            "Show a requirement: its spec in Markdown, status, tasks.",
            get,
        ),
        Definition::create(
            "create_requirement",
            "Let BrainGrid refine a rough idea into a requirement. Takes minutes, costs credits. \
             Also called create_project_requirement.",
            write::create,
            |call, made| show_again(call, made).boxed(),
        )
        .slow(),
        Definition::create(
            "capture_project_requirement",
            "Save a finished spec as a requirement, word for word.",
            write::capture,
            |call, made| show_again(call, made).boxed(),
        ),
        Definition::write(
            "update_project_requirement",
            "Set status, title, spec or assignee of a requirement; what is left out stays.",
            write::update,
        )
        .show_again(|call, made| show_again(call, made).boxed())
        .idempotent()
        .destructive(),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct List {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// Only those in it
    status: Option<RequirementStatus>,
    /// With the Markdown of each
    #[serde(default)]
    include_content: bool,
    /// `next_page` of the answer before
    #[schemars(range(min = 1), extend("default" = 1))]
    page: Option<u32>,
    /// Items a page
    #[schemars(range(min = 1, max = MAX_LIMIT), extend("default" = DEFAULT_LIMIT))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
struct RequirementList {
    #[schemars(skip)]
    project_id: String,
    requirements: Vec<Requirement>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<u32>,
}

async fn list(call: Call, wanted: List) -> Result<(String, RequirementList), ToolError> {
    let project = choose(&call, wanted.project_id, None).await?;
    let paging = paging(wanted.page, wanted.limit);
    let status = wanted.status.map(RequirementStatus::as_str);
    let found = call
        .client()
        .requirements(call.caller(), &project, paging, status)
        .await;
    let mut page = found.map_err(|error| no_project(error, &project))?;
    let has_more = render::more(&page, paging);
    // BrainGrid may leave the filter aside.
    page.items
        .retain(|item| shows(status, item.status.as_deref(), true));
    if wanted.include_content {
        page.items = with_content(&call, &project, page.items).await;
    } else {
        page.items = page
            .items
            .into_iter()
            .map(Requirement::without_content)
            .collect();
    }
    let line = |item: &Requirement| match &item.content {
        Some(content) => format!("{}\n\n{}\n", render::requirement_line(item), content.trim()),
        None => render::requirement_line(item),
    };
    let text = render::list(&page, has_more, paging, "requirements", line);
    call.note_all(render::remainder(&page, has_more, paging));
    let project_id = project.to_string();
    Ok((
        text,
        RequirementList {
            project_id,
            requirements: page.items.into_iter().map(Requirement::brief).collect(),
            has_more,
            next_page: render::next_page(has_more, paging),
        },
    ))
}

/// How many requirements are fetched at once when the list does not hold their content.
const AT_ONCE: usize = 8;

/// The same requirements, those without content fetched one by one.
async fn with_content(
    call: &Call,
    project: &ProjectRef,
    items: Vec<Requirement>,
) -> Vec<Requirement> {
    let whole = items.into_iter().map(async |item| {
        let id = item.reference().and_then(|id| id.parse().ok());
        match id.filter(|_| item.content.is_none()) {
            Some(id) => read_back(call, project, &id).await.unwrap_or(item),
            None => item,
        }
    });
    stream::iter(whole).buffered(AT_ONCE).collect().await
}

#[derive(Deserialize, JsonSchema)]
struct Get {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    requirement_id: RequirementRef,
    /// With the Markdown
    #[schemars(extend("default" = true))]
    include_content: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct OneRequirement {
    #[schemars(skip)]
    project_id: String,
    requirement: Requirement,
}

async fn get(call: Call, wanted: Get) -> Result<(String, OneRequirement), ToolError> {
    let project = choose(&call, wanted.project_id, None).await?;
    let id = &wanted.requirement_id;
    let found = call.client().requirement(call.caller(), &project, id).await;
    let mut requirement = found.map_err(|error| no_requirement(error, &project, id))?;
    if wanted.include_content == Some(false) {
        requirement = requirement.without_content();
    }
    Ok((
        render::requirement(&requirement),
        one(&project, requirement),
    ))
}

/// The requirement that a call made or changed before; nothing if it is gone.
async fn show_again(call: Call, made: Made) -> Result<Option<ToolOutput>, ToolError> {
    let project = Made::id(made.project.as_ref());
    let Some((project, id)) = project.zip(Made::id(made.requirement.as_ref())) else {
        return Err(made.cannot_be_shown("list_project_requirements"));
    };
    match call
        .client()
        .requirement(call.caller(), &project, &id)
        .await
    {
        Ok(found) => {
            let text = render::requirement(&found);
            answer((text, one(&project, found.just_made()))).map(Some)
        }
        Err(ApiError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

async fn read_back(call: &Call, project: &ProjectRef, id: &RequirementRef) -> Option<Requirement> {
    call.client()
        .requirement(call.caller(), project, id)
        .await
        .ok()
}

fn one(project: &ProjectRef, requirement: Requirement) -> OneRequirement {
    OneRequirement {
        project_id: project.to_string(),
        requirement: requirement.named_once(),
    }
}

/// Puts a value into a body, if there is one.
pub(super) fn insert(body: &mut Map<String, Value>, name: &str, value: Option<impl Serialize>) {
    if let Some(value) = value
        && let Ok(value) = serde_json::to_value(value)
    {
        body.insert(name.to_owned(), value);
    }
}

fn no_project(error: ApiError, project: &ProjectRef) -> ToolError {
    match error {
        ApiError::NotFound(_) => {
            let text =
                format!("There is no project {project}. list_projects shows which there are.");
            ToolError::Explained(error, text)
        }
        error => error.into(),
    }
}

pub(super) fn no_requirement(
    error: ApiError,
    project: &ProjectRef,
    id: &RequirementRef,
) -> ToolError {
    match error {
        ApiError::NotFound(_) => ToolError::Explained(
            error,
            format!(
                "There is no {id} in {project}. list_project_requirements shows which there are."
            ),
        ),
        error => error.into(),
    }
}
