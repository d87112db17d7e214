//! `/mcp/{organization}` and `/mcp/{organization}/{project}`: what is asked there is for that
//! organization and that project alone, however it is asked.

use mcp_test_support::{
    Gate, ServerProcess,
    api::{Fault, Recorded, Times},
    client::{Generation, RawAnswer, RawHttp},
};
use serde_json::{Value, json};

use crate::{
    background::{SLOW, is_there, with_tasks},
    sessions::stored_sessions,
    world::{LIMIT, World},
};

/// A user at one address of a server.
struct User {
    http: RawHttp,
    token: String,
}

impl User {
    /// `below` is what follows `/mcp`.
    fn at(world: &World, server: &ServerProcess, below: &str) -> Self {
        Self {
            http: RawHttp::new(format!("{}{below}", server.mcp_url())),
            token: world.token("user_ada", "org_ada"),
        }
    }

    async fn ask(&self, generation: Generation, method: &str, params: Value) -> RawAnswer {
        let request = self.http.request(generation, method, params);
        request.bearer(&self.token).send().await.unwrap()
    }

    async fn call(&self, tool: &str, arguments: Value) -> RawAnswer {
        let request = self.http.call(Generation::Modern, tool, &arguments);
        request.bearer(&self.token).send().await.unwrap()
    }
}

fn text(answer: &RawAnswer) -> &str {
    let text = answer
        .result()
        .and_then(|it| it["content"][0]["text"].as_str());
    text.unwrap_or(&answer.body)
}

fn is_error(answer: &RawAnswer) -> bool {
    answer
        .result()
        .is_none_or(|result| result["isError"] == true)
}

/// What a write is about; in no project but that of its address.
fn spec() -> Value {
    json!({"name": "Invoices", "content": "Pay by invoice.\nWithin 30 days."})
}

#[tokio::test]
async fn a_project_leaves_the_schemas_of_its_own_address() {
    let world = World::small().await;
    let server = world.server().await;
    let tools = async |below: &str, generation| {
        let answer = User::at(&world, &server, below)
            .ask(generation, "tools/list", json!({}))
            .await;
        answer.result().expect(&answer.body)["tools"]
            .as_array()
            .unwrap()
            .clone()
    };
    let asks_for_project = |tool: &Value| tool["inputSchema"].to_string().contains("project_id");
    for generation in Generation::BOTH {
        let all = tools("", generation).await;
        assert!(all.iter().filter(|it| asks_for_project(it)).count() > 5);
        assert_eq!(tools("/org_ada", generation).await, all);
        let here = tools("/org_ada/PROJ-1", generation).await;
        assert!(!here.iter().any(asks_for_project), "{here:?}");
        let names = |tools: &[Value]| -> Vec<_> {
            tools
                .iter()
                .map(|it| it["name"].as_str().unwrap().to_owned())
                .collect()
        };
        let mut expected = names(&all);
        expected.retain(|name| name != "list_projects");
        assert_eq!(names(&here), expected);
    }
}

#[tokio::test]
async fn what_the_address_says_is_filled_in_and_what_contradicts_it_is_refused() {
    let world = World::small().await;
    let other = world.api.add_project("org_ada", "Second", None);
    let server = world.server().await;
    let here = User::at(&world, &server, &format!("/org_ada/{other}"));
    for arguments in [
        json!({}),
        json!({"project_id": other}),
        json!({"project": other.to_lowercase()}),
        json!({"projectId": null}),
        json!({"organization_id": "org_ada"}),
        json!({"arguments": {"project_id": other}}),
    ] {
        world.api.requests().clear();
        let answer = here
            .call("list_project_requirements", arguments.clone())
            .await;
        assert!(!is_error(&answer), "{arguments}: {}", answer.body);
        let asked = world.api.requests().entries();
        let paths: Vec<_> = asked.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(
            paths,
            [format!("/api/v1/projects/{other}/requirements")],
            "{arguments}"
        );
    }
    world.api.requests().clear();
    for (tool, arguments, told) in [
        (
            "list_project_requirements",
            json!({"project_id": "PROJ-1"}),
            "for project PROJ-2 alone",
        ),
        (
            "list_project_requirements",
            json!({"project": 1}),
            "for project PROJ-2 alone",
        ),
        (
            "list_project_requirements",
            json!({"args": {"projectId": "PROJ-1"}}),
            "PROJ-2 alone",
        ),
        (
            "list_project_requirements",
            json!({"project_id": "../PROJ-1"}),
            "is not a project id",
        ),
        (
            "get_project",
            json!({"project_id": "PROJ-1"}),
            "for project PROJ-2 alone",
        ),
        (
            "capture_project_requirement",
            json!({"name": "x", "content": "y", "project_id": "PROJ-1"}),
            "for project PROJ-2 alone",
        ),
        (
            "list_projects",
            json!({}),
            "is about more than project PROJ-2",
        ),
        (
            "get_profile",
            json!({"organization": "org_eve"}),
            "for one organization alone",
        ),
        (
            "get_profile",
            json!({"org_id": 7}),
            "for one organization alone",
        ),
        (
            "get_profile",
            json!({"input": {"org_id": "org_eve"}}),
            "has no argument",
        ),
    ] {
        let answer = here.call(tool, arguments.clone()).await;
        assert!(is_error(&answer), "{tool} {arguments}: {}", answer.body);
        assert!(
            text(&answer).contains(told),
            "{tool} {arguments}: {}",
            text(&answer)
        );
    }
    assert_eq!(
        world.api.requests().entries().len(),
        0,
        "{:?}",
        world.api.requests().entries()
    );
    let info = here.call("info", json!({})).await;
    assert_eq!(info.structured().unwrap()["default_project"], "PROJ-2");
    assert!(!text(&info).contains("list_projects"), "{}", text(&info));
}

