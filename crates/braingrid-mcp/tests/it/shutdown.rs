//! The stop signal: what was begun is finished, nothing new begins.

use mcp_test_support::{
    Gate,
    api::{Fault, Operation, Times},
    client::Generation,
};
use serde_json::json;

use crate::world::{LIMIT, World, client_of, idea};

#[tokio::test]
async fn sigterm_finishes_calls_in_flight_and_exits_0() {
    let world = World::small().await;
    let mut server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let gate = Gate::closed();
    world.api.inject(
        Operation::SpecifyRequirement,
        Fault::Held(gate.clone()),
        Times::Next(2),
    );
    let mut calls = Vec::new();
    for generation in Generation::BOTH {
        let late = idea(&format!("a late idea of {generation:?}"));
        let request = client_of(&server).call(generation, "create_requirement", &late);
        calls.push(tokio::spawn(request.bearer(&token).send()));
    }
    let arrived = |seen: &[mcp_test_support::api::Recorded]| {
        seen.iter()
            .filter(|it| it.operation == Some(Operation::SpecifyRequirement))
            .count()
            == 2
    };
    assert!(world.api.requests().wait_until(arrived, LIMIT).await);

    server.terminate().unwrap();
    assert!(server.said("draining", LIMIT).await, "{}", server.text());
    let http = mcp_test_support::http_client();
    let ready = http
        .get(format!("{}/ready", server.base_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(ready.status(), 503);
    let health = http
        .get(format!("{}/health", server.base_url()))
        .send()
        .await
        .unwrap();
    assert_eq!(health.status(), 200);
    let late = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let late = late.bearer(&token).send().await.unwrap();
    assert_eq!(late.status, 503, "{}", late.body);
    assert!(late.header("retry-after").is_some());

    gate.open();
    for call in calls {
        let answer = call.await.unwrap().unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.structured().is_some(), "{}", answer.body);
    }
    let status = server.wait(LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", server.text());
}

#[tokio::test]
async fn a_second_signal_does_not_wait_for_calls_and_answers_them() {
    let world = World::small().await;
    let command = world.command().env("DRAIN_TIMEOUT", "1h");
    let mut server = world.start(&command).await;
    let token = world.token("user_ada", "org_ada");
    let gate = Gate::closed();
    world.api.inject(
        Operation::ListProjects,
        Fault::Held(gate.clone()),
        Times::Next(1),
    );
    let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let call = tokio::spawn(call.bearer(&token).send());
    let arrived = |seen: &[mcp_test_support::api::Recorded]| {
        seen.iter()
            .any(|it| it.operation == Some(Operation::ListProjects))
    };
    assert!(world.api.requests().wait_until(arrived, LIMIT).await);

    server.terminate().unwrap();
    assert!(server.said("second signal", LIMIT).await);
    server.terminate().unwrap();
    // The call is held for ever, and an hour is allowed: only the second signal can end the process.
    let status = server.wait(LIMIT).await.unwrap();
    assert_eq!(status.code(), Some(143), "{}", server.text());
    let answer = call.await.unwrap().unwrap();
    assert!(answer.body.contains("Not finished"), "{}", answer.body);
    drop(gate);
}

#[tokio::test]
async fn a_stdio_server_ends_with_its_input_after_finishing_its_call() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    let mut stdio = mcp_test_support::client::RawStdio::start(&command).unwrap();
    let params = json!({ "name": "list_projects", "arguments": {} });
    let message = Generation::Modern.message(7, "tools/call", params);
    stdio.send_line(&message.to_string()).await.unwrap();
    assert!(stdio.close(LIMIT).await.unwrap().success());
    let answer = stdio.answer(7, LIMIT).await.unwrap();
    assert!(
        answer["result"]["structuredContent"].is_object(),
        "{answer:#}"
    );
}

#[tokio::test]
async fn without_root_certificates_the_error_names_the_fix() {
    let world = World::small().await;
    for command in [world.command(), world.stdio_command()] {
        let command = command
            .env("BRAINGRID_API_URL", "https://api.example.com")
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent");
        let mut server = command.spawn().unwrap();
        let status = server.wait(LIMIT).await.unwrap();
        assert_eq!(status.code(), Some(70), "{}", server.text());
        assert!(server.text().contains("SSL_CERT_FILE"), "{}", server.text());
    }
}

#[tokio::test]
async fn without_tls_no_root_certificates_are_needed() {
    let world = World::small().await;
    let command = world
        .command()
        .env("SSL_CERT_FILE", "/nonexistent")
        .env("SSL_CERT_DIR", "/nonexistent");
    let mut server = command.spawn().unwrap();
    server.wait_ready(LIMIT).await.unwrap();
    assert!(server.stop(LIMIT).await.unwrap().success());
}
