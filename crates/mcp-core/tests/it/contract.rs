//! What clients see of the tools: reviewed snapshots, bounded in size, the same in both eras.

use mcp_core::{ToolOptions, ToolSet, canonical_name};
use rmcp::{ServerHandler, model::Tool};
use serde_json::{Value, json};

use crate::support::{Setup, World};

async fn list(options: ToolOptions, modern: bool) -> Vec<Tool> {
    let world = World::with(Setup {
        options,
        modern,
        ..Setup::default()
    })
    .await;
    world.client.list_all_tools().await.unwrap()
}

fn options(change: impl FnOnce(&mut ToolOptions)) -> ToolOptions {
    let mut options = ToolOptions::default();
    change(&mut options);
    options
}

fn names(tools: &[Tool]) -> Vec<&str> {
    tools.iter().map(|tool| tool.name.as_ref()).collect()
}

#[tokio::test]
async fn tools_list_is_the_reviewed_one() {
    let tools = list(options(|options| options.experimental = true), true).await;
    insta::assert_json_snapshot!("tools_list", tools);
}

#[tokio::test]
async fn discovery_is_the_reviewed_one() {
    let world = World::new().await;
    let mut info = serde_json::to_value(&*world.client.peer_info().unwrap()).unwrap();
    for version in [
        "/serverInfo/version",
        "/_meta/io.modelcontextprotocol~1serverInfo/version",
    ] {
        if let Some(version) = info.pointer_mut(version) {
            *version = json!("[version]");
        }
    }
    insta::assert_json_snapshot!("discover", info);
}

/// The size of the whole result as it is sent, and of each tool.
async fn size(options: ToolOptions) -> (usize, String) {
    let world = World::with(Setup {
        options,
        ..Setup::default()
    });
    let list = world.await.client.list_tools(None).await.unwrap();
    let line = |tool: &Tool| format!("{:5} {}", json!(tool).to_string().len(), tool.name);
    let lines: Vec<_> = list.tools.iter().map(line).collect();
    (json!(list).to_string().len(), lines.join("\n"))
}

#[tokio::test]
async fn list_is_small() {
    let (all, each) = size(ToolOptions::default()).await;
    let (read_only, _) = size(options(|options| options.read_only = true)).await;
    println!("{each}\ntools/list: {all} bytes, read-only {read_only}");
    assert!(all <= 14_000, "{all} bytes");
    assert!(read_only <= 7_000, "{read_only} bytes");
}

#[tokio::test]
async fn both_eras_see_the_same_list() {
    let modern = list(ToolOptions::default(), true).await;
    assert_eq!(modern, list(ToolOptions::default(), false).await);
}

/// Whether a description has so many words that the name has not.
fn says_more(description: &str, name: &str, least: usize) -> bool {
    let stem = |word: &str| word.to_lowercase().trim_end_matches('s').to_owned();
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !c.is_alphanumeric());
        words.map(stem).filter(|word| word.len() > 1).collect()
    };
    let known = words(name);
    let new = words(description)
        .into_iter()
        .filter(|word| !known.contains(word));
    new.count() >= least
}

#[tokio::test]
async fn every_tool_says_what_it_does_and_what_happens_to_its_arguments() {
    for tool in list(options(|options| options.experimental = true), true).await {
        let hints = tool.annotations.unwrap();
        let reads = hints.read_only_hint.unwrap();
        let description = tool.description.unwrap_or_default();
        assert!(description.len() < 160, "{}", tool.name);
        assert!(says_more(&description, &tool.name, 4), "{}", tool.name);
        assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
        // Unknown ones are ignored with a note, but in what cannot be undone.
        let closed = (tool.name == "delete_project_task").then_some(json!(false));
        let additional = tool.input_schema.get("additionalProperties");
        assert_eq!(additional, closed.as_ref(), "{}", tool.name);
        assert!(
            tool.title.is_some_and(|title| !title.contains('_')),
            "{}",
            tool.name
        );
        assert_eq!(
            tool.output_schema.unwrap()["type"],
            "object",
            "{}",
            tool.name
        );
        let properties = tool
            .input_schema
            .get("properties")
            .and_then(Value::as_object);
        for (name, schema) in properties.into_iter().flatten() {
            let description = schema["description"].as_str().unwrap_or_default();
            assert!(says_more(description, name, 2), "{name}: {description}");
            let about = format!("{} {name}: {schema}", tool.name);
            assert!(
                schema["description"].is_string() && schema["type"].is_string(),
                "{about}"
            );
            if schema["type"] == "integer" {
                assert!(schema["minimum"].is_u64(), "{about}");
            }
            if ["page", "limit", "include_content", "confirm"].contains(&name.as_str()) {
                assert!(!schema["default"].is_null(), "{about}");
            }
        }
        assert!(hints.open_world_hint.is_some());
        assert!(reads || hints.destructive_hint.is_some() && hints.idempotent_hint.is_some());
    }
}

