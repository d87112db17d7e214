//! The table of settings: one entry per setting, and everything that is said
//! about settings (flags, variables, file keys, defaults, documentation) comes from it.

/// States settings: each becomes a static, and an entry of `ALL`, which can forget none.
macro_rules! settings {
    ($($name:ident: $type:ty = $setting:expr;)*) => {
        $(pub(crate) static $name: $type = $setting;)*

        pub(super) static ALL: &[&Spec] = &[$(&$name.spec),*];

        #[cfg(test)]
        pub(super) static DEFAULTS: &[(&str, fn() -> bool)] =
            &[$((stringify!($name), || $name.takes_its_default())),*];
    };
}

mod authorization_server;
mod braingrid;
mod http;
mod identity;
mod limits;
mod login;
mod logs;
mod operators;
mod revocation;
mod server;
mod sessions;
mod tools;
mod upstream;
mod writes;

use std::fmt;
use std::ops::Deref;
use std::path::{MAIN_SEPARATOR, Path};

pub(crate) use braingrid::*;
pub(crate) use http::*;
pub(crate) use identity::*;
pub(crate) use limits::*;
pub(crate) use login::*;
pub(crate) use logs::*;
pub(crate) use operators::*;
pub(crate) use revocation::*;
pub(crate) use server::*;
pub(crate) use sessions::*;
pub(crate) use tools::*;
pub(crate) use upstream::*;
pub(crate) use writes::*;

use super::parse::Parsed;

/// One setting, whole: what is said of it, and how its text is read.
#[derive(Debug)]
pub(crate) struct Setting<T: 'static, D = ()> {
    spec: Spec,
    parse: fn(&str) -> Parsed<T>,
    /// The value when nothing is set, or `()`: whether there is one is part of the type.
    otherwise: D,
}

/// A setting that has a value when nothing is set.
pub(crate) type WithDefault<T> = Setting<T, &'static str>;

/// What is said of a setting: a file key, an environment variable and perhaps a flag.
#[derive(Debug)]
pub(crate) struct Spec {
    /// The key in the configuration file.
    pub(crate) key: &'static str,
    /// The table of the file that it is a key of, where it is none at the top: there without the
    /// table's name in front.
    pub(crate) table: Option<&'static str>,
    /// Environment variables, the first set one wins.
    pub(crate) env: &'static [&'static str],
    /// The long flag without its dashes, where there is one.
    pub(crate) flag: Option<&'static str>,
    /// What stands for the value in `--help`.
    pub(crate) placeholder: &'static str,
    /// The form of its value.
    pub(crate) kind: Kind,
    /// The value when nothing is set.
    pub(crate) default: Option<&'static str>,
    /// Never shown, and also read from the file that `NAME_FILE` names.
    pub(crate) secret: bool,
    /// Which transport reads it.
    pub(crate) used_by: UsedBy,
    /// The heading it stands under.
    pub(crate) group: Group,
    /// A few words, for `--help` and the first column of the documentation.
    pub(crate) summary: &'static str,
    /// The rest, for the documentation.
    pub(crate) detail: &'static str,
}

/// The form of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One text, number or duration.
    Text,
    /// Several lines, as PEM has them.
    Lines,
    /// A list: an array in the file, separated by commas elsewhere.
    List,
    /// On or off.
    Switch,
    /// An array of tables, in the file only.
    Tables,
    /// A single table, in the file only.
    Table,
    /// A path; a relative one in the file means a place beside it.
    Path,
    /// A word, or a path, which has a separator.
    WordOrPath,
    /// The path of the configuration file itself, which a file cannot hold.
    FilePath,
}

/// Which transport reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UsedBy {
    Both,
    Stdio,
    Http,
}

impl fmt::Display for UsedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Both => "both",
            Self::Stdio => "stdio",
            Self::Http => "http",
        })
    }
}

/// A heading of the documentation and of `--help`, in the order in which they are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
pub(crate) enum Group {
    General,
    Http,
    Limits,
    Identity,
    Upstream,
    Sessions,
    Revocation,
    BrainGrid,
    Login,
    Tools,
    Writes,
    Operators,
    Logs,
}

impl Group {
    /// The heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::General => "Server",
            Self::Http => "HTTP",
            Self::Limits => "Limits",
            Self::Identity => "Who may call",
            Self::Upstream => "Calling the API for its users",
            Self::Sessions => "Sessions",
            Self::Revocation => "Revocation",
            Self::BrainGrid => "BrainGrid API",
            Self::Login => "Local login",
            Self::Tools => "Tools",
            Self::Writes => "Writes",
            Self::Operators => "Operators",
            Self::Logs => "Logs and traces",
        }
    }
}

