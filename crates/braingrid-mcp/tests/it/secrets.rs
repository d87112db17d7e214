//! The key that seals sessions: where it is needed, and where not. What must not come out is in
//! `leaks.rs`.

use mcp_test_support::client::Generation;
use serde_json::json;

use crate::world::{LIMIT, World, client_of};

#[tokio::test]
async fn redis_without_encryption_key_refuses_to_start_and_says_how_to_make_one() {
    let world = World::shared().await;
    let mut server = world
        .command()
        .without_env("ENCRYPTION_KEY")
        .spawn()
        .unwrap();
    let status = server.wait(LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(78));
    let output = server.text();
    assert!(
        output.contains("ENCRYPTION_KEY") && output.contains("openssl rand -hex 32"),
        "{output}"
    );
}

#[tokio::test]
async fn the_embedded_store_says_once_that_it_serves_one_instance() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(request.bearer(&token).send().await.unwrap().status, 200);
    assert_eq!(
        server.text().matches("one instance only").count(),
        1,
        "{}",
        server.text()
    );
}
