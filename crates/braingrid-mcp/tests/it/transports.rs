//! The same call gives the same answer, whatever carries it.

use mcp_test_support::client::{Generation, RawStdio, call, connect_http, connect_stdio};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of, idea};

#[tokio::test]
async fn the_same_call_gives_the_same_structured_answer_everywhere() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let http = client_of(&server);

    let created = http.call(
        Generation::Modern,
        "create_requirement",
        &idea("dark mode, please"),
    );
    let created = created.bearer(&token).send().await.unwrap();
    assert_eq!(created.status, 200, "{}", created.body);
    let id = created.structured().unwrap()["requirement"]["short_id"]
        .as_str()
        .unwrap()
        .to_owned();
    // Every project of the stand-in starts with one requirement.
    assert_eq!(id, "REQ-2");

    let wanted = json!({ "project_id": "PROJ-1", "requirement_id": id });
    let mut answers: Vec<Value> = Vec::new();
    for generation in Generation::BOTH {
        let answer = http
            .call(generation, "get_project_requirement", &wanted)
            .bearer(&token);
        answers.push(answer.send().await.unwrap().structured().unwrap().clone());

        let client = connect_http(&server.mcp_url(), Some(&token), generation)
            .await
            .unwrap();
        let answer = call(&client, "get_project_requirement", wanted.clone())
            .await
            .unwrap();
        answers.push(answer.structured_content.unwrap());

        let command = world.stdio_command().env("BRAINGRID_API_TOKEN", &token);
        let client = connect_stdio(command.command(), generation).await.unwrap();
        let answer = call(&client, "get_project_requirement", wanted.clone())
            .await
            .unwrap();
        answers.push(answer.structured_content.unwrap());
    }
    assert!(
        answers[0].to_string().contains("dark mode"),
        "{}",
        answers[0]
    );
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:#?}"
    );
}

#[tokio::test]
async fn every_generation_creates_over_every_transport() {
    let world = World::small().await;
    let server = world.warm_server().await;
    for generation in Generation::BOTH {
        for transport in ["http", "stdio"] {
            let organization = format!("org_{transport}_{}", generation.version());
            let token = world.token("user_ada", &organization);
            let result = if transport == "http" {
                let http = client_of(&server).call(
                    generation,
                    "create_requirement",
                    &idea("a rough idea"),
                );
                http.bearer(&token).send().await.unwrap().json.unwrap()
            } else {
                let command = world.stdio_command().env("BRAINGRID_API_TOKEN", &token);
                let mut stdio = RawStdio::start(&command).unwrap();
                if generation == Generation::Legacy {
                    stdio.initialize().await.unwrap();
                }
                let params =
                    json!({ "name": "create_requirement", "arguments": idea("a rough idea") });
                let answer = stdio
                    .request(generation, "tools/call", params)
                    .await
                    .unwrap();
                assert!(stdio.close(LIMIT).await.unwrap().success());
                answer
            };
            let structured = &result["result"]["structuredContent"];
            assert_eq!(structured["requirement"]["short_id"], "REQ-2", "{result:#}");
        }
    }
}

#[tokio::test]
async fn tools_are_listed_in_the_same_order_everywhere() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let mut lists: Vec<Vec<String>> = Vec::new();
    for generation in Generation::BOTH {
        let http = connect_http(&server.mcp_url(), Some(&token), generation)
            .await
            .unwrap();
        let stdio = connect_stdio(world.stdio_command().command(), generation)
            .await
            .unwrap();
        for client in [http, stdio] {
            let tools = client.list_all_tools().await.unwrap();
            lists.push(
                tools
                    .into_iter()
                    .map(|tool| tool.name.into_owned())
                    .collect(),
            );
        }
    }
    for required in [
        "create_requirement",
        "list_project_requirements",
        "get_project_requirement",
        "update_project_requirement",
        "list_project_tasks",
        "get_project_task",
        "create_project_task",
        "update_project_task",
        "list_projects",
        "get_project",
        "get_profile",
    ] {
        assert!(lists[0].iter().any(|name| name == required), "{required}");
    }
    assert!(lists.iter().all(|list| *list == lists[0]), "{lists:#?}");
}
