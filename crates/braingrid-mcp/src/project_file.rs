//! The project of the checkout this process was started in, as BrainGrid's own tools record it.
//!
//! Anybody may have written a checkout. Its file may name a project, and nothing else of it counts;
//! it is never a way to another file.

use std::borrow::Cow;
use std::fs::{self, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use mcp_core::ProjectRef;
use serde::Deserialize;
use serde_json::Value;

use crate::{owner, text};

/// The largest file that is read, in bytes: a hundred times what BrainGrid's tools write.
const LARGEST: u64 = 64 * 1024;

/// How many folders above the first are looked into.
const HIGHEST: usize = 64;

/// A project, and the file that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) project: ProjectRef,
    pub(crate) file: PathBuf,
}

/// The project that the nearest `.braingrid/project.json` names, from `start` up to the root of
/// the checkout. A file that names none is no error: a call then says how to name one.
pub(crate) fn default_project(start: &Path) -> Option<Named> {
    let file = find(start)?;
    match read(&file, start) {
        Ok(project) => Some(Named { project, file }),
        Err(why) => {
            tracing::warn!(file = %file.display(), "the project file is not used: {why}");
            None
        }
    }
}

/// Why a file is not used; nothing of what stands in it.
type Reason = Cow<'static, str>;

fn read(file: &Path, start: &Path) -> Result<ProjectRef, Reason> {
    let folder = file.parent().unwrap_or(file);
    for place in [folder, file] {
        let metadata = fs::symlink_metadata(place).map_err(|_| "it cannot be read")?;
        check(&metadata, start)?;
    }
    let metadata = fs::symlink_metadata(file).map_err(|_| "it cannot be read")?;
    if !metadata.is_file() {
        return Err("it is no plain file".into());
    }
    let mut bytes = Vec::new();
    let open = fs::File::open(file).map_err(|_| "it cannot be read")?;
    open.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| "it cannot be read")?;
    if bytes.len() as u64 > LARGEST {
        return Err("it is larger than 64 KiB".into());
    }
    let text = text::decode(&bytes).ok_or("it is no text")?;
    parse(&text)
}

/// A link leads to somebody else's file, and another user's folder is not this checkout.
fn check(metadata: &Metadata, start: &Path) -> Result<(), Reason> {
    if metadata.is_symlink() {
        return Err("it is a symbolic link, and none is followed".into());
    }
    let of_the_checkout = start
        .metadata()
        .is_ok_and(|start| owner::same(metadata, &start));
    if owner::is_mine(metadata) || of_the_checkout {
        Ok(())
    } else {
        Err("it belongs to another user".into())
    }
}

/// What is read of the file; spellings differ between versions. What else it holds is not looked at.
#[derive(Deserialize)]
struct Names {
    project_id: Option<Value>,
    #[serde(rename = "projectId")]
    project_id_twin: Option<Value>,
    project_short_id: Option<Value>,
    #[serde(rename = "projectShortId")]
    short_id_twin: Option<Value>,
}

/// The UUID names one project everywhere; the short id does so within its organization. A file may
/// have both.
fn parse(text: &str) -> Result<ProjectRef, Reason> {
    let file: Names = serde_json::from_str(text).map_err(|error| unreadable(&error))?;
    let id = agreed(
        [file.project_id, file.project_id_twin].map(|id| id?.as_str()?.trim().parse().ok()),
    )?;
    let short = agreed([file.project_short_id, file.short_id_twin].map(|id| short_id(&id?)))?;
    id.or(short).ok_or_else(|| {
        "it names no project: project_id is a UUID, project_short_id like PROJ-1".into()
    })
}

/// The number alone will do, as it does in a call.
fn short_id(value: &Value) -> Option<ProjectRef> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn agreed(ids: [Option<ProjectRef>; 2]) -> Result<Option<ProjectRef>, Reason> {
    match ids {
        [Some(one), Some(other)] if one != other => Err("it names two projects".into()),
        [one, other] => Ok(one.or(other)),
    }
}

