//! What goes wrong between here and BrainGrid, and that nothing is told wrongly about it.

use std::time::Duration;

use mcp_test_support::{
    Gate,
    api::{Fault, Operation, Times},
};
use serde_json::json;

use crate::support::{Setup, Tokens, World, expired_token, text, token};

fn update() -> serde_json::Value {
    json!({"project_id": 1, "requirement_id": 1, "status": "REVIEW"})
}

#[tokio::test]
async fn update_whose_answer_was_lost_is_confirmed_by_reading_back() {
    let configure = |config: &mut mcp_core::BrainGridConfig| {
        config.timeouts.write = Duration::from_millis(300);
    };
    // Never opened: the answer does not come in time.
    let held = Fault::HeldAfterWrite(Gate::closed());
    for fault in [Fault::CloseAfterWrite, held] {
        let world = World::with(Setup {
            configure,
            ..Setup::default()
        })
        .await;
        world
            .api
            .inject(Operation::UpdateRequirement, fault, Times::Next(1));
        let result = world.call("update_project_requirement", update()).await;
        assert_ne!(result.is_error, Some(true), "{}", text(&result));
        assert!(
            text(&result).contains("confirmed by reading back"),
            "{}",
            text(&result)
        );
        assert_eq!(world.api.writes().entries().len(), 1);
        assert_eq!(world.api.count(Operation::UpdateRequirement), 1);
    }
}

#[tokio::test]
async fn update_that_did_not_arrive_is_not_called_done_and_not_repeated() {
    for fault in [
        Fault::Close,
        Fault::Garbage,
        Fault::Status(500),
        Fault::Status(503),
    ] {
        let world = World::new().await;
        world
            .api
            .inject(Operation::UpdateRequirement, fault, Times::Next(1));
        let error = world.error("update_project_requirement", update()).await;
        assert!(error.starts_with("Outcome unknown"), "{error}");
        assert!(error.contains("get_project_requirement REQ-1"), "{error}");
        assert_eq!(world.api.count(Operation::UpdateRequirement), 1);
        assert!(world.api.writes().entries().is_empty());
    }
}

#[tokio::test]
async fn lost_answer_to_a_refinement_is_outcome_unknown_and_sent_once() {
    let world = World::new().await;
    world.api.inject(
        Operation::SpecifyRequirement,
        Fault::CloseAfterWrite,
        Times::Next(1),
    );
    let idea = json!({"project_id": 1, "message": "Let shoppers pay by invoice."});
    let error = world.error("create_requirement", idea).await;
    assert!(
        error.starts_with("Outcome unknown") && error.contains("PROJ-1"),
        "{error}"
    );
    assert_eq!(world.api.writes().entries().len(), 1);
}

#[tokio::test]
async fn lost_answer_to_a_breakdown_is_confirmed_by_the_tasks() {
    let world = World::new().await;
    let spec = json!({"project_id": 1, "name": "Invoices", "content": "x"});
    world.get("capture_project_requirement", spec).await;
    world.api.inject(
        Operation::BreakdownRequirement,
        Fault::CloseAfterWrite,
        Times::Next(1),
    );
    let place = json!({"project_id": 1, "requirement_id": 2});
    let done = world.get("breakdown_project_requirement", place).await;
    assert_eq!(done["tasks"].as_array().unwrap().len(), 3);
    assert_eq!(world.api.count(Operation::BreakdownRequirement), 1);
}

#[tokio::test]
async fn lost_answer_to_a_deletion_is_confirmed_by_reading_back() {
    let world = World::new().await;
    world.api.inject(
        Operation::DeleteTask,
        Fault::CloseAfterWrite,
        Times::Next(1),
    );
    let task = json!({"project_id": 1, "requirement_id": 1, "task_id": 2, "confirm": true});
    let result = world.call("delete_project_task", task).await;
    assert!(
        text(&result).contains("confirmed by reading back"),
        "{}",
        text(&result)
    );
    assert_eq!(world.api.writes().entries().len(), 1);
}

