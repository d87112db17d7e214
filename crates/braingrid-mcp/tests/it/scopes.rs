//! Scopes per tool: off by default; when on, a challenge names all, lists show what is covered.

use mcp_test_support::client::{Generation, RawAnswer};
use serde_json::{Value, json};

use crate::world::{World, client_of, idea};

#[tokio::test]
async fn without_rules_no_scope_is_needed() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world
        .issuer
        .token()
        .organization("org_ada")
        .without("scope")
        .mint();
    let answer = client_of(&server).call(
        Generation::Modern,
        "create_requirement",
        &idea("a rough idea"),
    );
    assert_eq!(answer.bearer(&token).send().await.unwrap().status, 200);
}

#[tokio::test]
async fn a_missing_scope_is_challenged_with_all_scopes_of_the_operation() {
    let world = World::small().await;
    let command = world
        .command()
        .env(
            "TOOL_SCOPES",
            "read=req:read, write=req:read req:write, create_project_requirement=req:create",
        )
        .env(
            "SCOPE_HIERARCHY",
            "req:admin=req:write req:create, req:write=req:read",
        );
    let server = world.start(&command).await;
    let client = client_of(&server);
    let token = |scope: &str| {
        world
            .issuer
            .token()
            .subject("user_ada")
            .organization("org_ada")
            .scope(scope)
            .mint()
    };
    let call = async |scope: &str, tool: &str, arguments: Value| -> RawAnswer {
        let mut answers = Vec::new();
        for generation in Generation::BOTH {
            let request = client
                .call(generation, tool, &arguments)
                .bearer(&token(scope));
            answers.push(request.send().await.unwrap());
        }
        assert_eq!(
            answers[0].status, answers[1].status,
            "the same in both generations"
        );
        answers.remove(0)
    };

    let refused = call("req:read", "create_requirement", idea("a rough idea")).await;
    expect_challenge(&refused, "req:create");
    let alias = call(
        "req:read",
        "create_project_requirement",
        json!({"prompt": "a rough idea"}),
    );
    expect_challenge(&alias.await, "req:create");
    let update = json!({"project_id": "PROJ-1", "requirement_id": "REQ-1", "name": "New name"});
    let refused = call("openid", "update_project_requirement", update.clone()).await;
    expect_challenge(&refused, "req:read req:write");
    let refused = call("", "list_projects", json!({})).await;
    expect_challenge(&refused, "req:read");

    assert_eq!(
        call("req:read", "list_projects", json!({})).await.status,
        200
    );
    assert_eq!(
        call("req:write", "update_project_requirement", update)
            .await
            .status,
        200
    );
    assert_eq!(
        call("req:admin", "list_projects", json!({})).await.status,
        200,
        "through two steps"
    );
    assert_eq!(
        call("req:admin", "create_requirement", idea("a rough idea"))
            .await
            .status,
        200
    );

    let document = mcp_test_support::http_client().get(format!(
        "{}/.well-known/oauth-protected-resource/mcp",
        server.base_url()
    ));
    let document: Value = document.send().await.unwrap().json().await.unwrap();
    assert_eq!(document["scopes_supported"], json!(["req:read"]));
    let stranger = client
        .call(Generation::Modern, "list_projects", &json!({}))
        .send()
        .await
        .unwrap();
    assert!(
        stranger
            .header("www-authenticate")
            .unwrap()
            .contains("scope=\"req:read\"")
    );
}

#[tokio::test]
async fn a_batch_with_a_missing_scope_is_refused_before_anything_is_done() {
    let world = World::small().await;
    let scopes = "list_projects=req:read, get_profile=req:more";
    let command = world.command().env("TOOL_SCOPES", scopes);
    let server = world.start(&command).await;
    let token = world
        .issuer
        .token()
        .subject("user_ada")
        .organization("org_ada");
    let call = |id: u32, tool: &str| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
               "params": {"name": tool, "arguments": {}}})
    };
    let batch = json!([call(1, "list_projects"), call(2, "get_profile")]);
    let request = mcp_test_support::http_client()
        .post(server.mcp_url())
        .bearer_auth(token.scope("req:read").mint())
        .header("accept", "application/json, text/event-stream")
        .json(&batch);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 403);
    let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
    assert!(challenge.contains("scope=\"req:more\""), "{challenge}");
    assert!(world.api.requests().entries().is_empty());
}

#[tokio::test]
async fn a_tool_list_shows_what_the_grant_covers_and_is_private() {
    let world = World::small().await;
    let command = world
        .command()
        .env("TOOL_SCOPES", "read=req:read, write=req:write");
    let server = world.start(&command).await;
    let list = async |scope: &str| {
        let token = world
            .issuer
            .token()
            .organization("org_ada")
            .scope(scope)
            .mint();
        let request = client_of(&server).request(Generation::Modern, "tools/list", json!({}));
        let answer = request.bearer(&token).send().await.unwrap();
        let result = answer.result().unwrap().clone();
        assert_eq!(result["cacheScope"], "private");
        let tools = result["tools"].as_array().unwrap().iter();
        tools
            .map(|tool| tool["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(list("").await.is_empty());
    let reads = list("req:read").await;
    assert!(
        reads.contains(&"list_projects".to_owned())
            && !reads.contains(&"create_requirement".to_owned())
    );
    let all = list("req:read req:write").await;
    assert!(all.len() > reads.len() && all.contains(&"create_requirement".to_owned()));
}

fn expect_challenge(answer: &RawAnswer, scope: &str) {
    assert_eq!(answer.status, 403, "{}", answer.body);
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(
        challenge.starts_with("Bearer error=\"insufficient_scope\""),
        "{challenge}"
    );
    assert!(
        challenge.contains(&format!("scope=\"{scope}\"")),
        "{challenge}"
    );
    assert!(challenge.contains("resource_metadata="), "{challenge}");
}
