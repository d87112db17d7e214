//! What a write made or changed, as the journal keeps it: ids, and what cannot be asked for again.

use std::str::FromStr;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::{Arguments, call::Call, definition::ToolOutput, error::ToolError};

/// What a write made or changed: enough to show it again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Made {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) requirement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) task: Option<String>,
    /// How many tasks it was answered with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) tasks: Option<usize>,
    /// What cannot be asked for again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) answer: Option<Value>,
}

/// Longest answer that is kept, in bytes.
const MAX_ANSWER: usize = 6 * 1024;

impl Made {
    /// From what the tool was asked and answered.
    pub(super) fn of(arguments: &Arguments, shown: &Value, with_answer: bool) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let id = |noun: &str| {
            let there = |name| text(shown.get(noun)?.get(name)?);
            let id = there("short_id").or_else(|| there("id"));
            id.or_else(|| text(arguments.get(&format!("{noun}_id"))?))
        };
        let project = shown.get("project_id").and_then(text);
        let answer = shown.get("answer").filter(|_| with_answer);
        Self {
            project: project.or_else(|| text(arguments.get("project_id")?)),
            requirement: id("requirement"),
            task: id("task"),
            tasks: shown.get("tasks").and_then(Value::as_array).map(Vec::len),
            answer: answer
                .filter(|answer| answer.to_string().len() <= MAX_ANSWER)
                .cloned(),
        }
    }

    /// The answer when it is not known what was made.
    pub(in super::super) fn cannot_be_shown(&self, list: &str) -> ToolError {
        let place = self.requirement.as_ref().or(self.project.as_ref());
        let of = place.map_or_else(String::new, |place| format!(" of {place}"));
        ToolError::Refused(format!(
            "The same call was made before, and BrainGrid accepted it without showing what it made; \
             it was not done twice. Look at {list}{of}."
        ))
    }

    /// An id that was kept, as what it is.
    pub(in super::super) fn id<T: FromStr>(id: Option<&String>) -> Option<T> {
        id?.parse().ok()
    }
}

/// Shows what a write made; nothing if it is gone.
pub(in super::super) type ShowAgain =
    fn(Call, Made) -> BoxFuture<'static, Result<Option<ToolOutput>, ToolError>>;
