//! The operations and the paths we assume for them.

use http::Method;

/// One operation of the API.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    GetProfile,
    ListRepositories,
    ListProjects,
    CreateProject,
    GetProject,
    UpdateProject,
    DeleteProject,
    ListRequirements,
    CreateRequirement,
    SpecifyRequirement,
    GetRequirement,
    UpdateRequirement,
    DeleteRequirement,
    BreakdownRequirement,
    ListTags,
    AddTag,
    RemoveTag,
    CreateBranch,
    ReviewRequirement,
    ListTasks,
    CreateTask,
    SpecifyTask,
    GetTask,
    UpdateTask,
    DeleteTask,
}

/// The ids in a path, outermost first.
#[derive(Clone, Debug, Default)]
pub(super) struct Target {
    pub(super) project: String,
    pub(super) requirement: String,
    /// A task or a tag.
    pub(super) item: String,
}

impl Target {
    /// Whether anything in the path is named by a short id.
    pub(super) fn has_short_id(&self) -> bool {
        let ids = [&self.project, &self.requirement, &self.item];
        ids.iter().any(|id| {
            ["PROJ-", "REQ-", "TASK-"]
                .iter()
                .any(|kind| id.starts_with(kind))
        })
    }
}

impl Operation {
    /// Whether it changes something.
    #[must_use]
    pub fn is_write(self) -> bool {
        !matches!(
            self,
            Self::GetProfile
                | Self::ListRepositories
                | Self::ListProjects
                | Self::GetProject
                | Self::ListRequirements
                | Self::GetRequirement
                | Self::ListTags
                | Self::ListTasks
                | Self::GetTask
        )
    }

    /// What a request asks for; `None` for a path or method nobody assumed.
    pub(super) fn of(method: &Method, path: &str) -> Option<(Self, Target)> {
        let segments: Vec<_> = path.strip_prefix("/api/v1/")?.split('/').collect();
        let found = match (method.as_str(), segments.as_slice()) {
            ("GET", ["profile"]) => (Self::GetProfile, Target::default()),
            ("GET", ["repositories"]) => (Self::ListRepositories, Target::default()),
            ("GET", ["projects"]) => (Self::ListProjects, Target::default()),
            ("POST", ["projects"]) => (Self::CreateProject, Target::default()),
            (verb, ["projects", p]) => (
                one_of(
                    verb,
                    Self::GetProject,
                    Self::UpdateProject,
                    Self::DeleteProject,
                )?,
                at(p, "", ""),
            ),
            ("GET", ["projects", p, "requirements"]) => (Self::ListRequirements, at(p, "", "")),
            ("POST", ["projects", p, "requirements"]) => (Self::CreateRequirement, at(p, "", "")),
            ("POST", ["projects", p, "requirements", "specify"]) => {
                (Self::SpecifyRequirement, at(p, "", ""))
            }
            (verb, ["projects", p, "requirements", r, rest @ ..]) => {
                let (operation, item) = Self::of_requirement(verb, rest)?;
                (operation, at(p, r, item))
            }
            _ => return None,
        };
        Some(found)
    }

    fn of_requirement<'a>(verb: &str, rest: &[&'a str]) -> Option<(Self, &'a str)> {
        Some(match (verb, rest) {
            (_, []) => {
                let (get, update) = (Self::GetRequirement, Self::UpdateRequirement);
                (one_of(verb, get, update, Self::DeleteRequirement)?, "")
            }
            ("POST", ["breakdown"]) => (Self::BreakdownRequirement, ""),
            ("POST", ["create-branch"]) => (Self::CreateBranch, ""),
            ("POST", ["review"]) => (Self::ReviewRequirement, ""),
            ("GET", ["tags"]) => (Self::ListTags, ""),
            ("POST", ["tags"]) => (Self::AddTag, ""),
            ("DELETE", ["tags", tag]) => (Self::RemoveTag, *tag),
            ("GET", ["tasks"]) => (Self::ListTasks, ""),
            ("POST", ["tasks"]) => (Self::CreateTask, ""),
            ("POST", ["tasks", "specify"]) => (Self::SpecifyTask, ""),
            (_, ["tasks", task]) => (
                one_of(verb, Self::GetTask, Self::UpdateTask, Self::DeleteTask)?,
                *task,
            ),
            _ => return None,
        })
    }
}

fn at(project: &str, requirement: &str, item: &str) -> Target {
    Target {
        project: project.to_owned(),
        requirement: requirement.to_owned(),
        item: item.to_owned(),
    }
}

fn one_of(verb: &str, get: Operation, update: Operation, delete: Operation) -> Option<Operation> {
    match verb {
        "GET" => Some(get),
        "PATCH" => Some(update),
        "DELETE" => Some(delete),
        _ => None,
    }
}
