//! Writes that are sent again: by a client that lost the answer, by a model that tries once more, to
//! another instance. What was made is made once; a change that was answered is a change.

use mcp_test_support::{
    Api, Gate, RedisServer,
    api::{Fault, Operation, Recorded, Times},
    client::{Generation, RawHttp, RawStdio},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

/// A user at one instance.
struct User {
    http: RawHttp,
    token: String,
}

impl User {
    /// Makes a call; its `structuredContent`, else its text.
    async fn call(&self, tool: &str, arguments: Value) -> Answer {
        self.call_as(tool, arguments, None).await
    }

    async fn call_as(&self, tool: &str, arguments: Value, key: Option<Value>) -> Answer {
        let mut params = json!({"name": tool, "arguments": arguments});
        if let Some(key) = key {
            params["_meta"] = json!({"com.braingrid/idempotency-key": key});
        }
        let request = self.http.request(Generation::Modern, "tools/call", params);
        let answer = request.bearer(&self.token).send().await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        Answer(answer.result().unwrap().clone())
    }
}

struct Answer(Value);

impl Answer {
    fn text(&self) -> &str {
        self.0["content"][0]["text"].as_str().unwrap()
    }

    /// What it shows, when it went well.
    fn shown(&self) -> &Value {
        assert_eq!(self.0["isError"], false, "{}", self.0);
        &self.0["structuredContent"]
    }

    fn is_error(&self) -> bool {
        self.0["isError"] == true
    }

    /// Whether text and structure say that it was not done again.
    fn is_replayed(&self) -> bool {
        let said = "It was not done twice.";
        let notes = self.0["structuredContent"]["notes"].as_array();
        let shown = notes.is_some_and(|notes| {
            let mut notes = notes.iter().filter_map(Value::as_str);
            notes.any(|note| note.contains(said))
        });
        assert_eq!(self.text().contains(said), shown, "{}", self.0);
        shown
    }
}

/// Two instances with one Redis, and the same user at both.
struct Fleet {
    world: World,
    servers: Vec<mcp_test_support::ServerProcess>,
}

impl Fleet {
    async fn start() -> Self {
        let world = World::shared().await;
        let servers = vec![world.server().await, world.server().await];
        Self { world, servers }
    }

    fn user(&self, at: usize, subject: &str) -> User {
        User {
            http: client_of(&self.servers[at]),
            token: self.world.token(subject, "org_ada"),
        }
    }

    fn written(&self, operation: Operation) -> usize {
        let writes = self.world.api.writes().entries();
        writes.iter().filter(|it| **it == operation).count()
    }
}

fn spec() -> Value {
    json!({"project_id": "PROJ-1", "name": "Invoices", "content": "As a shopper, I pay later."})
}

fn change(name: &str) -> Value {
    json!({"project_id": "PROJ-1", "requirement_id": "REQ-1", "name": name})
}

#[tokio::test]
async fn what_was_made_is_shown_and_not_made_twice() {
    let fleet = Fleet::start().await;
    let (one, other) = (fleet.user(0, "user_ada"), fleet.user(1, "user_ada"));
    let tool = "capture_project_requirement";
    let made = one.call(tool, spec()).await;
    assert!(!made.is_replayed());
    let id = made.shown()["requirement"]["short_id"].clone();

    let mut spelled = spec();
    spelled["tags"] = Value::Null;
    spelled["title"] = spelled["name"].take();
    for user in [&one, &other] {
        for arguments in [spec(), spelled.clone()] {
            let again = user.call(tool, arguments).await;
            assert!(again.is_replayed(), "{}", again.0);
            assert_eq!(again.shown()["requirement"]["short_id"], id);
            assert!(again.text().contains("allow_duplicate: true"));
        }
    }
    assert_eq!(fleet.written(Operation::CreateRequirement), 1);

    // What is wanted twice is made twice, and another's is another.
    let mut wanted = spec();
    wanted["allow_duplicate"] = true.into();
    for _ in 0..2 {
        let second = other.call(tool, wanted.clone()).await;
        assert!(!second.is_replayed());
        assert_ne!(second.shown()["requirement"]["short_id"], id);
    }
    let bob = fleet.user(0, "user_bob").call(tool, spec()).await;
    assert!(!bob.is_replayed());
    assert_eq!(fleet.written(Operation::CreateRequirement), 4);
}

#[tokio::test]
async fn there_and_back_is_two_changes() {
    let fleet = Fleet::start().await;
    let user = fleet.user(0, "user_ada");
    let tool = "update_project_requirement";
    for name in ["B", "C", "B", "B"] {
        let changed = user.call(tool, change(name)).await;
        assert_eq!(changed.shown()["requirement"]["name"], name);
        assert!(!changed.is_replayed());
    }
    assert_eq!(fleet.written(Operation::UpdateRequirement), 4);
}

#[tokio::test]
async fn what_was_deleted_may_be_made_again() {
    let fleet = Fleet::start().await;
    let user = fleet.user(0, "user_ada");
    let place = json!({"project_id": "PROJ-1", "requirement_id": "REQ-1", "title": "Docs"});
    let made = user.call("create_project_task", place.clone()).await;
    let mut deleted = json!({"project_id": "PROJ-1", "requirement_id": "REQ-1", "confirm": true});
    deleted["task_id"] = made.shown()["task"]["short_id"].clone();
    user.call("delete_project_task", deleted).await.shown();

    let again = user.call("create_project_task", place.clone()).await;
    assert!(!again.is_replayed(), "{}", again.0);
    assert!(user.call("create_project_task", place).await.is_replayed());
    assert_eq!(fleet.written(Operation::CreateTask), 2);
}

#[tokio::test]
async fn the_same_call_joins_the_one_under_way() {
    let fleet = Fleet::start().await;
    let gate = Gate::closed();
    let held = Fault::Held(gate.clone());
    let slow = Operation::SpecifyRequirement;
    fleet.world.api.inject(slow, held, Times::Always);
    let idea = json!({"project_id": "PROJ-1", "message": "Let shoppers pay by invoice."});
    let mut calls = tokio::task::JoinSet::new();
    for at in [0, 0, 1, 1] {
        let (user, idea) = (fleet.user(at, "user_ada"), idea.clone());
        calls.spawn(async move { user.call("create_requirement", idea).await });
    }
    let arrived = |seen: &[Recorded]| seen.iter().any(|it| it.operation == Some(slow));
    assert!(fleet.world.api.requests().wait_until(arrived, LIMIT).await);
    gate.open();
    let answers = calls.join_all().await;
    let joined = answers.iter().filter(|it| it.is_replayed()).count();
    assert_eq!(joined, 3);
    let id = |answer: &Answer| answer.shown()["requirement"]["short_id"].clone();
    assert!(answers.iter().all(|it| id(it) == id(&answers[0])));
    assert_eq!(fleet.written(slow), 1);
}

#[tokio::test]
async fn a_key_of_the_client_names_one_write() {
    let fleet = Fleet::start().await;
    let (one, other) = (fleet.user(0, "user_ada"), fleet.user(1, "user_ada"));
    let tool = "update_project_requirement";
    let key = || Some(json!("3f1c"));
    assert!(!one.call_as(tool, change("B"), key()).await.is_replayed());
    one.call(tool, change("C")).await.shown();
    // A change that is named is replayed, whatever was changed since.
    let mut respelled = change("B");
    respelled["requirement_id"] = 1.into();
    let again = other.call_as(tool, respelled, key()).await;
    assert!(again.is_replayed(), "{}", again.0);
    assert_eq!(again.shown()["requirement"]["name"], "C");
    let refused = other.call_as(tool, change("D"), key()).await;
    assert!(refused.is_error() && refused.text().contains("another key"));
    for odd in [json!(7), json!(""), json!("x".repeat(201))] {
        let refused = one.call_as(tool, change("E"), Some(odd)).await;
        assert!(refused.is_error() && refused.text().contains("1 to 200"));
    }
    assert_eq!(fleet.written(Operation::UpdateRequirement), 2);
}

#[tokio::test]
async fn what_nobody_knows_is_looked_for_and_not_sent() {
    let fleet = Fleet::start().await;
    let (one, other) = (fleet.user(0, "user_ada"), fleet.user(1, "user_ada"));
    let lost = || Fault::CloseAfterWrite;
    // Its name is BrainGrid's choice: nothing can prove that this is it.
    let slow = Operation::SpecifyRequirement;
    let idea = json!({"project_id": "PROJ-1", "message": "Let shoppers pay by invoice."});
    fleet.world.api.inject(slow, lost(), Times::Next(1));
    for user in [&one, &other, &one] {
        let unknown = user.call("create_requirement", idea.clone()).await;
        assert!(unknown.is_error(), "{}", unknown.0);
        let text = unknown.text();
        assert!(text.starts_with("Outcome unknown"), "{text}");
        assert!(text.contains("REQ-2"), "{text}");
    }
    assert_eq!(fleet.written(slow), 1);

    // The answer of the first is lost, and so is that of its reading back: the next one finds it.
    let create = Operation::CreateRequirement;
    fleet.world.api.inject(create, lost(), Times::Next(1));
    let refused = Fault::Status(403);
    fleet
        .world
        .api
        .inject(Operation::ListRequirements, refused, Times::Next(1));
    let tool = "capture_project_requirement";
    let unknown = one.call(tool, spec()).await;
    assert!(unknown.text().starts_with("Outcome unknown"));
    let found = other.call(tool, spec()).await;
    assert_eq!(found.shown()["requirement"]["name"], "Invoices");
    assert!(found.text().contains("confirmed by reading back"));
    assert!(one.call(tool, spec()).await.is_replayed());
    assert_eq!(fleet.written(create), 1);
}

#[tokio::test]
async fn what_was_refused_may_be_tried_again() {
    let world = World::small().await;
    let server = world.server().await;
    let user = User {
        http: client_of(&server),
        token: world.token("user_ada", "org_ada"),
    };
    let create = Operation::CreateRequirement;
    // One that says to come again at once is obeyed, three times in all.
    for (fault, times) in [
        (Fault::Status(402), 1),
        (Fault::Status(403), 1),
        (Fault::RetryAfter(429, 0), 3),
    ] {
        world.api.inject(create, fault.clone(), Times::Next(times));
        let refused = user.call("capture_project_requirement", spec()).await;
        assert!(refused.is_error(), "{fault:?}: {}", refused.0);
    }
    let made = user.call("capture_project_requirement", spec()).await;
    assert!(!made.is_replayed(), "{}", made.0);
    made.shown();
}

#[tokio::test]
async fn a_local_server_that_is_started_anew_remembers_and_writes_down_no_text() {
    let world = World::small().await;
    let command = world
        .stdio_command()
        .env("BRAINGRID_API_TOKEN", world.token("user_ada", "org_ada"));
    let mut ids = Vec::new();
    for again in [false, true] {
        let mut client = RawStdio::start(&command).unwrap();
        let params = json!({"name": "capture_project_requirement", "arguments": spec()});
        let answer = client.request(Generation::Modern, "tools/call", params);
        let answer = Answer(answer.await.unwrap()["result"].clone());
        assert_eq!(answer.is_replayed(), again, "{}", answer.0);
        ids.push(answer.shown()["requirement"]["short_id"].clone());
        client.close(LIMIT).await.unwrap();
    }
    assert_eq!(ids[0], ids[1]);
    // What was made at one BrainGrid says nothing of another.
    let other = Api::start().await.unwrap();
    let mut client = RawStdio::start(&command.env("BRAINGRID_API_URL", other.url())).unwrap();
    let params = json!({"name": "capture_project_requirement", "arguments": spec()});
    let answer = client.request(Generation::Modern, "tools/call", params);
    let answer = Answer(answer.await.unwrap()["result"].clone());
    assert!(!answer.is_replayed(), "{}", answer.0);
    assert_eq!(other.writes().entries().len(), 1);
    client.close(LIMIT).await.unwrap();
    let folder = world.home.path().join("login");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            !text.contains("Invoices") && !text.contains("shopper"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn without_redis_an_instance_remembers_its_own_writes_or_sends_none() {
    let mut world = World::shared().await;
    let forgiving = world.warm_server().await;
    let strict = world.start(&world.command().env("WRITES", "refuse")).await;
    let user = |server| User {
        http: client_of(server),
        token: world.token("user_ada", "org_ada"),
    };
    let (at_forgiving, at_strict) = (user(&forgiving), user(&strict));
    // Both know who it is.
    at_forgiving.call("list_projects", json!({})).await.shown();
    at_strict.call("list_projects", json!({})).await.shown();
    world.redis.take();

    let tool = "capture_project_requirement";
    assert!(!at_forgiving.call(tool, spec()).await.is_replayed());
    assert!(at_forgiving.call(tool, spec()).await.is_replayed());
    let refused = at_strict.call(tool, spec()).await;
    assert!(refused.is_error(), "{}", refused.0);
    assert!(
        refused.text().contains("Nothing was done"),
        "{}",
        refused.text()
    );
    at_strict.call("list_projects", json!({})).await.shown();
    assert_eq!(world.api.writes().entries(), [Operation::CreateRequirement]);
}

#[tokio::test]
async fn writes_are_remembered_in_a_redis_of_their_own_where_there_is_one() {
    let world = World::shared().await;
    let facts = RedisServer::start().await.unwrap();
    let command = world.command().env("FACTS_REDIS_URL", facts.url());
    let server = world.start(&command).await;
    let user = User {
        http: client_of(&server),
        token: world.token("user_ada", "org_ada"),
    };
    user.call("capture_project_requirement", spec())
        .await
        .shown();
    let is_write = |(key, _): &(String, Vec<u8>)| key.starts_with("mcp:write:");
    let kept = facts.keys_and_values().await.unwrap();
    assert_eq!(kept.iter().filter(|it| is_write(it)).count(), 1);
    let secret = kept.iter().any(|(_, value)| {
        let text = String::from_utf8_lossy(value);
        text.contains("Invoices") || text.contains("REQ-") || text.contains("ada")
    });
    assert!(!secret, "{kept:?}");
    let sessions = world.redis().keys_and_values().await.unwrap();
    assert!(!sessions.iter().any(is_write));
}

#[tokio::test]
async fn a_write_costs_two_commands_of_redis_and_a_read_none() {
    let fleet = Fleet::start().await;
    let user = fleet.user(0, "user_ada");
    user.call("list_projects", json!({})).await.shown();
    let redis = fleet.world.redis();
    let scripts = async || {
        let stats = redis.commandstats().await.unwrap();
        stats.get("eval").copied().unwrap_or_default()
    };
    fleet.world.have_read_denials(2).await;
    let before = scripts().await;
    user.call("capture_project_requirement", spec())
        .await
        .shown();
    assert_eq!(scripts().await - before, 2);
    user.call("update_project_requirement", change("B"))
        .await
        .shown();
    assert_eq!(scripts().await - before, 4);
    user.call("list_projects", json!({})).await.shown();
    assert_eq!(scripts().await - before, 4);
}

#[tokio::test]
async fn a_breakdown_that_showed_no_task_yet_is_not_paid_for_twice() {
    let fleet = Fleet::start().await;
    let user = fleet.user(0, "user_ada");
    user.call("capture_project_requirement", spec())
        .await
        .shown();
    // BrainGrid took it, and what it made cannot be seen yet.
    let accepted = Fault::StatusWithBody(202, json!({"status": "queued"}));
    let breakdown = Operation::BreakdownRequirement;
    fleet.world.api.inject(breakdown, accepted, Times::Next(1));
    let bare = json!({"project_id": "PROJ-1", "requirement_id": "REQ-2"});
    let tool = "breakdown_project_requirement";
    let first = user.call(tool, bare.clone()).await;
    assert!(!first.is_error(), "{}", first.0);
    let again = user.call(tool, bare).await;
    assert!(again.text().contains("not done twice"), "{}", again.text());
    assert_eq!(fleet.world.api.count(breakdown), 1);
}
