//! Arguments as models and clients write them: every field of every tool, by its schema, so that a
//! field that is added is covered too.

use mcp_core::ToolOptions;
use mcp_test_support::api::Recorded;
use rmcp::model::{CallToolResult, Tool};
use serde_json::{Map, Value, json};

use crate::support::{Setup, World, text};

async fn world() -> World {
    let mut options = ToolOptions::default();
    options.experimental = true;
    World::with(Setup {
        options,
        ..Setup::default()
    })
    .await
}

/// Values that mean nothing, or something only for some kinds of field.
fn odd_values() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "null",
        "None",
        "undefined",
        "NaN",
        "true",
        "5",
        "5.0",
        " 5 ",
        "\"5\"",
        "-1",
        "1e3",
        "[]",
        "{}",
        "[\"a\"]",
        "['a', 'b']",
        "{\"a\": 1}",
        "a, b",
        "[object Object]",
        "[object Object],[object Object]",
        "\"in quotes\"",
        "\u{0}",
        "# Two\\n\\nlines",
        "PLANNED",
        "in-progress",
        "REQ-1",
        "https://github.com/acme/web.git",
    ];
    let mut values: Vec<Value> = texts.into_iter().map(Value::from).collect();
    values.extend([
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(5),
        json!(5.0),
        json!(5.5),
        json!(-1),
        json!(1e300),
        json!([]),
        json!(["a"]),
        json!([null, "", "a"]),
        json!([["a"]]),
        json!([{"a": 1}]),
        json!({}),
        json!({"a": 1}),
        json!({"value": "a"}),
    ]);
    values
}

/// Arguments that a call of this tool can be made with.
fn whole(tool: &Tool) -> Map<String, Value> {
    let mut arguments = Map::new();
    for name in properties(tool).keys() {
        let value = match name.as_str() {
            "project_id" | "requirement_id" => json!(1),
            "task_id" => json!(2),
            "confirm" => json!(true),
            "message" => json!("Let shoppers pay by invoice."),
            "pr" => json!(7),
            "title" | "name" | "content" => json!("Invoices"),
            _ => continue,
        };
        arguments.insert(name.clone(), value);
    }
    arguments
}

