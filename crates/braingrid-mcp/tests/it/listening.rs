//! Tasks whose owner listens instead of asking: `subscriptions/listen` with `taskIds`.

use std::time::Duration;

use mcp_test_support::{
    Gate, ServerProcess,
    api::{Fault, Times},
    client::{Generation, RawStdio},
};
use serde_json::{Value, json};

use crate::{
    background::{SLOW, User, is_there, with_tasks},
    world::{LIMIT, World, client_of, idea},
};

const LISTEN: &str = "subscriptions/listen";
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

/// What a listener hears.
struct Heard {
    answer: reqwest::Response,
    read: String,
    taken: usize,
}

impl Heard {
    /// Listens, and takes the acknowledgement.
    async fn begin(user: &User, ids: &[&str]) -> Self {
        let request = user.request(LISTEN, json!({"notifications": {"taskIds": ids}}));
        let answer = request.open().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let (read, taken) = (String::new(), 0);
        Self {
            answer,
            read,
            taken,
        }
    }

    /// The next message; nothing at the end of the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = messages(&self.read).nth(self.taken) {
                self.taken += 1;
                return Some(message);
            }
            let part = tokio::time::timeout(LIMIT, self.answer.chunk());
            let part = part.await.expect("a message in time").unwrap()?;
            self.read += std::str::from_utf8(&part).unwrap();
        }
    }

    /// The ids that are agreed to, of a stream that was just begun.
    async fn agreed(&mut self) -> Value {
        let said = self.next().await.unwrap();
        let method = "notifications/subscriptions/acknowledged";
        assert_eq!(said["method"], method, "{said}");
        assert_eq!(said["params"]["_meta"][SUBSCRIPTION], 1, "{said}");
        said["params"]["notifications"]["taskIds"].clone()
    }

    /// What is told of the next task.
    async fn told(&mut self) -> Value {
        let told = self.next().await.unwrap();
        assert_eq!(told["method"], "notifications/tasks", "{told}");
        assert_eq!(told["params"]["_meta"][SUBSCRIPTION], 1, "{told}");
        told["params"].clone()
    }

    /// The stream ends as the protocol has it.
    async fn ends(&mut self) {
        let end = self.next().await.unwrap();
        assert_eq!(end["result"]["resultType"], "complete", "{end}");
        assert_eq!(end["result"]["_meta"][SUBSCRIPTION], 1, "{end}");
        assert_eq!(self.next().await, None);
    }
}

fn messages(stream: &str) -> impl Iterator<Item = Value> {
    let events = stream
        .split_inclusive("\n\n")
        .filter(|it| it.ends_with("\n\n"));
    events.filter_map(|event| {
        let data = event.lines().find_map(|line| line.strip_prefix("data:"))?;
        serde_json::from_str(data.trim()).ok()
    })
}

/// One task under way at one instance, which waits for the gate, and its owner at another one.
async fn fleet() -> (World, [ServerProcess; 2], Gate, String) {
    let world = World::shared().await;
    let server = || async {
        let command = world.command().env("DRAIN_TIMEOUT", "1s");
        world.start(&command).await
    };
    let servers = [server().await, server().await];
    let gate = Gate::closed();
    let held = Fault::Held(gate.clone());
    world.api.inject(SLOW, held, Times::Next(1));
    let user = User::of(&world, &servers[0], "user_ada");
    let id = user.begin("Let shoppers pay by invoice.").await;
    is_there(&world, 1).await;
    (world, servers, gate, id)
}

