//! What goes wrong between a write and its answer, over HTTP: a write that was done is never called
//! failed, one that was not done never done, and none is sent twice.

use std::time::Duration;

use mcp_core::{BrainGridClient, BrainGridConfig, ToolOptions, ToolSet};
use mcp_test_support::{
    Api, Gate,
    api::{Fault, Operation, Times},
    client::{Generation, RawHttp},
};
use serde_json::{Value, json};

use crate::world::{Here, World, client_of};

/// Every write, and whether reading back can prove that it was done.
fn writes() -> [(&'static str, Operation, Value, bool); 7] {
    let spec = json!({"project_id": 1, "name": "Invoices", "content": "x"});
    let idea = json!({"project_id": 1, "message": "Let shoppers pay by invoice."});
    let of = |more: Value| {
        let mut place = json!({"project_id": 1, "requirement_id": 1});
        let fields = more.as_object().unwrap().clone();
        place.as_object_mut().unwrap().extend(fields);
        place
    };
    // REQ-2 is made first: the one that is there from the start has tasks.
    let bare = json!({"project_id": 1, "requirement_id": 2});
    let change = of(json!({"status": "REVIEW"}));
    let task = of(json!({"task_id": 2, "title": "New title"}));
    let delete = of(json!({"task_id": 2, "confirm": true}));
    [
        (
            "create_requirement",
            Operation::SpecifyRequirement,
            idea,
            false,
        ),
        (
            "capture_project_requirement",
            Operation::CreateRequirement,
            spec,
            true,
        ),
        (
            "update_project_requirement",
            Operation::UpdateRequirement,
            change,
            true,
        ),
        (
            "breakdown_project_requirement",
            Operation::BreakdownRequirement,
            bare,
            true,
        ),
        (
            "create_project_task",
            Operation::CreateTask,
            of(json!({"title": "Docs"})),
            true,
        ),
        ("update_project_task", Operation::UpdateTask, task, true),
        ("delete_project_task", Operation::DeleteTask, delete, true),
    ]
}

/// Makes what the calls above need, and gives the answer of the one that meets the fault.
async fn call(
    http: &RawHttp,
    api: &Api,
    token: &str,
    (tool, operation, arguments): (&str, Operation, &Value),
    fault: Fault,
) -> Value {
    let generation = Generation::Modern;
    let first = json!({"project_id": 1, "name": "First", "content": "x"});
    let made = http.call(generation, "capture_project_requirement", &first);
    let made = made.bearer(token).send().await.unwrap();
    assert_eq!(made.result().unwrap()["isError"], false, "{}", made.body);
    api.requests().clear();
    api.writes().clear();
    api.inject(operation, fault, Times::Next(1));
    let answer = http.call(generation, tool, arguments).bearer(token);
    let answer = answer.send().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.result().unwrap().clone()
}

fn text(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

#[tokio::test]
async fn answer_tells_what_is_known_of_the_write() {
    let world = World::small().await;
    let server = world.server().await;
    let http = client_of(&server);
    let faults = [
        Fault::CloseAfterWrite,
        Fault::Close,
        Fault::Garbage,
        Fault::Status(500),
        Fault::Status(504),
    ];
    for (index, fault) in faults.into_iter().enumerate() {
        for (tool, operation, arguments, provable) in writes() {
            let token = world.token("user_ada", &format!("org_{tool}_{index}"));
            let what = (tool, operation, &arguments);
            let result = call(&http, &world.api, &token, what, fault.clone()).await;
            let at = format!("{tool}, {fault:?}: {}", text(&result));
            assert_eq!(world.api.count(operation), 1, "sent twice: {at}");
            let done = world.api.writes().entries() == [operation];
            assert_eq!(done, matches!(fault, Fault::CloseAfterWrite), "{at}");
            if done && provable {
                assert_eq!(result["isError"], false, "{at}");
                assert!(text(&result).contains("confirmed by reading back"), "{at}");
            } else {
                assert_eq!(result["isError"], true, "{at}");
                assert!(text(&result).starts_with("Outcome unknown"), "{at}");
                assert!(text(&result).contains("before trying again"), "{at}");
            }
        }
    }
}

#[tokio::test]
async fn answer_that_comes_too_late_is_read_back() {
    let world = World::small().await;
    let mut config = BrainGridConfig::new(world.api.url().parse().unwrap());
    config.timeouts.write = Duration::from_millis(500);
    config.timeouts.slow = Duration::from_millis(500);
    let client = BrainGridClient::new(config).unwrap();
    let server = Here::serve(&world, ToolSet::new(client, ToolOptions::default())).await;
    let http = RawHttp::new(&server.resource);
    for (tool, operation, arguments, provable) in writes() {
        let token = world.token("user_ada", &format!("org_{tool}"));
        // Never opened: done, and not answered.
        let fault = Fault::HeldAfterWrite(Gate::closed());
        let result = call(
            &http,
            &world.api,
            &token,
            (tool, operation, &arguments),
            fault,
        )
        .await;
        let at = format!("{tool}: {}", text(&result));
        assert_eq!(world.api.writes().entries(), [operation], "{at}");
        assert_eq!(result["isError"], !provable, "{at}");
        let told = if provable {
            "confirmed by reading back"
        } else {
            "Outcome unknown: the request was sent, but no answer came in time"
        };
        assert!(text(&result).contains(told), "{at}");
    }
    server.stop().await;
}
