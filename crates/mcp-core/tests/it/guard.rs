//! The door to the tools: bad calls, panics, clients that leave, shutdown.

use std::{sync::Arc, time::Duration};

use mcp_core::{BrainGridClient, BrainGridConfig, ToolOptions, ToolSet};
use mcp_test_support::{
    Gate,
    api::{Fault, Operation, Times},
};
use rmcp::{
    handler::server::router::tool::ToolRoute,
    model::{
        CallToolRequest, ClientRequest, JsonObject, NumberOrString, ProgressToken,
        RequestMetaObject, RequestParamsMeta, Tool,
    },
    service::PeerRequestOptions,
};
use serde_json::json;

use crate::support::{Setup, World, connect, eventually, params, text};

#[tokio::test]
async fn bad_arguments_name_the_field() {
    let world = World::new().await;
    let place = |more: serde_json::Value| {
        let mut place = json!({"project_id": 1});
        place
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        place
    };
    let cases = [
        (place(json!({})), "`requirement_id`"),
        (
            place(json!({"requirement_id": "EPIC-3"})),
            "`requirement_id`: EPIC-3 is an epic",
        ),
        (place(json!({"requirement_id": true})), "`requirement_id`"),
        (
            place(json!({"requirement_id": 1, "include_content": "yes"})),
            "`include_content`",
        ),
        (
            place(json!({"requirement_id": 1, "organization_id": "org_2"})),
            "`organization_id`",
        ),
    ];
    for (arguments, field) in cases {
        let error = world.error("get_project_requirement", arguments).await;
        assert!(error.contains(field), "{error}");
    }
    let short = world
        .error(
            "create_requirement",
            json!({"project_id": 1, "message": "x"}),
        )
        .await;
    assert!(
        short.contains("`message`") && short.contains("10 to 5000"),
        "{short}"
    );
    let status = json!({"project_id": 1, "requirement_id": 1, "status": "TODO"});
    let status = world.error("update_project_requirement", status).await;
    assert!(
        status.contains("`status`") && status.contains("IN_PROGRESS"),
        "{status}"
    );
    assert!(world.api.requests().entries().is_empty());
}

#[tokio::test]
async fn unknown_arguments_are_ignored_and_told() {
    let world = World::new().await;
    let get = json!({"project_id": 1, "requirement_id": 1, "verbose": true});
    let result = world.call("get_project_requirement", get).await;
    assert_ne!(result.is_error, Some(true), "{}", text(&result));
    assert!(
        text(&result).ends_with("Ignored, unknown here: `verbose`."),
        "{}",
        text(&result)
    );
    let update = json!({"project_id": 1, "requirement_id": 1, "notes": "x"});
    let nothing = world.error("update_project_requirement", update).await;
    assert!(
        nothing.contains("Nothing to change") && nothing.contains("`notes`"),
        "{nothing}"
    );
    assert!(world.api.writes().entries().is_empty());
}

#[tokio::test]
async fn deletions_take_exactly_their_arguments() {
    let world = World::new().await;
    let delete = |more: serde_json::Value| {
        let mut arguments = json!({"project_id": 1, "requirement_id": 1, "task_id": 2});
        let more = more.as_object().unwrap().clone();
        arguments.as_object_mut().unwrap().extend(more);
        arguments
    };
    for more in [
        json!({}),
        json!({"confirm": false}),
        json!({"confirm": "false"}),
        json!({"confirm": ""}),
        json!({"confirmed": true}),
        json!({"confirm": true, "dry_run": true}),
        json!({"confirm": true, "note": "x"}),
    ] {
        world.error("delete_project_task", delete(more)).await;
    }
    for guess in [
        json!(1),
        json!("1"),
        json!("yes"),
        json!("TRUE"),
        json!("True"),
        json!(" true "),
        json!("\"true\""),
        json!(["true"]),
    ] {
        let arguments = delete(json!({"confirm": guess}));
        let error = world.error("delete_project_task", arguments).await;
        let helps = "is not true or false. Example: true, once the user has agreed.";
        assert!(error.ends_with(helps), "{guess}: {error}");
    }
    assert!(world.api.requests().entries().is_empty());
    for (task, sure) in [(1, json!(true)), (2, json!("true"))] {
        let sure = delete(json!({"task_id": task, "confirm": sure}));
        world.get("delete_project_task", sure).await;
    }
    assert_eq!(world.api.writes().entries().len(), 2);
}

#[tokio::test]
async fn unknown_tool_is_a_protocol_error() {
    let world = World::new().await;
    for (name, said) in [
        ("frobnicate", "unknown tool: frobnicate; tools/list names"),
        (
            "create_requirment",
            "unknown tool: create_requirment; did you mean create_requirement?",
        ),
        ("getProjectTask", "did you mean get_project_task?"),
        ("", "unknown tool: ;"),
    ] {
        let error = world
            .try_call(name, json!({}))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("-32602") && error.contains(said), "{error}");
    }
}