#[tokio::test]
async fn a_change_is_told_at_another_instance_as_whoever_asks_gets_it() {
    let (world, [_one, mut other], gate, id) = fleet().await;
    let user = User::of(&world, &other, "user_ada");
    let mut heard = Heard::begin(&user, &[&id, "unknown", &id]).await;
    assert_eq!(heard.agreed().await, json!([id]));
    gate.open();
    let mut told = heard.told().await;
    let mut asked = user.settled(&id).await;
    assert_eq!(told["status"], "completed", "{told}");
    for (whole, own) in [
        (&mut told, ["_meta"].as_slice()),
        (&mut asked, &["_meta", "resultType"]),
    ] {
        whole
            .as_object_mut()
            .unwrap()
            .retain(|name, _| !own.contains(&&**name));
    }
    assert_eq!(told, asked);
    // What was over before is told at once.
    let mut late = Heard::begin(&user, &[&id]).await;
    assert_eq!(late.agreed().await, json!([id]));
    assert_eq!(late.told().await["status"], "completed");
    // Both listen on although all is over, until the server stops.
    other.terminate().unwrap();
    heard.ends().await;
    late.ends().await;
    other.wait(LIMIT).await.unwrap();
}

#[tokio::test]
async fn who_listens_to_a_task_of_another_user_hears_nothing() {
    let (world, [_one, mut other], gate, id) = fleet().await;
    let bob = User::of(&world, &other, "user_bob");
    let mut heard = Heard::begin(&bob, &[&id]).await;
    assert_eq!(heard.agreed().await, json!([]));
    let user = User::of(&world, &other, "user_ada");
    let mut own = Heard::begin(&user, &[&id]).await;
    assert_eq!(own.agreed().await, json!([id]));
    gate.open();
    assert_eq!(own.told().await["status"], "completed");
    other.terminate().unwrap();
    heard.ends().await;
    other.wait(LIMIT).await.unwrap();
}

#[tokio::test]
async fn a_cancel_is_told() {
    let (world, [one, other], _gate, id) = fleet().await;
    let user = User::of(&world, &other, "user_ada");
    let mut heard = Heard::begin(&user, &[&id]).await;
    assert_eq!(heard.agreed().await, json!([id]));
    let elsewhere = User::of(&world, &one, "user_ada");
    elsewhere.task("tasks/cancel", &id).await;
    let told = heard.told().await;
    assert_eq!(told["status"], "cancelled", "{told}");
    assert!(told.get("result").is_none(), "{told}");
}

#[tokio::test]
async fn the_instance_that_is_listened_to_goes_on_with_what_a_dead_one_began() {
    let (world, [mut one, other], _gate, id) = fleet().await;
    let user = User::of(&world, &other, "user_ada");
    let mut heard = Heard::begin(&user, &[&id]).await;
    assert_eq!(heard.agreed().await, json!([id]));
    one.stop(LIMIT).await.unwrap();
    let told = heard.told().await;
    assert_eq!(told["status"], "completed", "{told}");
}

#[tokio::test]
async fn a_listener_waits_while_redis_is_away_and_nobody_new_is_promised_anything() {
    let (mut world, [_one, other], gate, id) = fleet().await;
    let user = User::of(&world, &other, "user_ada");
    let mut heard = Heard::begin(&user, &[&id]).await;
    assert_eq!(heard.agreed().await, json!([id]));
    world.redis().pause().unwrap();
    let refused = user
        .ask(LISTEN, json!({"notifications": {"taskIds": [id]}}))
        .await;
    assert_eq!(refused.error_code(), Some(-32603), "{}", refused.body);
    world.redis().resume().unwrap();
    gate.open();
    assert_eq!(heard.told().await["status"], "completed");
    world.redis.as_mut().unwrap().kill();
    let refused = user
        .ask(LISTEN, json!({"notifications": {"taskIds": [id]}}))
        .await;
    assert_eq!(refused.error_code(), Some(-32603), "{}", refused.body);
}

#[tokio::test]
async fn what_cannot_be_listened_to_is_refused() {
    let world = World::small().await;
    let server = world.server().await;
    let user = User::of(&world, &server, "user_ada");
    let many: Vec<_> = (0..65).map(|number| number.to_string()).collect();
    for (ids, code) in [
        (json!(many), -32602),
        (json!([7]), -32602),
        (json!("x"), -32602),
    ] {
        let refused = user
            .ask(LISTEN, json!({"notifications": {"taskIds": ids}}))
            .await;
        assert_eq!(refused.error_code(), Some(code), "{}", refused.body);
    }
    let client = client_of(&server);
    let params = json!({"notifications": {"taskIds": ["x"]}});
    for (generation, code) in [(Generation::Modern, -32021), (Generation::Legacy, -32601)] {
        let undeclared = client.request(generation, LISTEN, params.clone());
        let undeclared = undeclared.bearer(&world.token("user_ada", "org_ada"));
        let undeclared = undeclared.send().await.unwrap();
        assert_eq!(undeclared.error_code(), Some(code), "{}", undeclared.body);
    }
}

