//! How requests travel: compression, connections that are used again, UUIDs where short ids are not
//! known, and what is told about a request that is over.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use mcp_core::{
    BrainGridClient, BrainGridConfig, Caller, FinishedApiRequest, Organization, ToolOptions,
    ToolSet,
};
use mcp_test_support::{
    Api, Gate,
    api::{Fault, Operation, Times},
};
use rmcp::{RoleClient, model::CallToolResult, service::RunningService};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Client, ORGANIZATION, Setup, Tokens, World, connect, params, text, token};

/// `{"projects": [{"id": "1", "short_id": "PROJ-1", "name": "Packed"}], "has_more": false}`
const PACKED: [u8; 91] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 171, 86, 42, 40, 202, 207, 74, 77, 46, 41, 86, 178, 82, 136,
    174, 86, 202, 76, 1, 210, 74, 134, 74, 58, 10, 74, 197, 25, 249, 69, 37, 241, 16, 129, 128, 32,
    127, 47, 93, 176, 104, 94, 98, 110, 42, 88, 36, 49, 57, 59, 53, 69, 169, 54, 22, 40, 150, 145,
    88, 28, 159, 155, 95, 4, 18, 79, 75, 204, 41, 78, 173, 5, 0, 72, 233, 91, 183, 86, 0, 0, 0,
];

/// An object of 20 kB.
const LARGE: [u8; 87] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 198, 177, 13, 64, 64, 0, 5, 208, 85, 46, 191, 54, 129,
    85, 68, 33, 114, 141, 194, 9, 215, 137, 221, 25, 67, 241, 94, 245, 238, 28, 103, 219, 234, 218,
    175, 140, 101, 154, 135, 146, 189, 245, 250, 61, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 191, 144, 231, 5, 205, 132, 123, 196, 60, 78, 0, 0,
];

/// Answers every request with these bytes and says that they are packed, if the client said that it
/// can unpack them.
struct Packed {
    url: String,
    connections: Arc<AtomicUsize>,
}

impl Packed {
    async fn start(status: &'static str, body: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(stream, status, body));
            }
        });
        Self { url, connections }
    }
}

async fn answer(mut stream: TcpStream, status: &str, body: &[u8]) {
    let mut read = Vec::new();
    loop {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        // Reads and deletions have no body: a request ends with its head.
        let head = String::from_utf8_lossy(&read).to_ascii_lowercase();
        if !head.ends_with("\r\n\r\n") {
            continue;
        }
        read.clear();
        let takes_gzip = head
            .lines()
            .any(|line| line.starts_with("accept-encoding:") && line.contains("gzip"));
        let (status, body) = if takes_gzip {
            (status, body)
        } else {
            ("406 Not Acceptable", &[][..])
        };
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
    }
}

/// A client of tools that work at this address.
async fn client(
    url: &str,
    configure: impl FnOnce(&mut BrainGridConfig),
) -> RunningService<RoleClient, Client> {
    mcp_test_support::install_tls_provider();
    let mut config = BrainGridConfig::new(url.parse().unwrap());
    configure(&mut config);
    let organization = Organization::known(ORGANIZATION.parse().unwrap());
    let caller = Caller::new(None, organization, Vec::new(), Tokens::new([token()]));
    let client = BrainGridClient::new(config).unwrap();
    let tools = ToolSet::new(client, ToolOptions::default()).with_caller(caller);
    connect(tools, true).await.0
}

async fn list_projects(client: &RunningService<RoleClient, Client>) -> CallToolResult {
    let call = client.call_tool(params("list_projects", json!({})));
    call.await.unwrap()
}

async fn delete_task(client: &RunningService<RoleClient, Client>) -> CallToolResult {
    let task = json!({"project_id": 1, "requirement_id": 1, "task_id": 2, "confirm": true});
    let call = client.call_tool(params("delete_project_task", task));
    call.await.unwrap()
}