#[tokio::test]
async fn a_batch_and_a_call_with_progress_are_for_the_address_too() {
    let world = World::small().await;
    let other = world.api.add_project("org_ada", "Second", None);
    let server = world.server().await;
    let here = User::at(&world, &server, &format!("/org_ada/{other}"));
    let call = |id, arguments| {
        let params = json!({"name": "list_project_requirements", "arguments": arguments});
        Generation::Legacy.message(id, "tools/call", params)
    };
    let batch = json!([call(1, json!({})), call(2, json!({"project_id": "PROJ-1"}))]);
    let request = here
        .http
        .request(Generation::Legacy, "tools/call", json!({}));
    let request = request
        .header("mcp-protocol-version", "2025-03-26")
        .body(batch.to_string());
    let answer = request.bearer(&here.token).send().await.unwrap();
    let answers = answer
        .json
        .as_ref()
        .and_then(Value::as_array)
        .expect(&answer.body);
    assert_eq!(answers[0]["result"]["isError"], false, "{}", answer.body);
    assert_eq!(answers[1]["result"]["isError"], true, "{}", answer.body);
    let params = json!({
        "name": "create_requirement", "arguments": {"message": "Let shoppers pay by invoice."},
        "_meta": {"progressToken": "p"}
    });
    let answer = here.ask(Generation::Modern, "tools/call", params).await;
    assert!(!is_error(&answer), "{}", answer.body);
    let elsewhere = |it: &Recorded| !it.path.contains("/PROJ-2/");
    assert_eq!(
        world.api.requests().count(elsewhere),
        0,
        "{:?}",
        world.api.requests().entries()
    );
}

#[tokio::test]
async fn an_idempotency_key_means_another_write_at_another_address() {
    let world = World::shared().await;
    let server = world.server().await;
    let write = async |below: &str, name: &str| {
        let mut arguments = spec();
        arguments["name"] = name.into();
        if !below.contains("PROJ") {
            arguments["project_id"] = "PROJ-1".into();
        }
        let params = json!({
            "name": "capture_project_requirement", "arguments": arguments,
            "_meta": {"com.braingrid/idempotency-key": "k"},
        });
        let user = User::at(&world, &server, below);
        let answer = user.ask(Generation::Modern, "tools/call", params).await;
        assert!(!is_error(&answer), "{below}: {}", answer.body);
        text(&answer).to_owned()
    };
    for (below, name) in [
        ("", "One"),
        ("/org_ada", "Two"),
        ("/org_ada/PROJ-1", "Three"),
    ] {
        let first = write(below, name).await;
        assert!(!first.contains("not done twice"), "{below}: {first}");
        assert!(write(below, name).await.contains("not done twice"));
    }
    assert_eq!(world.api.writes().entries().len(), 3);
}

