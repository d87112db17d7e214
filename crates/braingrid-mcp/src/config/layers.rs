//! Where values come from: defaults, the file, the environment, the flags.
//!
//! The crate `config` merges the layers, so that the precedence is its order of sources.
//! Secrets do not pass through it: it keeps values in plain strings. They are merged
//! beside it, in the same order.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{ConfigError, FileFormat, Map, Source, Value, ValueKind};
use secrecy::{ExposeSecret, SecretString};

use super::parse;
use super::problem::{Problem, meant, nearest};
use super::settings::{self, AUDIT_LOG, Kind, LOGIN_DIR, REDIS_CA, SETTINGS, Setting};
use crate::{owner, text};

/// The file that is read when none is named, in the user's own folder.
pub(crate) const DEFAULT_FILE: &str = "braingrid-mcp.toml";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    File { path: PathBuf, key: String },
    Environment { name: String },
    Flag { name: &'static str },
}

impl Origin {
    /// What a document or a script calls this kind of source.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File { .. } => "file",
            Self::Environment { .. } => "environment",
            Self::Flag { .. } => "flag",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, key } => write!(f, "{key} in {}", path.display()),
            Self::Environment { name } => write!(f, "environment variable {name}"),
            Self::Flag { name } => write!(f, "--{name}"),
        }
    }
}

/// The process environment, or a table in its place.
#[derive(Debug, Default)]
pub(crate) struct Environment(pub(crate) BTreeMap<String, Result<SecretString, NotUnicode>>);

/// A variable whose value is not UTF-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotUnicode;

/// One layer of values.
#[derive(Debug, Default, Clone)]
pub(crate) struct Layer {
    values: Map<String, Value>,
    secrets: BTreeMap<&'static str, SecretString>,
    origins: BTreeMap<&'static str, Origin>,
}

impl Layer {
    /// Adds a value; an empty text is no value.
    fn put(&mut self, setting: &'static Setting, value: ValueKind, origin: Origin) {
        if matches!(&value, ValueKind::String(text) if text.is_empty()) {
            return;
        }
        if setting.secret {
            if let Some(secret) = secret_text(value) {
                self.put_secret(setting, secret, origin);
            }
            return;
        }
        let value = Value::new(Some(&origin.to_string()), value);
        self.values.insert(setting.key.to_owned(), value);
        self.origins.insert(setting.key, origin);
    }

    fn put_secret(&mut self, setting: &'static Setting, secret: SecretString, origin: Origin) {
        self.secrets.insert(setting.key, secret);
        self.origins.insert(setting.key, origin);
    }
}

/// A secret as one text; a list is joined by commas.
fn secret_text(value: ValueKind) -> Option<SecretString> {
    let text = match value {
        ValueKind::Array(items) => items
            .into_iter()
            .map(|item| item.into_string().unwrap_or_default())
            .collect::<Vec<_>>()
            .join(","),
        ValueKind::Table(_) | ValueKind::Nil => return None,
        other => other.to_string(),
    };
    Some(SecretString::from(text))
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.values.clone())
    }
}

/// The layers put together.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// Values that are no secrets.
    pub(crate) values: Map<String, Value>,
    /// Secrets.
    pub(crate) secrets: BTreeMap<&'static str, SecretString>,
    /// Where each comes from.
    pub(crate) origins: BTreeMap<&'static str, Origin>,
}

/// Merges layers, the last one strongest.
pub(crate) fn merge(layers: Vec<Layer>) -> Result<Merged, Problem> {
    let mut merged = Merged::default();
    let mut builder = config::Config::builder();
    for mut layer in layers {
        merged.secrets.append(&mut layer.secrets);
        merged.origins.append(&mut layer.origins.clone());
        builder = builder.add_source(layer);
    }
    let values = builder.build().and_then(|built| built.collect());
    merged.values = values.map_err(|_| {
        Problem::new(
            "configuration",
            "its layers cannot be merged",
            "report this as a bug",
        )
    })?;
    Ok(merged)
}

/// The lowest layer: what the table says.
pub(crate) fn defaults() -> Layer {
    let mut layer = Layer::default();
    for setting in SETTINGS {
        if let Some(default) = setting.default {
            layer.put(setting, ValueKind::from(default), Origin::Default);
        }
    }
    layer
}

/// The highest layer: what the command line says, by setting key.
pub(crate) fn flags(given: &BTreeMap<&'static str, String>) -> Layer {
    let mut layer = Layer::default();
    for setting in SETTINGS {
        if let (Some(name), Some(value)) = (setting.flag, given.get(setting.key)) {
            layer.put(
                setting,
                ValueKind::from(value.as_str()),
                Origin::Flag { name },
            );
        }
    }
    layer
}

