//! Where the settings of a mode stand: in the table of an issuer, or each for itself. What they mean
//! is the same in both.

use crate::config::layers::Origin;
use crate::config::problem::Problem;
use crate::config::reader::{self, Reader, Table};
use crate::config::settings::{self, Group, Setting, Spec};

pub(super) enum Place<'a> {
    /// `[issuers.upstream]`, whose keys have no prefix.
    Table(Table, &'a mut Vec<Problem>),
    /// Variables, or keys at the top of the file.
    Settings(&'a mut Reader),
}

/// What a setting is called in the table of an issuer.
pub(super) fn key(setting: &Spec) -> &'static str {
    setting.key.strip_prefix("upstream_").unwrap_or(setting.key)
}

impl Place<'_> {
    pub(super) fn optional<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        match self {
            Self::Table(table, problems) => {
                table.optional(key(setting), |text| setting.parse(text), problems)
            }
            Self::Settings(reader) => reader.optional(setting),
        }
    }

    pub(super) fn list<T: PartialEq>(&mut self, setting: &Setting<T>) -> Vec<T> {
        match self {
            Self::Table(table, problems) => {
                table.list(key(setting), |text| setting.parse(text), problems)
            }
            Self::Settings(reader) => reader.list(setting),
        }
    }

    pub(super) fn secret<T>(&mut self, setting: &Setting<T>) -> Option<T> {
        match self {
            Self::Table(table, problems) => {
                let read = |text: &str| reader::read_secret(setting, text);
                table.secret(key(setting), read, problems)
            }
            Self::Settings(reader) => reader.secret(setting),
        }
    }

    /// Whether a setting is there, in any of its forms.
    pub(super) fn has(&self, setting: &Spec) -> bool {
        match self {
            Self::Table(table, _) => {
                table.has(key(setting)) || table.has(&format!("{}_file", key(setting)))
            }
            Self::Settings(reader) => reader.origin(setting) != Origin::Default,
        }
    }

    /// The same, and it is not looked at any more.
    pub(super) fn take(&mut self, setting: &Spec) -> bool {
        let is_there = self.has(setting);
        if let Self::Table(table, _) = self {
            table.drop(key(setting));
            table.drop(&format!("{}_file", key(setting)));
        }
        is_there
    }

    /// A setting as an operator writes it here.
    pub(super) fn name(&self, setting: &Spec) -> &'static str {
        match self {
            Self::Table(table, _) => table.name(key(setting)),
            Self::Settings(_) => setting.name(),
        }
    }

    /// The same for the file that holds it.
    pub(super) fn file_name(&self, setting: &Spec) -> String {
        let name = self.name(setting);
        let is_variable = name.starts_with(|first: char| first.is_ascii_uppercase());
        format!("{name}{}", if is_variable { "_FILE" } else { "_file" })
    }

    pub(super) fn report(&mut self, setting: &Spec, what: &str, fix: &str) {
        match self {
            Self::Table(table, problems) => problems.push(table.problem(key(setting), what, fix)),
            Self::Settings(reader) => reader.report(setting, what, fix),
        }
    }

    pub(super) fn problems(&self) -> usize {
        match self {
            Self::Table(_, problems) => problems.len(),
            Self::Settings(reader) => reader.problems.len(),
        }
    }

    /// Reports the keys that mean nothing; whether there are none.
    pub(super) fn finish(self) -> bool {
        let Self::Table(table, problems) = self else {
            return true;
        };
        let all = settings::all().filter(|setting| setting.group == Group::Upstream);
        let known = all.flat_map(|it| {
            let file = it.secret.then(|| format!("{}_file", key(it)));
            std::iter::once(key(it).to_owned()).chain(file)
        });
        let known: Vec<_> = known.collect();
        let known: Vec<_> = known.iter().map(String::as_str).collect();
        let before = problems.len();
        table.finish(&known, problems);
        problems.len() == before
    }
}