#[tokio::test]
async fn call_without_a_caller_fails_closed() {
    mcp_test_support::install_tls_provider();
    let config = BrainGridConfig::new("http://127.0.0.1:1".parse().unwrap());
    let tools = ToolSet::new(
        BrainGridClient::new(config).unwrap(),
        ToolOptions::default(),
    );
    let (client, _) = connect(tools, true).await;
    assert!(!client.list_all_tools().await.unwrap().is_empty());
    let error = client
        .call_tool(params("info", json!({})))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("-32603"), "{error}");
}

fn with_panic(tools: ToolSet) -> ToolSet {
    let tool = Tool::new("panic", "Panics.", Arc::new(JsonObject::new()));
    tools.with_route(ToolRoute::new_dyn(tool, |_| {
        Box::pin(async { panic!("secret text") })
    }))
}

#[tokio::test]
async fn panic_is_an_answer_without_its_text() {
    let world = World::with(Setup {
        add: with_panic,
        ..Setup::default()
    })
    .await;
    let error = world.error("panic", json!({})).await;
    assert!(
        error.starts_with("Internal error") && !error.contains("secret"),
        "{error}"
    );
    assert_eq!(world.tools.in_flight(), 0);
    world.get("info", json!({})).await;
}

/// Sends a call without waiting for it.
async fn send(
    world: &World,
    tool: &str,
    arguments: serde_json::Value,
) -> rmcp::service::RequestHandle<rmcp::RoleClient> {
    let mut params = params(tool, arguments);
    let mut meta = RequestMetaObject::new();
    meta.set_progress_token(ProgressToken(NumberOrString::Number(7)));
    params.set_meta(meta);
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(params));
    let options = PeerRequestOptions::no_options();
    world
        .client
        .send_cancellable_request(request, options)
        .await
        .unwrap()
}

#[tokio::test]
async fn cancelled_write_is_finished_and_counted_until_then() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.api.inject(
        Operation::UpdateRequirement,
        Fault::Held(gate.clone()),
        Times::Next(1),
    );
    let update = json!({"project_id": 1, "requirement_id": 1, "status": "REVIEW"});
    let call = send(&world, "update_project_requirement", update).await;
    let limit = Duration::from_secs(20);
    assert!(
        world
            .api
            .requests()
            .wait_until(|all| !all.is_empty(), limit)
            .await
    );
    assert_eq!(world.tools.in_flight(), 1);
    call.cancel(None).await.unwrap();
    assert_eq!(world.tools.drain(Duration::from_millis(50)).await, 1);
    gate.open();
    assert_eq!(world.tools.drain(limit).await, 0);
    assert_eq!(world.api.writes().entries().len(), 1);
}

#[tokio::test]
async fn cancelled_read_drops_its_request() {
    let configure = |config: &mut BrainGridConfig| config.max_concurrent = 1;
    let world = World::with(Setup {
        configure,
        ..Setup::default()
    })
    .await;
    world
        .api
        .inject(Operation::ListProjects, Fault::Hang, Times::Next(1));
    let call = send(&world, "list_projects", json!({})).await;
    let limit = Duration::from_secs(20);
    let requests = world.api.requests();
    assert!(requests.wait_until(|all| !all.is_empty(), limit).await);
    call.cancel(None).await.unwrap();
    let abandoned = world.api.abandoned();
    assert!(
        abandoned
            .wait_until(|all| *all == [Operation::ListProjects], limit)
            .await
    );
    // There is room for one request only: the other one has left it.
    world.get("list_projects", json!({})).await;
}

#[tokio::test]
async fn write_cancelled_before_it_was_sent_is_not_sent() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.api.inject(
        Operation::ListProjects,
        Fault::Held(gate.clone()),
        Times::Next(1),
    );
    let idea = json!({"message": "Let shoppers pay by invoice.", "repositories": "acme/web"});
    let call = send(&world, "create_requirement", idea).await;
    let limit = Duration::from_secs(20);
    let requests = world.api.requests();
    assert!(requests.wait_until(|all| !all.is_empty(), limit).await);
    call.cancel(None).await.unwrap();
    // An answer to a later call shows that the cancellation was read.
    world.get("info", json!({})).await;
    gate.open();
    assert_eq!(world.tools.drain(limit).await, 0);
    assert_eq!(world.api.count(Operation::SpecifyRequirement), 0);
}

#[tokio::test]
async fn slow_call_reports_progress_when_asked_to() {
    let world = World::new().await;
    let gate = Gate::closed();
    world.api.inject(
        Operation::SpecifyRequirement,
        Fault::Held(gate.clone()),
        Times::Next(1),
    );
    let idea = json!({"project_id": 1, "message": "Let shoppers pay by invoice."});
    let call = send(&world, "create_requirement", idea).await;
    eventually("progress", || !world.progress.lock().unwrap().is_empty()).await;
    gate.open();
    call.await_response().await.unwrap();
    assert_eq!(world.tools.in_flight(), 0);
}
