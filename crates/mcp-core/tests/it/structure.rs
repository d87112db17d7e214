//! What clients hand on to a model. Several hand on the structure and not the text: it says all that
//! the text says, and not much more.

use mcp_core::ToolOptions;
use mcp_test_support::client::nonconformity;
use rmcp::model::CallToolResult;
use serde_json::{Value, json};

use crate::support::{ORGANIZATION, Setup, World, text};

async fn world() -> World {
    let mut options = ToolOptions::default();
    options.experimental = true;
    World::with(Setup {
        options,
        ..Setup::default()
    })
    .await
}

fn notes(result: &CallToolResult) -> String {
    let shown = result.structured_content.as_ref().unwrap();
    shown["notes"].to_string()
}

/// Calls with what the notes have to say.
#[expect(clippy::too_many_lines, reason = "a table")]
fn calls() -> Vec<(&'static str, Value, &'static str)> {
    let idea = "Let shoppers pay by invoice.";
    vec![
        ("info", json!({}), ""),
        ("auth_status", json!({}), "To log out, "),
        (
            "get_profile",
            json!({"verbose": 1}),
            "Ignored, unknown here: `verbose`",
        ),
        ("list_projects", json!({}), ""),
        ("list_projects", json!({"page": 9}), ""),
        (
            "get_project",
            json!({}),
            "PROJ-1 Web shop · acme/web was used, the only one",
        ),
        (
            "list_project_requirements",
            json!({}),
            "was used, the only one",
        ),
        (
            "list_project_requirements",
            json!({"project_id": 1, "status": "REVIEW"}),
            "",
        ),
        (
            "get_project_requirement",
            json!({"project_id": 1, "requirement_id": 1}),
            "",
        ),
        (
            "create_requirement",
            json!({"message": idea}),
            "Created in PROJ-1.",
        ),
        (
            "capture_project_requirement",
            json!({"project_id": 1, "name": "A", "content": "B"}),
            "Saved in PROJ-1.",
        ),
        (
            "update_project_requirement",
            json!({"project_id": 1, "requirement_id": 2, "status": "REVIEW"}),
            "Updated.",
        ),
        (
            "breakdown_project_requirement",
            json!({"project_id": 1, "requirement_id": 2}),
            "REQ-2 has 3 tasks now.",
        ),
        (
            "list_project_tasks",
            json!({"project_id": 1, "requirement_id": 2, "limit": 2}),
            "Cut short: 2 of 3 shown. Next: page=2.",
        ),
        (
            "list_project_tasks",
            json!({"project_id": 1, "requirement_id": 2, "page": 8}),
            "",
        ),
        (
            "get_project_task",
            json!({"project_id": 1, "requirement_id": 2}),
            "",
        ),
        (
            "create_project_task",
            json!({"project_id": 1, "requirement_id": 2, "title": "Docs"}),
            "Added to REQ-2.",
        ),
        (
            "update_project_task",
            json!({"project_id": 1, "requirement_id": 2, "task_id": 4, "status": "COMPLETED"}),
            "Updated.",
        ),
        (
            "delete_project_task",
            json!({"project_id": 1, "requirement_id": 2, "task_id": 4, "confirm": true}),
            "Deleted TASK-4 of REQ-2.",
        ),
        (
            "build_project_requirement",
            json!({"project_id": 1, "requirement_id": 2}),
            "Work through the tasks in order",
        ),
        (
            "acceptance_review",
            json!({"project_id": 1, "requirement_id": 2, "pr": 7}),
            "",
        ),
        (
            "create_git_branch",
            json!({"project_id": 1, "requirement_id": 2}),
            "",
        ),
        (
            "add_requirement_tag",
            json!({"project_id": 1, "requirement_id": 2, "name": "x"}),
            "",
        ),
    ]
}

