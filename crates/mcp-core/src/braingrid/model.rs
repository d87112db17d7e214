//! BrainGrid's things as far as they are known, decoded leniently and shown compactly.
//!
//! Every field is optional: what BrainGrid leaves out is left out. The schemas name the fields
//! that matter and leave the rest open, for they are paid for in tokens.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{
    decode::{Fields, text_of},
    json::Json,
};
use crate::ids::OrganizationId;

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

/// A user id, from a plain field or from an object.
fn person(fields: &mut Fields<'_>) -> Option<String> {
    match fields.value(&["assigned_to", "assignee_id", "assignee"])? {
        Json::Object(object) => Fields::new(object).text(&["id", "user_id"]),
        other => text_of(other),
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

/// Who the credential belongs to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Profile {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) organization_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(skip)]
    pub(crate) organization_name: Option<String>,
}

impl Profile {
    pub(crate) fn decode(mut fields: Fields<'_>) -> Option<Self> {
        let mut organization = fields.object(&["organization", "org"]);
        let mut user = fields.object(&["user"]);
        let mut of_user = |names: &[&str]| {
            user.as_mut()
                .and_then(|user| user.text(names))
                .or_else(|| fields.text(names))
        };
        let (id, name, email) = (
            of_user(&["id", "user_id", "sub"]),
            of_user(&["name", "full_name"]),
            of_user(&["email"]),
        );
        let plain = of_user(&["organization_id", "org_id"]);
        let mut of_organization =
            |names: &[&str]| organization.as_mut().and_then(|found| found.text(names));
        let profile = Self {
            id,
            name,
            email,
            organization_id: plain.or_else(|| of_organization(&["id", "organization_id"])),
            organization_name: of_organization(&["name"])
                .or_else(|| fields.text(&["organization_name"])),
        };
        (profile != Self::default()).then_some(profile)
    }

    /// The user's name, else the id.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref().or(self.id.as_deref())
    }

    /// The user's e-mail address.
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// The organization's name.
    pub fn organization_name(&self) -> Option<&str> {
        self.organization_name.as_deref()
    }

    /// The organization, unless it is absent or a placeholder.
    pub fn organization(&self) -> Option<OrganizationId> {
        self.organization_id.as_deref()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{
        super::decode::{entity, error_message, json as read_json, list},
        *,
    };

    fn one<T>(body: Value, noun: &str, decode: impl Fn(Fields<'_>) -> Option<T>) -> T {
        decode(entity(body.into(), noun).unwrap()).unwrap()
    }

    #[test]
    fn fields_of_surprising_types_are_read_as_far_as_they_go() {
        let task = one(
            json!({"number": "7", "title": 3, "status": "BLOCKED", "blocked_by": [1, {"id": "x"}, null],
                   "assigned_to": {"id": "u"}, "content": null, "new_field": {}}),
            "task",
            Task::decode,
        );
        assert_eq!(task.short_id.as_deref(), Some("TASK-7"));
        assert_eq!(task.title.as_deref(), Some("3"));
        assert_eq!(task.status.as_deref(), Some("BLOCKED"));
        assert_eq!(task.blocked_by, ["1", "x"]);
        assert_eq!(task.assigned_to.as_deref(), Some("u"));
    }

    #[test]
    fn repository_is_read_in_every_form() {
        for repository in [
            json!("acme/web"),
            json!({"full_name": "acme/web"}),
            json!({"owner": "acme", "name": "web", "full_name": null}),
        ] {
            let project = one(
                json!({"id": 1, "repository": repository}),
                "project",
                Project::decode,
            );
            assert_eq!(project.repository.as_deref(), Some("acme/web"));
        }
        let unlinked = one(
            json!({"id": 1, "repository": null}),
            "project",
            Project::decode,
        );
        assert!(unlinked.tells_repository && unlinked.repository.is_none());
    }

    #[test]
    fn placeholder_organization_of_a_profile_is_absent() {
        let profile = json!({"user": {"id": "u"}, "organization": {"id": "default"}});
        assert_eq!(
            one(profile, "profile", Profile::decode).organization(),
            None
        );
        let profile = json!({"data": {"id": "u", "organization": {"id": "org_1"}}});
        let organization = one(profile, "profile", Profile::decode).organization();
        assert_eq!(organization.unwrap().as_str(), "org_1");
    }

    /// JSON with the names that decoding looks for, so that it gets past the envelope.
    fn any_json() -> impl Strategy<Value = Value> {
        let names = "id|data|tasks|task|number|tags|pagination|has_more|total|repository|errors|error|user|organization|[a-z]{0,3}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(names, inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_makes_decoding_panic(body in any_json()) {
            let _ = list(body.clone().into(), "tasks", Task::decode);
            let _ = list(body.clone().into(), "requirements", Requirement::decode);
            let _ = list(body.clone().into(), "projects", Project::decode);
            let _ = entity(body.clone().into(), "task").and_then(Task::decode);
            let _ = entity(body.clone().into(), "requirement").and_then(Requirement::decode);
            let _ = entity(body.clone().into(), "project").and_then(Project::decode);
            let _ = entity(body.clone().into(), "profile").and_then(Profile::decode);
            let message = error_message(body.to_string().as_bytes());
            prop_assert!(message.is_none_or(|text| text.chars().count() <= 300 && !text.contains('\n')));
        }

        #[test]
        fn no_bytes_make_reading_panic(body in prop::collection::vec(any::<u8>(), 0..200), stream: bool) {
            let _ = read_json(&body, stream);
            let _ = error_message(&body);
        }
    }
}
