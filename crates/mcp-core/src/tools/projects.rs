//! Tools about projects, and how a call finds its project.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    args::{DEFAULT_LIMIT, MAX_LIMIT, NoArguments, Repositories, paging},
    call::Call,
    definition::Definition,
    error::ToolError,
    render,
};
use crate::{
    ApiError, ProjectRef,
    braingrid::{
        Paging,
        model::{Profile, Project},
    },
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        Definition::read(
            "list_projects",
            "Which projects there are: id, name, repository. Start here to find a project_id.",
            list_projects,
        )
        .of_all_projects(),
        Definition::read(
            "get_project",
            "One project, found by id or repository, with its description and link.",
            get_project,
        ),
        Definition::read(
            "get_profile",
            "Whose login this is: user, e-mail address, organization.",
            get_profile,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct ListProjects {
    /// owner/name
    repository: Option<Repositories>,
    /// `next_page` of the answer before
    #[schemars(range(min = 1), extend("default" = 1))]
    page: Option<u32>,
    /// Items a page
    #[schemars(range(min = 1, max = MAX_LIMIT), extend("default" = DEFAULT_LIMIT))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
struct ProjectList {
    projects: Vec<Project>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<u32>,
}

async fn list_projects(
    call: Call,
    wanted: ListProjects,
) -> Result<(String, ProjectList), ToolError> {
    let paging = paging(wanted.page, wanted.limit);
    let repository = wanted.repository.as_ref().and_then(Repositories::first);
    let page = call
        .client()
        .projects(call.caller(), paging, repository)
        .await?;
    let has_more = render::more(&page, paging);
    let text = render::list(&page, has_more, paging, "projects", render::project_line);
    call.note_all(render::remainder(&page, has_more, paging));
    let projects = page.items.into_iter().map(Project::brief).collect();
    Ok((
        text,
        ProjectList {
            projects,
            has_more,
            next_page: render::next_page(has_more, paging),
        },
    ))
}

#[derive(Deserialize, JsonSchema)]
struct GetProject {
    /// PROJ-n or UUID; default: the only one
    project_id: Option<ProjectRef>,
    /// owner/name
    repository: Option<Repositories>,
}

#[derive(Serialize, JsonSchema)]
struct OneProject {
    project: Project,
}

async fn get_project(call: Call, wanted: GetProject) -> Result<(String, OneProject), ToolError> {
    let chosen = choose(&call, wanted.project_id, wanted.repository.as_ref()).await?;
    let found = call.client().project(call.caller(), &chosen).await;
    let project = found.map_err(|error| match error {
        ApiError::NotFound(_) => {
            let text =
                format!("There is no project {chosen}. list_projects shows which there are.");
            ToolError::Explained(error, text)
        }
        error => error.into(),
    })?;
    let text = render::project(&project);
    let project = project.named_once();
    Ok((text, OneProject { project }))
}

async fn get_profile(call: Call, _: NoArguments) -> Result<(String, Profile), ToolError> {
    let profile = call.client().profile(call.caller()).await?;
    Ok((render::profile(&profile), profile))
}

/// A project, and those of the repositories of a call that are linked to it.
pub(super) struct Chosen {
    pub(super) project: ProjectRef,
    pub(super) linked: Vec<String>,
}

impl Chosen {
    fn without_repositories(project: ProjectRef) -> Self {
        Self {
            project,
            linked: Vec::new(),
        }
    }
}

/// As [`choose_for`], for calls that are about no more than one repository.
pub(super) async fn choose(
    call: &Call,
    named: Option<ProjectRef>,
    repositories: Option<&Repositories>,
) -> Result<ProjectRef, ToolError> {
    let chosen = choose_for(call, named, repositories).await?;
    Ok(chosen.project)
}

/// The project a call means: the one it names, else the default, else the one that belongs to
/// its repositories, else the only one there is. A choice that the call did not make is noted.
///
/// # Errors
/// When none or more than one is meant; the text lists the projects to choose from.
pub(super) async fn choose_for(
    call: &Call,
    named: Option<ProjectRef>,
    repositories: Option<&Repositories>,
) -> Result<Chosen, ToolError> {
    if let Some(project) = named.or_else(|| call.taken_by_default()) {
        return Ok(Chosen::without_repositories(project));
    }
    let mut matches: Vec<(Project, Vec<String>)> = Vec::new();
    for repository in repositories.into_iter().flat_map(Repositories::iter) {
        for project in of_repository(call, repository).await? {
            let known = matches
                .iter_mut()
                .find(|(known, _)| known.reference() == project.reference());
            match known {
                Some((_, linked)) => linked.push(repository.to_owned()),
                None => matches.push((project, vec![repository.to_owned()])),
            }
        }
    }
    match matches.as_slice() {
        [] if repositories.is_none() => the_only(call, "Which project? Pass project_id.").await,
        [] => {
            let question = "No project is linked to that repository. Pass project_id.";
            the_only(call, question).await
        }
        [(only, linked)] => {
            let name = render::project_line(only);
            call.note(format!(
                "No project was named: {name} is linked to the repository."
            ));
            Ok(Chosen {
                project: reference(only)?,
                linked: linked.clone(),
            })
        }
        several => {
            let lines: Vec<_> = several.iter().map(|(project, _)| line(project)).collect();
            Err(ToolError::Refused(format!(
                "Several projects belong to these repositories. Pass project_id:\n{}",
                lines.join("\n")
            )))
        }
    }
}

const CHOICES: Paging = Paging { page: 1, limit: 50 };

/// The projects of a repository. BrainGrid may leave the filter aside, so what says that it
/// belongs to another repository is dropped here.
async fn of_repository(call: &Call, repository: &str) -> Result<Vec<Project>, ToolError> {
    let page = call
        .client()
        .projects(call.caller(), CHOICES, Some(repository))
        .await?;
    let belongs = |project: &Project| match &project.repository {
        Some(own) => Repositories::canonical(own).eq_ignore_ascii_case(repository),
        None => !project.tells_repository,
    };
    Ok(page.items.into_iter().filter(belongs).collect())
}

fn reference(project: &Project) -> Result<ProjectRef, ToolError> {
    let id = project.short_id.as_deref().and_then(|id| id.parse().ok());
    id.or_else(|| project.id.as_deref()?.parse().ok())
        .ok_or(ToolError::Internal)
}

fn line(project: &Project) -> String {
    format!("- {}", render::project_line(project))
}

/// The only project there is.
///
/// # Errors
/// Else the question, with the projects there are.
async fn the_only(call: &Call, question: &str) -> Result<Chosen, ToolError> {
    let page = call.client().projects(call.caller(), CHOICES, None).await?;
    let has_more = render::more(&page, CHOICES);
    match (page.items.as_slice(), has_more) {
        ([], Some(false)) => Err(ToolError::Refused(
            "There is no project yet. Create one in BrainGrid first.".into(),
        )),
        ([only], Some(false)) => {
            let name = render::project_line(only);
            call.note(format!(
                "No project was named: {name} was used, the only one."
            ));
            reference(only).map(Chosen::without_repositories)
        }
        _ => {
            let list = render::list(&page, has_more, CHOICES, "projects", render::project_line);
            let rest = render::remainder(&page, has_more, CHOICES).unwrap_or_default();
            let text = format!("{question} The projects:\n{list}\n\n{rest}");
            Err(ToolError::Refused(text.trim_end().to_owned()))
        }
    }
}
