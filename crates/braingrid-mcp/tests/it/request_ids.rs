//! The id of a request, where a user sees it: most clients show the body of an error, none its headers.

use mcp_test_support::client::Generation;
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

#[tokio::test]
async fn an_error_names_the_request_under_which_the_access_log_has_it() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let client = client_of(&server);
    let token = world.token("user_ada", "org_ada");
    let list = || client.call(Generation::Modern, "list_projects", &json!({}));
    let known = || list().bearer(&token);
    let call = |generation, tool| client.call(generation, tool, &json!({})).bearer(&token);
    let asked =
        |generation, method, params| client.request(generation, method, params).bearer(&token);
    let progress = json!({"name": "no_such_tool", "_meta": {"progressToken": 1}});
    let cases = [
        (401, list()),
        (401, list().bearer("no token of anybody")),
        (
            403,
            known().header("origin", "https://elsewhere.example.com"),
        ),
        (400, known().body("{")),
        (400, known().body("[]")),
        (415, known().header("content-type", "text/plain")),
        (406, known().header("accept", "text/html")),
        (400, known().header("mcp-protocol-version", "1999-01-01")),
        (400, known().header("mcp-protocol-version", "2099-01-01")),
        (400, known().header("mcp-method", "tools/list")),
        (400, known().without_header("mcp-method")),
        (200, call(Generation::Modern, "no_such_tool")),
        (200, call(Generation::Legacy, "no_such_tool")),
        (
            200,
            call(Generation::Legacy, "no_such_tool").header("accept", "text/event-stream"),
        ),
        (200, asked(Generation::Legacy, "tools/call", progress)),
        (
            200,
            asked(Generation::Legacy, "tools/list", json!({"cursor": "x"})),
        ),
        (
            200,
            asked(Generation::Modern, "tools/list", json!({"cursor": 7})),
        ),
        (
            200,
            asked(Generation::Legacy, "tools/call", json!({"name": 7})),
        ),
        (
            200,
            asked(Generation::Legacy, "resources/read", json!({"uri": "x:y"})),
        ),
        (404, asked(Generation::Modern, "no/such", json!({}))),
        (200, asked(Generation::Legacy, "no/such", json!({}))),
        (400, asked(Generation::Legacy, "tools/list", json!([]))),
    ];
    let count = cases.len();
    for (status, request) in cases {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.body);
        let id = answer.header("x-request-id").unwrap();
        let body = answer.json.as_ref().unwrap();
        if body["error"]["message"] == "unknown resource: this server has none" {
            assert_eq!(body["error"]["data"]["uri"], "x:y", "nothing is lost");
        }
        let shown = body["error"]["data"]["request_id"].as_str();
        let shown = shown.or_else(|| body["request_id"].as_str());
        assert_eq!(shown, Some(id), "{}", answer.body);
    }
    let batch = json!([
        {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "no_such_tool"}},
        {"jsonrpc": "2.0", "id": 2, "method": "ping"},
        {"jsonrpc": "2.0", "id": 3, "method": "no/such"},
        {"jsonrpc": "2.0", "id": 4, "method": "tools/list", "params": []},
        {"jsonrpc": "2.0", "id": 5, "method": "initialize"},
        {"id": 6},
    ]);
    let answer = asked(Generation::Legacy, "ping", json!({}))
        .header("mcp-protocol-version", "2025-03-26")
        .body(batch.to_string());
    let answer = answer.send().await.unwrap();
    let id = answer.header("x-request-id").unwrap();
    let members: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
    let shown = members
        .iter()
        .map(|member| member["error"]["data"]["request_id"].as_str());
    let expected = [Some(id), None, Some(id), Some(id), Some(id), Some(id)];
    assert!(shown.eq(expected), "{}", answer.body);
    let lines = server.wait_access_log(count, LIMIT).await;
    let answer = known().send().await.unwrap();
    assert!(
        !answer.body.contains(answer.header("x-request-id").unwrap()),
        "only errors"
    );
    let elsewhere = format!("{}/elsewhere", server.base_url());
    let http = mcp_test_support::http_client();
    let answer = http.get(elsewhere).send().await.unwrap();
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["request_id"], id.as_str());
    assert!(lines.iter().all(|line| line["request_id"].is_string()));
}
