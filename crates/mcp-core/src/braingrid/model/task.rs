//! Tasks.

use schemars::JsonSchema;
use serde::Serialize;

use super::person;
use crate::braingrid::{
    decode::{Fields, text_of},
    json::Json,
};

/// A task of a requirement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Task {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) short_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) assigned_to: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub(crate) blocked_by: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) created_at: Option<String>,
}

impl Task {
    pub(crate) fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let number = fields.text(&["number"]);
        let short_id = fields.text(&["short_id"]);
        let task = Self {
            id: fields.text(&["id", "task_id", "uuid"]),
            short_id: short_id.or_else(|| number.map(|number| short_task_id(&number))),
            title: fields.text(&["title", "name"]),
            status: fields.text(&["status"]),
            content: fields.text(&["content", "description", "prompt"]),
            external_id: fields.text(&["external_id"]),
            assigned_to: person(&mut fields),
            blocked_by: fields
                .array(&["blocked_by"])
                .into_iter()
                .flatten()
                .filter_map(blocker)
                .collect(),
            url: fields.text(&["url"]),
            created_at: fields.text(&["created_at"]),
        };
        task.reference().is_some().then_some(task)
    }

    /// What to call it in the next request.
    pub(crate) fn reference(&self) -> Option<&str> {
        self.short_id.as_deref().or(self.id.as_deref())
    }

    pub(crate) fn without_content(mut self) -> Self {
        self.content = None;
        self
    }

    /// As one of many, or as one that the caller knows.
    pub(crate) fn brief(self) -> Self {
        Self {
            url: None,
            external_id: None,
            assigned_to: None,
            created_at: None,
            ..self.named_once()
        }
    }

    /// With one of its two ids: the short one goes into every call.
    pub(crate) fn named_once(mut self) -> Self {
        self.id = self.id.filter(|_| self.short_id.is_none());
        self
    }
}

/// `number` was seen as an integer, as a string of digits, and as `TASK-n`.
fn short_task_id(number: &str) -> String {
    match number.parse::<u64>() {
        Ok(number) => format!("TASK-{number}"),
        Err(_) => number.to_owned(),
    }
}

fn blocker(value: Json<'_>) -> Option<String> {
    match value {
        Json::Object(object) => Fields::new(object).text(&["short_id", "id", "number"]),
        other => text_of(other),
    }
}