#[tokio::test]
async fn a_user_holds_so_many_streams_and_gets_their_places_back() {
    let world = World::small().await;
    let server = world.server().await;
    let user = User::of(&world, &server, "user_ada");
    let many: Vec<_> = (0..32).map(|number| number.to_string()).collect();
    let many: Vec<_> = many.iter().map(|id| &**id).collect();
    let mut first = Heard::begin(&user, &many).await;
    let mut second = Heard::begin(&user, &many).await;
    assert_eq!(first.agreed().await, json!([]));
    assert_eq!(second.agreed().await, json!([]));
    let one_more = || user.ask(LISTEN, json!({"notifications": {"taskIds": []}}));
    let refused = one_more().await;
    assert_eq!(refused.error_code(), Some(-32000), "{}", refused.body);
    // It is another user's affair.
    let bob = User::of(&world, &server, "user_bob");
    assert_eq!(Heard::begin(&bob, &[]).await.agreed().await, json!([]));
    // Nobody reads it any more.
    drop(first);
    let place = async {
        loop {
            let request = user.request(LISTEN, json!({"notifications": {"taskIds": []}}));
            let answer = request.open().await.unwrap();
            if answer.headers()["content-type"] == "text/event-stream" {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, place).await.unwrap();
}

#[tokio::test]
async fn who_listens_is_heard_no_longer_than_the_login_lasts() {
    let world = World::small().await;
    let server = world.server().await;
    let token = world.issuer.token().subject("user_ada");
    let token = token.organization("org_ada").expires_in(3).mint();
    let user = User::with(&server, token);
    let mut heard = Heard::begin(&user, &[]).await;
    assert_eq!(heard.agreed().await, json!([]));
    heard.ends().await;
}

#[tokio::test]
async fn a_local_client_listens_too_and_is_not_waited_for_when_it_leaves() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let gate = Gate::closed();
    world
        .api
        .inject(SLOW, Fault::Held(gate.clone()), Times::Next(1));
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    let mut stdio = RawStdio::start(&command).unwrap();
    let call = json!({
        "name": "create_requirement", "arguments": idea("Let shoppers pay by invoice."),
    });
    let made = stdio.request(Generation::Modern, "tools/call", with_tasks(call));
    let made = made.await.unwrap();
    let id = made["result"]["taskId"].as_str().unwrap().to_owned();
    for listener in [70, 80] {
        let params = with_tasks(json!({"notifications": {"taskIds": [id]}}));
        let listen = Generation::Modern.message(listener, LISTEN, params);
        stdio.send_line(&listen.to_string()).await.unwrap();
    }
    let of = |listener: u64, method: &'static str| {
        move |line: &mcp_test_support::Captured| {
            let message: Value = serde_json::from_str(&line.text).unwrap_or_default();
            message["method"] == method && message["params"]["_meta"][SUBSCRIPTION] == listener
        }
    };
    for listener in [70, 80] {
        let agreed = of(listener, "notifications/subscriptions/acknowledged");
        let lines = stdio.output();
        assert!(
            lines
                .wait_until(|lines| lines.iter().any(agreed), LIMIT)
                .await
        );
    }
    let enough =
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":70}}"#;
    stdio.send_line(enough).await.unwrap();
    gate.open();
    let told = of(80, "notifications/tasks");
    let lines = stdio.output();
    assert!(
        lines
            .wait_until(|lines| lines.iter().any(told), LIMIT)
            .await
    );
    assert_eq!(lines.count(of(70, "notifications/tasks")), 0);
    // rmcp gives what is under way five seconds, of which none may be needed.
    assert!(stdio.close(Duration::from_secs(4)).await.unwrap().success());
}