/// Tools that make something, with what they are told to make.
fn making() -> [(&'static str, Operation, serde_json::Value); 2] {
    let spec = json!({"project_id": 1, "name": "Invoices", "content": "x"});
    let task = json!({"project_id": 1, "requirement_id": 1, "title": "Document it"});
    [
        (
            "capture_project_requirement",
            Operation::CreateRequirement,
            spec,
        ),
        ("create_project_task", Operation::CreateTask, task),
    ]
}

#[tokio::test]
async fn lost_answer_to_something_new_is_confirmed_by_reading_back() {
    for (tool, operation, arguments) in making() {
        let world = World::new().await;
        world
            .api
            .inject(operation, Fault::CloseAfterWrite, Times::Next(1));
        let result = world.call(tool, arguments).await;
        assert_ne!(result.is_error, Some(true), "{}", text(&result));
        assert!(
            text(&result).contains("confirmed by reading back"),
            "{}",
            text(&result)
        );
        assert_eq!(world.api.writes().entries().len(), 1);
    }
}

#[tokio::test]
async fn lost_answer_to_something_new_among_twins_points_at_them() {
    for (tool, operation, arguments) in making() {
        let world = World::new().await;
        world.get(tool, arguments.clone()).await;
        world
            .api
            .inject(operation, Fault::CloseAfterWrite, Times::Next(1));
        let error = world.error(tool, arguments).await;
        assert!(
            error.starts_with("Outcome unknown") && error.contains("This may be it"),
            "{error}"
        );
        assert_eq!(world.api.writes().entries().len(), 2);
    }
}

#[tokio::test]
async fn something_new_that_did_not_arrive_is_not_called_done() {
    for (tool, operation, arguments) in making() {
        for fault in [Fault::Close, Fault::Garbage] {
            let world = World::new().await;
            world.api.inject(operation, fault, Times::Next(1));
            let error = world.error(tool, arguments.clone()).await;
            assert!(error.starts_with("Outcome unknown"), "{error}");
            assert!(error.contains("Look for"), "{error}");
            assert_eq!(world.api.count(operation), 1);
            assert!(world.api.writes().entries().is_empty());
        }
    }
}

#[tokio::test]
async fn success_that_says_no_is_not_believed() {
    let place = json!({"project_id": 1, "requirement_id": 1});
    let with = |more: serde_json::Value| {
        let mut place = place.clone();
        let more = more.as_object().unwrap().clone();
        place.as_object_mut().unwrap().extend(more);
        place
    };
    let deletion = with(json!({"task_id": 2, "confirm": true}));
    let tag = with(json!({"name": "late"}));
    let bare = json!({"project_id": 1, "requirement_id": 2});
    let spec = json!({"project_id": 1, "name": "Invoices", "content": "x"});
    let denials = [
        Fault::Garbage,
        Fault::StatusWithBody(200, json!({"success": false, "tasks": []})),
        Fault::StatusWithBody(200, json!({"error": "no"})),
    ];
    for denial in denials {
        for (tool, operation, arguments) in [
            ("delete_project_task", Operation::DeleteTask, &deletion),
            (
                "update_project_requirement",
                Operation::UpdateRequirement,
                &update(),
            ),
            (
                "breakdown_project_requirement",
                Operation::BreakdownRequirement,
                &bare,
            ),
            ("add_requirement_tag", Operation::AddTag, &tag),
        ] {
            let mut options = mcp_core::ToolOptions::default();
            options.experimental = true;
            let world = World::with(Setup {
                options,
                ..Setup::default()
            })
            .await;
            world.get("capture_project_requirement", spec.clone()).await;
            world.api.inject(operation, denial.clone(), Times::Next(1));
            let error = world.error(tool, arguments.clone()).await;
            assert!(error.starts_with("Outcome unknown"), "{tool}: {error}");
            assert_eq!(world.api.count(operation), 1);
        }
    }
}

#[tokio::test]
async fn read_is_repeated_until_it_works() {
    for fault in [
        Fault::Close,
        Fault::Status(502),
        Fault::RetryAfter(429, 0),
        Fault::RetryAfter(503, 0),
    ] {
        let world = World::new().await;
        world
            .api
            .inject(Operation::ListProjects, fault, Times::Next(2));
        world.get("list_projects", json!({})).await;
        assert_eq!(world.api.count(Operation::ListProjects), 3);
    }
}

#[tokio::test]
async fn write_that_was_turned_away_is_repeated() {
    let world = World::new().await;
    world.api.inject(
        Operation::UpdateRequirement,
        Fault::RetryAfter(503, 0),
        Times::Next(1),
    );
    world.get("update_project_requirement", update()).await;
    assert_eq!(world.api.writes().entries().len(), 1);
}

#[tokio::test]
async fn long_wait_is_told_instead_of_slept() {
    let world = World::new().await;
    world.api.inject(
        Operation::ListProjects,
        Fault::RetryAfter(429, 90),
        Times::Always,
    );
    let error = world.error("list_projects", json!({})).await;
    assert!(error.contains("in 90 seconds"), "{error}");
    assert_eq!(world.api.count(Operation::ListProjects), 1);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let cases = [
        (402, "Top up"),
        (403, "Ask an admin"),
        (404, "list_project_requirements shows"),
        (422, "as the test wished"),
        (302, "API address (BRAINGRID_API_URL) may be wrong"),
    ];
    for (status, hint) in cases {
        let world = World::new().await;
        // With this it is clear that short ids are not the reason of what follows.
        world.get("get_project", json!({"project_id": 1})).await;
        world.api.inject(
            Operation::UpdateRequirement,
            Fault::Status(status),
            Times::Always,
        );
        let error = world.error("update_project_requirement", update()).await;
        assert!(error.contains(hint), "{status}: {error}");
        assert_eq!(world.api.count(Operation::UpdateRequirement), 1);
    }
}

#[tokio::test]
async fn refused_credential_is_renewed_once() {
    let credential = Tokens::new([expired_token(), token()]);
    let world = World::with(Setup {
        credential: credential.clone(),
        ..Setup::default()
    })
    .await;
    world.get("update_project_requirement", update()).await;
    assert_eq!(credential.rejections(), 1);
    assert_eq!(world.api.count(Operation::UpdateRequirement), 2);
    assert_eq!(world.api.writes().entries().len(), 1);
}

#[tokio::test]
async fn credential_that_stays_refused_asks_for_a_login() {
    for (tokens, requests) in [
        (vec![expired_token()], 1),
        (vec![expired_token(), expired_token()], 2),
    ] {
        let credential = Tokens::new(tokens);
        let world = World::with(Setup {
            credential,
            ..Setup::default()
        })
        .await;
        let error = world.error("list_projects", json!({})).await;
        assert!(error.contains("Log in again"), "{error}");
        assert_eq!(world.api.count(Operation::ListProjects), requests);
    }
}

#[tokio::test]
async fn missing_credential_is_told_by_the_call_and_not_by_the_list() {
    let world = World::with(Setup {
        credential: Tokens::new([]),
        ..Setup::default()
    })
    .await;
    assert!(!world.client.list_all_tools().await.unwrap().is_empty());
    let error = world.error("list_projects", json!({})).await;
    assert!(error.contains("BRAINGRID_API_TOKEN"), "{error}");
    let status = world.get("auth_status", json!({})).await;
    assert_eq!(status["authenticated"], false);
    assert!(world.api.requests().entries().is_empty());
}

#[tokio::test]
async fn answer_over_the_limit_is_refused() {
    let configure = |config: &mut mcp_core::BrainGridConfig| config.max_response_bytes = 50;
    let world = World::with(Setup {
        configure,
        ..Setup::default()
    })
    .await;
    let error = world.error("list_projects", json!({})).await;
    assert!(error.contains("too large"), "{error}");
    assert_eq!(world.api.count(Operation::ListProjects), 1);
}

#[tokio::test]
async fn hanging_write_is_outcome_unknown_after_its_time() {
    let configure = |config: &mut mcp_core::BrainGridConfig| {
        config.timeouts.write = Duration::from_millis(300);
    };
    let world = World::with(Setup {
        configure,
        ..Setup::default()
    })
    .await;
    let gate = Gate::closed();
    world.api.inject(
        Operation::UpdateRequirement,
        Fault::Held(gate.clone()),
        Times::Next(1),
    );
    let error = world.error("update_project_requirement", update()).await;
    assert!(
        error.starts_with("Outcome unknown: the request was sent, but no answer came in time"),
        "{error}"
    );
    gate.open();
}

#[tokio::test]
async fn unreachable_api_is_left_alone_after_a_while() {
    let configure = |config: &mut mcp_core::BrainGridConfig| {
        config.breaker_threshold = 3;
        config.breaker_pause = Duration::from_mins(10);
    };
    let world = World::with(Setup {
        configure,
        ..Setup::default()
    })
    .await;
    world.api.stop().await;
    let error = world.error("update_project_requirement", update()).await;
    assert!(
        error.contains("cannot be reached right now; nothing was done"),
        "{error}"
    );
    world.api.come_back().await.unwrap();
    let error = world.error("list_projects", json!({})).await;
    assert!(error.contains("seconds"), "{error}");
    assert!(world.api.requests().entries().is_empty());
}