/// The layer of the environment, as far as its settings are `wanted`. A `local` server is started
/// in whatever folder its client has open, so that a relative path would mean a stranger's file.
pub(crate) fn environment(
    environment: &Environment,
    wanted: impl Fn(&Setting) -> bool,
    local: bool,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Layer {
    let mut layer = Layer::default();
    for setting in SETTINGS.iter().filter(|setting| wanted(setting)) {
        let given = variables(setting, environment, local, problems);
        let Some((name, value)) = given.first() else {
            continue;
        };
        for (other, other_value) in given.iter().skip(1) {
            if other_value.expose_secret() != value.expose_secret() {
                warnings.push(format!(
                    "{name} and {other} are both set and differ; {name} is used"
                ));
            }
        }
        let origin = Origin::Environment { name: name.clone() };
        if let Some(path) = path_of(setting, value.expose_secret())
            && local
            && path.is_relative()
        {
            problems.push(relative(name, path));
            continue;
        }
        if setting.secret {
            layer.put_secret(setting, value.clone(), origin);
        } else {
            layer.put(setting, ValueKind::from(value.expose_secret()), origin);
        }
    }
    layer
}

/// The variables of a setting that hold something, the strongest first.
fn variables(
    setting: &Setting,
    environment: &Environment,
    local: bool,
    problems: &mut Vec<Problem>,
) -> Vec<(String, SecretString)> {
    let mut given = Vec::new();
    for name in setting.env {
        let value = variable(name, environment, problems);
        if !setting.secret {
            given.extend(value.map(|value| ((*name).to_owned(), value)));
            continue;
        }
        let file_name = format!("{name}_FILE");
        let path = variable(&file_name, environment, problems);
        match (value, path) {
            (Some(_), Some(_)) => problems.push(both_given(name, name, &file_name)),
            (Some(value), None) => given.push(((*name).to_owned(), value)),
            (None, Some(path)) if local && Path::new(path.expose_secret()).is_relative() => {
                problems.push(relative(&file_name, Path::new(path.expose_secret())));
            }
            (None, Some(path)) => {
                let secret = secret_file(&file_name, Path::new(path.expose_secret()), problems);
                given.extend(secret.map(|secret| (file_name, secret)));
            }
            (None, None) => {}
        }
    }
    given
}

/// A variable that is set and not empty.
fn variable(
    name: &str,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Option<SecretString> {
    match environment.0.get(name)? {
        Ok(value) if value.expose_secret().is_empty() => None,
        Ok(value) => Some(value.clone()),
        Err(NotUnicode) => {
            problems.push(Problem::new(
                name,
                "its value is not UTF-8",
                "set it again as text",
            ));
            None
        }
    }
}

/// The path that a setting is, where it is one.
fn path_of<'a>(setting: &Setting, value: &'a str) -> Option<&'a Path> {
    let is_path = setting.key == LOGIN_DIR.key
        || setting.key == REDIS_CA.key
        || (setting.key == AUDIT_LOG.key && value.contains(['/', std::path::MAIN_SEPARATOR]));
    is_path.then(|| Path::new(value))
}

pub(super) fn relative(name: &str, path: &Path) -> Problem {
    Problem::new(
        name,
        format!(
            "{} is a relative path, and a local server is started in whatever folder its client \
             has open",
            path.display()
        ),
        "write the whole path, from the root on",
    )
}

fn both_given(label: &str, name: &str, file_name: &str) -> Problem {
    Problem::new(
        label,
        format!("{name} and {file_name} are both set"),
        format!("keep one of them; {file_name} keeps the secret out of the environment"),
    )
}

/// Reads a secret from its own file, without the newline that editors add.
pub(crate) fn secret_file(
    name: &str,
    path: &Path,
    problems: &mut Vec<Problem>,
) -> Option<SecretString> {
    let text = match text::read(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(Problem::new(
                name,
                format!("{} cannot be read: {}", path.display(), error.kind()),
                "name a file that this process may read, or unset it",
            ));
            return None;
        }
    };
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        problems.push(Problem::new(
            name,
            format!("{} is empty", path.display()),
            "write the secret into it, or unset it",
        ));
        return None;
    }
    Some(SecretString::from(secret))
}

/// The layer of the configuration file: the one that is named, else the one in the user's own
/// folder. The working directory is nobody's word: clients start servers in cloned repositories.
pub(crate) fn file(
    named: Option<(PathBuf, Origin)>,
    directory: &Path,
    user_folder: Option<&Path>,
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
    of_text(&path, &text, problems)
}

/// The layer of a configuration file with this text.
pub(super) fn of_text(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Layer {
    match config::File::from_str(text, FileFormat::Toml).collect() {
        Ok(values) => file_layer(path, values, problems),
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

fn file_layer(path: &Path, values: Map<String, Value>, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::default();
    let mut values: BTreeMap<String, Value> = values.into_iter().collect();
    for setting in SETTINGS {
        if setting.kind == Kind::FilePath {
            continue;
        }
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
fn beside(file: &Path, setting: &Setting, value: ValueKind) -> ValueKind {
    match value {
        ValueKind::String(text) => match path_of(setting, &text) {
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
    let keys = SETTINGS
        .iter()
        .filter(|setting| setting.kind != Kind::FilePath);
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

/// Warns of variables that look like ours and are not.
pub(crate) fn near_misses(environment: &Environment) -> Vec<String> {
    let with_files = |setting: &&Setting| {
        let files = setting
            .env
            .iter()
            .filter(|_| setting.secret)
            .map(|name| format!("{name}_FILE"));
        setting
            .env
            .iter()
            .map(|name| (*name).to_owned())
            .chain(files)
            .collect::<Vec<_>>()
    };
    let names: Vec<String> = SETTINGS.iter().flat_map(with_files).collect();
    let strangers = environment.0.keys().filter(|name| {
        (name.starts_with("BRAINGRID_") || name.starts_with("MCP_")) && !names.contains(name)
    });
    strangers
        .filter_map(|name| {
            let near = nearest(name, names.iter().map(String::as_str))?;
            Some(format!(
                "{name} is set, but there is no such setting: did you mean {near}?"
            ))
        })
        .collect()
}
