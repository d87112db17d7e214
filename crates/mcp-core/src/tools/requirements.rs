//! Tools about requirements.

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    args::{Repositories, RequirementStatus, Text, paging},
    definition::Definition,
    projects::choose,
    readback::{Confirmed, Lookalike, created_since, perhaps, shows, unknown},
    render,
    run::{Call, ToolError},
};
use crate::{
    ApiError, ProjectRef, RequirementRef,
    braingrid::{Paging, model::Requirement},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        Definition::read(
            "list_project_requirements",
            "List a project's requirements.",
            list,
        ),
        Definition::read(
            "get_project_requirement",
            "Show a requirement: its spec in Markdown, status, tasks.",
            get,
        ),
        Definition::write(
            "create_requirement",
            "Let BrainGrid refine a rough idea into a requirement. Takes minutes, costs credits. \
             Also called create_project_requirement.",
            create,
        )
        .slow(),
        Definition::write(
            "capture_project_requirement",
            "Save a finished spec as a requirement, word for word.",
            capture,
        ),
        Definition::write(
            "update_project_requirement",
            "Change a requirement.",
            update,
        )
        .idempotent()
        .destructive(),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct List {
    project_id: Option<ProjectRef>,
    status: Option<RequirementStatus>,
    #[serde(default)]
    include_content: bool,
    page: Option<u32>,
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
    #[schemars(skip)]
    total: Option<u64>,
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
    let project_id = project.to_string();
    Ok((
        text,
        RequirementList {
            project_id,
            requirements: page.items,
            has_more,
            total: page.total,
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
#[serde(deny_unknown_fields)]
struct Get {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
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

/// The limits BrainGrid has for a rough idea.
const PROMPT: std::ops::RangeInclusive<usize> = 10..=5000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Create {
    /// The rough idea, 10-5000 characters
    #[serde(alias = "prompt")]
    message: Text,
    /// owner/name, comma-separated; picks the project unless given
    repositories: Option<Repositories>,
    project_id: Option<ProjectRef>,
    tags: Option<Vec<Text>>,
}

async fn create(call: Call, wanted: Create) -> Result<(String, OneRequirement), ToolError> {
    let by_repository = wanted.project_id.is_none() && call.default_project().is_none();
    let mut prompt = wanted.message.into_string();
    if let Some(repositories) = wanted
        .repositories
        .as_ref()
        .filter(|list| list.first().is_some())
        && !by_repository
    {
        prompt = format!("{prompt}\n\nRepositories: {}", repositories.joined());
    }
    let length = prompt.chars().count();
    if !PROMPT.contains(&length) {
        return Err(ToolError::Refused(format!(
            "Bad argument `message`: BrainGrid takes 10 to 5000 characters, this has {length}."
        )));
    }
    let project = choose(&call, wanted.project_id, wanted.repositories.as_ref()).await?;
    let mut body = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
    insert(&mut body, "tags", wanted.tags);
    call.still_wanted()?;
    let begun = Timestamp::now();
    let sent = call
        .client()
        .specify_requirement(call.caller(), &project, body.into())
        .await;
    match sent {
        Ok(Some(found)) => {
            let text = format!("Created in {project}.\n{}", render::requirement(&found));
            Ok((text, one(&project, found)))
        }
        Ok(None) => {
            let text = format!("Created in {project}; list_project_requirements shows it.");
            Ok((text, one(&project, Requirement::default())))
        }
        Err(error) if error.is_unclear() => {
            // Its name is BrainGrid's choice, so that it can be pointed at but not recognized.
            let mut made = all(&call, &project).await;
            made.retain(|item| created_since(item.created_at.as_deref(), begun));
            let hint = match made.as_slice() {
                [] => format!(
                    "BrainGrid may still be working: look at list_project_requirements \
                               of {project} in a minute, before trying again."
                ),
                made => format!(
                    "Check before trying again; made in {project} since then:\n{}",
                    lines(made)
                ),
            };
            Err(unknown(error, &hint))
        }
        Err(error) => Err(no_project(error, &project)),
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Capture {
    project_id: Option<ProjectRef>,
    name: Text,
    /// Markdown
    #[serde(alias = "description")]
    content: Text,
    tags: Option<Vec<Text>>,
    /// User UUID
    #[serde(alias = "assigned_to")]
    assignee_id: Option<Text>,
}

async fn capture(call: Call, wanted: Capture) -> Result<(String, OneRequirement), ToolError> {
    let project = choose(&call, wanted.project_id, None).await?;
    let name = wanted.name.into_string();
    let mut body = Map::new();
    insert(&mut body, "name", Some(&name));
    insert(&mut body, "content", Some(wanted.content));
    insert(&mut body, "tags", wanted.tags);
    insert(&mut body, "assigned_to", wanted.assignee_id);
    call.still_wanted()?;
    let begun = Timestamp::now();
    let sent = call
        .client()
        .create_requirement(call.caller(), &project, body.into())
        .await;
    let (found, how) = match sent {
        Ok(found) => (found.unwrap_or_else(|| named(&name)), Confirmed::ByAnswer),
        Err(error) if error.is_unclear() => {
            let mut same = all(&call, &project).await;
            same.retain(|item| item.name.as_deref() == Some(&name));
            match Lookalike::of(same, begun, |item| item.created_at.as_deref()) {
                Lookalike::Surely(found) => (found, Confirmed::ByReadingBack),
                Lookalike::Perhaps(same) => {
                    let hint =
                        format!("Look for \"{name}\" in list_project_requirements of {project}");
                    return Err(unknown(error, &perhaps(&hint, &lines(&same))));
                }
            }
        }
        Err(error) => return Err(no_project(error, &project)),
    };
    let found = found.without_content();
    let text = format!(
        "Saved in {project}{how}: {}",
        render::requirement_line(&found)
    );
    Ok((text, one(&project, found)))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Update {
    project_id: Option<ProjectRef>,
    requirement_id: RequirementRef,
    status: Option<RequirementStatus>,
    name: Option<Text>,
    /// Markdown, replaces the spec
    #[serde(alias = "description")]
    content: Option<Text>,
    /// User UUID
    #[serde(alias = "assigned_to")]
    assignee_id: Option<Text>,
}

async fn update(call: Call, wanted: Update) -> Result<(String, OneRequirement), ToolError> {
    let project = choose(&call, wanted.project_id.clone(), None).await?;
    let id = &wanted.requirement_id;
    let mut body = Map::new();
    insert(
        &mut body,
        "status",
        wanted.status.map(RequirementStatus::as_str),
    );
    insert(&mut body, "name", wanted.name.as_ref());
    insert(&mut body, "content", wanted.content.as_ref());
    insert(&mut body, "assigned_to", wanted.assignee_id.as_ref());
    if body.is_empty() {
        return Err(ToolError::Refused(
            "Nothing to change: pass status, name, content or assignee_id.".into(),
        ));
    }
    call.still_wanted()?;
    let sent = call
        .client()
        .update_requirement(call.caller(), &project, id, body.into())
        .await;
    let (found, how) = match sent {
        Ok(Some(found)) => (found, Confirmed::ByAnswer),
        Ok(None) => (
            read_back(&call, &project, id)
                .await
                .unwrap_or_else(|| bare(id)),
            Confirmed::ByAnswer,
        ),
        Err(error) if error.is_unclear() => match read_back(&call, &project, id).await {
            Some(found) if is_changed(&wanted, &found) => (found, Confirmed::ByReadingBack),
            _ => {
                return Err(unknown(
                    error,
                    &format!("Check with get_project_requirement {id} before trying again."),
                ));
            }
        },
        Err(error) => return Err(no_requirement(error, &project, id)),
    };
    let found = found.without_content();
    let text = format!("Updated{how}: {}", render::requirement_line(&found));
    Ok((text, one(&project, found)))
}

/// Whether the requirement is as the call wanted it.
fn is_changed(wanted: &Update, found: &Requirement) -> bool {
    shows(
        wanted.status.map(RequirementStatus::as_str),
        found.status.as_deref(),
        false,
    ) && shows(wanted.name.as_deref(), found.name.as_deref(), false)
        && shows(wanted.content.as_deref(), found.content.as_deref(), false)
        && shows(
            wanted.assignee_id.as_deref(),
            found.assigned_to.as_deref(),
            false,
        )
}

async fn read_back(call: &Call, project: &ProjectRef, id: &RequirementRef) -> Option<Requirement> {
    call.client()
        .requirement(call.caller(), project, id)
        .await
        .ok()
}

/// The requirements of a project, as far as they fit one page; none when they cannot be had.
async fn all(call: &Call, project: &ProjectRef) -> Vec<Requirement> {
    let all = Paging {
        page: 1,
        limit: 100,
    };
    let found = call
        .client()
        .requirements(call.caller(), project, all, None)
        .await;
    found.map(|page| page.items).unwrap_or_default()
}

fn lines(requirements: &[Requirement]) -> String {
    let lines: Vec<_> = requirements
        .iter()
        .map(|item| format!("- {}", render::requirement_line(item)))
        .collect();
    lines.join("\n")
}

fn named(name: &str) -> Requirement {
    Requirement {
        name: Some(name.to_owned()),
        ..Requirement::default()
    }
}

fn bare(id: &RequirementRef) -> Requirement {
    Requirement {
        short_id: Some(id.to_string()),
        ..Requirement::default()
    }
}

fn one(project: &ProjectRef, requirement: Requirement) -> OneRequirement {
    OneRequirement {
        project_id: project.to_string(),
        requirement,
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
