//! One loud tenant among quiet ones, against the whole server: whatever it does, no call of the others
//! fails. Told apart at the API by what they ask: the loud one lists requirements, the quiet ones projects.

use futures::future::join_all;
use mcp_test_support::{
    Gate, ServerProcess,
    api::{Fault, Operation, Recorded, Times},
    client::{Generation, RawAnswer},
};
use serde_json::json;

use crate::world::{LIMIT, World, client_of};

/// Quiet tenants.
const QUIET: usize = 5;
/// What each of them asks, one after another.
const CALLS: usize = 4;

const LOUD: Operation = Operation::ListRequirements;

/// A call of the loud tenant, with so many bytes more than it takes.
async fn loud(world: &World, server: &ServerProcess, padding: usize) -> RawAnswer {
    let params =
        json!({ "name": "list_project_requirements", "arguments": { "project_id": "PROJ-1" } });
    let message = Generation::Legacy.message(1, "tools/call", params);
    let body = message.to_string() + &" ".repeat(padding);
    let request = client_of(server).request(Generation::Legacy, "tools/list", json!({}));
    let request = request.bearer(&world.token("loud", "org_loud"));
    request.body(body).send().await.unwrap()
}

fn is_served(answer: &RawAnswer) -> bool {
    let result = answer.result();
    answer.status == 200 && result.is_some_and(|result| result["isError"] != true)
}

/// Every call of the quiet tenants, all tenants at once, is served.
async fn quiet_ones_are_served(world: &World, server: &ServerProcess) {
    let tenants = (0..QUIET).map(async |tenant| {
        let token = world.token("quiet", &format!("org_quiet_{tenant}"));
        for _ in 0..CALLS {
            let call = client_of(server).call(Generation::Modern, "list_projects", &json!({}));
            let answer = call.bearer(&token).send().await.unwrap();
            assert!(is_served(&answer), "{}: {}", answer.status, answer.body);
        }
    });
    let before = world.api.count(Operation::ListProjects);
    join_all(tenants).await;
    let asked = world.api.count(Operation::ListProjects) - before;
    assert_eq!(asked, QUIET * CALLS);
}

/// Waits until so many calls of the loud tenant are at the API.
async fn at_the_api(world: &World, calls: usize) -> bool {
    let enough =
        |seen: &[Recorded]| seen.iter().filter(|it| it.operation == Some(LOUD)).count() >= calls;
    world.api.requests().wait_until(enough, LIMIT).await
}

#[tokio::test]
async fn slow_calls_of_a_loud_user_fail_no_quiet_one() {
    let world = World::small().await;
    let server = world.server().await;
    let gate = Gate::closed();
    let held = Fault::Held(gate.clone());
    world.api.inject(LOUD, held, Times::Always);
    let calls = join_all((0..64).map(|_| loud(&world, &server, 0)));
    let others = async {
        assert!(at_the_api(&world, 16).await, "the API is not kept busy");
        quiet_ones_are_served(&world, &server).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(calls, others);
    assert!(answers.iter().any(is_served));
}

#[tokio::test]
async fn failing_data_of_a_loud_tenant_fail_no_quiet_one() {
    let world = World::small().await;
    let server = world.server().await;
    world.api.inject(LOUD, Fault::Status(502), Times::Always);
    assert!(
        is_left_alone(&world, &server).await,
        "all its calls go to the API"
    );
    quiet_ones_are_served(&world, &server).await;
}

/// Calls until one does not reach the API any more.
async fn is_left_alone(world: &World, server: &ServerProcess) -> bool {
    for _ in 0..60 {
        let before = world.api.count(LOUD);
        let answer = loud(world, server, 0).await;
        assert!(!is_served(&answer), "{}", answer.body);
        if world.api.count(LOUD) == before {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_flood_of_a_loud_tenant_fails_no_quiet_one_and_does_not_reach_the_api() {
    const LEFT: usize = 40;
    let world = World::small().await;
    let command = world.command().env("LIMIT_TENANT", format!("{LEFT}/1d"));
    let server = world.start(&command).await;
    let flood = join_all((0..200).map(|_| loud(&world, &server, 0)));
    let (answers, ()) = tokio::join!(flood, quiet_ones_are_served(&world, &server));
    let done = answers.iter().filter(|it| is_served(it)).count();
    assert_eq!((done, world.api.count(LOUD)), (LEFT, LEFT));
}

#[tokio::test]
async fn large_bodies_of_a_loud_tenant_fail_no_quiet_one() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("MEMORY_BUDGET", "16MiB"))
        .await;
    let gate = Gate::closed();
    let held = Fault::Held(gate.clone());
    world.api.inject(LOUD, held, Times::Always);
    let calls = join_all((0..64).map(|_| loud(&world, &server, 200 << 10)));
    let others = async {
        assert!(at_the_api(&world, 1).await, "no body is read");
        quiet_ones_are_served(&world, &server).await;
        gate.open();
    };
    let (answers, ()) = tokio::join!(calls, others);
    assert!(answers.iter().any(is_served));
    let refused = answers.iter().filter(|it| it.status == 503).count();
    assert!(refused > 0, "the memory was never full");
}
