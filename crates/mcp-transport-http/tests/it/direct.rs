//! The short way gives the answers of the SDK's: two servers around one handler, asked the same.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_test_support::{
    Issuer,
    client::{Generation, RawAnswer, RawHttp, RawRequest},
};
use mcp_transport_http::{HttpConfig, HttpServer, ServerStatus};
use rmcp::{ErrorData, RoleServer, ServerHandler, model, service::RequestContext};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

const TOOLS: [&str; 7] = [
    "echo", "refuse", "lack", "panic", "notify", "mirror", "wait",
];

#[derive(Clone, Default)]
struct Tools(Arc<State>);

#[derive(Default)]
struct State {
    begun: Notify,
    go_on: Notify,
    ended: Notify,
    was_cancelled: AtomicBool,
}

fn tool(name: &'static str) -> model::Tool {
    let mut schema = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    if name == "mirror" {
        schema["properties"]["a"]["x-mcp-header"] = "A".into();
    }
    let Value::Object(schema) = schema else {
        unreachable!("an object")
    };
    model::Tool::new(name, name, Arc::new(schema))
}

impl ServerHandler for Tools {
    fn get_info(&self) -> model::ServerConfig {
        let tools = model::ServerCapabilities::builder().enable_tools().build();
        model::ServerConfig::new(tools)
    }

    fn get_tool(&self, name: &str) -> Option<model::Tool> {
        TOOLS.into_iter().find(|known| *known == name).map(tool)
    }

