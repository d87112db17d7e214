//! Where values come from: defaults, the file, the environment, the flags.
//!
//! The crate `config` merges the layers, so that the precedence is its order of sources.
//! Secrets do not pass through it: it keeps values in plain strings. They are merged
//! beside it, in the same order.

mod environment;
mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use config::{ConfigError, Map, Source, Value, ValueKind};
use secrecy::SecretString;

use super::problem::Problem;
use super::settings::{self, Spec};
use crate::text;

pub(crate) use environment::{Environment, NotUnicode, environment, near_misses};
#[cfg(any(fuzzing, test))]
pub(crate) use file::of_text;
pub(crate) use file::{file, unread};

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

/// One layer of values.
#[derive(Debug, Default, Clone)]
pub(crate) struct Layer {
    values: Map<String, Value>,
    secrets: BTreeMap<&'static str, SecretString>,
    origins: BTreeMap<&'static str, Origin>,
}

impl Layer {
    /// Adds a value; an empty text is no value.
    fn put(&mut self, setting: &'static Spec, value: ValueKind, origin: Origin) {
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

    fn put_secret(&mut self, setting: &'static Spec, secret: SecretString, origin: Origin) {
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
    for setting in settings::all() {
        if let Some(default) = setting.default {
            layer.put(setting, ValueKind::from(default), Origin::Default);
        }
    }
    layer
}

/// The highest layer: what the command line says, by setting key.
pub(crate) fn flags(given: &BTreeMap<&'static str, String>) -> Layer {
    let mut layer = Layer::default();
    for setting in settings::all() {
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
