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
    ];
    let count = cases.len();
    for (status, request) in cases {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status, status, "{}", answer.body);
        let id = answer.header("x-request-id").unwrap();
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let shown = body["error"]["data"]["request_id"].as_str();
        let shown = shown.or_else(|| body["request_id"].as_str());
        assert_eq!(shown, Some(id), "{}", answer.body);
    }
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
