//! Tools that make and change requirements.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::{
    super::{
        args::{Repositories, RequirementStatus, Text},
        projects::choose,
        readback::{Confirmed, Lookalike, accepted, created_since, perhaps, shows, unknown},
        render,
        run::{Call, ToolError},
    },
    OneRequirement, insert, no_project, no_requirement, one, read_back,
};
use crate::{
    ProjectRef, RequirementRef,
    braingrid::{Paging, model::Requirement},
};

/// The limits BrainGrid has for a rough idea.
const PROMPT: std::ops::RangeInclusive<usize> = 10..=5000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    /// The rough idea, 10-5000 characters
    pub(super) message: Text,
    /// owner/name, comma-separated; picks the project unless given
    pub(super) repositories: Option<Repositories>,
    pub(super) project_id: Option<ProjectRef>,
    pub(super) tags: Option<Vec<Text>>,
}

pub(super) async fn create(
    call: Call,
    wanted: Create,
) -> Result<(String, OneRequirement), ToolError> {
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
    call.before_write().await?;
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
            let text = accepted("list_project_requirements", &project);
            Ok((text, one(&project, Requirement::default())))
        }
        Err(error) if error.is_unclear() => {
            // Its name is BrainGrid's choice, so that it can be pointed at but not recognized.
            let mut made = all(&call, &project).await;
            made.retain(|item| created_since(item.created_at.as_deref(), begun));
            let hint = match made.as_slice() {
                [] => format!(
                    "BrainGrid may still be working: look at list_project_requirements of {project} \
                     in a minute, before trying again."
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
pub(super) struct Capture {
    pub(super) project_id: Option<ProjectRef>,
    pub(super) name: Text,
    /// Markdown
    pub(super) content: Text,
    pub(super) tags: Option<Vec<Text>>,
    /// User UUID
    pub(super) assignee_id: Option<Text>,
}

pub(super) async fn capture(
    call: Call,
    wanted: Capture,
) -> Result<(String, OneRequirement), ToolError> {
    let project = choose(&call, wanted.project_id, None).await?;
    let name = wanted.name.into_string();
    let mut body = Map::new();
    insert(&mut body, "name", Some(&name));
    insert(&mut body, "content", Some(wanted.content));
    insert(&mut body, "tags", wanted.tags);
    insert(&mut body, "assigned_to", wanted.assignee_id);
    call.before_write().await?;
    let begun = Timestamp::now();
    let sent = call
        .client()
        .create_requirement(call.caller(), &project, body.into())
        .await;
    let (found, how) = match sent {
        Ok(Some(found)) => (found, Confirmed::ByAnswer),
        Ok(None) => {
            let text = accepted("list_project_requirements", &project);
            return Ok((text, one(&project, named(&name))));
        }
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
pub(super) struct Update {
    pub(super) project_id: Option<ProjectRef>,
    pub(super) requirement_id: RequirementRef,
    pub(super) status: Option<RequirementStatus>,
    pub(super) name: Option<Text>,
    /// Markdown, replaces the spec
    pub(super) content: Option<Text>,
    /// User UUID
    pub(super) assignee_id: Option<Text>,
}

pub(super) async fn update(
    call: Call,
    wanted: Update,
) -> Result<(String, OneRequirement), ToolError> {
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
    call.before_write().await?;
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
