//! Projects.

use schemars::JsonSchema;
use serde::Serialize;

use crate::braingrid::{
    decode::{Fields, text_of},
    json::Json,
};

/// A project.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Project {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) short_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) url: Option<String>,
    /// Whether the answer said anything about a repository, be it that there is none.
    #[serde(skip)]
    pub(crate) tells_repository: bool,
}

impl Project {
    pub(crate) fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let tells_repository = fields.has("repository");
        let project = Self {
            id: fields.text(&["id", "project_id", "uuid"]),
            short_id: fields.text(&["short_id", "project_short_id"]),
            name: fields.text(&["name", "project_name", "title"]),
            description: fields.text(&["description"]),
            repository: fields.value(&["repository"]).and_then(repository),
            url: fields.text(&["url"]),
            tells_repository,
        };
        project.reference().is_some().then_some(project)
    }

    /// What to call it in the next request.
    pub(crate) fn reference(&self) -> Option<&str> {
        self.short_id.as_deref().or(self.id.as_deref())
    }

    /// As one of many.
    pub(crate) fn brief(self) -> Self {
        Self {
            description: None,
            url: None,
            ..self.named_once()
        }
    }

    /// With one of its two ids: the short one goes into every call.
    pub(crate) fn named_once(mut self) -> Self {
        self.id = self.id.filter(|_| self.short_id.is_none());
        self
    }
}

/// A repository as text: `full_name`, else `owner/name`, else its URL.
fn repository(value: Json<'_>) -> Option<String> {
    let Json::Object(object) = value else {
        return text_of(value);
    };
    let mut fields = Fields::new(object);
    let (owner, name) = (fields.text(&["owner"]), fields.text(&["name"]));
    fields
        .text(&["full_name"])
        .or_else(|| Some(format!("{}/{}", owner?, name?)))
        .or_else(|| fields.text(&["url"]))
}
