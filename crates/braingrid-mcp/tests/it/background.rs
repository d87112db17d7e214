//! Calls that take minutes, as tasks: for clients that declare the extension, and nobody else.

use std::time::Instant;

use mcp_test_support::{
    Gate, ServerProcess,
    api::{Fault, Operation, Recorded, Times},
    client::{Generation, RawAnswer, RawHttp, RawRequest, RawStdio},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of, idea};

pub(crate) const SLOW: Operation = Operation::SpecifyRequirement;

/// A user at one instance, with a client that knows tasks.
pub(crate) struct User {
    http: RawHttp,
    token: String,
}

impl User {
    pub(crate) fn of(world: &World, server: &ServerProcess, subject: &str) -> Self {
        Self::with(server, world.token(subject, "org_ada"))
    }

    pub(crate) fn with(server: &ServerProcess, token: String) -> Self {
        let http = client_of(server);
        Self { http, token }
    }

    pub(crate) fn request(&self, method: &str, params: Value) -> RawRequest {
        let params = with_tasks(params);
        let request = self.http.request(Generation::Modern, method, params);
        request.bearer(&self.token)
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> RawAnswer {
        self.request(method, params).send().await.unwrap()
    }

    /// Begins to create a requirement; the id of the task.
    pub(crate) async fn begin(&self, message: &str) -> String {
        let params = json!({"name": "create_requirement", "arguments": idea(message)});
        let answer = self.ask("tools/call", params).await;
        let task = answer.result().unwrap();
        assert_eq!(task["resultType"], "task", "{}", answer.body);
        assert_eq!(task["status"], "working");
        assert!(task["ttlMs"].is_u64() && task["pollIntervalMs"].is_u64());
        task["taskId"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn task(&self, method: &str, id: &str) -> RawAnswer {
        self.ask(method, json!({"taskId": id})).await
    }

    /// The task when it is over.
    pub(crate) async fn settled(&self, id: &str) -> Value {
        let settled = async {
            loop {
                let answer = self.task("tasks/get", id).await;
                let task = answer.result().expect(&answer.body);
                if task["status"] != "working" {
                    return task.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(LIMIT, settled).await.unwrap()
    }
}

/// The params of a client that knows tasks.
pub(crate) fn with_tasks(mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/clientCapabilities": {
            "extensions": {"io.modelcontextprotocol/tasks": {}}
        }
    });
    params
}

pub(crate) async fn is_there(world: &World, count: usize) {
    let arrived = |seen: &[Recorded]| {
        let slow = seen.iter().filter(|it| it.operation == Some(SLOW));
        slow.count() == count
    };
    assert!(world.api.requests().wait_until(arrived, LIMIT).await);
}

fn created(world: &World) -> usize {
    let writes = world.api.writes().entries();
    writes.iter().filter(|it| **it == SLOW).count()
}

#[tokio::test]
async fn a_slow_call_is_a_task_that_any_instance_answers_for() {
    let world = World::shared().await;
    let (one, other) = (world.server().await, world.server().await);
    let gate = Gate::closed();
    world
        .api
        .inject(SLOW, Fault::Held(gate.clone()), Times::Next(1));
    let user = User::of(&world, &one, "user_ada");
    let id = user.begin("Let shoppers pay by invoice.").await;
    is_there(&world, 1).await;

    let elsewhere = User::of(&world, &other, "user_ada");
    let working = elsewhere.task("tasks/get", &id).await;
    assert_eq!(working.result().unwrap()["status"], "working");
    // To everybody else it is not there.
    let bob = User::of(&world, &other, "user_bob");
    for method in ["tasks/get", "tasks/cancel"] {
        let refused = bob.task(method, &id).await;
        assert_eq!(refused.error_code(), Some(-32602), "{}", refused.body);
    }
    gate.open();
    let done = elsewhere.settled(&id).await;
    assert_eq!(done["status"], "completed", "{done}");
    let result = &done["result"];
    assert_eq!(result["isError"], false);
    assert_eq!(
        result["structuredContent"]["requirement"]["short_id"],
        "REQ-2"
    );
    // A client that lost the id makes the call again, and gets what the first one made.
    let again = user.begin("Let shoppers pay by invoice.").await;
    let again = user.settled(&again).await;
    let text = again["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("It was not done twice."), "{text}");
    assert_eq!(created(&world), 1);
}

#[tokio::test]
async fn only_who_declares_it_gets_a_task() {
    let world = World::small().await;
    let server = world.server().await;
    let client = client_of(&server);
    let token = world.token("user_ada", "org_ada");
    for generation in Generation::BOTH {
        let about = format!("Let shoppers pay by {generation:?}.");
        let call = client.call(generation, "create_requirement", &idea(&about));
        let answer = call.bearer(&token).send().await.unwrap();
        assert_eq!(
            answer.result().unwrap()["isError"],
            false,
            "{}",
            answer.body
        );
    }
    // What takes no minutes is answered at once.
    let user = User::of(&world, &server, "user_ada");
    let params = json!({"name": "list_projects", "arguments": {}});
    let answer = user.ask("tools/call", params).await;
    assert_eq!(answer.result().unwrap()["resultType"], "complete");
    let undeclared = client.request(Generation::Modern, "tasks/get", json!({"taskId": "x"}));
    let undeclared = undeclared.bearer(&token);
    let undeclared = undeclared.send().await.unwrap();
    assert_eq!(undeclared.error_code(), Some(-32021), "{}", undeclared.body);
}

/// The extension: a task only where the request itself declares it, whatever was said before.
#[tokio::test]
async fn a_handshake_that_declares_it_gets_no_task() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    let mut stdio = RawStdio::start(&command).unwrap();
    let hello = json!({
        "protocolVersion": Generation::Legacy.version(),
        "capabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
        "clientInfo": {"name": "test", "version": "1"},
    });
    let hello = stdio.request(Generation::Legacy, "initialize", hello).await;
    assert!(hello.unwrap()["result"].is_object());
    let opened = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    stdio.send_line(opened).await.unwrap();
    let call = json!({
        "name": "create_requirement", "arguments": idea("Let shoppers pay by invoice."),
    });
    let answer = stdio.request(Generation::Legacy, "tools/call", call).await;
    let answer = answer.unwrap();
    let made = &answer["result"]["structuredContent"]["requirement"];
    assert_eq!(made["short_id"], "REQ-2", "{answer}");
    assert!(stdio.close(LIMIT).await.unwrap().success());
}

#[tokio::test]
async fn a_task_that_fails_is_completed_with_an_error_to_read() {
    let world = World::small().await;
    let server = world.server().await;
    let user = User::of(&world, &server, "user_ada");
    world.api.inject(SLOW, Fault::Status(402), Times::Next(1));
    let id = user.begin("Let shoppers pay by invoice.").await;
    let task = user.settled(&id).await;
    assert_eq!(task["status"], "completed", "{task}");
    assert_eq!(task["result"]["isError"], true);
    let text = task["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("credits"), "{text}");
}

#[tokio::test]
async fn a_cancel_reaches_braingrid_from_any_instance() {
    let world = World::shared().await;
    let (one, other) = (world.server().await, world.server().await);
    world.api.inject(SLOW, Fault::Hang, Times::Always);
    let user = User::of(&world, &one, "user_ada");
    let id = user.begin("Let shoppers pay by invoice.").await;
    is_there(&world, 1).await;
    let elsewhere = User::of(&world, &other, "user_ada");
    let begun = Instant::now();
    let cancelled = elsewhere.task("tasks/cancel", &id).await;
    assert!(cancelled.result().is_some(), "{}", cancelled.body);
    let seen = |seen: &[Operation]| seen.contains(&SLOW);
    assert!(world.api.abandoned().wait_until(seen, LIMIT).await);
    println!("seen at the API after {:?}", begun.elapsed());
    assert_eq!(user.settled(&id).await["status"], "cancelled");
}

#[tokio::test]
async fn another_instance_finishes_what_a_stopped_one_began() {
    let world = World::shared().await;
    let mut one = world
        .start(&world.command().env("DRAIN_TIMEOUT", "1s"))
        .await;
    let other = world.server().await;
    world
        .api
        .inject(SLOW, Fault::HeldAfterWrite(Gate::closed()), Times::Next(1));
    let user = User::of(&world, &one, "user_ada");
    let id = user.begin("Let shoppers pay by invoice.").await;
    is_there(&world, 1).await;
    one.stop(LIMIT).await.unwrap();

    let elsewhere = User::of(&world, &other, "user_ada");
    let task = elsewhere.settled(&id).await;
    // It was sent, so it is looked for and not sent again; its name was BrainGrid's choice.
    assert_eq!(task["status"], "completed", "{task}");
    let text = task["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("Outcome unknown") && text.contains("REQ-2"),
        "{text}"
    );
    assert_eq!(created(&world), 1);
}