/// Where whoever wrote the file finds the fault, and the faults that are JSON in other programs.
fn unreadable(error: &serde_json::Error) -> Reason {
    let place = format!("line {}, column {}", error.line(), error.column());
    if error.is_data() {
        return format!("it is no object that has every name once ({place})").into();
    }
    format!("it is not JSON ({place}), which has no comments and no comma after the last entry")
        .into()
}

fn find(start: &Path) -> Option<PathBuf> {
    for folder in start.ancestors().take(HIGHEST) {
        let file = folder.join(".braingrid/project.json");
        // Whatever it is: a file that is not used hides those above it.
        if fs::symlink_metadata(&file).is_ok() {
            return Some(file);
        }
        // Beyond the checkout begins somebody else's project.
        if fs::symlink_metadata(folder.join(".git")).is_ok() {
            return None;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0b0f7a4e-94d3-4a2b-8f4e-1c5f0c7b9d11";

    #[test]
    fn every_known_form_names_its_project() {
        let other = "1b0f7a4e-94d3-4a2b-8f4e-1c5f0c7b9d11";
        let cases = [
            (format!(r#"{{"projectId":"{ID}"}}"#), Ok(ID)),
            (
                format!(
                    r#"{{"organization_id":"default","project_id":"{ID}","project_short_id":"PROJ-3",
                    "project_description":null,"repository":null}}"#
                ),
                Ok(ID),
            ),
            (r#"{"project_short_id":"PROJ-3"}"#.to_owned(), Ok("PROJ-3")),
            (r#"{"projectShortId":"PROJ-3"}"#.to_owned(), Ok("PROJ-3")),
            (
                format!(r#"{{"project_id":"{ID}","projectId":"{ID}"}}"#),
                Ok(ID),
            ),
            (
                r#"{"project_id":null,"projectId":7,"project_short_id":"PROJ-3","projectShortId":"PROJ-3"}"#
                    .to_owned(),
                Ok("PROJ-3"),
            ),
            (
                r#"{"project_id":"","project_short_id":" PROJ-3 ","repository":[{"a":1}]}"#.to_owned(),
                Ok("PROJ-3"),
            ),
            (
                format!(r#"{{"project_id":"{ID}","projectId":"{other}"}}"#),
                Err("it names two projects"),
            ),
            ("{}".to_owned(), Err("it names no project: project_id is a UUID, project_short_id like PROJ-1")),
            (r#"{"project_id":7}"#.to_owned(), Err("it names no project: project_id is a UUID, project_short_id like PROJ-1")),
            (r#"{"project_short_id":3}"#.to_owned(), Ok("PROJ-3")),
            (r#"{"project_short_id":"3","projectShortId":3}"#.to_owned(), Ok("PROJ-3")),
            (r#"{"project_short_id":3.5}"#.to_owned(), Err("it names no project: project_id is a UUID, project_short_id like PROJ-1")),
            (
                r#"{"project_short_id":3,"created_at":1e999,"organization_id":[{}],"repository":"\ud800"}"#.to_owned(),
                Ok("PROJ-3"),
            ),
        ];
        for (text, expected) in cases {
            let named = parse(&text).map(|project| project.to_string());
            assert_eq!(
                named,
                expected.map_err(Reason::from).map(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_not_json_is_told_by_line_and_column() {
        for (text, said) in [
            ("", "it is not JSON (line 1, column 0)"),
            ("{\n  // ours\n}", "it is not JSON (line 2, column 3)"),
            (
                "{\n  \"project_short_id\": \"PROJ-3\",\n}",
                "it is not JSON (line 3, column 1)",
            ),
            (
                "{\"project_short_id\": 'PROJ-3'}",
                "it is not JSON (line 1, column 22)",
            ),
            (
                "7",
                "it is no object that has every name once (line 1, column 1)",
            ),
            (
                "{\"project_short_id\":1,\n\"project_short_id\":2}",
                "it is no object that has every name once (line 2, column 18)",
            ),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(said), "{text}: {why}");
        }
    }

    #[test]
    fn the_nearest_file_within_the_checkout_counts() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("checkout/crates/a");
        fs::create_dir_all(&inner).unwrap();
        let write = |folder: &str, id: &str| {
            let folder = root.path().join(folder).join(".braingrid");
            fs::create_dir_all(&folder).unwrap();
            let text = format!(r#"{{"project_short_id":"{id}"}}"#);
            fs::write(folder.join("project.json"), text).unwrap();
        };
        let found = || default_project(&inner).map(|named| named.project.to_string());
        write(".", "PROJ-1");
        assert_eq!(
            found().as_deref(),
            Some("PROJ-1"),
            "without a checkout, any parent"
        );
        fs::create_dir_all(root.path().join("checkout/.git")).unwrap();
        assert_eq!(found(), None, "another checkout's file does not count");
        write("checkout", "PROJ-2");
        assert_eq!(found().as_deref(), Some("PROJ-2"));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_file() {
        let root = tempfile::tempdir().unwrap();
        let file = project_file(root.path(), "\u{feff}{\"project_short_id\":\"PROJ-3\"}");
        let named = default_project(root.path()).unwrap();
        assert_eq!(
            (named.project.to_string().as_str(), named.file),
            ("PROJ-3", file)
        );
    }

    #[cfg(unix)]
    #[test]
    fn only_a_small_plain_file_of_the_checkouts_user_is_read() {
        use std::os::unix::fs::{chown, symlink};
        type Trick = fn(&Path, &Path);
        let good = r#"{"project_short_id":"PROJ-3"}"#;
        let elsewhere = tempfile::tempdir().unwrap();
        project_file(elsewhere.path(), good);
        let tricks: [(&str, Trick); 6] = [
            ("a link to a file", |file, elsewhere| {
                symlink(elsewhere.join(".braingrid/project.json"), file).unwrap();
            }),
            ("a link to nothing", |file, _| {
                symlink("/nonexistent", file).unwrap();
            }),
            ("a link to a device", |file, _| {
                symlink("/dev/zero", file).unwrap();
            }),
            ("a folder", |file, _| fs::create_dir(file).unwrap()),
            ("a pipe", |file, _| {
                let made = std::process::Command::new("mkfifo").arg(file).status();
                assert!(made.unwrap().success());
            }),
            ("a huge file", |file, _| {
                fs::write(file, " ".repeat(1 << 20) + "{}").unwrap();
            }),
        ];
        for (what, trick) in tricks {
            let root = tempfile::tempdir().unwrap();
            let folder = root.path().join(".braingrid");
            fs::create_dir(&folder).unwrap();
            trick(&folder.join("project.json"), elsewhere.path());
            assert_eq!(default_project(root.path()), None, "{what}");
        }
        let linked = tempfile::tempdir().unwrap();
        symlink(
            elsewhere.path().join(".braingrid"),
            linked.path().join(".braingrid"),
        )
        .unwrap();
        assert_eq!(default_project(linked.path()), None, "a link to a folder");
        // Only root can give a file away.
        let root = tempfile::tempdir().unwrap();
        let file = project_file(root.path(), good);
        if chown(&file, Some(12_345), None).is_ok() {
            assert_eq!(default_project(root.path()), None, "another user's file");
            chown(root.path(), Some(12_345), None).unwrap();
            assert!(
                default_project(root.path()).is_some(),
                "of the checkout's user"
            );
        }
    }

    fn project_file(root: &Path, text: &str) -> PathBuf {
        fs::create_dir_all(root.join(".braingrid")).unwrap();
        let file = root.join(".braingrid/project.json");
        fs::write(&file, text).unwrap();
        file
    }
}
