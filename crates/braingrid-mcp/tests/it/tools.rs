//! Every tool of the built binary, over both transports and in both generations, against the API
//! stand-in; and what the settings that choose tools leave of them.

use std::collections::BTreeSet;

use mcp_test_support::{
    ServerProcess,
    client::{Generation, RawHttp, RawStdio, call, connect_stdio, nonconformity},
};
use serde_json::{Value, json};

use crate::world::{World, client_of};

/// A client of one generation, whatever carries it.
enum Client {
    Http(RawHttp, String),
    Stdio(RawStdio),
}

impl Client {
    fn http(server: &ServerProcess, token: String) -> Self {
        Self::Http(client_of(server), token)
    }

    async fn stdio(
        world: &World,
        token: &str,
        generation: Generation,
        env: &[(&str, &str)],
    ) -> Self {
        let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
        let command = env
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value));
        let mut stdio = RawStdio::start(&command).unwrap();
        if generation == Generation::Legacy {
            stdio.initialize().await.unwrap();
        }
        Self::Stdio(stdio)
    }

    /// The whole message that answers.
    async fn ask(&mut self, generation: Generation, method: &str, params: Value) -> Value {
        match self {
            Self::Http(http, token) => {
                let request = http.request(generation, method, params).bearer(token);
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                answer.json.unwrap()
            }
            Self::Stdio(stdio) => stdio.request(generation, method, params).await.unwrap(),
        }
    }

    async fn tools(&mut self, generation: Generation) -> Vec<Value> {
        let mut list = self.ask(generation, "tools/list", json!({})).await;
        serde_json::from_value(list["result"]["tools"].take()).unwrap()
    }
}

fn names(tools: &[Value]) -> Vec<&str> {
    tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect()
}

/// A tool, its arguments, and what must stand where in its structured answer.
type Expected = (&'static str, Value, &'static str, Value);

/// Calls of every tool. One after the other: the later ones work on what the earlier ones made.
fn calls() -> Vec<Expected> {
    [reads(), requirements(), tasks()].concat()
}

/// Arguments of a call about REQ-4, which one of these calls makes.
fn of(more: &Value) -> Value {
    let mut place = json!({"project_id": "PROJ-1", "requirement_id": "REQ-4"});
    let fields = more.as_object().unwrap().clone();
    place.as_object_mut().unwrap().extend(fields);
    place
}

fn reads() -> Vec<Expected> {
    let version = env!("CARGO_PKG_VERSION");
    vec![
        ("info", json!({}), "/version", json!(version)),
        ("auth_status", json!({}), "/authenticated", json!(true)),
        ("authenticate", json!({}), "/authenticated", json!(true)),
        ("get_profile", json!({}), "/id", json!("user_ada")),
        (
            "list_projects",
            json!({}),
            "/projects/0/short_id",
            json!("PROJ-1"),
        ),
        (
            "list_projects",
            json!({"repository": "acme/web"}),
            "/projects/0/name",
            json!("Web shop"),
        ),
        (
            "get_project",
            json!({"project_id": "proj-1"}),
            "/project/repository",
            json!("acme/web"),
        ),
        (
            "list_project_requirements",
            json!({"project_id": 1, "status": "planned"}),
            "/requirements/0/short_id",
            json!("REQ-1"),
        ),
        (
            "get_project_requirement",
            json!({"project_id": "1", "requirement_id": "req 1"}),
            "/requirement/name",
            json!("Pay with a saved card"),
        ),
    ]
}

fn requirements() -> Vec<Expected> {
    let idea = "Let shoppers pay by invoice.";
    let spec = json!({"project_id": 1, "name": "Invoices", "content": "# Spec", "tags": ["pay"]});
    vec![
        (
            "create_requirement",
            json!({"message": idea, "repositories": "acme/web"}),
            "/requirement/short_id",
            json!("REQ-2"),
        ),
        (
            "create_project_requirement",
            json!({"project_id": "PROJ-1", "prompt": idea}),
            "/requirement/short_id",
            json!("REQ-3"),
        ),
        (
            "capture_project_requirement",
            spec,
            "/requirement/short_id",
            json!("REQ-4"),
        ),
        (
            "update_project_requirement",
            of(&json!({"status": "in-progress", "description": "# New"})),
            "/requirement/status",
            json!("IN_PROGRESS"),
        ),
        (
            "get_project_requirement",
            of(&json!({})),
            "/requirement/content",
            json!("# New"),
        ),
        (
            "breakdown_project_requirement",
            of(&json!({})),
            "/tasks/2/short_id",
            json!("TASK-3"),
        ),
    ]
}

