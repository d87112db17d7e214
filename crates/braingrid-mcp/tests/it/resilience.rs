//! Redis may go away at any time: nobody notices but by the clock.

use std::time::Duration;

use mcp_test_support::client::{Generation, RawHttp};
use serde_json::json;

use crate::{
    sessions::stored_sessions,
    world::{World, client_of},
};

async fn calls_go_on(client: &RawHttp, world: &World, known: &str, what: &str) {
    for number in 0..10 {
        let fresh = world.token(&format!("user_{what}_{number}"), "org_new");
        for token in [known, &fresh] {
            for generation in Generation::BOTH {
                let request = client
                    .call(generation, "list_projects", &json!({}))
                    .bearer(token);
                let answer = tokio::time::timeout(Duration::from_secs(10), request.send());
                let answer = answer.await.expect("answered in bounded time").unwrap();
                assert_eq!(answer.status, 200, "{what}: {}", answer.body);
            }
        }
    }
}

#[tokio::test]
async fn calls_go_on_while_redis_hangs_dies_and_comes_back() {
    let mut world = World::shared().await;
    let server = world.warm_server().await;
    let client = client_of(&server);
    let known = world.token("user_ada", "org_ada");
    let request = client.call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(request.bearer(&known).send().await.unwrap().status, 200);
    stored_sessions(&world, 1).await;

    world.redis().pause().unwrap();
    calls_go_on(&client, &world, &known, "hung").await;
    world.redis().resume().unwrap();
    world.redis.as_mut().unwrap().kill();
    calls_go_on(&client, &world, &known, "dead").await;
    world.redis.as_mut().unwrap().restart().await.unwrap();
    calls_go_on(&client, &world, &known, "back").await;
}

#[tokio::test]
async fn a_cold_instance_serves_while_redis_hangs() {
    let world = World::shared().await;
    world.redis().pause().unwrap();
    let server = world.server().await;
    let known = world.token("user_ada", "org_ada");
    calls_go_on(&client_of(&server), &world, &known, "cold").await;
    world.redis().resume().unwrap();
}