fn properties(tool: &Tool) -> Map<String, Value> {
    let properties = tool.input_schema.get("properties");
    properties
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// What nobody wants in a requirement: what a program left of a value.
fn is_mangled(written: &Value) -> bool {
    match written {
        Value::String(text) => {
            let nothing = ["", "null", "none", "undefined", "nan"];
            let bare = text.trim().trim_matches('"').to_ascii_lowercase();
            nothing.contains(&bare.as_str())
                || text.starts_with(['[', '{', '"'])
                || text.contains(['\u{0}', '\\'])
        }
        Value::Array(items) => items
            .iter()
            .any(|item| !item.is_string() || is_mangled(item)),
        Value::Object(fields) => fields.values().any(is_mangled),
        Value::Null => true,
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn mangled(sent: &[Recorded]) -> Option<&Recorded> {
    sent.iter()
        .find(|request| request.body.as_ref().is_some_and(is_mangled))
}

#[tokio::test]
async fn every_field_of_every_tool_takes_what_is_meant_and_refuses_what_is_not() {
    let mut calls = 0;
    for tool in world().await.client.list_all_tools().await.unwrap() {
        // Each in a world of its own: deletions delete.
        let world = world().await;
        for field in properties(&tool).keys() {
            for value in odd_values() {
                world.api.requests().clear();
                let mut arguments = whole(&tool);
                arguments.insert(field.clone(), value.clone());
                let result = world.call(&tool.name, arguments.into()).await;
                let (said, sent) = (text(&result), world.api.requests().entries());
                let about = format!("{} {field}={value}: {said}", tool.name);
                assert!(mangled(&sent).is_none(), "{about}: {:?}", mangled(&sent));
                if result.is_error == Some(true) && said.starts_with("Bad argument") {
                    assert!(said.contains(&format!("`{field}`")), "{about}");
                    let helps = ["Example: ", "use ", "10 to 5000"];
                    assert!(helps.iter().any(|help| said.contains(help)), "{about}");
                    assert!(sent.is_empty(), "{about}");
                }
                calls += 1;
            }
        }
    }
    assert!(calls > 2_000, "{calls}");
}

/// The kinds of field, each with what stands for one value.
#[expect(clippy::too_many_lines, reason = "a table")]
#[tokio::test]
async fn spellings_of_a_value_are_that_value() {
    let world = world().await;
    let asked = async |tool: &str, arguments: Value| {
        world.api.requests().clear();
        let result = world.call(tool, arguments.clone()).await;
        assert_ne!(
            result.is_error,
            Some(true),
            "{arguments}: {}",
            text(&result)
        );
        let sent = world.api.requests().entries();
        let last = sent.last().unwrap();
        (
            last.path.clone(),
            last.query.clone().unwrap_or_default(),
            last.body.clone(),
        )
    };
    let number = [
        json!(5),
        json!("5"),
        json!(5.0),
        json!("5.0"),
        json!(" 5 "),
        json!("\"5\""),
    ];
    for limit in &number {
        let (_, query, _) = asked("list_projects", json!({"limit": limit})).await;
        assert_eq!(query, "page=1&limit=5", "{limit}");
    }
    for nothing in [
        json!(null),
        json!(""),
        json!("null"),
        json!("None"),
        json!("undefined"),
    ] {
        let arguments = json!({"project_id": 1, "status": nothing, "page": nothing,
                               "limit": nothing, "include_content": nothing});
        let (_, query, _) = asked("list_project_requirements", arguments).await;
        assert_eq!(query, "page=1&limit=20", "{nothing}");
    }
    for id in [
        json!(1),
        json!("1"),
        json!(1.0),
        json!("1.0"),
        json!(" req-1 "),
        json!("\"REQ-1\""),
    ] {
        let arguments = json!({"project_id": 1, "requirement_id": id});
        let (path, ..) = asked("get_project_requirement", arguments).await;
        assert!(path.ends_with("/requirements/REQ-1"), "{id}: {path}");
    }
    for status in ["in-progress", " IN PROGRESS", "\"in_progress\""] {
        let arguments = json!({"project_id": 1, "requirement_id": 1, "status": status});
        let (_, _, body) = asked("update_project_requirement", arguments).await;
        assert_eq!(body, Some(json!({"status": "IN_PROGRESS"})), "{status}");
    }
    for tags in [
        json!(["pay", "web"]),
        json!("[\"pay\", \"web\"]"),
        json!("['pay', 'web']"),
        json!("pay, web"),
        json!(["pay", null, "", "web"]),
    ] {
        let arguments = json!({"project_id": 1, "name": "A", "content": "B", "tags": tags});
        let (_, _, body) = asked("capture_project_requirement", arguments).await;
        assert_eq!(body.unwrap()["tags"], json!(["pay", "web"]), "{tags}");
    }
    for repositories in [
        json!("a/b, c/d"),
        json!(["a/b", "c/d"]),
        json!("[\"a/b\",\"c/d\"]"),
    ] {
        let arguments =
            json!({"project_id": 1, "message": "Pay by invoice", "repositories": repositories});
        let (_, _, body) = asked("create_requirement", arguments).await;
        assert_eq!(
            body.unwrap()["prompt"],
            "Pay by invoice\n\nRepositories: a/b, c/d"
        );
    }
    for content in ["# Spec\\n\\n- one\\n- two", "\"# Spec\\n\\n- one\\n- two\""] {
        let arguments = json!({"project_id": 1, "name": "A", "content": content});
        let (_, _, body) = asked("capture_project_requirement", arguments).await;
        assert_eq!(
            body.unwrap()["content"],
            "# Spec\n\n- one\n- two",
            "{content}"
        );
    }
    // What only looks like it is left as it is.
    for content in [
        "Split lines at \\n, please",
        "[Bug] It says \"null\"",
        "{braces} are fine",
    ] {
        let arguments = json!({"project_id": 1, "name": content, "content": content});
        let (_, _, body) = asked("capture_project_requirement", arguments).await;
        let body = body.unwrap();
        assert_eq!(
            (&body["name"], &body["content"]),
            (&json!(content), &json!(content))
        );
    }
    let inside = json!({"arguments": {"project_id": 1, "requirement_id": 1, "status": "REVIEW"}});
    let (_, _, body) = asked("update_project_requirement", inside).await;
    assert_eq!(body, Some(json!({"status": "REVIEW"})));
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_with_field_value_and_example() {
    let world = world().await;
    for (tool, field, value, said) in [
        (
            "list_projects",
            "limit",
            json!("five"),
            "\"five\" is no whole number. Example: 20",
        ),
        (
            "list_projects",
            "limit",
            json!(5.5),
            "5.5 is no whole number. Example: 20",
        ),
        (
            "list_projects",
            "limit",
            json!([5]),
            "[5] is no whole number",
        ),
        (
            "create_project_task",
            "title",
            json!(["a"]),
            "[\"a\"] is no text. Example: ",
        ),
        (
            "create_project_task",
            "title",
            json!("[\"a\"]"),
            "text of a list",
        ),
        ("create_project_task", "title", json!("null"), "it is empty"),
        (
            "create_project_task",
            "title",
            json!("[object Object]"),
            "[object",
        ),
        (
            "create_project_task",
            "title",
            json!("caf\u{e9} \u{9b}31m"),
            "control characters",
        ),
        (
            "create_project_task",
            "content",
            json!("{\"a\": 1}"),
            "code block",
        ),
        ("list_project_tasks", "status", json!("DONE"), "COMPLETED"),
        (
            "list_project_tasks",
            "include_content",
            json!("yes"),
            "\"yes\" is not true or false",
        ),
        (
            "list_project_tasks",
            "requirement_id",
            json!({"id": 1}),
            "is no id. Example: \"REQ-12\"",
        ),
        (
            "acceptance_review",
            "pr",
            json!(0),
            "0 is not between 1 and",
        ),
    ] {
        let mut arguments = json!({});
        for (name, value) in [
            ("project_id", json!(1)),
            ("requirement_id", json!(1)),
            ("pr", json!(1)),
            ("title", json!("A")),
        ] {
            if tool != "list_projects" {
                arguments[name] = value;
            }
        }
        arguments[field] = value;
        let error = world.error(tool, arguments).await;
        assert!(
            error.starts_with(&format!("Bad argument `{field}`: ")),
            "{error}"
        );
        assert!(error.contains(said), "{error}");
    }
    assert!(world.api.requests().entries().is_empty());
}

fn notes(result: &CallToolResult) -> Vec<&str> {
    let shown = result.structured_content.as_ref();
    let notes = shown.and_then(|shown| shown["notes"].as_array());
    notes
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

#[tokio::test]
async fn what_was_not_taken_as_it_came_is_told_in_text_and_structure() {
    let world = world().await;
    for (arguments, note) in [
        (json!({"priority": 1}), "Ignored, unknown here: `priority`."),
        (
            json!({"repository": ""}),
            "Empty, so taken as not given: `repository`.",
        ),
        (
            json!({"limit": 1000}),
            "`limit` cannot be 1000: 100 was used.",
        ),
        (json!({"limit": 0}), "`limit` cannot be 0: 20 was used."),
    ] {
        let result = world.call("list_projects", arguments).await;
        assert_eq!(notes(&result), [note]);
        assert!(text(&result).ends_with(note), "{}", text(&result));
    }
    let exact = world
        .call("list_projects", json!({"repository": null}))
        .await;
    assert!(notes(&exact).is_empty());
}