fn tasks() -> Vec<Expected> {
    vec![
        (
            "list_project_tasks",
            of(&json!({"limit": 2})),
            "/has_more",
            json!(true),
        ),
        (
            "get_project_task",
            of(&json!({})),
            "/task/short_id",
            json!("TASK-1"),
        ),
        (
            "create_project_task",
            of(&json!({"title": "Docs"})),
            "/task/short_id",
            json!("TASK-4"),
        ),
        (
            "update_project_task",
            of(&json!({"task_id": 4, "status": "COMPLETED"})),
            "/task/status",
            json!("COMPLETED"),
        ),
        (
            "delete_project_task",
            of(&json!({"task_id": "task-4", "confirm": true})),
            "/deleted",
            json!(true),
        ),
        (
            "build_project_requirement",
            of(&json!({})),
            "/tasks/2/short_id",
            json!("TASK-3"),
        ),
        (
            "acceptance_review",
            of(&json!({"pr": 7})),
            "/answer/passed",
            json!(true),
        ),
        (
            "create_git_branch",
            of(&json!({"name": "pay"})),
            "/answer/branch",
            json!("pay"),
        ),
        (
            "add_requirement_tag",
            of(&json!({"name": "late"})),
            "/answer/tags/1/name",
            json!("late"),
        ),
    ]
}

const EXPERIMENTAL: [(&str, &str); 1] = [("BRAINGRID_EXPERIMENTAL", "true")];

#[tokio::test]
async fn every_tool_does_its_work_over_every_transport_in_both_generations() {
    let world = World::small().await;
    let command = world.command().env("BRAINGRID_EXPERIMENTAL", "true");
    let server = world.start(&command).await;
    for generation in Generation::BOTH {
        for transport in ["http", "stdio"] {
            // Each in an organization that nobody has worked in.
            let organization = format!("org_{transport}_{}", generation.version());
            let token = world.token("user_ada", &organization);
            let mut client = if transport == "http" {
                Client::http(&server, token)
            } else {
                Client::stdio(&world, &token, generation, &EXPERIMENTAL).await
            };
            use_every_tool(&mut client, generation).await;
        }
    }
}

async fn use_every_tool(client: &mut Client, generation: Generation) {
    let tools = client.tools(generation).await;
    let mut used = BTreeSet::new();
    for (name, arguments, at, expected) in calls() {
        let params = json!({ "name": name, "arguments": arguments });
        let answer = client.ask(generation, "tools/call", params).await;
        let result = &answer["result"];
        assert_eq!(result["isError"], false, "{name}: {answer:#}");
        let shown = &result["structuredContent"];
        assert_eq!(shown.pointer(at), Some(&expected), "{name}: {shown:#}");
        let text = result["content"][0]["text"].as_str().unwrap();
        assert!(!text.is_empty() && !text.starts_with('{'), "{name}: {text}");
        let canonical = mcp_core::canonical_name(name).unwrap();
        let tool = tools.iter().find(|tool| tool["name"] == canonical).unwrap();
        assert_eq!(nonconformity(shown, &tool["outputSchema"]), None, "{name}");
        used.insert(canonical);
    }
    let listed: BTreeSet<_> = names(&tools).into_iter().collect();
    assert_eq!(used, listed, "the table names every tool");
}

