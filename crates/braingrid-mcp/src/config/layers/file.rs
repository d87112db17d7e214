//! The layer of the configuration file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{FileFormat, Map, Source as _, Value, ValueKind};

use super::{Layer, Origin, both_given, secret_file};
use crate::config::parse;
use crate::config::problem::{Problem, meant};
use crate::config::settings::{self, Spec};
use crate::{owner, text};

/// The file that is read when none is named, in the user's own folder.
pub(crate) const DEFAULT_FILE: &str = "braingrid-mcp.toml";

/// The layer of the configuration file: the one that is named, else the one in the user's own
/// folder. The working directory is nobody's word: clients start servers in cloned repositories. Only
/// what is `wanted` is read; what no setting is called is a problem all the same.
pub(crate) fn file(
    named: Option<(PathBuf, Origin)>,
    directory: &Path,
    user_folder: Option<&Path>,
    wanted: impl Fn(&Spec) -> bool,
    problems: &mut Vec<Problem>,
) -> Layer {
    let required = named.is_some();
    let (path, label) = match (named, user_folder) {
        (Some((path, origin)), _) => (directory.join(path), origin.to_string()),
        (None, Some(folder)) => {
            let path = folder.join(DEFAULT_FILE);
            let label = path.display().to_string();
            (path, label)
        }
        (None, None) => return Layer::default(),
    };
    if !required && let Err(what) = owner::check(&path) {
        let fix = "make it yours, and writable by nobody else, or name it with --config";
        problems.push(Problem::new(label, what, fix));
        return Layer::default();
    }
    let text = match text::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => {
            return Layer::default();
        }
        Err(error) => {
            problems.push(Problem::new(
                label,
                format!("{} cannot be read: {}", path.display(), error.kind()),
                "name a TOML file that this process may read",
            ));
            return Layer::default();
        }
    };
    of_text(&path, &text, wanted, problems)
}

/// The layer of a configuration file with this text.
pub(crate) fn of_text(
    path: &Path,
    text: &str,
    wanted: impl Fn(&Spec) -> bool,
    problems: &mut Vec<Problem>,
) -> Layer {
    match config::File::from_str(text, FileFormat::Toml).collect() {
        Ok(values) => file_layer(path, values, wanted, problems),
        Err(error) => {
            problems.push(Problem::new(
                path.display().to_string(),
                format!(
                    "it is not valid TOML: {}",
                    without_source(&error.to_string())
                ),
                "correct the line; text values stand in double quotes",
            ));
            Layer::default()
        }
    }
}

/// The place and the message of a TOML error, without the line of the file that it quotes: that
/// line may hold a secret.
fn without_source(error: &str) -> String {
    let lines: Vec<&str> = error.lines().collect();
    match (lines.first(), lines.last()) {
        (Some(place), Some(message)) if lines.len() > 2 => format!("{place}: {message}"),
        (Some(place), _) => (*place).to_owned(),
        _ => String::new(),
    }
}

fn file_layer(
    path: &Path,
    values: Map<String, Value>,
    wanted: impl Fn(&Spec) -> bool,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::default();
    let mut values: BTreeMap<String, Value> = values.into_iter().collect();
    for setting in settings::all().filter(|it| it.is_key_of_file()) {
        let origin = |key: &str| Origin::File {
            path: path.to_owned(),
            key: key.to_owned(),
        };
        let value = values.remove(setting.key);
        let file_key = format!("{}_file", setting.key);
        let secret_path = if setting.secret {
            values.remove(&file_key)
        } else {
            None
        };
        match (value, secret_path) {
            _ if !wanted(setting) => {}
            (Some(_), Some(_)) => {
                let label = origin(setting.key).to_string();
                problems.push(both_given(&label, setting.key, &file_key));
            }
            (Some(value), None) if setting.secret && matches!(value.kind, ValueKind::Table(_)) => {
                let label = origin(setting.key).to_string();
                problems.push(Problem::new(
                    label,
                    "it is no single value",
                    "write one text",
                ));
            }
            (Some(value), None) => {
                let value = beside(path, setting, value.kind);
                layer.put(setting, value, origin(setting.key));
            }
            (None, Some(at)) => {
                let base = path.parent().unwrap_or_else(|| Path::new("."));
                let at = base.join(at.into_string().unwrap_or_default());
                let name = origin(&file_key).to_string();
                if let Some(secret) = secret_file(&name, &at, problems) {
                    layer.put_secret(setting, secret, origin(&file_key));
                }
            }
            (None, None) => {}
        }
    }
    let unknown = values.iter();
    problems.extend(unknown.map(|(key, value)| unknown_key(path, key, value)));
    layer
}

/// A relative path in the file means a place beside the file.
fn beside(file: &Path, setting: &Spec, value: ValueKind) -> ValueKind {
    match value {
        ValueKind::String(text) => match setting.path_in(&text) {
            Some(path) if !text.is_empty() => {
                let folder = file.parent().unwrap_or(Path::new("."));
                let whole = std::path::absolute(folder.join(path));
                let whole = whole.unwrap_or_else(|_| folder.join(path));
                ValueKind::String(whole.to_string_lossy().into_owned())
            }
            _ => ValueKind::String(text),
        },
        other => other,
    }
}

fn unknown_key(path: &Path, key: &str, value: &Value) -> Problem {
    let keys = settings::all().filter(|it| it.is_key_of_file());
    let called = settings::called(key).map(|setting| setting.key);
    let fix = match called.or_else(|| meant(key, keys.map(|setting| setting.key))) {
        Some(near) => format!("did you mean {near}?"),
        None if matches!(value.kind, ValueKind::Table(_)) => format!(
            "there are no sections: write its keys above the first table; `{}` lists the settings",
            crate::program::run("config --docs")
        ),
        None => format!(
            "remove it; `{}` lists the settings",
            crate::program::run("config --docs")
        ),
    };
    Problem::new(
        format!("{} in {}", parse::key_name(key), path.display()),
        "there is no such setting",
        fix,
    )
}

/// Says that a file in the working directory is not read, to somebody who may count on it. It is
/// neither opened nor followed.
pub(crate) fn unread(directory: &Path, user_folder: Option<&Path>) -> Option<String> {
    std::fs::symlink_metadata(directory.join(DEFAULT_FILE)).ok()?;
    let same = |folder: &Path| match (folder.canonicalize(), directory.canonicalize()) {
        (Ok(folder), Ok(directory)) => folder == directory,
        _ => false,
    };
    if user_folder.is_some_and(same) {
        return None;
    }
    let own = user_folder.map_or_else(String::new, |folder| {
        format!(", or move it to {}", folder.join(DEFAULT_FILE).display())
    });
    Some(format!(
        "{DEFAULT_FILE} in the working directory is not read, because whoever wrote this folder \
         could have written it; if it is yours, name it with --config or BRAINGRID_CONFIG{own}"
    ))
}
