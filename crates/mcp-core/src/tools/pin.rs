//! What the address of a call pins: an organization, perhaps one project of it. Tools are not asked for
//! what is pinned: it leaves their schemas, is filled in here, and what contradicts it is refused.

use std::sync::Arc;

use rmcp::model::Tool;
use serde_json::Value;

use super::{
    Arguments,
    definition::BuiltIn,
    error::ToolError,
    registry::{Entry, Run},
};
use crate::{Caller, ProjectRef, caller::Address};

/// The argument that a project's address stands for.
const PROJECT: &str = "project_id";

/// Under which names a client may say the organization. No tool has such an argument.
const ORGANIZATION: [&str; 4] = ["organization", "organization_id", "org_id", "org"];

/// A tool as it is at a project's address: without the argument. Nothing for one that may be about other
/// projects, too.
pub(super) fn at_project(tool: &Tool, run: &Run) -> Option<Tool> {
    let mut schema = (*tool.input_schema).clone();
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    let asked = properties.and_then(|properties| properties.remove(PROJECT));
    if asked.is_none() {
        let of_none = matches!(run, Run::BuiltIn(tool) if !tool.of_all_projects);
        return of_none.then(|| tool.clone());
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != PROJECT);
    }
    let mut tool = tool.clone();
    tool.input_schema = Arc::new(schema);
    Some(tool)
}

impl Entry {
    /// The tool as it is listed at an address; nothing where that is for less.
    pub(super) fn listed_at(&self, address: Option<&Address>) -> Option<&Tool> {
        match address.and_then(|address| address.project.as_ref()) {
            Some(_) => self.at_project.as_ref(),
            None => Some(&self.tool),
        }
    }

    /// Why a caller cannot use the tool at this address.
    pub(super) fn beyond(&self, address: Option<&Address>) -> Option<ToolError> {
        if self.listed_at(address).is_some() {
            return None;
        }
        let project = address?.project.as_ref()?;
        Some(ToolError::Refused(format!(
            "{} is about more than project {project}, and this address is for that alone. Use the \
             server's address without a project for it.",
            self.tool.name
        )))
    }
}

impl BuiltIn {
    /// The arguments of a call, as they came, without the organization where that is the address's.
    pub(super) fn without_organization(
        mut arguments: Arguments,
        caller: &Caller,
    ) -> Result<Arguments, ToolError> {
        let Some(address) = caller.address() else {
            return Ok(arguments);
        };
        for name in ORGANIZATION {
            match arguments.get(name) {
                None => {}
                Some(Value::String(named)) if *named == *address.organization.as_str() => {
                    arguments.remove(name);
                }
                Some(_) => return Err(contradicted(name, "one organization")),
            }
        }
        Ok(arguments)
    }

    /// The arguments that were read, with the project of the address.
    pub(super) fn with_project(
        &self,
        mut arguments: Arguments,
        caller: &Caller,
    ) -> Result<Arguments, ToolError> {
        let project = caller.address().and_then(|it| it.project.as_ref());
        let Some(project) = project.filter(|_| self.fields.has(PROJECT)) else {
            return Ok(arguments);
        };
        let named = arguments.get(PROJECT).filter(|named| !named.is_null());
        // What is no id at all is for the tool to refuse.
        let other = |named: &Value| match named.as_str().map(str::parse::<ProjectRef>) {
            Some(Ok(named)) => named != *project,
            _ => false,
        };
        match named {
            Some(named) if other(named) => {
                return Err(contradicted(PROJECT, &format!("project {project}")));
            }
            Some(_) => {}
            None => {
                arguments.insert(PROJECT.to_owned(), project.to_string().into());
            }
        }
        Ok(arguments)
    }
}

fn contradicted(name: &str, whom: &str) -> ToolError {
    ToolError::Refused(format!(
        "This address is for {whom} alone, and `{name}` names another. Leave it out, or use the \
         server's address for that one. Nothing was done."
    ))
}
