//! The tasks of 2025-11-25: asked for by the client, with methods of their own.

use mcp_test_support::{
    Gate, ServerProcess,
    api::{Fault, Times},
    client::{Generation, RawAnswer, RawRequest, RawStdio},
};
use serde_json::{Value, json};

use crate::{
    background::{SLOW, User, is_there},
    world::{LIMIT, World, client_of, idea},
};

const RELATED: &str = "io.modelcontextprotocol/related-task";
const BEFORE: &str = "2025-06-18";

/// A user of this revision at one instance.
struct Legacy<'a> {
    server: &'a ServerProcess,
    token: String,
}

impl<'a> Legacy<'a> {
    fn of(world: &World, server: &'a ServerProcess, subject: &str) -> Self {
        let token = world.token(subject, "org_ada");
        Self { server, token }
    }

    fn request(&self, method: &str, params: Value) -> RawRequest {
        let http = client_of(self.server);
        let request = http.request(Generation::Legacy, method, params);
        request.bearer(&self.token)
    }

    async fn ask(&self, method: &str, params: Value) -> RawAnswer {
        self.request(method, params).send().await.unwrap()
    }

    /// The result of a request.
    async fn get(&self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).await;
        answer.result().expect(&answer.body).clone()
    }

    async fn refused(&self, method: &str, params: Value) -> i64 {
        let answer = self.ask(method, params).await;
        answer.error_code().expect(&answer.body)
    }

    async fn begin(&self, message: &str) -> String {
        let made = self.get("tools/call", call(message)).await;
        let task = &made["task"];
        assert_eq!(task["status"], "working", "{made}");
        assert!(
            task["ttl"].is_u64() && task["pollInterval"].is_u64(),
            "{made}"
        );
        assert!(
            made.get("resultType").is_none() && task.get("ttlMs").is_none(),
            "{made}"
        );
        task["taskId"].as_str().unwrap().to_owned()
    }
}

fn call(message: &str) -> Value {
    json!({"name": "create_requirement", "arguments": idea(message), "task": {"ttl": 60_000}})
}