    async fn list_tools(
        &self,
        request: Option<model::PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<model::ListToolsResult, ErrorData> {
        match request.and_then(|request| request.cursor) {
            Some(cursor) if cursor == "lost" => Err(ErrorData::invalid_params(cursor, None)),
            _ => Ok(model::ListToolsResult::with_all_items(
                TOOLS.into_iter().map(tool).collect(),
            )),
        }
    }

    async fn call_tool(
        &self,
        params: model::CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<model::CallToolResponse, ErrorData> {
        let text = match &*params.name {
            // What a handler can know of its request.
            "echo" => json!({
                "arguments": params.arguments,
                "params_meta": params.meta,
                "input_responses": params.input_responses.is_some(),
                "request_state": params.request_state,
                "id": context.id,
                "meta": context.meta,
                "version": context.protocol_version(),
                "client": context.client_info(),
                "header": context.extensions.get::<http::request::Parts>()
                    .and_then(|parts| parts.headers.get("x-own")?.to_str().ok().map(str::to_owned)),
            })
            .to_string(),
            "refuse" => return Err(ErrorData::invalid_params("no", Some(json!({ "why": 1 })))),
            "lack" => {
                let wanted = model::ClientCapabilities::default();
                return Err(ErrorData::missing_required_client_capability(wanted));
            }
            "panic" => panic!("as asked"),
            "notify" => {
                let token = context.meta.get_progress_token();
                let token = token.unwrap_or(model::ProgressToken(model::NumberOrString::Number(7)));
                let progress = model::ProgressNotificationParam::new(token, 0.5);
                format!("{:?}", context.peer.notify_progress(progress).await)
            }
            "wait" => {
                self.0.begun.notify_one();
                let cancelled = tokio::select! {
                    () = context.ct.cancelled() => true,
                    () = self.0.go_on.notified() => false,
                };
                self.0.was_cancelled.store(cancelled, Ordering::SeqCst);
                self.0.ended.notify_one();
                "waited".to_owned()
            }
            name => name.to_owned(),
        };
        Ok(model::CallToolResult::success(vec![model::ContentBlock::text(text)]).into())
    }
}

/// Both servers, and a token for either.
struct World {
    direct: RawHttp,
    usual: RawHttp,
    token: String,
    state: Arc<State>,
    statuses: Vec<ServerStatus>,
    _issuer: Issuer,
}

impl World {
    async fn start() -> Result<Self, Box<dyn Error>> {
        let issuer = Issuer::start().await?;
        let tools = Tools::default();
        let state = Arc::clone(&tools.0);
        issuer.set_audience(["https://one.test/mcp"]);
        let (mut servers, mut statuses) = (Vec::new(), Vec::new());
        for direct in [true, false] {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let config = HttpConfig::new(&format!("http://{address}"), [issuer.url()])?;
            let mut trusted = IssuerConfig::new(issuer.url(), ["https://one.test/mcp"]);
            trusted.organization_required = false;
            let client = mcp_auth::http_client()?;
            let verifier = TokenVerifier::new(vec![trusted], client, VerifierConfig::default())?;
            let store = Arc::new(MemoryStore::default());
            let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
            let mut server = HttpServer::new(config, sessions, tools.clone(), |_, _| ());
            if direct {
                server = server.with_direct_tools(TOOLS);
            }
            statuses.push(server.status());
            tokio::spawn(server.serve(listener, std::future::pending()));
            servers.push(RawHttp::new(format!("http://{address}/mcp")));
        }
        let token = issuer.token().subject("ada").without("org_id").mint();
        let [direct, usual] = servers.try_into().map_err(|_| "two servers")?;
        Ok(Self {
            direct,
            usual,
            token,
            state,
            statuses,
            _issuer: issuer,
        })
    }

    /// Both answers to what `make` asks, which must be one.
    async fn ask(&self, make: impl Fn(&RawHttp) -> RawRequest) -> RawAnswer {
        let ask = |server: &RawHttp| make(server).bearer(&self.token).send();
        let (direct, usual) = tokio::join!(ask(&self.direct), ask(&self.usual));
        let (direct, usual) = (direct.unwrap(), usual.unwrap());
        // But for the id of each request.
        let body = |answer: &RawAnswer| {
            let id = answer.header("x-request-id").unwrap_or_default();
            answer.body.replace(id, "")
        };
        assert_eq!(body(&direct), body(&usual));
        assert_eq!(direct.status, usual.status, "{}", direct.body);
        assert_eq!(direct.header("content-type"), usual.header("content-type"));
        direct
    }
}

/// The message of a call, with whatever else is to be in it.
fn message(generation: Generation, tool: &str, more: &Value) -> Value {
    let arguments = json!({ "a": "b", "n": 9_007_199_254_740_993_u64, "f": 1.5 });
    let params = json!({ "name": tool, "arguments": arguments });
    let mut message = generation.message(1, "tools/call", params);
    merge(&mut message, more);
    message
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[tokio::test]
async fn every_tool_answers_alike() {
    let world = World::start().await.unwrap();
    for generation in Generation::BOTH {
        for tool in TOOLS
            .into_iter()
            .filter(|tool| !["wait", "notify", "panic"].contains(tool))
        {
            let answer = world
                .ask(|server| {
                    server
                        .call(generation, tool, &json!({ "a": "b" }))
                        .header("x-own", "1")
                })
                .await;
            match tool {
                "mirror" | "lack" if generation == Generation::Modern => {
                    assert_eq!(answer.status, 400);
                }
                _ => assert_eq!(answer.status, 200),
            }
        }
        for params in [
            json!({}),
            json!({ "cursor": "lost" }),
            json!({ "cursor": "x", "more": 1 }),
        ] {
            world
                .ask(|server| server.request(generation, "tools/list", params.clone()))
                .await;
        }
        let answer = world
            .ask(|server| server.call(generation, "unheard_of", &json!({})))
            .await;
        assert_eq!(answer.status, 200);
        // The SDK never answers a call whose handler panics.
        let call = world.direct.call(generation, "panic", &json!({}));
        let answer = call.bearer(&world.token).send().await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), answer.error_code()),
            (500, Some(-32603))
        );
    }
}

