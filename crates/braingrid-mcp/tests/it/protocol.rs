//! The edges of the protocol: bodies that are no message, batches, headers, sizes.

use mcp_test_support::{
    ServerProcess,
    client::{Generation, RawAnswer},
};
use serde_json::{Value, json};

use crate::world::{World, client_of};

async fn post(server: &ServerProcess, token: &str, version: Option<&str>, body: &str) -> RawAnswer {
    let request = client_of(server)
        .request(Generation::Legacy, "ping", json!({}))
        .bearer(token);
    let request = match version {
        Some(version) => request.header("mcp-protocol-version", version),
        None => request.without_header("mcp-protocol-version"),
    };
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn what_is_no_message_is_a_json_rpc_error_with_the_right_status() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let deep_list = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"x","arguments":{}1{}}}}}"#,
        r#"{"a":"#.repeat(100_000),
        "}".repeat(100_000)
    );
    let huge = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#,
        "y".repeat(2 << 20)
    );
    for (name, body, status, code) in [
        ("empty", "", 400, -32700),
        ("no JSON", "hello", 400, -32700),
        ("cut short", r#"{"jsonrpc":"2.0","#, 400, -32700),
        ("not UTF-8 like", "\u{0}\u{1}", 400, -32700),
        ("a list that is too deep", deep_list.as_str(), 400, -32600),
        (
            "an object that is too deep",
            deep_object.as_str(),
            400,
            -32600,
        ),
        ("a number", "7", 400, -32600),
        ("no version", r#"{"id":1,"method":"ping"}"#, 400, -32600),
        (
            "null id",
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            400,
            -32600,
        ),
        (
            "fractional id",
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            400,
            -32600,
        ),
        (
            "object id",
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            400,
            -32600,
        ),
        (
            "method of another type",
            r#"{"jsonrpc":"2.0","id":1,"method":[]}"#,
            400,
            -32600,
        ),
        ("too large", huge.as_str(), 413, -32600),
    ] {
        let answer = post(&server, &token, Some("2025-11-25"), body).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert_eq!(answer.error_code(), Some(code), "{name}: {}", answer.body);
        assert_eq!(
            answer.header("content-type"),
            Some("application/json"),
            "{name}"
        );
        assert!(
            !answer.body.contains("line 1"),
            "{name}: no inner error text"
        );
    }
}

#[tokio::test]
async fn wrong_headers_are_json_errors_without_inner_text() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let modern = || {
        client_of(&server)
            .call(Generation::Modern, "list_projects", &json!({}))
            .bearer(&token)
    };
    for (name, request, status, code) in [
        (
            "no accept",
            modern().header("accept", "text/html"),
            406,
            Some(-32600),
        ),
        (
            "media type",
            modern().header("content-type", "text/plain"),
            415,
            Some(-32600),
        ),
        (
            "other method header",
            modern().header("mcp-method", "tools/list"),
            400,
            Some(-32020),
        ),
        (
            "other name header",
            modern().header("mcp-name", "get_profile"),
            400,
            Some(-32020),
        ),
        (
            "no method header",
            modern().without_header("mcp-method"),
            400,
            Some(-32020),
        ),
        (
            "other version header",
            modern().header("mcp-protocol-version", "2025-11-25"),
            400,
            Some(-32020),
        ),
        (
            "unknown version",
            modern().header("mcp-protocol-version", "1999-01-01"),
            400,
            None,
        ),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert!(answer.json.is_some(), "{name}: {}", answer.body);
        assert!(
            code.is_none() || answer.error_code() == code,
            "{name}: {}",
            answer.body
        );
    }
    let later = client_of(&server).request(Generation::Legacy, "tools/list", json!({}));
    let later = later.header("mcp-protocol-version", "2099-01-01");
    let later = later.bearer(&token).send().await.unwrap();
    assert_eq!(later.status, 400);
    assert!(later.body.contains("2025-11-25"), "{}", later.body);
    let unknown = client_of(&server).request(Generation::Modern, "no/such", json!({}));
    let unknown = unknown.bearer(&token).send().await.unwrap();
    assert_eq!(
        (unknown.status.as_u16(), unknown.error_code()),
        (404, Some(-32601))
    );
    let http = mcp_test_support::http_client();
    for method in [
        reqwest::Method::GET,
        reqwest::Method::DELETE,
        reqwest::Method::PUT,
    ] {
        let answer = http
            .request(method, server.mcp_url())
            .bearer_auth(&token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 405);
        assert!(answer.headers()["allow"].to_str().unwrap().contains("POST"));
    }
}

#[tokio::test]
async fn a_batch_is_answered_in_the_revision_that_has_batches() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let call = |id: u32, tool: &str| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
               "params": {"name": tool, "arguments": {}}})
    };
    let batch = json!([
        call(1, "list_projects"),
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        call(2, "get_profile"),
        {"jsonrpc": "2.0", "id": 3, "method": "ping"},
    ])
    .to_string();
    for version in [Some("2025-03-26"), None] {
        let answer = post(&server, &token, version, &batch).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answers: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
        let ids: Vec<_> = answers.iter().map(|answer| answer["id"].as_u64()).collect();
        assert_eq!(ids, [Some(1), Some(2), Some(3)]);
        assert!(
            answers[0]["result"]["structuredContent"].is_object(),
            "{}",
            answers[0]
        );
    }
    let notification = r#"[{"jsonrpc":"2.0","method":"notifications/initialized"}]"#;
    let accepted = post(&server, &token, Some("2025-03-26"), notification).await;
    assert_eq!(
        (accepted.status.as_u16(), accepted.body.as_str()),
        (202, "")
    );
    for (version, batch) in [("2025-06-18", batch.as_str()), ("2025-03-26", "[]")] {
        let refused = post(&server, &token, Some(version), batch).await;
        assert_eq!(
            (refused.status.as_u16(), refused.error_code()),
            (400, Some(-32600))
        );
    }
}

#[tokio::test]
async fn every_modern_result_names_the_server() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let call = json!({"name": "list_projects", "arguments": {}});
    let failing = json!({"name": "get_project", "arguments": {"project_id": "PROJ-99"}});
    for (method, params) in [
        ("server/discover", json!({})),
        ("tools/list", json!({})),
        ("tools/call", call),
        ("tools/call", failing),
    ] {
        let request = client_of(&server).request(Generation::Modern, method, params);
        let answer = request.bearer(&token).send().await.unwrap();
        let info = &answer.result().unwrap()["_meta"]["io.modelcontextprotocol/serverInfo"];
        assert_eq!(info["name"], "braingrid-mcp", "{method}: {}", answer.body);
    }
}
