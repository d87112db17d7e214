//! Arguments that a tool does not have: a client made for BrainGrid's hosted server may send some.
//!
//! They are ignored, and the answer says so; but a call is refused where ignoring one could hit
//! the wrong thing: when its name says which thing is meant, or whether to do it at all, and in
//! every call that must be confirmed.

use rmcp::model::JsonObject;

use super::{Arguments, run::ToolError};

/// Other names of arguments, for tools that do not use them otherwise.
const ALIASES: [(&str, &str); 3] = [
    ("prompt", "message"),
    ("description", "content"),
    ("assigned_to", "assignee_id"),
];

/// How the names begin that say which thing is meant, or whether to do it at all.
const DECISIVE: [&str; 7] = [
    "project",
    "requirement",
    "task",
    "repo",
    "org",
    "dry",
    "confirm",
];

/// What a tool gets of its arguments, and the names of the rest.
#[derive(Debug)]
pub(super) struct Sifted {
    pub(super) known: Arguments,
    pub(super) ignored: Vec<String>,
}

/// # Errors
/// When an unknown argument must not be ignored.
pub(super) fn sift(arguments: Arguments, schema: &JsonObject) -> Result<Sifted, ToolError> {
    let properties = schema.get("properties").and_then(|all| all.as_object());
    let has = |name: &str| properties.is_some_and(|all| all.contains_key(name));
    let (mut known, others): (Arguments, Arguments) =
        arguments.into_iter().partition(|(name, _)| has(name));
    let mut ignored = Vec::new();
    for (name, value) in others {
        match meant(&name).filter(|meant| has(meant) && !known.contains_key(*meant)) {
            Some(meant) => {
                known.insert(meant.to_owned(), value);
            }
            None if has("confirm") || is_decisive(&name) => return Err(refused(&name, properties)),
            None => ignored.push(shown(&name)),
        }
    }
    Ok(Sifted { known, ignored })
}

/// What the answer says of the arguments that were ignored.
pub(super) fn remark(ignored: &[String]) -> String {
    if ignored.is_empty() {
        return String::new();
    }
    format!("\n\nIgnored, unknown here: {}.", ignored.join(", "))
}

fn meant(alias: &str) -> Option<&'static str> {
    let found = ALIASES.iter().find(|(name, _)| *name == alias);
    found.map(|(_, meant)| *meant)
}

fn is_decisive(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    DECISIVE.iter().any(|start| name.starts_with(start))
}

fn refused(name: &str, properties: Option<&JsonObject>) -> ToolError {
    let names: Vec<_> = properties.into_iter().flat_map(JsonObject::keys).collect();
    let names = names.into_iter().map(String::as_str).collect::<Vec<_>>();
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

    fn object(value: Value) -> JsonObject {
        serde_json::from_value(value).unwrap()
    }

    fn sifted(arguments: Value, properties: Value) -> Result<Sifted, ToolError> {
        let schema = object(json!({ "properties": properties }));
        sift(object(arguments), &schema)
    }

    #[test]
    fn unknown_arguments_are_ignored_and_named() {
        let sifted = sifted(json!({"name": "x", "readiness": 3}), json!({"name": {}})).unwrap();
        assert_eq!(Value::from(sifted.known), json!({"name": "x"}));
        assert_eq!(
            remark(&sifted.ignored),
            "\n\nIgnored, unknown here: `readiness`."
        );
        assert_eq!(remark(&[]), "");
    }

    #[test]
    fn other_names_mean_the_argument_unless_it_is_there() {
        let content = json!({"content": {}});
        let renamed = sifted(json!({"description": "x"}), content.clone()).unwrap();
        assert_eq!(Value::from(renamed.known), json!({"content": "x"}));
        let both = sifted(json!({"description": "x", "content": "y"}), content).unwrap();
        assert_eq!(Value::from(both.known), json!({"content": "y"}));
        assert_eq!(both.ignored, ["`description`"]);
    }

    #[test]
    fn what_decides_is_never_ignored() {
        for name in ["projectId", "organization_id", "repo", "dry_run", "confirm"] {
            let error = sifted(json!({ name: 1 }), json!({"name": {}})).unwrap_err();
            let ToolError::Refused(text) = error else {
                panic!("{error:?}");
            };
            assert!(
                text.contains(name) && text.contains("It has name."),
                "{text}"
            );
        }
        let deletion = json!({"confirm": {}});
        assert!(sifted(json!({"confirm": true, "force": true}), deletion).is_err());
    }
}
