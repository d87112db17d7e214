//! What the stand-in remembers, per organization, and the operations on projects.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{
    caller::Caller,
    ids::{self, Fields, Query},
    operation::{Operation, Target},
    requirements::{Requirement, SEED},
};

/// The repository of the project every organization starts with.
pub const SEEDED_REPOSITORY: &str = "acme/web";

#[derive(Debug, Default)]
pub(super) struct State {
    organizations: HashMap<String, Organization>,
    /// The organization of a subject whose token does not say it.
    pub(super) memberships: HashMap<String, String>,
}

#[derive(Debug, Default)]
pub(super) struct Organization {
    projects: Vec<Project>,
    next: u32,
}

#[derive(Debug)]
pub(super) struct Project {
    pub(super) fields: Fields,
    pub(super) requirements: Vec<Requirement>,
    pub(super) next: u32,
}

/// A request that is understood and answered no.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl ErrorResponse {
    pub(super) fn new(status: u16, message: &str) -> Self {
        Self {
            status,
            body: json!({ "error": message, "message": message }),
        }
    }

    pub(super) fn invalid(message: &str) -> Self {
        let body = json!({ "message": "validation failed", "errors": [message] });
        Self { status: 422, body }
    }
}

/// What an operation answers with.
#[derive(Debug)]
pub(super) enum Payload {
    Json(u16, Value),
    /// Server-sent events.
    Events(Vec<Value>),
}

/// One request, taken apart.
pub(super) struct Asked<'a> {
    pub(super) operation: Operation,
    pub(super) target: &'a Target,
    pub(super) caller: &'a Caller,
    pub(super) query: Query,
    pub(super) body: Fields,
}

impl State {
    pub(super) fn perform(&mut self, asked: &Asked<'_>) -> Result<Payload, ErrorResponse> {
        let organization = self.organization(&asked.caller.organization);
        let answer = match asked.operation {
            Operation::GetProfile => profile(asked.caller),
            Operation::ListRepositories => organization.list_repositories(asked),
            Operation::ListProjects => organization.list_projects(&asked.query),
            Operation::CreateProject => {
                let name = ids::required(&asked.body, "name")?;
                let repository = asked.body.get("repository").and_then(Value::as_str);
                let project = organization.add_project(name, repository, &asked.caller.subject);
                ids::update(&mut project.fields, &asked.body, &["description"], &[])?;
                return Ok(Payload::Json(201, Value::Object(project.fields.clone())));
            }
            Operation::GetProject => {
                Value::Object(organization.project(asked.target)?.fields.clone())
            }
            Operation::UpdateProject => {
                let project = organization.project(asked.target)?;
                ids::update(
                    &mut project.fields,
                    &asked.body,
                    &["name", "description"],
                    &[],
                )?;
                Value::Object(project.fields.clone())
            }
            Operation::DeleteProject => {
                organization.project(asked.target)?;
                organization
                    .projects
                    .retain(|it| !ids::is_named(&it.fields, &asked.target.project));
                return Ok(Payload::Json(204, Value::Null));
            }
            _ => return organization.project(asked.target)?.perform(asked),
        };
        Ok(Payload::Json(200, answer))
    }

    /// The organization's state, seeded when it is first asked for.
    pub(super) fn organization(&mut self, id: &str) -> &mut Organization {
        self.organizations
            .entry(id.to_owned())
            .or_insert_with(Organization::seeded)
    }
}

impl Organization {
    fn seeded() -> Self {
        let mut organization = Self::default();
        let project = organization.add_project("Web shop", Some(SEEDED_REPOSITORY), SEED);
        project.seed();
        organization
    }

    pub(super) fn add_project(
        &mut self,
        name: &str,
        repository: Option<&str>,
        creator: &str,
    ) -> &mut Project {
        self.next += 1;
        let fields = json!({
            "id": uuid::Uuid::new_v4().to_string(), "short_id": format!("PROJ-{}", self.next),
            "name": name, "description": null, "created_by": creator,
            "repository": repository.map(repository_fields),
            "manage_database": false, "auth_mode": null,
        });
        let fields = fields.as_object().cloned().unwrap_or_default();
        self.projects.push(Project {
            fields,
            requirements: Vec::new(),
            next: 0,
        });
        self.projects.last_mut().expect("one was just added")
    }

    fn project(&mut self, target: &Target) -> Result<&mut Project, ErrorResponse> {
        let mut projects = self.projects.iter_mut();
        projects
            .find(|project| ids::is_named(&project.fields, &target.project))
            .ok_or_else(|| ErrorResponse::new(404, "project not found"))
    }

    /// By repository the answer has `total_count` and no pagination, otherwise the reverse.
    fn list_projects(&self, query: &Query) -> Value {
        let all = self
            .projects
            .iter()
            .map(|project| Value::Object(project.fields.clone()));
        let Some(repository) = query.text("repository") else {
            return ids::page("projects", &all.collect::<Vec<_>>(), query);
        };
        let named: Vec<_> = all
            .filter(|project| {
                let linked = project.pointer("/repository/full_name");
                linked.and_then(Value::as_str) == Some(repository)
            })
            .collect();
        json!({ "total_count": named.len(), "projects": named })
    }

    fn list_repositories(&self, asked: &Asked<'_>) -> Value {
        let mut all: Vec<_> = self
            .projects
            .iter()
            .filter_map(|project| project.fields.get("repository"))
            .collect();
        all.retain(|repository| repository.is_object());
        for field in ["owner", "name"] {
            if let Some(wanted) = asked.query.text(field) {
                all.retain(|repository| repository[field].as_str() == Some(wanted));
            }
        }
        json!({ "repositories": all })
    }
}

fn repository_fields(full_name: &str) -> Value {
    let (owner, name) = full_name.split_once('/').unwrap_or(("", full_name));
    json!({
        "id": uuid::Uuid::new_v4().to_string(), "owner": owner, "name": name, "full_name": full_name,
        "url": format!("https://github.com/{full_name}"),
    })
}

fn profile(caller: &Caller) -> Value {
    json!({
        "id": caller.subject,
        "name": format!("User {}", caller.subject),
        "email": caller.email.clone().unwrap_or_else(|| format!("{}@example.com", caller.subject)),
        "organization_id": caller.organization,
        "organization": {
            "id": caller.organization,
            "name": format!("Organization {}", caller.organization),
        },
    })
}
