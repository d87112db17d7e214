//! Arguments that a tool does not have: a client made for BrainGrid's hosted server may send some.
//!
//! They are ignored, and the answer says so; but a call is refused where ignoring one could hit
//! the wrong thing: when its name says which thing is meant, or whether to do it at all, and in
//! every call that must be confirmed.

use super::{
    super::{Arguments, error::ToolError, names::canonical_name},
    read::{Fields, object_in, says_nothing},
};

/// Other names of arguments, for tools that do not use them otherwise.
const ALIASES: &[(&str, &str)] = &[
    ("prompt", "message"),
    ("idea", "message"),
    ("description", "content"),
    ("assigned_to", "assignee_id"),
    ("title", "name"),
    ("name", "title"),
    ("project", "project_id"),
    ("requirement", "requirement_id"),
    ("task", "task_id"),
    ("repository", "repositories"),
];

/// Names under which all arguments may come once more.
const WRAPPERS: &[&str] = &["arguments", "args", "params", "parameters", "input"];

/// How the names begin that say which thing is meant, or whether to do it at all.
const DECISIVE: &[&str] = &[
    "project",
    "requirement",
    "task",
    "repo",
    "org",
    "dry",
    "confirm",
];

/// What a tool gets of its arguments; notes say what became of the rest.
///
/// # Errors
/// When an unknown argument must not be ignored, or a known one means nothing.
pub(in super::super) fn filter_unknown(
    arguments: Arguments,
    fields: &Fields,
    notes: &mut Vec<String>,
) -> Result<Arguments, ToolError> {
    let arguments = unwrapped(arguments, fields);
    if arguments.keys().all(|name| fields.has(name)) {
        return fields.read(arguments, notes);
    }
    let (mut known, others): (Arguments, Arguments) = arguments
        .into_iter()
        .partition(|(name, _)| fields.has(name));
    let mut ignored = Vec::new();
    for (name, value) in others {
        let vacant = |meant: &&str| match known.get(*meant) {
            Some(serde_json::Value::String(text)) => says_nothing(text),
            there => there.is_none_or(serde_json::Value::is_null),
        };
        match meant(&name, fields).filter(vacant).map(str::to_owned) {
            Some(meant) => {
                known.insert(meant, value);
            }
            None if fields.closed || is_decisive(&name) => return Err(refused(&name, fields)),
            None => ignored.push(shown(&name)),
        }
    }
    let read = fields.read(known, notes);
    if !ignored.is_empty() {
        notes.push(format!("Ignored, unknown here: {}.", ignored.join(", ")));
    }
    read
}

/// The arguments themselves, where they came inside another object.
fn unwrapped(mut arguments: Arguments, fields: &Fields) -> Arguments {
    for &wrapper in WRAPPERS {
        let wrapped = arguments.get(wrapper).filter(|_| !fields.has(wrapper));
        let Some(mut inner) = wrapped.and_then(object_in) else {
            continue;
        };
        arguments.remove(wrapper);
        // A whole call inside a call: the tool's own name is no argument.
        arguments.retain(|_, value| value.as_str().and_then(canonical_name).is_none());
        for (name, value) in arguments {
            inner.entry(name).or_insert(value);
        }
        return inner;
    }
    arguments
}

/// The argument that a name means: in another spelling, or by another name.
fn meant<'a>(name: &str, fields: &'a Fields) -> Option<&'a str> {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        letters.map(|c| c.to_ascii_lowercase()).collect()
    };
    let name = plain(name);
    let spelled = |wanted: &str| fields.names().find(|known| plain(known) == wanted);
    spelled(&name).or_else(|| {
        let mut aliases = ALIASES.iter().filter(|(alias, _)| plain(alias) == name);
        aliases.find_map(|(_, meant)| spelled(&plain(meant)))
    })
}

fn is_decisive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    DECISIVE.iter().any(|start| name.starts_with(start))
}

fn refused(name: &str, fields: &Fields) -> ToolError {
    let names: Vec<_> = fields.names().collect();
    let have = if names.is_empty() {
        "It takes no arguments.".to_owned()
    } else {
        format!("It has {}.", names.join(", "))
    };
    let name = shown(name);
    ToolError::Refused(format!("This tool has no argument {name}. {have}"))
}

/// A name as it may stand in a text.
fn shown(name: &str) -> String {
    let name: String = name
        .chars()
        .filter(|c| !c.is_control() && *c != '`')
        .take(40)
        .collect();
    format!("`{name}`")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn filtered(arguments: Value, schema: Value) -> Result<(Value, Vec<String>), ToolError> {
        let mut notes = Vec::new();
        let arguments = serde_json::from_value(arguments).unwrap();
        let known = filter_unknown(arguments, &Fields::of(&schema), &mut notes)?;
        Ok((known.into(), notes))
    }

    fn texts(names: &[&str]) -> Value {
        let properties: serde_json::Map<_, _> = names
            .iter()
            .map(|name| ((*name).to_owned(), json!({"type": "string"})))
            .collect();
        json!({ "properties": properties })
    }

    #[test]
    fn unknown_arguments_are_ignored_and_named() {
        let (known, notes) =
            filtered(json!({"name": "x", "readiness": 3}), texts(&["name"])).unwrap();
        assert_eq!(known, json!({"name": "x"}));
        assert_eq!(notes, ["Ignored, unknown here: `readiness`."]);
    }

    #[test]
    fn other_names_mean_the_argument_unless_it_is_there() {
        let content = || texts(&["content", "project_id"]);
        for (sent, read) in [
            (json!({"description": "x"}), json!({"content": "x"})),
            (
                json!({"Content": "x", "projectId": "1"}),
                json!({"content": "x", "project_id": "1"}),
            ),
            (
                json!({"description": "x", "content": ""}),
                json!({"content": "x"}),
            ),
            (json!({"project": "1"}), json!({"project_id": "1"})),
        ] {
            assert_eq!(filtered(sent.clone(), content()).unwrap().0, read, "{sent}");
        }
        let (known, notes) =
            filtered(json!({"description": "x", "content": "y"}), content()).unwrap();
        assert_eq!(known, json!({"content": "y"}));
        assert_eq!(notes, ["Ignored, unknown here: `description`."]);
    }

    #[test]
    fn arguments_inside_another_object_are_taken_out() {
        let whole = json!({"name": "x", "content": "y"});
        for sent in [
            json!({"arguments": whole}),
            json!({"params": whole.to_string()}),
            json!({"name": "capture_project_requirement", "arguments": whole}),
            json!({"name": "x", "input": {"content": "y"}}),
        ] {
            let (known, notes) = filtered(sent.clone(), texts(&["name", "content"])).unwrap();
            assert_eq!((known, notes.len()), (whole.clone(), 0), "{sent}");
        }
        let sent = json!({"name": "create_requirement", "arguments": {"content": "y"}});
        let (known, _) = filtered(sent, texts(&["name", "content"])).unwrap();
        assert_eq!(known, json!({"content": "y"}));
    }

    #[test]
    fn what_decides_is_never_ignored() {
        for name in ["projectId", "organization_id", "repo", "dry_run", "confirm"] {
            let error = filtered(json!({ name: 1 }), texts(&["name"])).unwrap_err();
            let ToolError::Refused(text) = error else {
                panic!("{error:?}");
            };
            assert!(
                text.contains(name) && text.contains("It has name."),
                "{text}"
            );
        }
        let mut deletion = json!({"properties": {"confirm": {"type": "boolean"}}});
        deletion["additionalProperties"] = false.into();
        assert!(filtered(json!({"confirm": true, "force": true}), deletion).is_err());
    }
}
