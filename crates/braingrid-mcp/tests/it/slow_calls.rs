//! A tool that takes minutes, for each form of client: its client leaves, the instance that works on it is
//! killed, it is cancelled. The API holds the request in place of the minutes.
//!
//! That each is answered or shown a sign of life at once: `progress`, and `background` for tasks.

use std::time::{Duration, Instant};

use mcp_test_support::{
    Captured, Gate, ServerCommand, ServerProcess,
    api::{Fault, Operation, Times},
    client::{Generation, RawHttp, RawRequest, RawStdio},
};
use serde_json::{Value, json};

use crate::{
    background::{SLOW, is_there, with_tasks},
    world::{LIMIT, World, client_of, idea},
};

/// The silence after which a killed instance counts as gone, and what comes after.
const TAKEN_OVER: Duration = Duration::from_secs(90);

/// How a client makes a call that takes minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// 2026-07-28, with tasks.
    Tasks,
    /// 2026-07-28, without.
    Modern,
    /// 2025-11-25.
    Legacy,
    /// 2025-11-25, with a progress token.
    Watched,
}

impl Form {
    const ALL: [Self; 4] = [Self::Tasks, Self::Modern, Self::Legacy, Self::Watched];

    fn generation(self) -> Generation {
        match self {
            Self::Tasks | Self::Modern => Generation::Modern,
            Self::Legacy | Self::Watched => Generation::Legacy,
        }
    }

    /// Another for each form.
    fn call(self) -> Value {
        let arguments = idea(&format!("Let shoppers pay by {self:?}."));
        let call = json!({"name": "create_requirement", "arguments": arguments});
        match self {
            Self::Tasks => with_tasks(call),
            Self::Watched => {
                let mut call = call;
                call["_meta"] = json!({"progressToken": "p"});
                call
            }
            Self::Modern | Self::Legacy => call,
        }
    }
}

/// A client of this form, which may be gone the next moment.
struct Client {
    form: Form,
    http: RawHttp,
    token: String,
}

impl Client {
    fn of(world: &World, server: &ServerProcess, form: Form) -> Self {
        Self {
            form,
            http: client_of(server),
            token: world.token("user_ada", "org_ada"),
        }
    }

    fn request(&self, method: &str, params: Value) -> RawRequest {
        let request = self.http.request(self.form.generation(), method, params);
        request.bearer(&self.token)
    }

    /// Makes the call, waits until the API has `count` of them, and leaves as soon as it can; the id of the
    /// task, where there is one.
    async fn begin_and_leave(&self, world: &World, count: usize) -> Option<String> {
        let call = self.request("tools/call", self.form.call());
        match self.form {
            Form::Tasks => {
                let task = call.send().await.unwrap();
                is_there(world, count).await;
                let id = task.result().unwrap()["taskId"].as_str();
                return Some(id.expect("a task").to_owned());
            }
            Form::Watched => {
                let mut answer = call.open().await.unwrap();
                let first = answer.chunk().await.unwrap().unwrap();
                let first = String::from_utf8_lossy(&first).into_owned();
                assert!(first.contains("notifications/progress"), "{first}");
                is_there(world, count).await;
            }
            Form::Modern | Form::Legacy => {
                let asking = tokio::spawn(call.send());
                is_there(world, count).await;
                asking.abort();
            }
        }
        None
    }

