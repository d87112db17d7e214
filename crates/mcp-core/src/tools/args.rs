//! The arguments of the tools as types. How a value may be written is decided in `read`; here it is
//! refused, with the name of the field, if it is not what it has to be.

pub(super) mod filter;
pub(super) mod read;

use std::{borrow::Cow, ops::Deref};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};
use serde_json::Value;

use super::{Arguments, error::ToolError};
use crate::{
    braingrid::Paging,
    ids::{InvalidId, ProjectRef, RequirementRef, TaskRef},
};

/// The arguments of a tool.
///
/// # Errors
/// With the field that is wrong, and why.
pub(super) fn parse<A: DeserializeOwned>(arguments: Arguments) -> Result<A, ToolError> {
    let arguments = Value::Object(arguments);
    // The way to a field is followed only where there is something wrong with one.
    if let Ok(read) = A::deserialize(&arguments) {
        return Ok(read);
    }
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let path = error.path().to_string();
        let reason = error.inner();
        ToolError::Refused(match path.as_str() {
            "." => format!("Bad arguments: {reason}."),
            field => format!("Bad argument `{field}`: {reason}."),
        })
    })
}

/// A schema without the description that deriving would take from the documentation.
macro_rules! plain_schema {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }

            fn inline_schema() -> bool {
                true
            }
        }
    };
}

macro_rules! id_argument {
    ($($name:ident),*) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|error: InvalidId| de::Error::custom(error))
            }
        }

        plain_schema!($name, {"type": "string", "format": "id"});
    )*};
}

id_argument!(ProjectRef, RequirementRef, TaskRef);

macro_rules! status {
    ($(#[$doc:meta])* $name:ident: $($value:ident = $text:literal),*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name {
            $($value,)*
        }

        plain_schema!($name, {"type": "string", "enum": [$($text),*]});

        impl $name {
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                match text.as_str() {
                    $($text => Ok(Self::$value),)*
                    _ => Err(de::Error::custom(concat!("use one of" $(, " ", $text)*))),
                }
            }
        }
    };
}

status!(
    /// The statuses of a requirement.
    RequirementStatus: Idea = "IDEA", Planned = "PLANNED", InProgress = "IN_PROGRESS",
    Review = "REVIEW", Completed = "COMPLETED", Cancelled = "CANCELLED"
);
status!(
    /// The statuses of a task.
    TaskStatus: Planned = "PLANNED", InProgress = "IN_PROGRESS",
    Completed = "COMPLETED", Cancelled = "CANCELLED"
);

/// How much of a list is shown when the model does not say.
pub(super) const DEFAULT_LIMIT: u32 = 20;
pub(super) const MAX_LIMIT: u32 = 100;

/// The part of a list that was asked for.
pub(super) fn paging(page: Option<u32>, limit: Option<u32>) -> Paging {
    Paging {
        page: page.unwrap_or(1),
        limit: limit.unwrap_or(DEFAULT_LIMIT),
    }
}

/// No arguments.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub(super) struct NoArguments {}

/// Repositories as `owner/name`, also written as URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repositories(Vec<String>);

impl Repositories {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut list: Vec<String> = Vec::new();
        for name in names.map(Self::canonical).filter(|name| !name.is_empty()) {
            if !list.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                list.push(name);
            }
        }
        Self(list)
    }

    /// `owner/name` from that or from an https or ssh URL. Case is kept: BrainGrid may care.
    pub(super) fn canonical(text: &str) -> String {
        let text = text.trim().trim_end_matches('/');
        let text = text.strip_suffix(".git").unwrap_or(text);
        let mut parts = text.rsplit(['/', ':']);
        match (parts.next(), parts.next()) {
            (Some(name), Some(owner)) => format!("{owner}/{name}"),
            _ => text.to_owned(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    pub(super) fn first(&self) -> Option<&str> {
        self.iter().next()
    }
}

impl<'de> Deserialize<'de> for Repositories {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<String>::deserialize(deserializer)?;
        let read = Self::of(list.iter().map(String::as_str));
        let legal = |c: char| c.is_alphanumeric() || "-_./".contains(c);
        if read.iter().all(|name| name.chars().all(legal)) {
            Ok(read)
        } else {
            Err(de::Error::custom(
                "a repository is not written like that: use owner/name",
            ))
        }
    }
}

plain_schema!(Repositories, {"type": "string", "format": "names"});

/// A text that says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(super) struct Text(String);

plain_schema!(Text, {"type": "string"});

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim().is_empty() {
            return Err(de::Error::custom("it is empty"));
        }
        Ok(Self(text))
    }
}
