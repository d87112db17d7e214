//! Which tools there are, and what they take for granted.

use super::{canonical_name, definition::Definition, names::NAMES, registry, scopes::ScopePolicy};
use crate::ids::ProjectRef;

/// Which tools there are, and what they take for granted. The default is all firm tools.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ToolOptions {
    /// Only tools that change nothing.
    pub read_only: bool,
    /// Only these tools, by name or alias; empty means all.
    pub include: Vec<String>,
    /// Not these tools, by name or alias.
    pub exclude: Vec<String>,
    /// Also the tools whose route at BrainGrid is a guess.
    pub experimental: bool,
    /// The project to use when a call names none.
    pub default_project: Option<ProjectRef>,
    /// Where that project is named, for whoever wonders: the path of a file.
    pub default_project_from: Option<String>,
    /// Which scopes calls need.
    pub scopes: ScopePolicy,
}

impl ToolOptions {
    /// The names in `include` and `exclude` that mean no tool. They select nothing, so a program
    /// should refuse them at the door.
    pub fn unknown_names(&self) -> Vec<&str> {
        let names = self.include.iter().chain(&self.exclude);
        names
            .map(String::as_str)
            .filter(|name| canonical_name(name).is_none())
            .collect()
    }

    /// The name of every tool that can exist, experimental ones included.
    pub fn every_name() -> impl Iterator<Item = &'static str> {
        NAMES.iter().copied()
    }

    /// The names of the tools that these options leave, in the order in which they are listed.
    pub fn selected(&self) -> Vec<&'static str> {
        let tools = registry::all().into_iter();
        tools
            .filter(|tool| self.selects(tool))
            .map(|tool| tool.name)
            .collect()
    }

    pub(super) fn selects(&self, tool: &Definition) -> bool {
        let named = |names: &[String]| {
            names
                .iter()
                .any(|name| canonical_name(name.trim()) == Some(tool.name))
        };
        (self.experimental || !tool.experimental)
            && !(self.read_only && tool.effect.changes_something())
            && (self.include.is_empty() || named(&self.include))
            && !named(&self.exclude)
    }
}
