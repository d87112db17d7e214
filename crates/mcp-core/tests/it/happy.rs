//! Every tool does what it says, and what it shows is as its schema says.

use mcp_core::{Organization, ToolOptions};
use mcp_test_support::client::nonconformity;
use serde_json::{Value, json};

use crate::support::{ORGANIZATION, Setup, World, text};

/// A seeded project with one requirement and two tasks is there.
const SEEDED: &str = "REQ-1";

#[tokio::test]
async fn reads_show_what_their_schema_says_in_both_eras() {
    let calls = [
        ("list_projects", json!({})),
        ("get_project", json!({"project_id": "proj-1"})),
        (
            "get_project",
            json!({"repository": "git@github.com:acme/web.git"}),
        ),
        ("get_profile", json!({})),
        (
            "list_project_requirements",
            json!({"project_id": 1, "status": "planned"}),
        ),
        (
            "list_project_requirements",
            json!({"project_id": 1, "include_content": true}),
        ),
        (
            "get_project_requirement",
            json!({"project_id": "1", "requirement_id": SEEDED}),
        ),
        (
            "list_project_tasks",
            json!({"project_id": "1", "requirement_id": "1"}),
        ),
        (
            "get_project_task",
            json!({"project_id": "1", "requirement_id": 1, "task_id": "task 2"}),
        ),
        ("info", json!({})),
        ("auth_status", json!({})),
        (
            "build_project_requirement",
            json!({"project_id": "1", "requirement_id": 1}),
        ),
    ];
    for modern in [true, false] {
        let mut options = ToolOptions::default();
        options.experimental = true;
        let world = World::with(Setup {
            options,
            modern,
            ..Setup::default()
        })
        .await;
        let tools = world.client.list_all_tools().await.unwrap();
        for (name, arguments) in &calls {
            let shown = world.get(name, arguments.clone()).await;
            let tool = tools.iter().find(|tool| tool.name == *name).unwrap();
            let schema = Value::Object(tool.output_schema.as_deref().cloned().unwrap());
            assert_eq!(nonconformity(&shown, &schema), None, "{name}");
        }
    }
}

#[tokio::test]
async fn lists_leave_content_out_unless_asked_for() {
    let world = World::new().await;
    let compact = world
        .get("list_project_requirements", json!({"project_id": "1"}))
        .await;
    assert_eq!(compact["requirements"][0].get("content"), None);
    let whole = json!({"project_id": "1", "include_content": true});
    let whole = world.get("list_project_requirements", whole).await;
    assert!(
        whole["requirements"][0]["content"]
            .as_str()
            .unwrap()
            .contains("Acceptance")
    );
}

#[tokio::test]
async fn list_that_is_cut_short_says_so() {
    let world = World::new().await;
    let first = json!({"project_id": "1", "requirement_id": "1", "limit": 1});
    let result = world.call("list_project_tasks", first).await;
    assert!(text(&result).contains("Next: page=2"), "{}", text(&result));
    assert_eq!(result.structured_content.unwrap()["has_more"], true);
}

#[tokio::test]
async fn requirement_goes_from_idea_to_done_tasks() {
    let world = World::new().await;
    let idea = json!({"message": "Let shoppers pay by invoice.", "repositories": "acme/web"});
    let made = world.get("create_requirement", idea).await;
    assert_eq!(
        (&made["project_id"], &made["requirement"]["status"]),
        (&json!("PROJ-1"), &json!("IDEA"))
    );
    let place = |more: Value| {
        let mut place = json!({"project_id": "PROJ-1", "requirement_id": "REQ-2"});
        place
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        place
    };
    let broken = world
        .get("breakdown_project_requirement", place(json!({})))
        .await;
    assert_eq!(broken["tasks"].as_array().unwrap().len(), 3);
    let again = world
        .error("breakdown_project_requirement", place(json!({})))
        .await;
    assert!(again.contains("already has 3 tasks"), "{again}");
    let added =
        place(json!({"title": "Document it", "content": "Write docs", "external_id": "x1"}));
    assert_eq!(
        world.get("create_project_task", added).await["task"]["short_id"],
        "TASK-4"
    );
    let started = place(json!({"task_id": "TASK-2", "status": "in-progress"}));
    assert_eq!(
        world.get("update_project_task", started).await["task"]["status"],
        "IN_PROGRESS"
    );
    let next = world.get("get_project_task", place(json!({}))).await;
    assert_eq!(next["task"]["short_id"], "TASK-2");
    assert!(next["task"]["content"].is_string());
    let unconfirmed = world
        .error("delete_project_task", place(json!({"task_id": "4"})))
        .await;
    assert!(unconfirmed.contains("confirm: true"), "{unconfirmed}");
    world
        .get(
            "delete_project_task",
            place(json!({"task_id": "4", "confirm": true})),
        )
        .await;
    let gone = world
        .error("get_project_task", place(json!({"task_id": "4"})))
        .await;
    assert!(
        gone.contains("There is no TASK-4") && gone.contains("list_project_tasks"),
        "{gone}"
    );
    let done = place(json!({"status": "REVIEW", "description": "# New spec"}));
    assert_eq!(
        world.get("update_project_requirement", done).await["requirement"]["status"],
        "REVIEW"
    );
    let read = world.get("get_project_requirement", place(json!({}))).await;
    assert_eq!(read["requirement"]["content"], "# New spec");
}

