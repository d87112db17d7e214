//! A tool that panics. The product has none, so it gets one: the same tool set and the same
//! transports, over real sockets and pipes, in this process.

use std::sync::Arc;

use mcp_core::{BrainGridClient, BrainGridConfig, ToolOptions, ToolSet};
use mcp_test_support::client::{Generation, RawHttp};
use rmcp::{
    handler::server::router::tool::ToolRoute,
    model::{JsonObject, Tool},
};
use serde_json::json;

use crate::world::{Here, World};

#[tokio::test]
async fn a_panicking_tool_answers_with_an_error_and_the_server_goes_on() {
    let world = World::small().await;
    let api = BrainGridClient::new(BrainGridConfig::new(world.api.url().parse().unwrap())).unwrap();
    let panicking = ToolRoute::new_dyn(Tool::new("panics", "Panics.", Arc::new(schema())), |_| {
        Box::pin(async { panic!("a secret in a panic") })
    });
    let tools = ToolSet::new(api, ToolOptions::default()).with_route(panicking);
    let server = Here::serve(&world, tools).await;

    let token = world.token("user_ada", "org_ada");
    let http = RawHttp::new(&server.resource);
    for generation in Generation::BOTH {
        let answer = http
            .call(generation, "panics", &json!({}))
            .bearer(&token)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.result().unwrap()["isError"], true, "{}", answer.body);
        assert!(!answer.body.contains("secret"), "{}", answer.body);
        let list = http
            .request(generation, "tools/list", json!({}))
            .bearer(&token);
        assert_eq!(list.send().await.unwrap().status, 200);
    }
    server.stop().await;
}

fn schema() -> JsonObject {
    match json!({ "type": "object", "additionalProperties": false }) {
        serde_json::Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}