#[tokio::test]
async fn settings_choose_the_tools_over_both_transports() {
    const READS: &[&str] = &[
        "list_projects",
        "get_project",
        "get_profile",
        "list_project_requirements",
        "get_project_requirement",
        "list_project_tasks",
        "get_project_task",
        "info",
        "auth_status",
    ];
    type Case = (
        &'static [(&'static str, &'static str)],
        Vec<&'static str>,
        &'static str,
    );
    let cases: [Case; 4] = [
        (
            &[("BRAINGRID_READ_ONLY", "true")],
            READS.to_vec(),
            "create_project_requirement",
        ),
        (
            &[("BRAINGRID_TOOLS", "info,create_project_requirement")],
            vec!["create_requirement", "info"],
            "list_projects",
        ),
        (
            &[
                ("BRAINGRID_READ_ONLY", "true"),
                ("BRAINGRID_EXCLUDE_TOOLS", "authenticate,get_profile"),
            ],
            READS
                .iter()
                .copied()
                .filter(|name| !["auth_status", "get_profile"].contains(name))
                .collect(),
            "authenticate",
        ),
        (
            &[("BRAINGRID_TOOLS", "info,create_git_branch")],
            vec!["info"],
            "create_git_branch",
        ),
    ];
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    for (env, expected, off) in cases {
        let command = env.iter().fold(world.command(), |command, (name, value)| {
            command.env(name, value)
        });
        let server = world.start(&command).await;
        let generation = Generation::Modern;
        for mut client in [
            Client::http(&server, token.clone()),
            Client::stdio(&world, &token, generation, env).await,
        ] {
            let tools = client.tools(generation).await;
            assert_eq!(names(&tools), expected, "{env:?}");
            let params = json!({ "name": off, "arguments": {} });
            let refused = match &mut client {
                Client::Stdio(stdio) => stdio.request(generation, "tools/call", params).await,
                Client::Http(http, token) => {
                    let request = http.request(generation, "tools/call", params);
                    Ok(request.bearer(token).send().await.unwrap().json.unwrap())
                }
            };
            let refused = refused.unwrap();
            let text = refused["error"]["message"].as_str().unwrap_or_default();
            assert!(text.contains("switched off"), "{env:?}: {refused:#}");
        }
    }
    assert!(world.api.requests().entries().is_empty());
}

#[tokio::test]
async fn flags_choose_the_tools_and_the_checkout_the_project() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let checkout = tempfile::tempdir().unwrap();
    let folder = checkout.path().join(".braingrid");
    std::fs::create_dir(&folder).unwrap();
    let project = json!({"organization_id": "default", "project_short_id": "PROJ-1"});
    std::fs::write(folder.join("project.json"), project.to_string()).unwrap();
    let command = world
        .stdio_command()
        .env("BRAINGRID_API_TOKEN", token)
        .arg("--read-only")
        .arg("--exclude-tools=info");
    let mut command = command.command();
    command.current_dir(checkout.path());
    let client = connect_stdio(command, Generation::Modern).await.unwrap();
    let tools = client.list_all_tools().await.unwrap();
    assert_eq!(tools.len(), 8, "{tools:#?}");
    let found = call(&client, "list_project_requirements", json!({})).await;
    let found = found.unwrap().structured_content.unwrap();
    assert_eq!(found["requirements"][0]["short_id"], "REQ-1");
    let sent = world.api.requests().entries();
    assert!(
        sent.iter()
            .all(|request| request.organization.as_deref() != Some("default"))
    );
}

/// The folder that names the project may be anybody's: whoever writes there is told, once.
#[tokio::test]
async fn the_project_of_the_checkout_is_shown_in_info_and_in_the_first_writing_answer() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let checkout = tempfile::tempdir().unwrap();
    let folder = checkout.path().join(".braingrid");
    std::fs::create_dir(&folder).unwrap();
    // As Windows PowerShell saves it, with both spellings.
    let text = "\u{feff}{\"project_short_id\":\"PROJ-1\",\"projectShortId\":\"PROJ-1\"}";
    std::fs::write(folder.join("project.json"), text).unwrap();
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", token);
    let mut command = command.command();
    command.current_dir(checkout.path());
    let client = connect_stdio(command, Generation::Modern).await.unwrap();
    let text = async |tool: &str, arguments: Value| {
        let answer = call(&client, tool, arguments).await.unwrap();
        assert_ne!(answer.is_error, Some(true), "{answer:#?}");
        serde_json::to_value(&answer.content).unwrap()[0]["text"].to_string()
    };
    let names = |text: &str| text.contains("PROJ-1 (") || text.contains("project PROJ-1, the");
    assert!(names(&text("info", json!({})).await));
    assert!(!names(&text("list_project_requirements", json!({})).await));
    let idea = json!({ "message": "the first idea" });
    let first = call(&client, "create_requirement", idea).await.unwrap();
    // Clients hand the model the text, the structure or both.
    let structure = first.structured_content.as_ref().unwrap();
    let notes = structure["notes"].to_string();
    let told = serde_json::to_value(&first.content).unwrap()[0]["text"].to_string();
    for told in [&notes, &told] {
        assert!(names(told) && told.contains("project.json"), "{first:#?}");
    }
    let second = text(
        "create_requirement",
        json!({ "message": "the second idea" }),
    )
    .await;
    assert!(!names(&second), "{second}");
}