#[tokio::test]
async fn finished_spec_is_saved_word_for_word() {
    let world = World::new().await;
    let spec =
        json!({"project_id": 1, "name": "Invoices", "content": "# Exactly this", "tags": ["pay"]});
    let saved = world.get("capture_project_requirement", spec).await;
    assert_eq!(saved["requirement"]["tags"], json!(["pay"]));
    let id = json!({"project_id": 1, "requirement_id": saved["requirement"]["short_id"]});
    let read = world.get("get_project_requirement", id).await;
    assert_eq!(read["requirement"]["content"], "# Exactly this");
}

#[tokio::test]
async fn project_comes_from_argument_default_or_repository_else_is_asked_for() {
    let world = World::new().await;
    let docs = world
        .api
        .add_project(ORGANIZATION, "Docs", Some("acme/docs"));
    world
        .api
        .add_project(ORGANIZATION, "Docs mirror", Some("acme/docs"));
    let idea = |repositories: &str| json!({"message": "Let shoppers pay by invoice.", "repositories": repositories});
    let several = world.error("create_requirement", idea("acme/docs")).await;
    assert!(
        several.contains(&docs) && several.contains("Docs mirror"),
        "{several}"
    );
    let none = world.error("create_requirement", idea("acme/none")).await;
    assert!(
        none.contains("PROJ-1 Web shop") && none.contains("project_id"),
        "{none}"
    );
    let asked = world.error("list_project_requirements", json!({})).await;
    assert!(asked.contains("PROJ-1 Web shop · acme/web"), "{asked}");
    assert!(world.api.writes().entries().is_empty());

    let mut options = ToolOptions::default();
    options.default_project = Some("PROJ-1".parse().unwrap());
    let world = World::with(Setup {
        options,
        ..Setup::default()
    })
    .await;
    let made = world
        .get("create_requirement", idea("acme/docs, acme/api"))
        .await;
    let content = made["requirement"]["content"].as_str().unwrap();
    assert!(
        content.contains("Repositories: acme/docs, acme/api"),
        "{content}"
    );
}

#[tokio::test]
async fn organization_comes_from_the_profile_and_is_asked_for_once() {
    use mcp_test_support::api::Operation::{GetProfile, ListProjects};
    let organization = Organization::from_profile(None);
    let world = World::with(Setup {
        organization,
        ..Setup::default()
    })
    .await;
    for _ in 0..3 {
        world.get("list_projects", json!({})).await;
    }
    assert_eq!(
        (world.api.count(GetProfile), world.api.count(ListProjects)),
        (1, 3)
    );
    let sent = world.api.requests().entries();
    assert_eq!(
        sent.last().unwrap().organization.as_deref(),
        Some(ORGANIZATION)
    );
}

#[tokio::test]
async fn guessed_tools_are_off_unless_asked_for_and_say_what_they_are() {
    let world = World::new().await;
    assert!(
        world
            .try_call("create_git_branch", json!({}))
            .await
            .is_err()
    );
    let mut options = ToolOptions::default();
    options.experimental = true;
    let world = World::with(Setup {
        options,
        ..Setup::default()
    })
    .await;
    let place = json!({"project_id": 1, "requirement_id": 1});
    world.get("create_git_branch", place).await;
    world
        .get(
            "acceptance_review",
            json!({"project_id": 1, "requirement_id": 1, "pr": 7}),
        )
        .await;
    world
        .get(
            "add_requirement_tag",
            json!({"project_id": 1, "requirement_id": 1, "name": "x"}),
        )
        .await;
}
