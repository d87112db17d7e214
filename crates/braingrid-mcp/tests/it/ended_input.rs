//! A local client that goes while something of its own is still under way: that is finished or known to
//! be unclear, and the next process says so.

use mcp_test_support::{
    Captured, Gate, ServerCommand,
    api::{Fault, Operation, Recorded, Times},
    client::{Generation, RawStdio},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, idea};

const SLOW: Operation = Operation::SpecifyRequirement;
const IDEA: &str = "Let shoppers pay by invoice.";

/// A local user whose requirement the API takes as this fault says.
async fn local_world(fault: Fault) -> (World, ServerCommand) {
    let world = World::small().await;
    world.api.inject(SLOW, fault, Times::Next(1));
    let token = world.token("user_ada", "org_ada");
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    (world, command.env("LOG_LEVEL", "info"))
}

/// Makes the call of a client that knows tasks.
async fn ask(stdio: &mut RawStdio, method: &str, mut params: Value) -> Value {
    params["_meta"] = json!({
        "io.modelcontextprotocol/clientCapabilities": {
            "extensions": {"io.modelcontextprotocol/tasks": {}}
        }
    });
    let answer = stdio.request(Generation::Modern, method, params).await;
    answer.unwrap()["result"].clone()
}

/// Begins to create a requirement, and waits until the API has the request; the id of the task.
async fn begin(world: &World, stdio: &mut RawStdio) -> String {
    let call = json!({"name": "create_requirement", "arguments": idea(IDEA)});
    let task = ask(stdio, "tools/call", call).await;
    assert_eq!(task["resultType"], "task", "{task}");
    let arrived = |seen: &[Recorded]| seen.iter().any(|it| it.operation == Some(SLOW));
    assert!(world.api.requests().wait_until(arrived, LIMIT).await);
    task["taskId"].as_str().unwrap().to_owned()
}

async fn says(stdio: &RawStdio, text: &str) {
    let said = |lines: &[Captured]| lines.iter().any(|line| line.text.contains(text));
    let output = stdio.output();
    assert!(output.wait_until(said, LIMIT).await, "{output:?}");
}

/// What the next process says of the task, to its owner alone; no text of it is on the disk.
async fn told(world: &World, command: &ServerCommand, id: &str) -> String {
    let mut stdio = RawStdio::start(command).unwrap();
    let task = ask(&mut stdio, "tasks/get", json!({"taskId": id})).await;
    ask(&mut stdio, "tasks/cancel", json!({"taskId": id})).await;
    assert!(stdio.close(LIMIT).await.unwrap().success());
    assert_eq!(task["status"], "completed", "{task}");
    assert_eq!(task["result"]["isError"], true, "{task}");

    let bob = world.token("user_bob", "org_ada");
    let mut others = RawStdio::start(&command.clone().env("BRAINGRID_API_TOKEN", bob)).unwrap();
    let refused = ask(&mut others, "tasks/get", json!({"taskId": id})).await;
    assert!(refused.is_null(), "{refused}");
    assert!(others.close(LIMIT).await.unwrap().success());

    for file in std::fs::read_dir(world.home.path().join("login")).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("shopper") && !text.contains(id), "{text}");
    }
    let text = task["result"]["content"][0]["text"].as_str();
    text.unwrap().to_owned()
}

/// The text that the same call gets from the next process.
async fn again(command: &ServerCommand) -> String {
    let mut stdio = RawStdio::start(command).unwrap();
    let call = json!({"name": "create_requirement", "arguments": idea(IDEA)});
    let message = Generation::Modern.message(7, "tools/call", call);
    stdio.send_line(&message.to_string()).await.unwrap();
    let answer = stdio.answer(7, LIMIT).await.unwrap();
    assert!(stdio.close(LIMIT).await.unwrap().success());
    let text = answer["result"]["content"][0]["text"].as_str();
    text.unwrap().to_owned()
}

fn created(world: &World) -> usize {
    let writes = world.api.writes().entries();
    writes.iter().filter(|it| **it == SLOW).count()
}

#[tokio::test]
async fn a_task_is_finished_after_the_end_of_the_input_and_the_next_process_shows_it() {
    let gate = Gate::closed();
    let (world, command) = local_world(Fault::Held(gate.clone())).await;
    let mut stdio = RawStdio::start(&command).unwrap();
    let id = begin(&world, &mut stdio).await;
    stdio.end_input();
    says(&stdio, "what it began is finished").await;
    gate.open();
    assert!(stdio.wait(LIMIT).await.unwrap().success());
    let text = told(&world, &command, &id).await;
    assert!(
        text.contains("Make the same create_requirement call again"),
        "{text}"
    );
    let text = again(&command).await;
    assert!(text.contains("It was not done twice."), "{text}");
    assert_eq!(created(&world), 1);
    assert!(world.api.abandoned().entries().is_empty());
}

#[tokio::test]
async fn a_stop_signal_gives_a_hung_task_up_and_the_next_process_looks_for_it() {
    for end_input in [false, true] {
        let (world, command) = local_world(Fault::HeldAfterWrite(Gate::closed())).await;
        let mut stdio = RawStdio::start(&command).unwrap();
        let id = begin(&world, &mut stdio).await;
        if end_input {
            stdio.end_input();
            says(&stdio, "what it began is finished").await;
        }
        stdio.terminate().unwrap();
        // However busy the machine is: what is not told to the journal in time is found by its silence.
        stdio.wait(LIMIT).await.unwrap();
        let text = told(&world, &command, &id).await;
        assert!(
            text.contains("Make the same create_requirement call again"),
            "{text}"
        );
        let text = again(&command).await;
        assert!(text.contains("Outcome unknown"), "{text}");
        assert!(text.contains("REQ-2"), "{text}");
        assert_eq!(created(&world), 1);
    }
}