#[tokio::test]
async fn answers_are_unpacked_and_connections_used_again() {
    let api = Packed::start("200 OK", &PACKED).await;
    let client = client(&api.url, |_| {}).await;
    for _ in 0..5 {
        let result = list_projects(&client).await;
        assert!(text(&result).contains("Packed"), "{}", text(&result));
    }
    assert_eq!(api.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn limit_counts_what_was_unpacked() {
    let api = Packed::start("200 OK", &LARGE).await;
    let client = client(&api.url, |config| config.max_response_bytes = 10_000).await;
    let result = list_projects(&client).await;
    assert!(text(&result).contains("too large"), "{}", text(&result));
}

#[tokio::test]
async fn write_that_is_answered_with_packed_nothing_is_done() {
    for status in ["204 No Content", "200 OK"] {
        let api = Packed::start(status, &[]).await;
        let client = client(&api.url, |_| {}).await;
        let result = delete_task(&client).await;
        assert_ne!(result.is_error, Some(true), "{}", text(&result));
        // It is not read back either.
        assert!(!text(&result).contains("confirmed"), "{}", text(&result));
    }
}

#[tokio::test]
async fn refusal_that_cannot_be_unpacked_keeps_its_status() {
    for (status, meaning) in [
        ("402 Payment Required", "credits"),
        ("404 Not Found", "There is no"),
        ("409 Conflict", "409"),
    ] {
        for body in [&b"not packed"[..], PACKED.get(..40).unwrap(), &LARGE] {
            let api = Packed::start(status, body).await;
            let client = client(&api.url, |config| config.max_response_bytes = 10_000).await;
            let error = text(&delete_task(&client).await);
            assert!(error.contains(meaning), "{error}");
        }
    }
}

#[tokio::test]
async fn success_that_cannot_be_unpacked_is_outcome_unknown() {
    let api = Packed::start("200 OK", b"not packed").await;
    let client = client(&api.url, |_| {}).await;
    let error = text(&delete_task(&client).await);
    assert!(error.starts_with("Outcome unknown"), "{error}");
}

#[tokio::test]
async fn calls_that_take_minutes_have_their_own_places() {
    let configure = |config: &mut BrainGridConfig| {
        config.max_concurrent_slow = 1;
        config.timeouts.read = Duration::from_millis(500);
    };
    let world = World::with(Setup {
        configure,
        ..Setup::default()
    })
    .await;
    let gate = Gate::closed();
    let (operation, held) = (Operation::SpecifyRequirement, Fault::Held(gate.clone()));
    world.api.inject(operation, held, Times::Next(1));
    let idea = json!({"project_id": 1, "message": "Let shoppers pay by invoice."});
    let first = world.call("create_requirement", idea.clone());
    let others = async {
        let arrived = |all: &[mcp_test_support::api::Recorded]| !all.is_empty();
        let limit = Duration::from_secs(20);
        assert!(world.api.requests().wait_until(arrived, limit).await);
        let second = world.error("create_requirement", idea.clone()).await;
        assert!(second.contains("too many calls"), "{second}");
        world.get("list_projects", json!({})).await;
        gate.open();
    };
    let (first, ()) = tokio::join!(first, others);
    assert_ne!(first.is_error, Some(true), "{}", text(&first));
    assert_eq!(world.api.count(operation), 1);
}

#[tokio::test]
async fn things_are_asked_for_by_uuid_where_short_ids_are_not_known() {
    let world = World::new().await;
    world.api.refuse_short_ids();
    let place = |more: Value| {
        let mut place = json!({"project_id": "PROJ-1", "requirement_id": "req 1"});
        let more = more.as_object().unwrap().clone();
        place.as_object_mut().unwrap().extend(more);
        place
    };
    let update = place(json!({"task_id": 2, "status": "COMPLETED"}));
    let updated = world.get("update_project_task", update).await;
    assert_eq!(updated["task"]["status"], "COMPLETED");
    assert_eq!(world.api.writes().entries(), [Operation::UpdateTask]);
    // From now on it is not tried with short ids.
    world.api.requests().clear();
    let read = world.get("get_project_requirement", place(json!({}))).await;
    assert_eq!(read["requirement"]["short_id"], "REQ-1");
    let sent = world.api.requests().entries();
    let paths: Vec<_> = sent.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths.len(), 3, "{paths:?}");
    assert!(paths.iter().all(|path| !path.contains("REQ-")), "{paths:?}");
    let missing = place(json!({"requirement_id": "REQ-77"}));
    let error = world.error("get_project_requirement", missing).await;
    assert!(error.contains("There is no REQ-77"), "{error}");
}

#[tokio::test]
async fn missing_things_are_not_looked_up_once_short_ids_are_known_to_work() {
    let world = World::with(Setup::default()).await;
    let of = |id| json!({"project_id": 1, "requirement_id": id});
    world.get("get_project_requirement", of(1)).await;
    world.error("get_project_requirement", of(77)).await;
    assert_eq!(world.api.requests().entries().len(), 2);
}

#[tokio::test]
async fn finished_requests_are_told_to_the_observer() {
    let api = Api::start().await.unwrap();
    let seen: Arc<Mutex<Vec<FinishedApiRequest>>> = Arc::default();
    let notes = seen.clone();
    let client = client(&api.url(), move |config| {
        config.observer = Some(Arc::new(move |request| {
            notes.lock().unwrap().push(request.clone());
        }));
    })
    .await;
    let (list, twice) = (Operation::ListProjects, Times::Next(2));
    api.inject(list, Fault::Status(502), twice);
    list_projects(&client).await;
    api.inject(list, Fault::Status(402), Times::Next(1));
    list_projects(&client).await;
    api.stop().await;
    list_projects(&client).await;
    let seen = seen.lock().unwrap();
    let told: Vec<_> = seen
        .iter()
        .map(|it| (it.operation, it.outcome, it.status, it.attempts))
        .collect();
    assert_eq!(
        told,
        [
            ("list_projects", "ok", Some(200), 3),
            ("list_projects", "payment_required", Some(402), 1),
            ("list_projects", "unavailable", None, 3),
        ]
    );
    assert!(seen.iter().all(|it| !it.duration.is_zero()));
}

#[tokio::test]
async fn finished_operations_are_told_to_the_observer() {
    let told: Arc<Mutex<Vec<String>>> = Arc::default();
    for modern in [true, false] {
        let world = World::with(Setup::default()).await;
        let notes = told.clone();
        let tools = world.tools.clone();
        let tools = tools.with_observer(Arc::new(move |operation| {
            assert!(!operation.duration.is_zero());
            let (tool, outcome) = (operation.tool.map_or("-", |tool| tool), operation.outcome);
            let version = operation.protocol_version.unwrap_or("-");
            let line = format!("{} {tool} {outcome} {version}", operation.method);
            notes.lock().unwrap().push(line);
        }));
        let (client, _) = connect(tools, modern).await;
        client.list_all_tools().await.unwrap();
        let alias = params(
            "create_project_requirement",
            json!({"message": "Log in with a passkey", "project_id": 1}),
        );
        client.call_tool(alias).await.unwrap();
        let missing = params("get_project", json!({"project_id": "PROJ-99"}));
        client.call_tool(missing).await.unwrap();
        client
            .call_tool(params("no_such_tool", json!({})))
            .await
            .unwrap_err();
    }
    let told = told.lock().unwrap().join("\n");
    let expected = |first: &str, version: &str| {
        format!(
            "{first}\ntools/list - ok {version}\ntools/call create_requirement ok {version}\n\
             tools/call get_project not_found {version}\ntools/call - invalid_params {version}"
        )
    };
    let modern = expected("server/discover - ok 2026-07-28", "2026-07-28");
    let legacy = expected("initialize - ok 2025-11-25", "2025-11-25");
    assert_eq!(told, format!("{modern}\n{legacy}"));
}
