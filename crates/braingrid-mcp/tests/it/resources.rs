//! Memory, connections and files: who takes much of them takes it from nobody else, and the process
//! lives on.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::join_all;
use mcp_test_support::{
    ServerCommand, ServerProcess,
    api::{Fault, Operation, Times},
    client::{Generation, RawHttp},
    http_client, random_hex,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    admin::Operators,
    world::{BINARY, LIMIT, World, client_of},
};

const MIB: usize = 1 << 20;

/// What the manifests give to an instance.
const MEMORY: usize = 512 * MIB;

const PROBE: &str = "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// A server that may use as much memory as the manifests give it: in a control group, where one can be
/// made, so that the kernel ends it if it takes more.
struct Limited {
    server: ServerProcess,
    world: World,
    group: Option<PathBuf>,
}

impl Limited {
    async fn start() -> Self {
        let world = World::small().await;
        let group = new_group();
        // Here, one address stands for many.
        let command = world.command().env("MAX_CONNECTIONS_PER_ADDRESS", "8192");
        let command = match &group {
            Some(group) => command.after(&format!("echo $$ > {}/cgroup.procs", group.display())),
            None => command.env("MEMORY_BUDGET", (MEMORY / 2).to_string()),
        };
        let server = world.start(&command).await;
        let told = format!("\"memory_budget\":{}", MEMORY / 2);
        assert!(server.text().contains(&told), "{}", server.text());
        let limited = Self {
            server,
            world,
            group,
        };
        // Warm: what happens next is not about keys.
        assert_eq!(limited.call().await, 200);
        limited
    }

    /// What a user's call is answered.
    async fn call(&self) -> u16 {
        call(&self.world, &self.server).await
    }

