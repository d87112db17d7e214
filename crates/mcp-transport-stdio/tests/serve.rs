//! A client of each protocol revision on the other end of the pipe.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should stop"
)]

use std::sync::Arc;
use std::time::Duration;

use mcp_transport_stdio::{StdioError, serve_over};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// Answers `quick` at once and `slow` when the gate opens.
#[derive(Clone, Default)]
struct Handler {
    started: Arc<Notify>,
    gate: Arc<Notify>,
}

impl ServerHandler for Handler {
    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if request.name == "slow" {
            self.started.notify_one();
            self.gate.notified().await;
        }
        Ok(CallToolResult::success(vec![ContentBlock::text("done")]).into())
    }
}

/// A client and the server that it talks to.
struct World {
    handler: Handler,
    input: Option<DuplexStream>,
    output: Lines<BufReader<DuplexStream>>,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), StdioError>>,
}

impl World {
    fn start() -> Self {
        let (input, server_input) = tokio::io::duplex(65_536);
        let (server_output, output) = tokio::io::duplex(65_536);
        let (stop, stopped) = oneshot::channel();
        let handler = Handler::default();
        let shutdown = async { stopped.await.unwrap_or(()) };
        let serving = serve_over(handler.clone(), server_input, server_output, shutdown);
        Self {
            handler,
            input: Some(input),
            output: BufReader::new(output).lines(),
            stop: Some(stop),
            server: tokio::spawn(serving),
        }
    }

    async fn send(&mut self, message: Value) {
        let line = format!("{message}\n");
        self.input
            .as_mut()
            .unwrap()
            .write_all(line.as_bytes())
            .await
            .unwrap();
    }

    async fn answer(&mut self) -> Value {
        let line = self
            .output
            .next_line()
            .await
            .unwrap()
            .expect("the server said no more");
        serde_json::from_str(&line).expect("only MCP on the output")
    }

    /// Opens a connection as clients before 2026-07-28 do.
    async fn open(&mut self) {
        self.send(
            json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}}}),
        )
        .await;
        assert_eq!(
            self.answer().await["result"]["protocolVersion"],
            "2025-11-25"
        );
        self.send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
            .await;
    }

    async fn call(&mut self, id: u32, tool: &str) {
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": tool, "arguments": {}}}))
            .await;
    }

    fn end_input(&mut self) {
        self.input = None;
    }

    fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }
}

#[tokio::test]
async fn a_client_with_a_handshake_is_served_until_its_input_ends() {
    let mut world = World::start();
    world.open().await;
    world.call(1, "quick").await;
    let answer = world.answer().await;
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!(1), &json!("done"))
    );
    world.end_input();
    world.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_without_a_handshake_is_served() {
    let mut world = World::start();
    world
        .send(
            json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
            "name": "quick", "arguments": {}, "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": {}}}}),
        )
        .await;
    let answer = world.answer().await;
    assert_eq!(
        (&answer["id"], &answer["result"]["content"][0]["text"]),
        (&json!(7), &json!("done"))
    );
    world.end_input();
    world.server.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_notification_before_anything_else_does_not_end_the_connection() {
    let mut world = World::start();
    world
        .send(json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
        .await;
    world.open().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_answered_after_the_end_of_the_input() {
    let mut world = World::start();
    world.open().await;
    world.call(1, "slow").await;
    world.handler.started.notified().await;
    world.end_input();
    // Much longer than the five seconds that rmcp alone would wait.
    tokio::time::sleep(Duration::from_mins(2)).await;
    world.handler.gate.notify_one();
    assert_eq!(world.answer().await["id"], 1);
    world.server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_is_answered_after_a_stop_signal() {
    let mut world = World::start();
    world.open().await;
    world.call(1, "slow").await;
    world.handler.started.notified().await;
    world.stop();
    tokio::time::sleep(Duration::from_secs(8)).await;
    world.handler.gate.notify_one();
    assert_eq!(world.answer().await["id"], 1);
    world.server.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_does_not_hold_up_a_stop() {
    let mut world = World::start();
    world.open().await;
    world.call(1, "slow").await;
    world.handler.started.notified().await;
    let asked = tokio::time::Instant::now();
    world.stop();
    world.server.await.unwrap().unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_waited_for() {
    let mut world = World::start();
    world.open().await;
    world.call(1, "slow").await;
    world.handler.started.notified().await;
    world
        .send(
            json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
            "params": {"requestId": 1}}),
        )
        .await;
    let asked = tokio::time::Instant::now();
    world.end_input();
    world.server.await.unwrap().unwrap();
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn end_or_stop_before_the_first_message_is_no_failure() {
    let mut world = World::start();
    world.end_input();
    world.server.await.unwrap().unwrap();
    let mut world = World::start();
    world.stop();
    world.server.await.unwrap().unwrap();
}