impl<T> Setting<T> {
    /// A setting whose text, or each entry of its list, is read by `parse`.
    const fn new(
        group: Group,
        used_by: UsedBy,
        key: &'static str,
        env: &'static [&'static str],
        parse: fn(&str) -> Parsed<T>,
    ) -> Self {
        let spec = Spec {
            key,
            table: None,
            env,
            flag: None,
            placeholder: "",
            kind: Kind::Text,
            default: None,
            secret: false,
            used_by,
            group,
            summary: "",
            detail: "",
        };
        Self {
            spec,
            parse,
            otherwise: (),
        }
    }

    const fn default(self, default: &'static str) -> WithDefault<T> {
        let (mut spec, parse) = (self.spec, self.parse);
        spec.default = Some(default);
        Setting {
            spec,
            parse,
            otherwise: default,
        }
    }
}

impl<T, D: Copy> Setting<T, D> {
    const fn flag(mut self, flag: &'static str, placeholder: &'static str) -> Self {
        self.spec.flag = Some(flag);
        self.spec.placeholder = placeholder;
        self
    }

    const fn kind(mut self, kind: Kind) -> Self {
        self.spec.kind = kind;
        self
    }

    const fn in_table(mut self, table: &'static str) -> Self {
        self.spec.table = Some(table);
        self
    }

    const fn secret(mut self) -> Self {
        self.spec.secret = true;
        self
    }

    const fn says(mut self, summary: &'static str, detail: &'static str) -> Self {
        self.spec.summary = summary;
        self.spec.detail = detail;
        self
    }

    #[cfg(test)]
    fn takes_its_default(&self) -> bool {
        let Some(default) = self.default else {
            return true;
        };
        let takes = |text: &str| self.parse(text).is_ok();
        match self.kind {
            Kind::List => default.split(',').all(takes),
            _ => takes(default),
        }
    }

    /// What a text means as its value.
    pub(crate) fn parse(&self, text: &str) -> Parsed<T> {
        (self.parse)(text)
    }
}

impl<T> WithDefault<T> {
    /// What its default means.
    ///
    /// # Panics
    /// Where its own parser refuses it: a test reads them all.
    #[expect(
        clippy::expect_used,
        reason = "a default stands beside its parser, and a test reads all"
    )]
    pub(crate) fn default_value(&self) -> T {
        let value = self.parse(self.otherwise).ok();
        value.expect("a default that its parser takes")
    }
}

impl<T, D> Deref for Setting<T, D> {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        &self.spec
    }
}

impl Spec {
    /// The path that a value of it is, if it is one.
    pub(crate) fn path_in<'a>(&self, value: &'a str) -> Option<&'a Path> {
        let is_path = match self.kind {
            Kind::Path => true,
            Kind::WordOrPath => value.contains(['/', MAIN_SEPARATOR]),
            _ => false,
        };
        is_path.then(|| Path::new(value))
    }

    /// The name by which an operator knows it best: its first variable, else its key.
    pub(crate) fn name(&self) -> &'static str {
        self.env.first().copied().unwrap_or(self.key)
    }

    /// Whether it can stand at the top of the file.
    pub(crate) fn is_key_of_file(&self) -> bool {
        self.kind != Kind::FilePath && self.table.is_none()
    }

    /// What it is called in its table.
    pub(crate) fn key_in_table(&self) -> &'static str {
        let table = self.table.unwrap_or_default();
        let key = self.key.strip_prefix(table);
        key.map_or(self.key, |key| key.trim_start_matches('_'))
    }

    /// Whether the transport that was chosen reads it.
    pub(crate) fn read_by(&self, http: bool) -> bool {
        match self.used_by {
            UsedBy::Both => true,
            UsedBy::Stdio => !http,
            UsedBy::Http => http,
        }
    }
}

/// The setting that has this name in a file, in the environment or on the command line.
pub(crate) fn called(name: &str) -> Option<&'static Spec> {
    all().find(|setting| {
        let names = setting.env.iter().copied().chain(setting.flag);
        let mut names = names.chain([setting.key]);
        setting.is_key_of_file() && names.any(|known| known.eq_ignore_ascii_case(name))
    })
}

/// Every setting, in the order in which they are printed.
pub(crate) fn all() -> impl Iterator<Item = &'static Spec> + Clone {
    let groups = [
        server::ALL,
        http::ALL,
        limits::ALL,
        identity::ALL,
        authorization_server::ALL,
        upstream::ALL,
        sessions::ALL,
        revocation::ALL,
        braingrid::ALL,
        login::ALL,
        tools::ALL,
        writes::ALL,
        operators::ALL,
        logs::ALL,
    ];
    groups.into_iter().flatten().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_one_that_its_own_parser_takes() {
        let groups = [
            server::DEFAULTS,
            http::DEFAULTS,
            limits::DEFAULTS,
            identity::DEFAULTS,
            authorization_server::DEFAULTS,
            upstream::DEFAULTS,
            sessions::DEFAULTS,
            revocation::DEFAULTS,
            braingrid::DEFAULTS,
            login::DEFAULTS,
            tools::DEFAULTS,
            writes::DEFAULTS,
            operators::DEFAULTS,
            logs::DEFAULTS,
        ];
        let defaults = groups.into_iter().flatten();
        assert_eq!(defaults.clone().count(), all().count());
        for (name, takes_its_default) in defaults {
            assert!(takes_its_default(), "{name}");
        }
    }
}
