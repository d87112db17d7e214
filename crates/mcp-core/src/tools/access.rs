//! Which tools a caller has, where that is not all: what an administrator says of its organization.

use super::{ToolOptions, canonical_name, error::ToolError, registry::Entry};

/// Which of the server's tools a caller has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ToolAccess {
    read_only: bool,
    /// Names and patterns; nothing for all.
    names: Option<Vec<String>>,
}

/// A name or pattern that means no tool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} means no tool: write names from the tool list, or * for any part of one, as in list_*"
)]
pub struct NoSuchTool(pub String);

impl ToolAccess {
    /// All tools, or those that change nothing.
    pub fn new(read_only: bool) -> Self {
        Self {
            read_only,
            names: None,
        }
    }

    /// Of these only those that are named: a name or alias, or a pattern in which `*` stands for any part
    /// of a name.
    ///
    /// # Errors
    /// With the first that means no tool that there can be.
    pub fn only(mut self, names: impl IntoIterator<Item = String>) -> Result<Self, NoSuchTool> {
        let mut known = Vec::new();
        for name in names {
            let meant = canonical_name(&name).map_or(name, str::to_owned);
            if !ToolOptions::every_name().any(|tool| fits(&meant, tool)) {
                return Err(NoSuchTool(meant));
            }
            known.push(meant);
        }
        self.names = Some(known);
        Ok(self)
    }

    /// Whether it leaves anything out.
    pub fn is_limited(&self) -> bool {
        self.read_only || self.names.is_some()
    }

    pub(super) fn has(&self, entry: &Entry) -> bool {
        self.why_not(entry).is_none()
    }

    /// Why a caller does not have a tool.
    pub(super) fn refusal(&self, entry: &Entry) -> Option<ToolError> {
        let why = self.why_not(entry)?;
        Some(ToolError::Refused(format!(
            "{} {why} for this organization on this server: whoever administers it decides that. \
             Nothing was done.",
            entry.tool.name
        )))
    }

    fn why_not(&self, entry: &Entry) -> Option<&'static str> {
        let names = self.names.as_ref();
        if names.is_some_and(|names| !names.iter().any(|it| fits(it, &entry.tool.name))) {
            return Some("is switched off");
        }
        let changes = self.read_only && entry.effect.changes_something();
        changes.then_some("changes something, and nothing may be changed")
    }
}

/// Whether a name is the pattern, in which `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        match left.split_once(part) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_part_of_a_name() {
        for (pattern, name, meant) in [
            ("*", "list_projects", true),
            ("list_*", "list_projects", true),
            ("list_*", "list_", true),
            ("list_*", "get_project", false),
            ("*_task", "get_project_task", true),
            ("*_task", "list_project_tasks", false),
            ("*project*", "list_projects", true),
            ("l*_*s", "list_projects", true),
            ("l*x*s", "list_projects", false),
            ("list_projects", "list_projects", true),
            ("list_project", "list_projects", false),
            ("ab*ba", "aba", false),
            ("**", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), meant, "{pattern} {name}");
        }
    }

    #[test]
    fn what_means_no_tool_is_refused_and_an_alias_means_its_tool() {
        let only =
            |names: &[&str]| ToolAccess::new(false).only(names.iter().map(|it| (*it).to_owned()));
        for none in ["", "no_such_tool", "x*", "List_Projects*", "list_projects "] {
            assert_eq!(
                only(&["get_*", none]),
                Err(NoSuchTool(none.to_owned())),
                "{none:?}"
            );
        }
        assert!(only(&["get_*", "create_git_branch"]).unwrap().is_limited());
        assert_eq!(
            only(&["create_project_requirement"]),
            only(&["create_requirement"])
        );
        assert!(only(&[]).unwrap().is_limited(), "none at all");
        assert!(!ToolAccess::new(false).is_limited());
    }
}
