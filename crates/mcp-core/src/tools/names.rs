//! Names: every tool that can exist, and the names it also answers to.

/// Every built-in tool, experimental ones included, in the order of `tools/list`.
pub(crate) const NAMES: &[&str] = &[
    "list_projects",
    "get_project",
    "get_profile",
    "list_project_requirements",
    "get_project_requirement",
    "create_requirement",
    "capture_project_requirement",
    "update_project_requirement",
    "breakdown_project_requirement",
    "list_project_tasks",
    "get_project_task",
    "create_project_task",
    "update_project_task",
    "delete_project_task",
    "info",
    "auth_status",
    "build_project_requirement",
    "acceptance_review",
    "create_git_branch",
    "add_requirement_tag",
];

/// Other names, with the tool they mean.
pub(crate) const ALIASES: &[(&str, &str)] = &[
    ("create_project_requirement", "create_requirement"),
    // Nobody logs in or out through a tool here, least of all a model; the tool it means says how.
    ("authenticate", "auth_status"),
    ("logout", "auth_status"),
];

/// The canonical name of a built-in tool, from it or from an alias.
///
/// Filters, scopes, limits and metrics use nothing else. A name that is known here may still be
/// switched off by the options.
pub fn canonical_name(name: &str) -> Option<&'static str> {
    let meant = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name, |(_, tool)| tool);
    NAMES.iter().copied().find(|known| *known == meant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::registry;

    #[test]
    fn every_alias_means_a_tool() {
        for &(alias, tool) in ALIASES {
            assert_eq!(canonical_name(alias), Some(tool));
        }
        assert_eq!(
            canonical_name("create_requirement"),
            Some("create_requirement")
        );
        assert_eq!(canonical_name("nothing"), None);
        assert_eq!(canonical_name(""), None);
    }

    #[test]
    fn names_and_definitions_are_the_same_list() {
        let defined: Vec<_> = registry::all().iter().map(|tool| tool.name).collect();
        assert_eq!(defined, NAMES);
    }
}
