//! Requirements.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{person, task::Task};
use crate::braingrid::{
    decode::{Fields, text_of},
    json::Json,
};

/// A requirement.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Requirement {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) short_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) assigned_to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) branch: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub(crate) tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) task_progress: Option<Progress>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) created_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(skip)]
    pub(crate) tasks: Vec<Task>,
}

/// How many tasks of a requirement are done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) total: u64,
    pub(crate) completed: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.completed, self.total)
    }
}

impl Serialize for Progress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl Requirement {
    pub(crate) fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let requirement = Self {
            id: fields.text(&["id", "requirement_id", "uuid"]),
            short_id: fields.text(&["short_id"]),
            name: fields.text(&["name", "title"]),
            status: fields.text(&["status"]),
            content: fields.text(&["content", "description"]),
            url: fields.text(&["url"]),
            assigned_to: person(&mut fields),
            branch: fields.text(&["branch", "branch_name"]),
            tags: fields
                .array(&["tags"])
                .into_iter()
                .flatten()
                .filter_map(tag)
                .collect(),
            task_progress: fields
                .object(&["task_progress"])
                .map(|mut progress| Progress {
                    total: progress.count(&["total"]).unwrap_or_default(),
                    completed: progress.count(&["completed"]).unwrap_or_default(),
                }),
            created_at: fields.text(&["created_at"]),
            tasks: fields
                .array(&["tasks"])
                .into_iter()
                .flatten()
                .filter_map(nested_task)
                .collect(),
        };
        requirement.reference().is_some().then_some(requirement)
    }

    /// What to call it in the next request.
    pub(crate) fn reference(&self) -> Option<&str> {
        self.short_id.as_deref().or(self.id.as_deref())
    }

    pub(crate) fn without_content(mut self) -> Self {
        self.content = None;
        self.tasks.clear();
        self
    }

    /// As one of many, or as one that the caller knows.
    pub(crate) fn brief(self) -> Self {
        Self {
            url: None,
            assigned_to: None,
            branch: None,
            ..self.just_made()
        }
    }

    /// As one that was made now.
    pub(crate) fn just_made(self) -> Self {
        Self {
            created_at: None,
            ..self.named_once()
        }
    }

    /// With one of its two ids: the short one goes into every call.
    pub(crate) fn named_once(mut self) -> Self {
        self.id = self.id.filter(|_| self.short_id.is_none());
        let tasks = self.tasks.into_iter();
        self.tasks = tasks.map(Task::without_content).map(Task::brief).collect();
        self
    }
}

fn tag(value: Json<'_>) -> Option<String> {
    match value {
        Json::Object(object) => Fields::new(object).text(&["name"]),
        other => text_of(other),
    }
}

fn nested_task(value: Json<'_>) -> Option<Task> {
    match value {
        Json::Object(object) => Task::decode(Fields::new(object)),
        _ => None,
    }
}