#[tokio::test]
async fn strange_messages_are_answered_alike() {
    let world = World::start().await.unwrap();
    let version = "io.modelcontextprotocol/protocolVersion";
    let capabilities = "io.modelcontextprotocol/clientCapabilities";
    let changes = [
        json!({}),
        json!({ "id": "text" }),
        json!({ "id": -1 }),
        json!({ "id": 18_446_744_073_709_551_615_u64 }),
        json!({ "extra": [1] }),
        json!({ "result": {} }),
        json!({ "result": null }),
        json!({ "error": null }),
        json!({ "error": { "code": 1, "message": "x" } }),
        json!({ "params": { "extra": { "name": "refuse" }, "requestState": "s", "inputResponses": {} } }),
        json!({ "params": { "requestState": 7 } }),
        json!({ "params": { "arguments": null } }),
        json!({ "params": { "arguments": [] } }),
        json!({ "params": { "arguments": {} } }),
        json!({ "params": { "name": null } }),
        json!({ "params": { "task": { "ttl": 5 } } }),
        json!({ "params": { "_meta": { "own": { "x": 1 } } } }),
        json!({ "params": { "_meta": { "progressToken": "p" } } }),
        json!({ "params": { "_meta": { "progressToken": [] } } }),
        json!({ "params": { "_meta": { version: 7 } } }),
        json!({ "params": { "_meta": { version: "2025-11-25" } } }),
        json!({ "params": { "_meta": { version: "2099-01-01" } } }),
        json!({ "params": { "_meta": { capabilities: 7 } } }),
        json!({ "params": { "_meta": { capabilities: { "elicitation": {}, "more": [] } } } }),
        json!({ "params": { "_meta": { "io.modelcontextprotocol/clientInfo": 7 } } }),
        json!({ "params": { "_meta": [] } }),
        json!({ "params": { "_meta": null } }),
        json!({ "params": [] }),
        json!({ "params": null }),
        json!({ "method": "tools/list" }),
    ];
    for generation in Generation::BOTH {
        for change in &changes {
            let body = message(generation, "echo", change).to_string();
            let ask = |server: &RawHttp| server.call(generation, "echo", &json!({})).body(&*body);
            println!("{body}");
            world.ask(ask).await;
            let listing = |server: &RawHttp| {
                server
                    .request(generation, "tools/list", json!({}))
                    .body(body.replace("tools/call", "tools/list"))
            };
            world.ask(listing).await;
        }
        let said_twice = r#""name":"echo","_meta":{"V":"2026-07-28","V":"2026-07-28","C":{}}"#;
        let said_twice = said_twice.replace('V', version).replace('C', capabilities);
        for twice in [
            &*said_twice,
            r#""name":"echo","name":"refuse""#,
            r#""name":"echo","arguments":{},"arguments":{}"#,
        ] {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{{twice}}}}}"#);
            world
                .ask(|server| server.call(generation, "echo", &json!({})).body(&*body))
                .await;
        }
    }
}

#[tokio::test]
async fn strange_headers_are_answered_alike() {
    let world = World::start().await.unwrap();
    let bent = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-protocol-version", "2025-06-18"),
        ("mcp-protocol-version", "2024-11-05"),
        ("mcp-protocol-version", "2099-01-01"),
        ("mcp-protocol-version", "\u{e9}"),
        ("mcp-method", "tools/list"),
        ("mcp-method", "tools/call "),
        ("mcp-name", "refuse"),
        ("mcp-name", "=?base64?ZWNobw==?="),
        ("mcp-name", "=?base64?!?="),
        ("mcp-param-a", "c"),
        ("accept", "application/json"),
        ("accept", "*/*"),
        ("accept", "application/json;q=0, text/event-stream"),
        ("accept", "text/event-stream;q=0.5,application/json;q=1"),
        ("content-type", "application/json; charset=utf-8"),
    ];
    for generation in Generation::BOTH {
        let call = |server: &RawHttp| server.call(generation, "echo", &json!({ "a": "b" }));
        for (name, value) in bent {
            println!("{name}: {value}");
            world.ask(|server| call(server).header(name, value)).await;
            world
                .ask(|server| call(server).second_header(name, value))
                .await;
            world.ask(|server| call(server).without_header(name)).await;
        }
    }
}

#[tokio::test]
async fn progress_is_told_where_it_is_asked_for_and_nowhere_else() {
    let world = World::start().await.unwrap();
    for generation in Generation::BOTH {
        let asked = message(
            generation,
            "notify",
            &json!({ "params": { "_meta": { "progressToken": "p" } } }),
        );
        let asked = asked.to_string();
        let answer = world
            .ask(|server| server.call(generation, "notify", &json!({})).body(&*asked))
            .await;
        assert!(
            answer.body.contains("notifications/progress"),
            "{}",
            answer.body
        );
        let unasked = world
            .direct
            .call(generation, "notify", &json!({}))
            .bearer(&world.token);
        let answer = unasked.send().await.unwrap();
        assert!(answer.body.contains("TransportClosed"), "{}", answer.body);
    }
}

#[tokio::test]
async fn work_is_finished_when_its_client_leaves_and_told_so_in_the_modern_revision() {
    let world = World::start().await.unwrap();
    for generation in Generation::BOTH {
        for (server, status) in [
            (&world.direct, &world.statuses[0]),
            (&world.usual, &world.statuses[1]),
        ] {
            let call = server
                .call(generation, "wait", &json!({}))
                .bearer(&world.token);
            let waiting = tokio::spawn(call.send());
            world.state.begun.notified().await;
            waiting.abort();
            while status.in_flight() > 0 {
                tokio::task::yield_now().await;
            }
            if generation == Generation::Legacy {
                world.state.go_on.notify_one();
            }
            world.state.ended.notified().await;
            let cancelled = world.state.was_cancelled.load(Ordering::SeqCst);
            assert_eq!(cancelled, generation == Generation::Modern);
        }
    }
}
