//! Reads typed values out of the merged layers and collects what is wrong on the way.

mod table;

use std::path::{Path, PathBuf};

use config::{Value, ValueKind};
use secrecy::ExposeSecret;

use super::layers::{Merged, Origin};
use super::parse::Refusal;
use super::problem::Problem;
use super::settings::{self, Kind, Setting, Spec, WithDefault};
use super::text;
pub(crate) use table::Table;

/// Reads settings; every refusal becomes a [`Problem`].
pub(crate) struct Reader {
    merged: Merged,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<String>,
}

impl Reader {
    /// Starts with the problems found while the layers were read.
    pub(crate) fn new(merged: Merged, problems: Vec<Problem>, warnings: Vec<String>) -> Self {
        Self {
            merged,
            problems,
            warnings,
        }
    }

    /// Where a setting comes from.
    pub(crate) fn origin(&self, setting: &Spec) -> Origin {
        self.merged
            .origins
            .get(setting.key)
            .cloned()
            .unwrap_or(Origin::Default)
    }

    /// The setting under the name by which it was given.
    fn label(&self, setting: &Spec) -> String {
        match self.origin(setting) {
            Origin::Default => setting.name().to_owned(),
            Origin::Environment { name } => name,
            origin => origin.to_string(),
        }
    }

    /// Reports a problem with a setting.
    pub(crate) fn report(
        &mut self,
        setting: &Spec,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.problems
            .push(Problem::new(self.label(setting), what, fix));
    }

    /// A setting that has a default, which also stands in for a value that was refused.
    pub(crate) fn value<T>(&mut self, setting: &WithDefault<T>) -> T {
        let read = self.optional(setting);
        read.unwrap_or_else(|| setting.default_value())
    }

    /// A setting that may be absent.
    pub(crate) fn optional<T, D: Copy>(&mut self, setting: &Setting<T, D>) -> Option<T> {
        let value = self.merged.values.get(setting.key)?.clone();
        let Some(value) = one(value) else {
            self.report(
                setting,
                "it is no single value",
                "write one text, number or boolean",
            );
            return None;
        };
        self.accept(setting, text::read(&value, |text| setting.parse(text)))
    }

    /// A list, each entry once; every entry that is refused is reported.
    pub(crate) fn list<T: PartialEq, D: Copy>(&mut self, setting: &Setting<T, D>) -> Vec<T> {
        let Some(value) = self.merged.values.get(setting.key).cloned() else {
            return Vec::new();
        };
        let Some(entries) = self.accept(setting, entries(value)) else {
            return Vec::new();
        };
        if entries.is_empty() && !matches!(self.origin(setting), Origin::File { .. }) {
            self.report(setting, "it names nothing", "write an entry, or unset it");
        }
        let mut parsed = Vec::new();
        for entry in &entries {
            match self.accept(setting, text::read_entry(entry, |text| setting.parse(text))) {
                Some(entry) if !parsed.contains(&entry) => parsed.push(entry),
                _ => {}
            }
        }
        parsed
    }