#[tokio::test]
async fn structure_is_as_its_schema_says_holds_every_note_and_little_beside_the_text() {
    let world = world().await;
    let tools = world.client.list_all_tools().await.unwrap();
    let mut unused: Vec<_> = tools.iter().map(|tool| &*tool.name).collect();
    let mut measured = Vec::new();
    for (name, arguments, note) in calls() {
        let result = world.call(name, arguments.clone()).await;
        let said = text(&result);
        assert_ne!(result.is_error, Some(true), "{name} {arguments}: {said}");
        let shown = result.structured_content.clone().unwrap();
        let tool = tools.iter().find(|tool| tool.name == name).unwrap();
        let schema = Value::Object(tool.output_schema.as_deref().cloned().unwrap());
        assert_eq!(nonconformity(&shown, &schema), None, "{name}");
        assert!(notes(&result).contains(note), "{name}: {shown}");
        // A get tells when the thing was made; what tools answer as it came is not ours to cut.
        let whole = ["get_", "acceptance", "create_git", "add_", "auth_"];
        if !whole.iter().any(|start| name.starts_with(start)) {
            for noise in ["\"id\":", "\"created_at\":"] {
                assert!(!shown.to_string().contains(noise), "{name}: {shown}");
            }
        }
        let (text, structure) = (said.chars().count(), shown.to_string().chars().count());
        measured.push(format!("{name}: text {text}, structure {structure}"));
        assert!(
            structure <= text * 3 + 80,
            "{name}: text {text}, structure {structure}: {shown}"
        );
        unused.retain(|left| *left != name);
    }
    println!("{}", measured.join("\n"));
    assert!(unused.is_empty(), "{unused:?}");
}

#[tokio::test]
async fn lists_hold_short_ids_names_and_states() {
    let world = world().await;
    let keys =
        |item: &Value| -> Vec<String> { item.as_object().unwrap().keys().cloned().collect() };
    let projects = world.get("list_projects", json!({})).await;
    assert_eq!(
        keys(&projects["projects"][0]),
        ["name", "repository", "short_id"]
    );
    let all = json!({"project_id": 1, "requirement_id": 1, "limit": 1});
    let tasks = world.get("list_project_tasks", all.clone()).await;
    assert_eq!(keys(&tasks["tasks"][0]), ["short_id", "status", "title"]);
    assert_eq!(
        (&tasks["has_more"], &tasks["next_page"]),
        (&json!(true), &json!(2))
    );
    let requirements = world
        .get("list_project_requirements", json!({"project_id": 1}))
        .await;
    assert_eq!(
        keys(&requirements["requirements"][0]),
        ["name", "short_id", "status", "task_progress"]
    );
}

#[tokio::test]
async fn errors_have_no_structure_so_that_clients_hand_their_text_on() {
    let world = world().await;
    for (tool, arguments) in [
        ("get_project", json!({"project_id": "PROJ-9"})),
        ("get_project", json!({"project_id": {}})),
        (
            "update_project_task",
            json!({"project_id": 1, "requirement_id": 1, "task_id": 1, "x": 1}),
        ),
    ] {
        let result = world.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true));
        assert!(result.structured_content.is_none() && !text(&result).is_empty());
    }
}

#[tokio::test]
async fn the_only_project_needs_no_naming() {
    for alias in ["create_requirement", "create_project_requirement"] {
        let world = world().await;
        let idea = json!({"message": "Let shoppers pay by invoice."});
        let result = world.call(alias, idea).await;
        let used = "No project was named: PROJ-1 Web shop · acme/web was used, the only one.";
        assert!(text(&result).ends_with(used), "{}", text(&result));
        let shown = result.structured_content.unwrap();
        assert_eq!(shown["project_id"], "PROJ-1");
        assert!(shown["notes"].to_string().contains(used), "{shown}");
    }
}

#[tokio::test]
async fn repositories_that_no_project_has_go_into_the_prompt() {
    let prompt = async |repositories: &str| {
        let world = world().await;
        let idea = json!({"message": "Pay by invoice", "repositories": repositories});
        let result = world.call("create_requirement", idea).await;
        assert_ne!(result.is_error, Some(true), "{}", text(&result));
        let sent = world.api.requests().entries();
        sent.last().unwrap().body.clone().unwrap()["prompt"].clone()
    };
    assert_eq!(
        prompt("acme/none").await,
        "Pay by invoice\n\nRepositories: acme/none"
    );
    assert_eq!(prompt("acme/web").await, "Pay by invoice");
    assert_eq!(
        prompt("acme/web, acme/api").await,
        "Pay by invoice\n\nRepositories: acme/api"
    );
    assert_eq!(prompt("").await, "Pay by invoice");
}

#[tokio::test]
async fn one_of_several_projects_is_asked_for() {
    let world = world().await;
    world
        .api
        .add_project(ORGANIZATION, "Docs", Some("acme/docs"));
    let error = world
        .error("create_requirement", json!({"message": "Pay by invoice"}))
        .await;
    assert!(
        error.contains("PROJ-1 Web shop") && error.contains("PROJ-2 Docs"),
        "{error}"
    );
    assert!(world.api.writes().entries().is_empty());
}