/// What programs make of values on the way never ends in a requirement.
#[tokio::test]
async fn odd_values_over_stdio_are_read_or_refused_and_never_written_mangled() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    let mut client = Client::stdio(&world, &token, Generation::Modern, &[]).await;
    let odd = [
        json!("5"),
        json!(5.0),
        json!(""),
        json!("[\"pay\", \"web\"]"),
        json!(null),
        json!("null"),
    ];
    let nothing = Value::Null;
    // What is written of each, in the order above; nothing where it is refused or not given.
    let text = [
        json!("5"),
        json!("5"),
        json!(null),
        json!(null),
        json!(null),
        json!(null),
    ];
    let tags = [
        json!(["5"]),
        json!(["5"]),
        json!(null),
        json!(["pay", "web"]),
        json!(null),
        json!(null),
    ];
    for (field, written) in [("name", text.clone()), ("content", text), ("tags", tags)] {
        for (value, written) in odd.iter().zip(written) {
            world.api.requests().clear();
            let mut arguments = json!({"project_id": "PROJ-1", "name": "A", "content": "B"});
            // Some of them mean the same.
            arguments["allow_duplicate"] = true.into();
            arguments[field] = value.clone();
            let params = json!({"name": "capture_project_requirement", "arguments": arguments});
            let answer = client.ask(Generation::Modern, "tools/call", params).await;
            let requests = world.api.requests().entries();
            let write = requests.iter().find(|request| request.method == "POST");
            let body = write.and_then(|write| write.body.as_ref());
            let sent = body.and_then(|body| body.get(field)).unwrap_or(&nothing);
            assert_eq!(*sent, written, "{field}={value}: {answer:#}");
            let refused = field != "tags" && written.is_null();
            assert_eq!(answer["result"]["isError"] == true, refused, "{answer:#}");
            assert_eq!(write.is_none(), refused, "{field}={value}: {answer:#}");
        }
    }
}

#[tokio::test]
async fn the_list_is_small_on_the_wire() {
    let world = World::small().await;
    let token = world.token("user_ada", "org_ada");
    for (read_only, limit) in [("false", 14_000), ("true", 7_000)] {
        let command = world.command().env("BRAINGRID_READ_ONLY", read_only);
        let server = world.start(&command).await;
        for generation in Generation::BOTH {
            let request = client_of(&server).request(generation, "tools/list", json!({}));
            let body = request.bearer(&token).send().await.unwrap().body;
            println!(
                "tools/list, {}, read-only {read_only}: {} bytes",
                generation.version(),
                body.len()
            );
            assert!(body.len() <= limit, "{} bytes", body.len());
        }
    }
}

#[tokio::test]
async fn errors_that_somebody_may_look_up_carry_the_id_of_the_request() {
    let world = World::small().await;
    let server = world.server().await;
    let token = world.token("user_ada", "org_ada");
    for generation in Generation::BOTH {
        for (arguments, told) in [
            (json!({"project_id": "PROJ-9"}), true),
            (json!({"project_id": {"id": 9}}), false),
        ] {
            let call = client_of(&server).call(generation, "get_project", &arguments);
            let answer = call.bearer(&token).send().await.unwrap();
            let id = answer.header("x-request-id").unwrap();
            let result = answer.result().unwrap();
            let said = result["content"][0]["text"].as_str().unwrap();
            assert_eq!(result["isError"], true, "{said}");
            assert_eq!(
                said.ends_with(&format!("\nRequest id: {id}")),
                told,
                "{said}"
            );
            assert_eq!(said.contains("Request id"), told, "{said}");
        }
    }
}
