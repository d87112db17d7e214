//! What is written about this server into a client's file, whatever the file's format.

use std::fmt;

/// Where the entry stands in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The key under which the client keeps all servers.
    pub(crate) container: &'static str,
    /// The server's name there.
    pub(crate) name: &'a str,
}

/// The entry: fields in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) fields: Vec<(&'static str, Value)>,
    /// Fields that are written only where the file has none of that name.
    pub(crate) defaults: Vec<(&'static str, Value)>,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<String>),
}

impl Value {
    pub(crate) fn text(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl Entry {
    /// The field that says how the server is reached, `command` or `url`. An entry that has the
    /// other one is replaced whole: what else stands there belongs to that other way.
    pub(crate) fn way(&self) -> &'static str {
        let named = |key| self.fields.iter().any(|(name, _)| *name == key);
        if named("url") { "url" } else { "command" }
    }
}

/// An entry that was found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) command: Option<String>,
    pub(crate) url: Option<String>,
}

/// Why a client's file cannot be edited. Never quotes the file: other servers keep secrets there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