    /// What the call or the task answers, whenever that is.
    async fn result(&self, task: Option<&str>) -> Value {
        let Some(id) = task else {
            let answer = self.request("tools/call", self.form.call());
            return result_of(answer).await;
        };
        loop {
            let get = self.request("tasks/get", with_tasks(json!({"taskId": id})));
            let task = result_of(get).await;
            if task["status"] != "working" {
                return task["result"].clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

async fn result_of(request: RawRequest) -> Value {
    let answer = request.send().await.unwrap();
    answer.result().expect(&answer.body).clone()
}

fn text_of(result: &Value) -> &str {
    result["content"][0]["text"].as_str().unwrap()
}

/// A local user's server.
fn local(world: &World) -> ServerCommand {
    let token = world.token("user_ada", "org_ada");
    world.stdio_command().env("BRAINGRID_API_TOKEN", token)
}

/// Sends a call of this form under the id 7, and waits until the API has it.
async fn begin_locally(world: &World, stdio: &mut RawStdio, form: Form, count: usize) {
    if form.generation() == Generation::Legacy {
        stdio.initialize().await.unwrap();
    }
    let message = form.generation().message(7, "tools/call", form.call());
    stdio.send_line(&message.to_string()).await.unwrap();
    is_there(world, count).await;
}

/// What the same call answers in a process of its own.
async fn locally_again(command: &ServerCommand, form: Form) -> Value {
    let mut stdio = RawStdio::start(command).unwrap();
    if form.generation() == Generation::Legacy {
        stdio.initialize().await.unwrap();
    }
    let message = form.generation().message(8, "tools/call", form.call());
    stdio.send_line(&message.to_string()).await.unwrap();
    let answer = stdio.answer(8, TAKEN_OVER).await.unwrap();
    assert!(stdio.close(LIMIT).await.unwrap().success());
    answer["result"].clone()
}

fn created(world: &World) -> usize {
    let writes = world.api.writes().entries();
    writes.iter().filter(|it| **it == SLOW).count()
}

#[tokio::test]
async fn whoever_comes_after_a_client_that_has_gone_gets_its_answer() {
    for form in Form::ALL {
        let world = World::small().await;
        let server = world.server().await;
        let gate = Gate::closed();
        let held = Fault::Held(gate.clone());
        world.api.inject(SLOW, held, Times::Always);
        let first = Client::of(&world, &server, form);
        let task = first.begin_and_leave(&world, 1).await;
        drop(first);
        let noticed = match form {
            Form::Tasks => "listening",
            Form::Modern | Form::Legacy => "client_left",
            Form::Watched => "connection ended",
        };
        let left = server.said(noticed, LIMIT).await;
        assert!(left, "{form:?}: {}", server.text());
        let next = Client::of(&world, &server, form);
        let (result, ()) = tokio::join!(next.result(task.as_deref()), async { gate.open() });
        assert_eq!(result["isError"], false, "{form:?}: {result}");
        let made = &result["structuredContent"]["requirement"];
        assert_eq!(made["short_id"], "REQ-2", "{form:?}: {result}");
        let again = text_of(&result).contains("It was not done twice.");
        assert_eq!(again, task.is_none(), "{form:?}: {result}");
        assert_eq!(created(&world), 1, "{form:?}");
        assert!(world.api.abandoned().entries().is_empty(), "{form:?}");
    }
}

#[tokio::test]
async fn a_local_call_whose_client_has_gone_is_answered_by_the_next_process() {
    for form in [Form::Modern, Form::Legacy, Form::Watched] {
        let world = World::small().await;
        let gate = Gate::closed();
        let held = Fault::Held(gate.clone());
        world.api.inject(SLOW, held, Times::Always);
        let command = local(&world);
        let mut first = RawStdio::start(&command).unwrap();
        begin_locally(&world, &mut first, form, 1).await;
        first.end_input();
        let (result, ()) = tokio::join!(locally_again(&command, form), async { gate.open() });
        let text = text_of(&result);
        assert!(text.contains("It was not done twice."), "{form:?}: {text}");
        assert!(first.wait(LIMIT).await.unwrap().success());
        assert_eq!(created(&world), 1, "{form:?}");
    }
}

/// The only test that waits as long as an instance is silent before it counts as gone: 15 s, and for a
/// task as long again, for its write.
#[tokio::test]
async fn another_instance_says_what_became_of_what_a_killed_one_began() {
    let world = World::shared().await;
    let (mut one, other) = (world.server().await, world.server().await);
    let lost = Fault::HeldAfterWrite(Gate::closed());
    world.api.inject(SLOW, lost, Times::Always);
    let mut left = Vec::new();
    for (begun, form) in Form::ALL.into_iter().enumerate() {
        let client = Client::of(&world, &one, form);
        let task = client.begin_and_leave(&world, begun + 1).await;
        left.push((form, task));
    }
    let command = local(&world);
    let mut process = RawStdio::start(&command).unwrap();
    let call =
        json!({"name": "create_requirement", "arguments": idea("Let shoppers pay at home.")});
    let message = Generation::Modern.message(7, "tools/call", call.clone());
    process.send_line(&message.to_string()).await.unwrap();
    is_there(&world, left.len() + 1).await;

    one.kill().await.unwrap();
    drop(process);
    let mut waiting = tokio::task::JoinSet::new();
    for (form, task) in left {
        let client = Client::of(&world, &other, form);
        waiting.spawn(async move { (form, client.result(task.as_deref()).await) });
    }
    waiting.spawn(async move {
        let mut stdio = RawStdio::start(&command).unwrap();
        let message = Generation::Modern.message(8, "tools/call", call);
        stdio.send_line(&message.to_string()).await.unwrap();
        let answer = stdio.answer(8, TAKEN_OVER).await.unwrap();
        (Form::Modern, answer["result"].clone())
    });
    let told = tokio::time::timeout(TAKEN_OVER, waiting.join_all()).await;
    for (form, result) in told.unwrap() {
        // Its name was BrainGrid's choice: it is pointed at, and not recognized.
        let text = text_of(&result);
        assert!(text.contains("Outcome unknown"), "{form:?}: {text}");
        assert!(text.contains("REQ-"), "{form:?}: {text}");
    }
    assert_eq!(created(&world), Form::ALL.len() + 1);
}

#[tokio::test]
async fn a_local_cancel_reaches_braingrid_and_the_write_is_looked_for() {
    for form in [Form::Modern, Form::Legacy, Form::Watched] {
        let world = World::small().await;
        let lost = Fault::HeldAfterWrite(Gate::closed());
        world.api.inject(SLOW, lost, Times::Always);
        let command = local(&world);
        let mut stdio = RawStdio::start(&command).unwrap();
        begin_locally(&world, &mut stdio, form, 1).await;
        let cancel = json!({
            "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7},
        });
        let begun = Instant::now();
        stdio.send_line(&cancel.to_string()).await.unwrap();
        let seen = |seen: &[Operation]| seen.contains(&SLOW);
        assert!(
            world.api.abandoned().wait_until(seen, LIMIT).await,
            "{form:?}"
        );
        println!("{form:?}: seen at the API after {:?}", begun.elapsed());
        // It goes on, and owes no answer.
        let another = json!({"name": "list_projects", "arguments": {}});
        stdio
            .request(form.generation(), "tools/call", another)
            .await
            .unwrap();
        assert!(stdio.close(LIMIT).await.unwrap().success());
        let answered = |line: &Captured| line.text.contains("\"id\":7");
        assert_eq!(stdio.output().count(answered), 0, "{form:?}");
        let text = locally_again(&command, form).await;
        let text = text_of(&text);
        assert!(text.contains("Outcome unknown"), "{form:?}: {text}");
        assert_eq!(created(&world), 1, "{form:?}");
    }
}

/// Without a protocol session nobody can tell whose request 1 is meant.
#[tokio::test]
async fn a_cancel_in_a_request_of_its_own_cancels_nothing() {
    let world = World::small().await;
    let server = world.server().await;
    let gate = Gate::closed();
    let held = Fault::Held(gate.clone());
    world.api.inject(SLOW, held, Times::Next(1));
    let client = Client::of(&world, &server, Form::Legacy);
    let call = client.request("tools/call", Form::Legacy.call());
    let call = tokio::spawn(call.send());
    is_there(&world, 1).await;
    let cancel = json!({
        "jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1},
    });
    let cancel = client
        .request("notifications/cancelled", json!({}))
        .body(cancel.to_string());
    assert_eq!(cancel.send().await.unwrap().status, 202);
    gate.open();
    let answer = call.await.unwrap().unwrap();
    assert_eq!(
        answer.result().unwrap()["isError"],
        false,
        "{}",
        answer.body
    );
    assert!(world.api.abandoned().entries().is_empty());
}