#[tokio::test]
async fn a_task_is_there_at_the_address_where_it_was_begun_alone() {
    let world = World::shared().await;
    let (one, other) = (world.server().await, world.server().await);
    let gate = Gate::closed();
    world
        .api
        .inject(SLOW, Fault::Held(gate.clone()), Times::Next(1));
    let begun = User::at(&world, &one, "/org_ada/PROJ-1");
    let params = json!({"name": "create_requirement", "arguments": {"message": "By invoice."}});
    let answer = begun
        .ask(Generation::Modern, "tools/call", with_tasks(params))
        .await;
    let id = answer.result().unwrap()["taskId"]
        .as_str()
        .expect(&answer.body)
        .to_owned();
    is_there(&world, 1).await;
    let task = json!({"taskId": id});
    for below in ["", "/org_ada", "/org_ada/PROJ-2"] {
        for server in [&one, &other] {
            let elsewhere = User::at(&world, server, below);
            for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
                let mut params = with_tasks(task.clone());
                if method == "tasks/update" {
                    params["inputResponses"] = json!({});
                }
                let answer = elsewhere.ask(Generation::Modern, method, params).await;
                assert_eq!(
                    answer.error_code(),
                    Some(-32602),
                    "{method} {below}: {}",
                    answer.body
                );
            }
            for method in ["tasks/get", "tasks/cancel", "tasks/result"] {
                let answer = elsewhere
                    .ask(Generation::Legacy, method, task.clone())
                    .await;
                assert_eq!(
                    answer.error_code(),
                    Some(-32602),
                    "{method} {below}: {}",
                    answer.body
                );
            }
            let listed = elsewhere
                .ask(Generation::Legacy, "tasks/list", json!({}))
                .await;
            assert_eq!(listed.result().unwrap()["tasks"], json!([]), "{below}");
        }
    }
    let same = User::at(&world, &other, "/org_ada/PROJ-1/");
    let working = same
        .ask(Generation::Modern, "tasks/get", with_tasks(task.clone()))
        .await;
    assert_eq!(
        working.result().unwrap()["status"],
        "working",
        "{}",
        working.body
    );
    let listed = same.ask(Generation::Legacy, "tasks/list", json!({})).await;
    assert_eq!(listed.result().unwrap()["tasks"][0]["taskId"], id);
    gate.open();
    let result = same.ask(Generation::Legacy, "tasks/result", task).await;
    assert!(!is_error(&result), "{}", result.body);
}

#[tokio::test]
async fn a_repeated_call_at_an_address_asks_neither_issuer_nor_redis() {
    let world = World::shared().await;
    let server = world.warm_server().await;
    let here = User::at(&world, &server, "/org_ada/PROJ-1");
    let read = || here.call("list_project_requirements", json!({}));
    assert!(!is_error(&read().await));
    stored_sessions(&world, 1).await;
    let asked = world.issuer.requests().entries().len();
    world.redis().reset_stats().await.unwrap();
    for _ in 0..20 {
        assert!(!is_error(&read().await));
    }
    assert_eq!(world.issuer.requests().entries().len(), asked);
    assert_eq!(world.redis().commandstats().await.unwrap(), [].into());
    // One session serves every address of a token.
    let mut everywhere = User::at(&world, &server, "");
    everywhere.token.clone_from(&here.token);
    assert!(!is_error(&everywhere.call("info", json!({})).await));
    assert_eq!(world.redis().commandstats().await.unwrap(), [].into());
}

#[tokio::test]
async fn the_setting_says_whether_the_servers_own_tokens_are_good_at_an_address() {
    const API: &str = "https://api.test";
    let world = World::small().await;
    let resource = world.resource();
    let token = |below: &str, organization| {
        let audience = json!([format!("{resource}{below}"), API]);
        let token = world.issuer.token().organization(organization);
        token.claim("aud", audience).mint()
    };
    for (setting, for_all) in [("shared", 200), ("own", 401)] {
        let command = world.command().env("ORGANIZATION_TOKENS", setting);
        let server = world.start(&command.env("UPSTREAM_AUDIENCE", API)).await;
        let status = async |below: &str, token: String| {
            let mut user = User::at(&world, &server, below);
            user.token = token;
            user.call("get_profile", json!({})).await.status.as_u16()
        };
        let own = || token("/org_ada", "org_ada");
        assert_eq!(
            status("/org_ada", token("", "org_ada")).await,
            for_all,
            "{setting}"
        );
        assert_eq!(status("/org_ada", own()).await, 200, "{setting}");
        assert_eq!(status("", own()).await, 401, "{setting}");
        // Another organization's, for this address.
        let other = token("/org_ada", "org_eve");
        assert_eq!(status("/org_ada", other).await, 403, "{setting}");
    }
}

#[tokio::test]
async fn no_log_line_holds_the_name_of_an_address() {
    let world = World::small().await;
    let server = world.server().await;
    let stranger = User::at(&world, &server, "/org_secret/PROJ-7");
    assert_eq!(stranger.call("info", json!({})).await.status, 403);
    let ada = User::at(&world, &server, "/org_ada/PROJ-7");
    ada.call("get_project", json!({})).await;
    assert_eq!(server.wait_access_log(2, LIMIT).await.len(), 2);
    let said = server.text();
    assert!(
        !said.contains("org_secret") && !said.contains("org_ada"),
        "{said}"
    );
}
