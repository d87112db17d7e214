//! One table of an array of tables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use config::{Value, ValueKind};
use secrecy::{ExposeSecret as _, SecretString};

use super::{entries, one};
use crate::config::layers::secret_file;
use crate::config::parse::{self, Refusal};
use crate::config::problem::{self, Problem};
use crate::config::settings::{self, Spec};
use crate::config::text;

/// One table of an array of tables. Keys are taken out; what is left is unknown.
#[derive(Default)]
pub(crate) struct Table {
    pub(super) label: String,
    pub(super) directory: PathBuf,
    pub(super) values: BTreeMap<String, Value>,
    /// Secrets that variables hold.
    pub(super) secrets: BTreeMap<&'static str, SecretString>,
    /// The variables that keys are known by.
    pub(super) names: BTreeMap<&'static str, &'static str>,
}

impl Table {
    /// Whether a key is there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key) || self.secrets.contains_key(key)
    }

    /// The names of all that is there.
    pub(crate) fn names(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    /// Takes a key out unread.
    pub(crate) fn drop(&mut self, key: &str) {
        self.values.remove(key);
        self.secrets.remove(key);
    }

    /// Puts what a variable says in place of what stands here.
    pub(super) fn put(
        &mut self,
        variable: &'static Spec,
        value: Option<&Value>,
        secret: Option<&SecretString>,
    ) {
        let key = variable.key_in_table();
        self.drop(key);
        self.drop(&format!("{key}_file"));
        self.names.insert(key, variable.name());
        let value = value.map(|value| (key.to_owned(), value.clone()));
        self.values.extend(value);
        self.secrets
            .extend(secret.map(|secret| (key, secret.clone())));
    }

    /// A value that may be absent.
    pub(crate) fn optional<T>(
        &mut self,
        key: &str,
        parser: impl Fn(&str) -> Result<T, Refusal>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        let value = self.single(key, problems)?;
        self.accept(key, text::read(&value, parser), problems)
    }

    /// A secret that may be absent: itself under its key, or the file that holds it under `KEY_file`.
    pub(crate) fn secret<T>(
        &mut self,
        key: &str,
        read: impl Fn(&str) -> Result<T, Refusal>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        if let Some(secret) = self.secrets.remove(key) {
            return self.accept(key, read(secret.expose_secret()), problems);
        }
        let file_key = format!("{key}_file");
        let path = self.optional(&file_key, |path| Ok(path.to_owned()), problems);
        let (given, secret) = match (self.single(key, problems), path) {
            (Some(_), Some(_)) => {
                let what = "the secret and its file are both set";
                problems.push(self.problem(&file_key, what, "keep one of them"));
                return None;
            }
            (None, Some(path)) => {
                let path = self.directory.join(path);
                let secret = secret_file(&self.label(&file_key), &path, problems)?;
                (file_key.as_str(), secret)
            }
            (Some(written), None) => (key, SecretString::from(written)),
            (None, None) => return None,
        };
        self.accept(given, read(secret.expose_secret()), problems)
    }

    /// A table inside this one, which may be absent.
    pub(crate) fn table(&mut self, key: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let ValueKind::Table(values) = self.values.remove(key)?.kind else {
            problems.push(self.problem(key, "it is no table", "write it as a table of its own"));
            return None;
        };
        Some(Self {
            label: self.label(key),
            directory: self.directory.clone(),
            values: values.into_iter().collect(),
            ..Self::default()
        })
    }

    /// The tables of an array inside this one, which may be absent.
    pub(crate) fn tables(&mut self, key: &str, problems: &mut Vec<Problem>) -> Vec<Self> {
        let Some(value) = self.values.remove(key) else {
            return Vec::new();
        };
        let items = match value.kind {
            ValueKind::Array(items) => items,
            _ => Vec::from([value]),
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let ValueKind::Table(values) = item.kind else {
                problems.push(self.problem(key, "an entry is no table", "write each as a table"));
                continue;
            };
            tables.push(Self {
                label: self.label(&format!("{key}[{index}]")),
                directory: self.directory.clone(),
                values: values.into_iter().collect(),
                ..Self::default()
            });
        }
        tables
    }

    fn single(&mut self, key: &str, problems: &mut Vec<Problem>) -> Option<String> {
        let value = one(self.values.remove(key)?);
        if value.is_none() {
            problems.push(self.problem(key, "it is no single value", "write one text"));
        }
        value
    }

    fn accept<T>(
        &self,
        key: &str,
        read: Result<T, Refusal>,
        problems: &mut Vec<Problem>,
    ) -> Option<T> {
        read.map_err(|refusal| problems.push(self.problem(key, &refusal.what, &refusal.fix)))
            .ok()
    }

    /// A list that may be absent, each entry once.
    pub(crate) fn list<T: PartialEq>(
        &mut self,
        key: &str,
        parser: impl Fn(&str) -> Result<T, Refusal>,
        problems: &mut Vec<Problem>,
    ) -> Vec<T> {
        let Some(value) = self.values.remove(key) else {
            return Vec::new();
        };
        let entries = self.accept(key, entries(value), problems);
        let entries = entries.unwrap_or_default();
        if entries.is_empty() && self.names.contains_key(key) {
            problems.push(self.problem(key, "it names nothing", "write an entry, or unset it"));
        }
        let mut parsed = Vec::new();
        for entry in entries {
            match self.accept(key, text::read_entry(&entry, &parser), problems) {
                Some(value) if !parsed.contains(&value) => parsed.push(value),
                _ => {}
            }
        }
        parsed
    }

    /// Reports the keys that nobody took.
    pub(crate) fn finish(self, known: &[&str], problems: &mut Vec<Problem>) {
        for key in self.values.keys() {
            let fix = match problem::meant(key, known.iter().copied()) {
                _ if settings::called(key).is_some() => {
                    "it is a setting of the whole server: move it above the first table".to_owned()
                }
                Some(near) => format!("did you mean {near}?"),
                None => format!("remove it; the keys are {}", known.join(", ")),
            };
            problems.push(self.problem(&parse::key_name(key), "there is no such key", &fix));
        }
    }

    /// Describes a problem with a key of this table.
    pub(crate) fn problem(&self, key: &str, what: &str, fix: &str) -> Problem {
        Problem::new(self.label(key), what, fix)
    }

    /// A key of this table, as errors call it.
    pub(crate) fn label(&self, key: &str) -> String {
        match self.names.get(key) {
            Some(name) => (*name).to_owned(),
            None => format!("{key} of {}", self.label),
        }
    }

    /// A key of this table, as it is written.
    pub(crate) fn name(&self, key: &'static str) -> &'static str {
        self.names.get(key).copied().unwrap_or(key)
    }
}
