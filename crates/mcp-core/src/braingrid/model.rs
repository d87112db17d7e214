//! BrainGrid's things as far as they are known, decoded leniently and shown compactly.
//!
//! Every field is optional: what BrainGrid leaves out is left out. The schemas name the fields
//! that matter and leave the rest open, for they are paid for in tokens.

mod profile;
mod project;
mod requirement;
mod task;

pub use self::profile::Profile;
pub(crate) use self::{project::Project, requirement::Requirement, task::Task};
use super::{
    decode::{Fields, text_of},
    json::Json,
};

/// A user id, from a plain field or from an object.
fn person(fields: &mut Fields<'_>) -> Option<String> {
    match fields.value(&["assigned_to", "assignee_id", "assignee"])? {
        Json::Object(object) => Fields::new(object).text(&["id", "user_id"]),
        other => text_of(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{
        super::{
            decode::{entity, json as read_json, list},
            error_body::error_message,
        },
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
