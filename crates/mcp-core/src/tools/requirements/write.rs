//! Tools that make and change requirements.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

use super::{
    super::{
        args::{Repositories, RequirementStatus, Text},
        call::Call,
        error::ToolError,
        projects::{choose, choose_for},
        readback::{
            ALL, Confirmed, Listed, Lookalike, accepted, created_since, perhaps, reads, shows,
            unknown,
        },
        render,
    },
    OneRequirement, insert, no_project, no_requirement, one, read_back,
};
use crate::{ProjectRef, RequirementRef, braingrid::model::Requirement};

/// The limits BrainGrid has for a rough idea.
const PROMPT: std::ops::RangeInclusive<usize> = 10..=5000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    /// The rough idea
    #[schemars(length(min = 10, max = 5000), extend("format" = "markdown"))]
    pub(super) message: Text,
    /// owner/name, comma-separated; picks the project unless given
    pub(super) repositories: Option<Repositories>,
    /// PROJ-n or UUID; default: the only one
    pub(super) project_id: Option<ProjectRef>,
    /// Names of tags
    pub(super) tags: Option<Vec<Text>>,
}

pub(super) async fn create(
    call: Call,
    wanted: Create,
) -> Result<(String, OneRequirement), ToolError> {
    let mut prompt = wanted.message.into_string();
    fits(&prompt)?;
    let chosen = choose_for(&call, wanted.project_id, wanted.repositories.as_ref()).await?;
    let project = chosen.project;
    // What the project does not tell of them would be lost.
    let named = wanted.repositories.iter().flat_map(Repositories::iter);
    let unlinked: Vec<_> = named
        .filter(|name| !chosen.linked.iter().any(|linked| linked == name))
        .collect();
    if !unlinked.is_empty() {
        prompt = format!("{prompt}\n\nRepositories: {}", unlinked.join(", "));
        fits(&prompt)?;
    }
    let mut body = Map::from_iter([("prompt".to_owned(), json!(prompt))]);
    insert(&mut body, "tags", wanted.tags);
    let begun = call.before_write().await?;
    let sent = call
        .client()
        .specify_requirement(call.caller(), &project, body.into())
        .await;
    match sent {
        Ok(Some(found)) => {
            let headline = format!("Created in {project}.");
            let text = format!("{headline}\n{}", render::requirement(&found));
            call.tell(headline);
            Ok((text, one(&project, found.just_made())))
        }
        Ok(None) => {
            let text = accepted("list_project_requirements", &project);
            call.tell(text.clone());
            Ok((text, one(&project, Requirement::default())))
        }
        Err(error) if error.is_unclear() => {
            // Its name is BrainGrid's choice, so that it can be pointed at but not recognized.
            let all = all(&call, &project).await;
            let is_new = |item: &Requirement| created_since(item.created_at.as_deref(), begun);
            let absent = all.has_none_since(begun, |item| item.created_at.as_deref());
            let made: Vec<_> = all.items.into_iter().filter(is_new).collect();
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
            Err(unknown(error, &hint, absent))
        }
        Err(error) => Err(no_project(error, &project)),
    }
}

/// # Errors
/// When BrainGrid would not take a prompt of this length.
fn fits(prompt: &str) -> Result<(), ToolError> {
    let length = prompt.chars().count();
    if PROMPT.contains(&length) {
        return Ok(());
    }
    Err(ToolError::Refused(format!(
        "Bad argument `message`: BrainGrid takes 10 to 5000 characters, this has {length}."
    )))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Capture {
    /// PROJ-n or UUID; default: the only one
    pub(super) project_id: Option<ProjectRef>,
    /// One line that names it
    pub(super) name: Text,
    /// The spec in Markdown
    #[schemars(extend("format" = "markdown"))]
    pub(super) content: Text,
    /// Names of tags
    pub(super) tags: Option<Vec<Text>>,
    /// UUID of a user
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
    let begun = call.before_write().await?;
    let sent = call
        .client()
        .create_requirement(call.caller(), &project, body.into())
        .await;
    let (found, how) = match sent {
        Ok(Some(found)) => (found, Confirmed::ByAnswer),
        Ok(None) => {
            let text = accepted("list_project_requirements", &project);
            call.tell(text.clone());
            return Ok((text, one(&project, named(&name))));
        }
        Err(error) if error.is_unclear() => {
            let all = all(&call, &project).await;
            let is_same = |item: &Requirement| reads(Some(&name), item.name.as_deref());
            let absent = all.has_none_since(begun, |item| item.created_at.as_deref());
            let same = all.items.into_iter().filter(is_same).collect();
            match Lookalike::of(same, begun, |item| item.created_at.as_deref()) {
                Lookalike::Surely(found) => (found, call.read_back()),
                Lookalike::Perhaps(same) => {
                    let hint =
                        format!("Look for \"{name}\" in list_project_requirements of {project}");
                    return Err(unknown(error, &perhaps(&hint, &lines(&same)), absent));
                }
            }
        }
        Err(error) => return Err(no_project(error, &project)),
    };
    let found = found.without_content();
    let headline = format!("Saved in {project}{how}");
    let mut text = format!("{headline}: {}", render::requirement_line(&found));
    if let Some(url) = &found.url {
        text = format!("{text}\nURL: {url}");
    }
    call.tell(headline + ".");
    Ok((text, one(&project, found.just_made())))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Update {
    /// PROJ-n or UUID; default: the only one
    pub(super) project_id: Option<ProjectRef>,
    /// REQ-n or UUID
    pub(super) requirement_id: RequirementRef,
    /// What it becomes
    pub(super) status: Option<RequirementStatus>,
    /// The new title
    pub(super) name: Option<Text>,
    /// Markdown, replaces the spec
    #[schemars(extend("format" = "markdown"))]
    pub(super) content: Option<Text>,
    /// UUID of a user
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
            Some(found) if is_changed(&wanted, &found) => (found, call.read_back()),
            found => {
                return Err(unknown(
                    error,
                    &format!("Check with get_project_requirement {id} before trying again."),
                    found.is_some(),
                ));
            }
        },
        Err(error) => return Err(no_requirement(error, &project, id)),
    };
    let found = found.without_content();
    let text = format!("Updated{how}: {}", render::requirement_line(&found));
    call.tell(format!("Updated{how}."));
    Ok((text, one(&project, found.brief())))
}

/// Whether the requirement is as the call wanted it.
fn is_changed(wanted: &Update, found: &Requirement) -> bool {
    shows(
        wanted.status.map(RequirementStatus::as_str),
        found.status.as_deref(),
        false,
    ) && reads(wanted.name.as_deref(), found.name.as_deref())
        && reads(wanted.content.as_deref(), found.content.as_deref())
        && reads(wanted.assignee_id.as_deref(), found.assigned_to.as_deref())
}

/// The requirements of a project, as far as they fit one page, and whether that is all there is.
async fn all(call: &Call, project: &ProjectRef) -> Listed<Requirement> {
    let found = call
        .client()
        .requirements(call.caller(), project, ALL, None)
        .await;
    Listed::of(found)
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
