//! A tool that panics. The product has none, so it gets one: the same tool set and the same
//! transports, over real sockets and pipes, in this process.

use std::sync::Arc;

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_core::{BrainGridClient, BrainGridConfig, ToolOptions, ToolSet};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_test_support::client::{Generation, RawHttp};
use mcp_transport_http::{HttpConfig, HttpServer};
use rmcp::{
    handler::server::router::tool::ToolRoute,
    model::{JsonObject, Tool},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot};

use crate::world::World;

#[tokio::test]
async fn a_panicking_tool_answers_with_an_error_and_the_server_goes_on() {
    let world = World::small().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public_url = format!("http://{}", listener.local_addr().unwrap());
    let resource = format!("{public_url}/mcp");
    world.issuer.set_audience([resource.as_str()]);
    let issuer = IssuerConfig::new(world.issuer.url(), [&resource]);
    let client = mcp_auth::http_client().unwrap();
    let verifier = TokenVerifier::new(vec![issuer], client, VerifierConfig::default()).unwrap();
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
    let api = BrainGridClient::new(BrainGridConfig::new(world.api.url().parse().unwrap())).unwrap();
    let panicking = ToolRoute::new_dyn(Tool::new("panics", "Panics.", Arc::new(schema())), |_| {
        Box::pin(async { panic!("a secret in a panic") })
    });
    let tools = ToolSet::new(api, ToolOptions::default()).with_route(panicking);
    let config = HttpConfig::new(&public_url, [world.issuer.url()]).unwrap();
    let server = HttpServer::new(config, sessions, tools, crate::world::nobody);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.serve(listener, async {
        stopped.await.ok();
    }));

    let token = world.token("user_ada", "org_ada");
    let http = RawHttp::new(&resource);
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
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}

fn schema() -> JsonObject {
    match json!({ "type": "object", "additionalProperties": false }) {
        serde_json::Value::Object(schema) => schema,
        _ => JsonObject::new(),
    }
}