    /// Whoever else comes is served, with a large body and a large answer.
    async fn serves_others_than_ada(&self) {
        let token = self.world.token("user_bob", "org_ada");
        let params = json!({ "name": "list_projects", "arguments": {} });
        let message = Generation::Legacy.message(1, "tools/call", params);
        let body = message.to_string() + &" ".repeat(MIB - 1024);
        let client = client_of(&self.server);
        let request = client.request(Generation::Legacy, "tools/list", json!({}));
        let answer = request.bearer(&token).body(body).send().await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.structured().is_some(), "{}", answer.body);
    }

    /// It never used more than it may, it is there, and it serves now, or when who took the memory
    /// has gone.
    async fn is_well(&self) {
        assert_eq!(get(&self.server, "/health").await, 200);
        let served = async {
            while self.call().await != 200 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(LIMIT, served).await.expect("it serves again");
        let peak = peak(&self.server);
        assert!(peak < MEMORY, "{} MiB", peak / MIB);
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let Some(group) = &self.group else { return };
        let pid = i32::try_from(self.server.pid()).ok();
        let pid = pid.and_then(rustix::process::Pid::from_raw).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        // A group is removed when its last process has ended.
        for _ in 0..100 {
            if fs::remove_dir(group).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A control group with that limit, of version 1 or 2; nothing where this user may not make any.
fn new_group() -> Option<PathBuf> {
    let hierarchies = [
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ];
    hierarchies.into_iter().find_map(|(top, limit)| {
        let folder = Path::new(top).join(format!("braingrid-mcp-{}", random_hex(8)));
        fs::create_dir(&folder).ok()?;
        if folder.join(limit).exists() && fs::write(folder.join(limit), MEMORY.to_string()).is_ok()
        {
            return Some(folder);
        }
        let _ = fs::remove_dir(&folder);
        None
    })
}

/// Most resident memory that it ever had, in bytes.
fn peak(server: &ServerProcess) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

async fn call(world: &World, server: &ServerProcess) -> u16 {
    let token = world.token("user_ada", "org_ada");
    let request = client_of(server).call(Generation::Modern, "auth_status", &json!({}));
    let answer = request.bearer(&token).send().await.unwrap();
    assert!(
        answer.status != 503 || answer.header("retry-after").is_some(),
        "{}",
        answer.body
    );
    answer.status.as_u16()
}

async fn get(server: &ServerProcess, path: &str) -> u16 {
    let request = http_client().get(format!("{}{path}", server.base_url()));
    request.send().await.unwrap().status().as_u16()
}

/// This process needs many files, too.
fn many_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}

async fn connect(server: &ServerProcess) -> TcpStream {
    let address = server.base_url().replace("http://", "");
    TcpStream::connect(address).await.unwrap()
}

/// Connections on which this was sent, as far as the server took it.
async fn sent(server: &ServerProcess, count: usize, text: &str) -> Vec<TcpStream> {
    let mut connections = Vec::with_capacity(count);
    while connections.len() < count {
        let some = (0..50.min(count - connections.len())).map(|_| async {
            let mut connection = connect(server).await;
            // It may well be refused in the middle.
            let _ = timeout(
                Duration::from_secs(5),
                connection.write_all(text.as_bytes()),
            )
            .await;
            connection
        });
        connections.extend(join_all(some).await);
    }
    connections
}

/// The head of an answer.
async fn head(connection: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        match timeout(LIMIT, connection.read_u8())
            .await
            .expect("an answer")
        {
            Ok(byte) => read.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(read).unwrap()
}

fn post(token: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: 2025-11-25\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// A request over HTTP/1.1, as text.
fn tool_call(token: &str, tool: &str) -> String {
    let params = json!({ "name": tool, "arguments": {} });
    let body = Generation::Legacy
        .message(1, "tools/call", params)
        .to_string();
    post(token, body.len()) + &body
}

/// A list of projects of about this size.
fn projects(bytes: usize) -> Value {
    let text = "x".repeat(bytes / 100);
    let projects = (1..=100).map(|number| {
        json!({
            "id": format!("00000000-0000-4000-8000-{number:012}"),
            "short_id": format!("PROJ-{number}"),
            "name": format!("{number} {text}"),
        })
    });
    json!({ "projects": projects.collect::<Vec<_>>(), "total": 100 })
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_heads_of_strangers_take_no_memory_from_others() {
    many_files();
    let limited = Limited::start().await;
    let mut held = Vec::new();
    // Within and beyond what a head may have; 5,000 in all.
    for (count, kib) in [(3_000, 31), (2_000, 94)] {
        let filler = "x".repeat(kib * 1024);
        let unfinished = format!("GET /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Filler: {filler}");
        held.extend(sent(&limited.server, count, &unfinished).await);
    }
    assert_eq!(limited.call().await, 200);
    limited.is_well().await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_end_take_a_share_and_the_others_are_told_to_wait() {
    let limited = Limited::start().await;
    let token = limited.world.token("user_ada", "org_ada");
    let text = post(&token, MIB) + &" ".repeat(MIB - 1);
    let mut held = sent(&limited.server, 500, &text).await;
    let last = head(held.last_mut().unwrap()).await;
    assert!(last.starts_with("HTTP/1.1 503"), "{last}");
    assert!(last.contains("retry-after: "), "{last}");
    assert!(!last.contains("www-authenticate"), "{last}");
    limited.serves_others_than_ada().await;
    drop(held);
    limited.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_as_far_as_it_fits() {
    let limited = Limited::start().await;
    let large = Fault::StatusWithBody(200, projects(6 * MIB));
    limited
        .world
        .api
        .inject(Operation::ListProjects, large, Times::Always);
    let message = |id: usize| {
        let params = json!({ "name": "list_projects", "arguments": {} });
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params })
    };
    let batch: Vec<_> = (1..=50).map(message).collect();
    let request = client_of(&limited.server).request(Generation::Legacy, "tools/list", json!({}));
    let request = request.header("mcp-protocol-version", "2025-03-26");
    let request = request.bearer(&limited.world.token("user_ada", "org_ada"));
    let answer = request.body(json!(batch).to_string()).send().await.unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    let entries: Vec<Value> = serde_json::from_str(&answer.body).unwrap();
    let ids: Vec<_> = entries
        .iter()
        .map(|entry| entry["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids, (1..=50).collect::<Vec<_>>());
    assert!(entries[0]["result"]["content"].is_array());
    let left_out = entries
        .iter()
        .filter(|entry| entry["error"]["code"] == -32000);
    assert!(left_out.count() >= 40);
    let last = entries[49]["error"]["message"].as_str().unwrap();
    assert!(
        last.starts_with("not done") && last.contains("another request"),
        "{last}"
    );
    let asked = limited
        .world
        .api
        .requests()
        .count(|it| it.operation == Some(Operation::ListProjects));
    assert!(asked <= 10, "{asked}");
    limited.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_are_counted_until_they_are_given_up() {
    let limited = Limited::start().await;
    let large = Fault::StatusWithBody(200, projects(MIB));
    limited
        .world
        .api
        .inject(Operation::ListProjects, large, Times::Always);
    let request = tool_call(&limited.world.token("user_ada", "org_ada"), "list_projects");
    let held = sent(&limited.server, 200, &request).await;
    // The first line is that of the first call.
    limited.server.wait_access_log(201, LIMIT).await;
    let peak = peak(&limited.server);
    assert!(peak < MEMORY, "{} MiB", peak / MIB);
    limited.serves_others_than_ada().await;
    drop(held);
    limited.is_well().await;
}

#[tokio::test]
async fn strangers_that_wait_for_nothing_make_room() {
    many_files();
    let world = World::small().await;
    let command = world.command().env("MAX_CONNECTIONS", "10");
    // One address may have them all here.
    let command = command.env("MAX_CONNECTIONS_PER_ADDRESS", "100");
    let (server, operators) = Operators::start(&world, command).await;
    let held = sent(&server, 60, PROBE).await;
    assert_eq!(call(&world, &server).await, 200);
    assert_eq!(healthcheck(&server).await, Some(0));
    let metrics = operators.get("/metrics").await.text;
    let open = value(&metrics, "mcp_server_connections_open");
    assert!((1..=10).contains(&open), "{metrics}");
    assert_eq!(value(&metrics, "mcp_server_connections_limit"), 10);
    assert!(value(&metrics, "mcp_server_connections_displaced_total") >= 50);
    let full = "every place for a connection";
    assert!(server.said(full, LIMIT).await);
    let lines = server.text();
    assert_eq!(lines.matches(full).count(), 1, "{lines}");
    drop(held);
}

#[tokio::test]
async fn when_every_place_is_a_users_probes_are_answered_and_the_rest_is_told_to_wait() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("MAX_CONNECTIONS", "5"))
        .await;
    assert_eq!(call(&world, &server).await, 200);
    let mut users = Vec::new();
    let full = async {
        while users.len() < 5 {
            // Nobody has more than one, and so nobody gives one up.
            let token = world.token(&format!("user_{}", users.len()), "org_ada");
            let mut connection = connect(&server).await;
            let request = tool_call(&token, "auth_status");
            connection.write_all(request.as_bytes()).await.unwrap();
            // The connection of the first call may have its place a moment longer.
            if head(&mut connection).await.starts_with("HTTP/1.1 200") {
                users.push(connection);
            }
        }
    };
    timeout(LIMIT, full).await.unwrap();
    // Also behind a crowd that says nothing.
    let crowd = sent(&server, 100, "GET /").await;
    for path in ["/health", "/ready"] {
        assert_eq!(get(&server, path).await, 200, "{path}");
    }
    assert_eq!(healthcheck(&server).await, Some(0));
    assert_eq!(call(&world, &server).await, 503);
    drop((users.pop(), crowd));
    let free_again = async {
        while call(&world, &server).await != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LIMIT, free_again).await.unwrap();
}

#[tokio::test]
async fn one_user_with_every_connection_keeps_no_other_out() {
    let world = World::small().await;
    let server = world
        .start(&world.command().env("MAX_CONNECTIONS", "5"))
        .await;
    let request = tool_call(&world.token("user_greedy", "org_ada"), "auth_status");
    let mut greedy = Vec::new();
    for _ in 0..5 {
        let mut connection = connect(&server).await;
        connection.write_all(request.as_bytes()).await.unwrap();
        let head = head(&mut connection).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        greedy.push(connection);
    }
    others_are_served(&world, &server).await;
    // Nor by requests whose bodies never come.
    drop(greedy);
    let (head_alone, _) = request.split_once("\r\n\r\n").unwrap();
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut connection = connect(&server).await;
        connection.write_all(request.as_bytes()).await.unwrap();
        head(&mut connection).await;
        let next = format!("{head_alone}\r\n\r\n");
        connection.write_all(next.as_bytes()).await.unwrap();
        open.push(connection);
    }
    others_are_served(&world, &server).await;
}

async fn others_are_served(world: &World, server: &ServerProcess) {
    for user in ["user_ada", "user_bob"] {
        let request = client_of(server).call(Generation::Modern, "auth_status", &json!({}));
        let answer = request.bearer(&world.token(user, "org_ada")).send().await;
        assert_eq!(answer.unwrap().status, 200, "{user}");
    }
}

#[tokio::test]
async fn one_address_has_so_many_places_as_a_stranger() {
    let world = World::small().await;
    let command = world.command().env("MAX_CONNECTIONS_PER_ADDRESS", "3");
    let (server, operators) = Operators::start(&world, command).await;
    let held = sent(&server, 20, PROBE).await;
    assert_eq!(call(&world, &server).await, 200);
    let metrics = operators.get("/metrics").await.text;
    assert!(
        value(&metrics, "mcp_server_connections_open") <= 5,
        "{metrics}"
    );
    drop(held);
}

#[tokio::test]
async fn files_are_kept_for_the_way_to_braingrid() {
    many_files();
    let world = World::small().await;
    let server = world.start(&world.command().after("ulimit -n 256")).await;
    assert!(
        server.text().contains("\"max_connections\":192"),
        "{}",
        server.text()
    );
    let held = sent(&server, 300, PROBE).await;
    let token = world.token("user_ada", "org_ada");
    let request = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
    let answer = request.bearer(&token).send().await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.structured().is_some(), "{}", answer.body);
    assert!(
        !server.text().contains("could not be accepted"),
        "{}",
        server.text()
    );
    drop(held);
}

#[tokio::test]
async fn the_soft_limit_of_files_is_raised() {
    let world = World::small().await;
    let server = world
        .start(&world.command().after("ulimit -Sn 128 && ulimit -Hn 512"))
        .await;
    assert!(
        server.text().contains("\"open_files\":512"),
        "{}",
        server.text()
    );
}

#[tokio::test]
async fn the_largest_token_fits_over_both_protocols() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = |padding: usize| {
        let token = world
            .issuer
            .token()
            .subject("user_ada")
            .organization("org_ada");
        token.claim("groups", "g".repeat(padding)).mint()
    };
    let spare = 16 * 1024 - token(0).len();
    let token = token(spare / 4 * 3 - 4);
    assert!((16_300..=16_384).contains(&token.len()), "{}", token.len());
    let http2 = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    for client in [http_client(), http2] {
        let client = RawHttp::with_client(client, server.mcp_url());
        let request = client.call(Generation::Modern, "auth_status", &json!({}));
        let answer = request.bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

/// The exit code of `healthcheck`.
async fn healthcheck(server: &ServerProcess) -> Option<i32> {
    let port = server.base_url().rsplit(':').next().unwrap().to_owned();
    let command = ServerCommand::new(BINARY).arg("healthcheck");
    let command = command.env("MCP_TRANSPORT", "http").env("PORT", port);
    let mut process = command.spawn().unwrap();
    process.wait(LIMIT).await.unwrap().code()
}

/// The value of a metric without labels.
fn value(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let value = line.and_then(|line| line.rsplit(' ').next());
    value.expect("the metric is exported").parse().unwrap()
}
