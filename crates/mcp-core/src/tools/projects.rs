//! Tools about projects, and how a call finds its project.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    args::{NoArguments, Repositories, paging},
    definition::Definition,
    render,
    run::{Call, ToolError},
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
        Definition::read("list_projects", "List projects.", list_projects),
        Definition::read(
            "get_project",
            "Show a project, found by id or repository.",
            get_project,
        ),
        Definition::read(
            "get_profile",
            "Show the user and the organization.",
            get_profile,
        ),
    ]
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListProjects {
    repository: Option<Repositories>,
    page: Option<u32>,
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
struct ProjectList {
    projects: Vec<Project>,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_more: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    total: Option<u64>,
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
    let projects = page
        .items
        .into_iter()
        .map(Project::without_description)
        .collect();
    Ok((
        text,
        ProjectList {
            projects,
            has_more,
            total: page.total,
        },
    ))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetProject {
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
    Ok((render::project(&project), OneProject { project }))
}

async fn get_profile(call: Call, _: NoArguments) -> Result<(String, Profile), ToolError> {
    let profile = call.client().profile(call.caller()).await?;
    Ok((render::profile(&profile), profile))
}

/// The project a call means: the one it names, else the default, else the one that belongs to
/// its repositories.
///
/// # Errors
/// When none or more than one is meant; the text lists the projects to choose from.
pub(super) async fn choose(
    call: &Call,
    named: Option<ProjectRef>,
    repositories: Option<&Repositories>,
) -> Result<ProjectRef, ToolError> {
    if let Some(project) = named.or_else(|| call.taken_by_default()) {
        return Ok(project);
    }
    let Some(repositories) = repositories.filter(|list| list.first().is_some()) else {
        return Err(which(call, "Which project? Pass project_id.").await);
    };
    let mut matches: Vec<Project> = Vec::new();
    for repository in repositories.iter() {
        for project in of_repository(call, repository).await? {
            if !matches
                .iter()
                .any(|known| known.reference() == project.reference())
            {
                matches.push(project);
            }
        }
    }
    match matches.as_slice() {
        [] => Err(which(
            call,
            "No project is linked to that repository. Pass project_id.",
        )
        .await),
        [only] => reference(only),
        several => {
            let lines: Vec<_> = several.iter().map(line).collect();
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

/// Asks back, with the projects there are.
async fn which(call: &Call, question: &str) -> ToolError {
    let page = match call.client().projects(call.caller(), CHOICES, None).await {
        Ok(page) => page,
        Err(error) => return error.into(),
    };
    if page.items.is_empty() {
        return ToolError::Refused(
            "There is no project yet. Create one in BrainGrid first.".into(),
        );
    }
    let list = render::list(
        &page,
        render::more(&page, CHOICES),
        CHOICES,
        "projects",
        render::project_line,
    );
    ToolError::Refused(format!("{question} The projects:\n{list}"))
}
