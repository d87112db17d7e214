//! Metrics over OTLP: what a collector receives, at the latest when the server stops.

use std::sync::{Arc, Mutex};

use mcp_test_support::client::Generation;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{LIMIT, World, client_of};

type Received = Arc<Mutex<Vec<String>>>;

/// A collector that takes everything; gives its base URL and the requests, head and body.
async fn collector() -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let received = Received::default();
    let journal = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take(stream, Arc::clone(&journal)));
        }
    });
    (url, received)
}

async fn take(mut stream: TcpStream, journal: Received) {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.unwrap_or_default() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let named = name.eq_ignore_ascii_case("content-length");
            named.then(|| value.parse::<usize>().ok())?
        });
        if bytes.len() >= head.len() + 4 + length.unwrap_or_default() {
            journal.lock().unwrap().push(text);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            bytes.clear();
        }
    }
}

#[tokio::test]
async fn what_the_sessions_count_reaches_a_collector() {
    let world = World::small().await;
    let (url, received) = collector().await;
    let command = world.command().env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let mut server = world.start(&command).await;
    let token = world.token("user_ada_secret", "org_ada_secret");
    for generation in Generation::BOTH {
        let request = client_of(&server).call(generation, "list_projects", &json!({}));
        assert_eq!(request.bearer(&token).send().await.unwrap().status, 200);
    }
    assert!(server.stop(LIMIT).await.unwrap().success());

    let received = received.lock().unwrap().clone();
    let exports_to = |path: &str, text: &str| {
        let exports = received.iter().filter(|export| export.contains(path));
        exports.filter(|export| export.contains(text)).count()
    };
    for name in ["memory.hits", "verifications", "records.resealed"] {
        let name = format!("mcp.session.{name}");
        assert!(
            exports_to("/v1/metrics", &name) > 0,
            "{name} in {received:?}"
        );
    }
    assert!(exports_to("/v1/traces", "braingrid-mcp") > 0, "spans too");
    for secret in ["user_ada_secret", "org_ada_secret", &token] {
        assert_eq!(exports_to("", secret), 0, "{secret}");
    }
}
