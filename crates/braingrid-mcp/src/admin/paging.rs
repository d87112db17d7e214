//! Long lists, a part at a time, and times as they stand in them.

use std::borrow::Cow;
use std::time::SystemTime;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::answer::Problem;
use super::routes::{Call, Parameter};

/// Entries where nothing else is asked for.
const USUAL: usize = 100;
/// Most entries at a time.
const MOST: usize = 1_000;

pub(super) const OFFSET: Parameter = Parameter {
    name: "offset",
    description: "So many entries are left out: those before. 0 unless given",
    is_number: true,
};

pub(super) const LIMIT: Parameter = Parameter {
    name: "limit",
    description: "So many entries at most: 100 unless given, 1000 at most",
    is_number: true,
};

/// Which part of a list is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) offset: usize,
    pub(super) limit: usize,
}

impl Page {
    pub(super) fn of(call: &Call) -> Result<Self, Problem> {
        let limit = call.number(LIMIT.name)?.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::bad_request(format!("limit is 1 to {MOST}")));
        }
        let offset = call.number(OFFSET.name)?.unwrap_or_default();
        Ok(Self { offset, limit })
    }

    pub(super) fn part<T>(self, all: impl IntoIterator<Item = T>) -> impl Iterator<Item = T> {
        all.into_iter().skip(self.offset).take(self.limit)
    }
}

/// A moment (RFC 3339).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct Time(Timestamp);

impl From<SystemTime> for Time {
    /// As exact as a millisecond; the end of time for what is beyond it.
    fn from(time: SystemTime) -> Self {
        let exact = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
        Self(Timestamp::from_millisecond(exact.as_millisecond()).unwrap_or(exact))
    }
}

impl From<Time> for SystemTime {
    fn from(Time(time): Time) -> Self {
        time.into()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl TryFrom<String> for Time {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let time = text.parse().map(Self);
        time.map_err(|_| "a time looks like 2026-11-23T06:12:38Z (RFC 3339)")
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}
