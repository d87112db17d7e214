//! The project of the checkout this process was started in, as BrainGrid's own tools record it.

use std::path::{Path, PathBuf};

use mcp_core::ProjectRef;
use serde::Deserialize;

/// `.braingrid/project.json`, as far as it matters here. Its spellings differ between versions.
#[derive(Deserialize)]
struct ProjectFile {
    #[serde(alias = "projectId")]
    project_id: Option<String>,
    project_short_id: Option<String>,
}

/// The project that the nearest `.braingrid/project.json` names, from `start` up to the root of
/// the checkout. A file that names none is no error: a call then says how to name one.
pub(crate) fn default_project(start: &Path) -> Option<ProjectRef> {
    let file = find(start)?;
    let text = std::fs::read_to_string(&file).ok()?;
    let project = parse(&text);
    if project.is_none() {
        tracing::warn!(file = %file.display(), "the project file names no project");
    }
    project
}

/// The UUID names one project everywhere; the short id does so within its organization.
fn parse(text: &str) -> Option<ProjectRef> {
    let file: ProjectFile = serde_json::from_str(text).ok()?;
    let named = [file.project_id, file.project_short_id];
    named.into_iter().flatten().find_map(|id| id.parse().ok())
}

fn find(start: &Path) -> Option<PathBuf> {
    for folder in start.ancestors() {
        let file = folder.join(".braingrid/project.json");
        if file.is_file() {
            return Some(file);
        }
        // Beyond the checkout begins somebody else's project.
        if folder.join(".git").exists() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_form_names_its_project() {
        let id = "0b0f7a4e-94d3-4a2b-8f4e-1c5f0c7b9d11";
        let named = |text: &str| parse(text).map(|project| project.to_string());
        assert_eq!(
            named(&format!(r#"{{"projectId":"{id}"}}"#)).as_deref(),
            Some(id)
        );
        let full = format!(
            r#"{{"organization_id":"default","project_id":"{id}","project_short_id":"PROJ-3",
                "project_description":null,"repository":null}}"#
        );
        assert_eq!(named(&full).as_deref(), Some(id));
        assert_eq!(
            named(r#"{"project_short_id":"PROJ-3"}"#).as_deref(),
            Some("PROJ-3")
        );
        for text in [
            "",
            "{}",
            "[]",
            r#"{"project_id":""}"#,
            r#"{"project_id":7}"#,
        ] {
            assert_eq!(named(text), None, "{text}");
        }
    }

    #[test]
    fn the_nearest_file_within_the_checkout_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("checkout/crates/a");
        std::fs::create_dir_all(&inner).unwrap();
        let write = |folder: &str, id: &str| {
            let folder = root.path().join(folder).join(".braingrid");
            std::fs::create_dir_all(&folder).unwrap();
            let text = format!(r#"{{"project_short_id":"{id}"}}"#);
            std::fs::write(folder.join("project.json"), text).unwrap();
        };
        let found = || default_project(&inner).map(|project| project.to_string());
        write(".", "PROJ-1");
        assert_eq!(
            found().as_deref(),
            Some("PROJ-1"),
            "without a checkout, any parent"
        );
        std::fs::create_dir_all(root.path().join("checkout/.git")).unwrap();
        assert_eq!(found(), None, "another checkout's file does not count");
        write("checkout", "PROJ-2");
        assert_eq!(found().as_deref(), Some("PROJ-2"));
    }
}