    /// A secret that may be absent.
    pub(crate) fn secret<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        let secret = self.merged.secrets.get(setting.key)?.clone();
        self.accept(setting, read_secret(setting, secret.expose_secret()))
    }

    /// A secret list, separated by commas.
    pub(crate) fn secrets<T>(&mut self, setting: &Setting<T>) -> Vec<T> {
        let Some(secret) = self.merged.secrets.get(setting.key).cloned() else {
            return Vec::new();
        };
        let parts = secret.expose_secret().split([',', '\n']).map(str::trim);
        let parts: Vec<_> = parts.filter(|part| !part.is_empty()).collect();
        if parts.is_empty() {
            self.report(setting, "it names nothing", "write an entry, or unset it");
        }
        let parsed: Vec<_> = parts
            .into_iter()
            .map(|part| text::read_secret(part, |text| setting.parse(text)))
            .collect();
        parsed
            .into_iter()
            .filter_map(|entry| self.accept(setting, entry))
            .collect()
    }

    /// The tables of an array of tables, each with the name by which errors call it.
    pub(crate) fn tables(&mut self, setting: &'static Spec) -> Vec<Table> {
        let Some(value) = self.merged.values.get(setting.key).cloned() else {
            return Vec::new();
        };
        let ValueKind::Array(items) = value.kind else {
            let fix = format!("start each with [[{}]]", setting.key);
            self.report(setting, "it is no array of tables", fix);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let ValueKind::Table(map) = item.kind else {
                let fix = format!("start each with [[{}]]", setting.key);
                self.report(setting, "an entry is no table", fix);
                continue;
            };
            let file = self.file();
            let label = format!("{}[{index}] in {}", setting.key, file.display());
            tables.push(Table {
                label,
                directory: file.parent().map(Path::to_path_buf).unwrap_or_default(),
                values: map.into_iter().collect(),
                ..Table::default()
            });
        }
        tables
    }

    /// A single table, with the name by which errors call it.
    pub(crate) fn table(&mut self, setting: &'static Spec) -> Option<Table> {
        let value = self.merged.values.get(setting.key).cloned()?;
        let file = self.file();
        let ValueKind::Table(values) = value.kind else {
            let fix = format!("write it as a table: [{}]", setting.key);
            self.report(setting, "it is no table", fix);
            return None;
        };
        Some(Table {
            label: format!("{} in {}", setting.key, file.display()),
            directory: file.parent().map(Path::to_path_buf).unwrap_or_default(),
            values: values.into_iter().collect(),
            ..Table::default()
        })
    }

    /// Whether there is such a table, or a variable that makes one.
    pub(crate) fn has_table(&self, setting: &Spec) -> bool {
        let mut keys = keys_of(setting);
        self.merged.values.contains_key(setting.key)
            || keys.any(|it| self.origin(it) != Origin::Default)
    }

    /// The same table, with what variables say of its keys in place of what it says. Variables alone
    /// make one, too.
    pub(crate) fn table_or_variables(&mut self, setting: &'static Spec) -> Option<Table> {
        let said = keys_of(setting).filter(|it| self.origin(it) != Origin::Default);
        let said: Vec<_> = said.collect();
        let mut table = match self.table(setting) {
            Some(table) => table,
            None if said.is_empty() => return None,
            // Whoever has no file knows its keys as variables.
            None => Table {
                names: keys_of(setting)
                    .map(|it| (it.key_in_table(), it.name()))
                    .collect(),
                ..Table::default()
            },
        };
        for variable in said {
            let values = self.merged.values.get(variable.key);
            let secret = self.merged.secrets.get(variable.key);
            table.put(variable, values, secret);
        }
        Some(table)
    }

    fn file(&self) -> PathBuf {
        let file = self
            .merged
            .origins
            .values()
            .find_map(|origin| match origin {
                Origin::File { path, .. } => Some(path.clone()),
                _ => None,
            });
        file.unwrap_or_default()
    }

    fn accept<T>(&mut self, setting: &Spec, parsed: Result<T, Refusal>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(refusal) => {
                self.report(setting, refusal.what, refusal.fix);
                None
            }
        }
    }

    /// A value as it may be shown: secrets only by their presence.
    pub(crate) fn shown(&self, setting: &Spec) -> Option<String> {
        if setting.secret {
            return self
                .merged
                .secrets
                .get(setting.key)
                .map(|_| "[redacted]".to_owned());
        }
        let value = self.merged.values.get(setting.key)?.clone();
        match value.kind {
            ValueKind::Array(items) => {
                let shown: Vec<String> = items.into_iter().map(shown_entry).collect();
                Some(shown.join(", "))
            }
            ValueKind::Table(_) => Some("(a table)".to_owned()),
            kind => Some(kind.to_string()),
        }
    }
}

/// The keys of a table that are variables, too.
fn keys_of(table: &Spec) -> impl Iterator<Item = &'static Spec> {
    let name = table.key;
    settings::all().filter(move |it| it.table == Some(name))
}

/// A secret as its setting reads it.
pub(crate) fn read_secret<T>(setting: &Setting<T>, secret: &str) -> Result<T, Refusal> {
    let parse = |text: &str| setting.parse(text);
    match setting.kind {
        Kind::Lines => text::read_secret_lines(secret, parse),
        _ => text::read_secret(secret, parse),
    }
}

fn shown_entry(value: Value) -> String {
    match value.kind {
        ValueKind::Table(map) => {
            let issuer = map.get("issuer").cloned();
            issuer
                .and_then(one)
                .unwrap_or_else(|| "(a table)".to_owned())
        }
        kind => kind.to_string(),
    }
}

/// A single value as text.
fn one(value: Value) -> Option<String> {
    match value.kind {
        ValueKind::Array(_) | ValueKind::Table(_) | ValueKind::Nil => None,
        kind => Some(kind.to_string()),
    }
}

/// The entries of a list: an array, or text separated by commas.
fn entries(value: Value) -> Result<Vec<String>, Refusal> {
    let no_list = || Refusal {
        what: "it is no list".to_owned(),
        fix: r#"write it as ["first", "second"]"#.to_owned(),
    };
    match value.kind {
        ValueKind::Array(items) => {
            let items: Option<_> = items.into_iter().map(one).collect();
            items.ok_or_else(no_list)
        }
        ValueKind::Table(_) | ValueKind::Nil => Err(no_list()),
        kind => text::entries(&kind.to_string()),
    }
}
