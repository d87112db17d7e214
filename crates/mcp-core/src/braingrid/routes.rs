//! The only module that knows paths and verbs.
//!
//! They are assumptions: BrainGrid's HTTP API has no public specification. When it gets one,
//! this is the file to change.

use http::Method;

use crate::ids::{ProjectRef, RequirementRef, TaskRef};

/// What every path is relative to, under the configured base URL.
pub(crate) const PREFIX: &str = "api/v1";

/// How long an operation may take and whether it may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Changes nothing: may be repeated.
    Read,
    /// Changes something: never repeated once it may have arrived.
    Write,
    /// A write in which BrainGrid's AI works for minutes.
    Slow,
}

/// One operation of the API, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The name in spans and metrics.
    pub(crate) operation: &'static str,
    pub(crate) class: Class,
    pub(crate) method: Method,
    pub(crate) path: String,
}

fn read(operation: &'static str, path: String) -> Route {
    Route {
        operation,
        class: Class::Read,
        method: Method::GET,
        path,
    }
}

fn write(operation: &'static str, method: Method, path: String) -> Route {
    Route {
        operation,
        class: Class::Write,
        method,
        path,
    }
}

fn slow(operation: &'static str, path: String) -> Route {
    Route {
        operation,
        class: Class::Slow,
        method: Method::POST,
        path,
    }
}

/// The list in which the things below a path are found, such as `projects`.
pub(crate) fn collection(path: String) -> Route {
    read("list_to_find_id", path)
}

pub(crate) fn profile() -> Route {
    read("get_profile", "profile".into())
}

pub(crate) fn projects() -> Route {
    read("list_projects", "projects".into())
}

pub(crate) fn project(project: &ProjectRef) -> Route {
    read("get_project", format!("projects/{project}"))
}

fn requirements_path(project: &ProjectRef) -> String {
    format!("projects/{project}/requirements")
}

fn requirement_path(project: &ProjectRef, requirement: &RequirementRef) -> String {
    format!("projects/{project}/requirements/{requirement}")
}

pub(crate) fn requirements(project: &ProjectRef) -> Route {
    read("list_requirements", requirements_path(project))
}

pub(crate) fn requirement(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    read("get_requirement", requirement_path(project, requirement))
}

pub(crate) fn create_requirement(project: &ProjectRef) -> Route {
    write(
        "create_requirement",
        Method::POST,
        requirements_path(project),
    )
}

/// Refines a rough idea into a requirement.
pub(crate) fn specify_requirement(project: &ProjectRef) -> Route {
    slow(
        "specify_requirement",
        format!("{}/specify", requirements_path(project)),
    )
}

pub(crate) fn update_requirement(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    write(
        "update_requirement",
        Method::PATCH,
        requirement_path(project, requirement),
    )
}

/// Breaks a requirement down into tasks.
pub(crate) fn breakdown(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    slow(
        "breakdown_requirement",
        format!("{}/breakdown", requirement_path(project, requirement)),
    )
}

/// A guess beyond the firm part: tags of a requirement.
pub(crate) fn add_tag(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    write(
        "add_tag",
        Method::POST,
        format!("{}/tags", requirement_path(project, requirement)),
    )
}

/// A guess beyond the firm part: a git branch for a requirement.
pub(crate) fn create_branch(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    let path = format!("{}/create-branch", requirement_path(project, requirement));
    write("create_branch", Method::POST, path)
}

/// A guess beyond the firm part: a review of a pull request.
pub(crate) fn review(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    slow(
        "review",
        format!("{}/review", requirement_path(project, requirement)),
    )
}

fn tasks_path(project: &ProjectRef, requirement: &RequirementRef) -> String {
    format!("{}/tasks", requirement_path(project, requirement))
}

fn task_path(project: &ProjectRef, requirement: &RequirementRef, task: &TaskRef) -> String {
    format!("{}/{task}", tasks_path(project, requirement))
}

pub(crate) fn tasks(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    read("list_tasks", tasks_path(project, requirement))
}

pub(crate) fn task(project: &ProjectRef, requirement: &RequirementRef, task: &TaskRef) -> Route {
    read("get_task", task_path(project, requirement, task))
}

pub(crate) fn create_task(project: &ProjectRef, requirement: &RequirementRef) -> Route {
    write(
        "create_task",
        Method::POST,
        tasks_path(project, requirement),
    )
}

pub(crate) fn update_task(
    project: &ProjectRef,
    requirement: &RequirementRef,
    task: &TaskRef,
) -> Route {
    write(
        "update_task",
        Method::PATCH,
        task_path(project, requirement, task),
    )
}

pub(crate) fn delete_task(
    project: &ProjectRef,
    requirement: &RequirementRef,
    task: &TaskRef,
) -> Route {
    write(
        "delete_task",
        Method::DELETE,
        task_path(project, requirement, task),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_carry_canonical_ids() {
        let (project, requirement) = ("proj-1".parse().unwrap(), "2".parse().unwrap());
        let route = task(&project, &requirement, &"TASK 3".parse().unwrap());
        assert_eq!(
            route.path,
            "projects/PROJ-1/requirements/REQ-2/tasks/TASK-3"
        );
        assert_eq!((route.method, route.class), (Method::GET, Class::Read));
        let route = specify_requirement(&project);
        assert_eq!(route.path, "projects/PROJ-1/requirements/specify");
        assert_eq!((route.method, route.class), (Method::POST, Class::Slow));
    }
}