#[tokio::test]
async fn filters_know_aliases_and_canonical_names() {
    let tools = list(
        options(|options| {
            options.include = vec!["create_project_requirement".into(), "get_project".into()];
        }),
        true,
    );
    assert_eq!(names(&tools.await), ["get_project", "create_requirement"]);
    let exclude =
        |options: &mut ToolOptions| options.exclude = vec!["create_project_requirement".into()];
    assert!(!names(&list(options(exclude), true).await).contains(&"create_requirement"));
    let read_only = list(options(|options| options.read_only = true), true).await;
    assert!(
        read_only
            .iter()
            .all(|tool| tool.annotations.as_ref().unwrap().read_only_hint == Some(true))
    );
    let unknown = options(|options| options.exclude = vec!["get_project".into(), "nope".into()]);
    assert_eq!(unknown.unknown_names(), ["nope"]);
}

#[tokio::test]
async fn alias_runs_the_canonical_tool_and_is_filtered_with_it() {
    assert_eq!(
        canonical_name("create_project_requirement"),
        Some("create_requirement")
    );
    let world = World::new().await;
    let idea = json!({"project_id": "1", "prompt": "Let shoppers pay with a saved card."});
    let made = world.get("create_project_requirement", idea.clone()).await;
    assert_eq!(made["requirement"]["short_id"], "REQ-2");
    let options = options(|options| options.exclude = vec!["create_requirement".into()]);
    let world = World::with(Setup {
        options,
        ..Setup::default()
    })
    .await;
    let refused = world
        .try_call("create_project_requirement", idea)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("switched off"), "{refused}");
    assert!(world.api.writes().entries().is_empty());
}

#[tokio::test]
async fn authenticate_says_who_is_logged_in() {
    assert_eq!(canonical_name("authenticate"), Some("auth_status"));
    let world = World::new().await;
    let status = world.get("authenticate", json!({})).await;
    assert_eq!(status["authenticated"], true);
    let options = options(|options| options.include = vec!["authenticate".into()]);
    assert_eq!(names(&list(options, true).await), ["auth_status"]);
}

#[tokio::test]
async fn modern_results_name_their_server_and_legacy_ones_do_not() {
    for modern in [true, false] {
        let world = World::with(Setup {
            modern,
            ..Setup::default()
        })
        .await;
        let called = serde_json::to_value(world.call("info", Value::Null).await).unwrap();
        let listed = serde_json::to_value(world.client.list_tools(None).await.unwrap()).unwrap();
        for result in [&called, &listed] {
            let name = &result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"];
            assert_eq!(name == "braingrid-mcp", modern, "{result}");
        }
        let scope = listed.get("cacheScope").cloned();
        assert_eq!(scope, modern.then(|| json!("public")));
    }
}

#[test]
fn debug_names_tools_only() {
    mcp_test_support::install_tls_provider();
    let config = mcp_core::BrainGridConfig::new("http://127.0.0.1:1".parse().unwrap());
    let tools = ToolSet::new(
        mcp_core::BrainGridClient::new(config).unwrap(),
        ToolOptions::default(),
    );
    assert!(format!("{tools:?}").starts_with("ToolSet { tools: [\"list_projects\""));
    assert!(tools.get_tool("create_project_requirement").is_some());
}
