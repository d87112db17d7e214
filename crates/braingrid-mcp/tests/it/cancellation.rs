//! A client that hangs up: with the modern revision that cancels a read, all the way to the API; a
//! write that was sent is finished, and the stop of the server waits for it.

use mcp_test_support::{
    Gate,
    api::{Fault, Operation, Times},
    client::{Generation, RawRequest},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

/// Sends the request, waits until the API has it, and hangs up.
async fn hang_up(world: &World, request: RawRequest, operation: Operation) {
    let call = tokio::spawn(request.send());
    let arrived = |seen: &[mcp_test_support::api::Recorded]| {
        seen.iter().any(|it| it.operation == Some(operation))
    };
    assert!(world.api.requests().wait_until(arrived, LIMIT).await);
    call.abort();
    assert!(call.await.is_err());
}

#[tokio::test]
async fn a_modern_client_that_hangs_up_cancels_its_read_and_a_legacy_one_does_not() {
    let world = World::small().await;
    let mut server = world.server().await;
    let token = world.token("user_ada", "org_ada");
    let gate = Gate::closed();
    for operation in [Operation::GetProject, Operation::ListProjects] {
        let held = Fault::Held(gate.clone());
        world.api.inject(operation, held, Times::Next(1));
    }
    let request = |generation, tool: &str, arguments: Value| {
        client_of(&server)
            .call(generation, tool, &arguments)
            .bearer(&token)
    };
    let legacy = request(Generation::Legacy, "get_project", json!({"project_id": 1}));
    let modern = request(Generation::Modern, "list_projects", json!({}));
    hang_up(&world, legacy, Operation::GetProject).await;
    hang_up(&world, modern, Operation::ListProjects).await;
    let abandoned = world.api.abandoned();
    let one = |all: &[Operation]| !all.is_empty();
    assert!(abandoned.wait_until(one, LIMIT).await);
    gate.open();
    server.terminate().unwrap();
    assert!(server.wait(LIMIT).await.unwrap().success());
    assert_eq!(abandoned.entries(), [Operation::ListProjects]);
}

#[tokio::test]
async fn a_write_whose_client_hung_up_is_finished_before_the_server_stops() {
    for generation in Generation::BOTH {
        let world = World::small().await;
        let mut server = world.server().await;
        let token = world.token("user_ada", "org_ada");
        let gate = Gate::closed();
        let operation = Operation::UpdateRequirement;
        let held = Fault::Held(gate.clone());
        world.api.inject(operation, held, Times::Next(1));
        let update = json!({"project_id": 1, "requirement_id": 1, "status": "REVIEW"});
        let request = client_of(&server)
            .call(generation, "update_project_requirement", &update)
            .bearer(&token);
        hang_up(&world, request, operation).await;
        server.terminate().unwrap();
        assert!(server.said("draining", LIMIT).await);
        gate.open();
        assert!(server.wait(LIMIT).await.unwrap().success());
        assert_eq!(world.api.writes().entries(), [operation], "{generation:?}");
        assert!(world.api.abandoned().entries().is_empty(), "{generation:?}");
        let text = server.text();
        assert!(
            text.contains("\"unfinished\":0") || text.contains("unfinished=0"),
            "{text}"
        );
    }
}