fn supporting(list: &Value) -> Vec<&str> {
    let tools = list["tools"].as_array().unwrap().iter();
    let supporting = tools.filter(|it| it["execution"]["taskSupport"] == "optional");
    supporting.map(|it| it["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn only_this_revision_is_told_of_them() {
    let world = World::small().await;
    let server = world.server().await;
    let user = Legacy::of(&world, &server, "user_ada");
    let hello = |version: &str| json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
    let declared = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
    let agreed = user.get("initialize", hello("2025-11-25")).await;
    assert_eq!(agreed["capabilities"]["tasks"], declared, "{agreed}");
    assert_eq!(agreed["serverInfo"]["name"], "braingrid-mcp");
    let before = user.get("initialize", hello(BEFORE)).await;
    assert_eq!(before["protocolVersion"], BEFORE);
    assert!(before["capabilities"].get("tasks").is_none(), "{before}");

    let list = user.get("tools/list", json!({})).await;
    let slow = supporting(&list);
    assert!(
        slow.contains(&"create_requirement") && !slow.contains(&"list_projects"),
        "{slow:?}"
    );
    let request = user.request("tools/list", json!({}));
    let older = request
        .header("mcp-protocol-version", BEFORE)
        .send()
        .await
        .unwrap();
    assert!(supporting(older.result().unwrap()).is_empty());
    let modern = client_of(&server).request(Generation::Modern, "tools/list", json!({}));
    let modern = modern.bearer(&user.token).send().await.unwrap();
    assert!(supporting(modern.result().unwrap()).is_empty());

    // Nor is one made: the call is answered.
    let request = user.request("tools/call", call("Let shoppers pay by invoice."));
    let older = request
        .header("mcp-protocol-version", BEFORE)
        .send()
        .await
        .unwrap();
    assert_eq!(older.result().unwrap()["isError"], false, "{}", older.body);
    for method in ["tasks/get", "tasks/list", "tasks/result", "tasks/cancel"] {
        let request = user.request(method, json!({"taskId": "x"}));
        let older = request
            .header("mcp-protocol-version", BEFORE)
            .send()
            .await
            .unwrap();
        assert_eq!(older.error_code(), Some(-32601), "{method}: {}", older.body);
    }
}

#[tokio::test]
async fn a_call_is_a_task_whose_result_any_instance_waits_for() {
    let world = World::shared().await;
    let (one, other) = (world.server().await, world.server().await);
    let gate = Gate::closed();
    world
        .api
        .inject(SLOW, Fault::Held(gate.clone()), Times::Next(1));
    let user = Legacy::of(&world, &one, "user_ada");
    let id = user.begin("Let shoppers pay by invoice.").await;
    is_there(&world, 1).await;
    let elsewhere = Legacy::of(&world, &other, "user_ada");
    let by_id = || json!({"taskId": id});
    assert_eq!(
        elsewhere.get("tasks/get", by_id()).await["status"],
        "working"
    );
    let bob = Legacy::of(&world, &other, "user_bob");
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        assert_eq!(bob.refused(method, by_id()).await, -32602, "{method}");
        assert_eq!(bob.refused(method, json!({})).await, -32602, "{method}");
    }
    assert_eq!(bob.get("tasks/list", json!({})).await, json!({"tasks": []}));
    let (result, ()) = tokio::join!(elsewhere.get("tasks/result", by_id()), async {
        gate.open();
    });
    assert_eq!(result["isError"], false, "{result}");
    assert_eq!(result["_meta"][RELATED], by_id(), "{result}");
    assert_eq!(
        result["structuredContent"]["requirement"]["short_id"],
        "REQ-2"
    );
    assert!(result.get("resultType").is_none(), "{result}");
    let task = user.get("tasks/get", by_id()).await;
    assert_eq!(task["status"], "completed", "{task}");
    assert!(task.get("result").is_none(), "{task}");
    let list = user.get("tasks/list", json!({})).await;
    assert_eq!(list, json!({"tasks": [task]}));
    assert_eq!(user.refused("tasks/cancel", by_id()).await, -32602);
}

#[tokio::test]
async fn a_task_that_is_cancelled_or_fails_says_so() {
    let world = World::small().await;
    let server = world.server().await;
    let user = Legacy::of(&world, &server, "user_ada");
    world.api.inject(SLOW, Fault::Status(402), Times::Next(1));
    let id = user.begin("Let shoppers pay by invoice.").await;
    let result = user.get("tasks/result", json!({"taskId": id})).await;
    assert_eq!(result["isError"], true, "{result}");
    let task = user.get("tasks/get", json!({"taskId": id})).await;
    assert_eq!(task["status"], "failed", "{task}");
    assert!(
        task["statusMessage"].as_str().unwrap().contains("credits"),
        "{task}"
    );

    world.api.inject(SLOW, Fault::Hang, Times::Always);
    let id = user.begin("Let shoppers pay by voucher.").await;
    let task = user.get("tasks/cancel", json!({"taskId": id})).await;
    assert_eq!(task["status"], "cancelled", "{task}");
    assert_eq!(
        user.refused("tasks/result", json!({"taskId": id})).await,
        -32603
    );
}

#[tokio::test]
async fn what_makes_no_task_is_refused() {
    let world = World::small().await;
    let server = world.server().await;
    let user = Legacy::of(&world, &server, "user_ada");
    for (name, code) in [("list_projects", -32601), ("no_such_tool", -32602)] {
        let params = json!({"name": name, "arguments": {}, "task": {}});
        assert_eq!(user.refused("tools/call", params).await, code, "{name}");
    }
    for cursor in ["x", "../../etc"] {
        let refused = user.refused("tasks/list", json!({"cursor": cursor})).await;
        assert_eq!(refused, -32602, "{cursor}");
    }
    // In 2026-07-28 there is no asking for one.
    let params = json!({"name": "list_projects", "arguments": {}, "task": {"ttl": 1}});
    let modern = client_of(&server).request(Generation::Modern, "tools/call", params);
    let modern = modern.bearer(&user.token).send().await.unwrap();
    assert_eq!(
        modern.result().unwrap()["isError"],
        false,
        "{}",
        modern.body
    );
}

#[tokio::test]
async fn a_long_list_comes_in_pages() {
    let world = World::small().await;
    let server = world.server().await;
    let user = Legacy::of(&world, &server, "user_ada");
    let mut begun = Vec::new();
    for number in 0..17 {
        let id = user
            .begin(&format!("Let shoppers pay in {number} parts."))
            .await;
        user.get("tasks/result", json!({"taskId": id})).await;
        begun.push(id);
    }
    let (mut listed, mut params) = (Vec::new(), json!({}));
    loop {
        let page = user.get("tasks/list", params).await;
        let ids = page["tasks"].as_array().unwrap().iter();
        listed.extend(ids.map(|task| task["taskId"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("nextCursor") else {
            break;
        };
        assert_eq!(listed.len(), 16);
        params = json!({"cursor": next});
    }
    begun.sort();
    assert_eq!(listed, begun);
}

#[tokio::test]
async fn who_hangs_up_waits_no_longer() {
    let world = World::small().await;
    let server = world.server().await;
    world.api.inject(SLOW, Fault::Hang, Times::Always);
    let user = Legacy::of(&world, &server, "user_ada");
    let id = user.begin("Let shoppers pay by invoice.").await;
    // A stream begins when the answer is late: what waits is there.
    let request = user.request("tasks/result", json!({"taskId": id}));
    let waiting = request.open().await.unwrap();
    let modern = User::of(&world, &server, "user_ada");
    let many: Vec<_> = (0..64).map(|number| number.to_string()).collect();
    let params = json!({"notifications": {"taskIds": many}});
    let refused = modern.ask("subscriptions/listen", params.clone()).await;
    assert_eq!(refused.error_code(), Some(-32000), "{}", refused.body);
    drop(waiting);
    let place = async {
        loop {
            let request = modern.request("subscriptions/listen", params.clone());
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
async fn a_local_client_has_them_too() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let gate = Gate::closed();
    world
        .api
        .inject(SLOW, Fault::Held(gate.clone()), Times::Next(1));
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    let mut stdio = RawStdio::start(&command).unwrap();
    let hello = stdio.initialize().await.unwrap();
    let capabilities = &hello["result"]["capabilities"];
    assert!(
        capabilities["tasks"]["requests"]["tools"]["call"].is_object(),
        "{hello}"
    );
    let list = stdio.request(Generation::Legacy, "tools/list", json!({}));
    let list = list.await.unwrap();
    assert!(supporting(&list["result"]).contains(&"create_requirement"));
    let call = call("Let shoppers pay by invoice.");
    let made = stdio.request(Generation::Legacy, "tools/call", call);
    let made = made.await.unwrap();
    let id = made["result"]["task"]["taskId"]
        .as_str()
        .unwrap()
        .to_owned();
    let by_id = json!({"taskId": id});
    let task = stdio.request(Generation::Legacy, "tasks/get", by_id.clone());
    assert_eq!(task.await.unwrap()["result"]["status"], "working");
    gate.open();
    let result = stdio.request(Generation::Legacy, "tasks/result", by_id.clone());
    let result = result.await.unwrap();
    assert_eq!(result["result"]["_meta"][RELATED], by_id, "{result}");
    assert_eq!(result["result"]["isError"], false, "{result}");
    assert!(stdio.close(LIMIT).await.unwrap().success());
}
