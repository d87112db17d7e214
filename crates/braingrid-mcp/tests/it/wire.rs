//! One thing said in several ways: paths, headers, parameters, as clients and proxies send them.

use mcp_test_support::{
    ServerProcess, Source,
    client::{Generation, RawAnswer, RawHttp, RawRequest, RawStdio},
};
use serde_json::{Value, json};

use crate::world::{LIMIT, World, client_of};

const REVISIONS: [&str; 5] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// `tools/list` as a client of this revision asks for it.
fn list(http: &RawHttp, revision: &str, token: &str) -> RawRequest {
    let generation = match revision {
        "2026-07-28" => Generation::Modern,
        _ => Generation::Legacy,
    };
    let request = http.request(generation, "tools/list", json!({}));
    request
        .header("mcp-protocol-version", revision)
        .bearer(token)
}

fn origin_of(server: &ServerProcess) -> String {
    server.mcp_url().trim_end_matches("/mcp").to_owned()
}

async fn get(url: &str) -> (u16, Value) {
    let answer = mcp_test_support::http_client()
        .get(url)
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let body = answer.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_path_has_one_meaning_however_it_is_spelled() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let origin = origin_of(&server);
    for path in [
        "/mcp", "/mcp/", "//mcp", "/mcp//", "/%6dcp", "/MCP", "/./mcp", "/mcp?x=1",
    ] {
        for revision in REVISIONS {
            let http = RawHttp::new(format!("{origin}{path}"));
            let answer = list(&http, revision, &token).send().await.unwrap();
            assert_eq!(answer.status, 200, "{path} {revision}: {}", answer.body);
        }
    }
    for path in ["", "/", "/mcp", "/mcp/", "//mcp"] {
        let url = format!("{origin}/.well-known/oauth-protected-resource{path}");
        let (status, document) = get(&url).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(document["resource"], world.resource(), "{path}");
    }
    // An organization's, with no word on whether there is one.
    assert_eq!(get(&format!("{origin}/mcp/x")).await.0, 401);
    for path in ["/mcp/x/y/z", "/mcp/.x", "/mcpx", "/a%2Fmcp", "/x/../y"] {
        assert_eq!(get(&format!("{origin}{path}")).await.0, 404, "{path}");
    }
    for host in ["127.0.0.1", "LOCALHOST:80", "localhost.", "127.0.0.1:443"] {
        let request = list(&client_of(&server), "2025-11-25", &token).header("host", host);
        assert_eq!(request.send().await.unwrap().status, 200, "{host}");
    }
}

#[tokio::test]
async fn whoever_takes_one_kind_of_answer_gets_that_one() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let (json, stream) = (Some("application/json"), Some("text/event-stream"));
    for (accept, kind) in [
        (&["application/json, text/event-stream"][..], json),
        (&["application/json", "text/event-stream"], json),
        (&["application/json"], json),
        (&["application/json;charset=utf-8"], json),
        (&["*/*"], json),
        (&[], json),
        (&["application/*"], json),
        (&["text/event-stream"], stream),
        (&["application/json;q=0, */*"], stream),
        (&["text/html"], None),
    ] {
        for revision in REVISIONS {
            let call = list(&client_of(&server), revision, &token).without_header("accept");
            let call = accept
                .iter()
                .fold(call, |call, line| call.second_header("accept", line));
            let answer = call.send().await.unwrap();
            let case = format!("{accept:?} {revision}: {}", answer.body);
            match kind {
                Some(kind) => {
                    assert_eq!(answer.status, 200, "{case}");
                    assert_eq!(answer.header("content-type"), Some(kind), "{case}");
                    assert!(answer.result().unwrap()["tools"].is_array(), "{case}");
                }
                None => {
                    assert_eq!(
                        (answer.status.as_u16(), answer.error_code()),
                        (406, Some(-32600)),
                        "{case}"
                    );
                    assert_eq!(answer.json.unwrap()["id"], 1);
                }
            }
        }
    }
    // Of a call that tells of its progress, the result alone.
    let params = json!({"name": "list_projects", "arguments": {}, "_meta": {"progressToken": 1}});
    let call = client_of(&server).request(Generation::Legacy, "tools/call", params);
    let answer = call
        .bearer(&token)
        .header("accept", "application/json")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.header("content-type"), json);
    assert!(answer.structured().is_some(), "{}", answer.body);
}

#[tokio::test]
async fn a_header_that_is_sent_twice_alike_is_sent_once() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let bearer = format!("Bearer {token}");
    let origin = world.resource().trim_end_matches("/mcp").to_owned();
    for revision in REVISIONS {
        for (name, value, other, refused) in [
            ("mcp-protocol-version", revision, "2025-06-19", 400),
            ("mcp-session-id", "abc", "def", 200),
            ("authorization", bearer.as_str(), "Bearer other", 400),
            ("content-type", "application/json", "text/plain", 415),
            (
                "accept",
                "application/json, text/event-stream",
                "text/html",
                200,
            ),
            ("origin", origin.as_str(), "https://evil.example", 403),
            ("x-request-id", "chosen-by-a-client", "another", 200),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "rubbish",
                200,
            ),
        ] {
            let call = || list(&client_of(&server), revision, &token).header(name, value);
            let lines = call().second_header(name, value).send().await.unwrap();
            assert_eq!(lines.status, 200, "{revision} {name}: {}", lines.body);
            let line = call()
                .header(name, &format!("{value}, {value}"))
                .send()
                .await
                .unwrap();
            assert_eq!(line.status, 200, "{revision} {name}: {}", line.body);
            let different = call().second_header(name, other).send().await.unwrap();
            assert_eq!(
                different.status, refused,
                "{revision} {name}: {}",
                different.body
            );
        }
    }
    for (name, value, other) in [
        ("mcp-method", "tools/list", "tools/call"),
        ("mcp-name", "x", "y"),
    ] {
        let call = || list(&client_of(&server), "2026-07-28", &token).header(name, value);
        if name == "mcp-method" {
            let twice = call().second_header(name, value).send().await.unwrap();
            assert_eq!(twice.status, 200, "{name}: {}", twice.body);
        }
        let different = call().second_header(name, other).send().await.unwrap();
        assert_eq!(
            (different.status.as_u16(), different.error_code()),
            (400, Some(-32020)),
            "{name}"
        );
    }
}

/// Methods with parameters that none of them has, and whether they may have none.
fn wrong_params() -> Vec<(&'static str, Option<Value>)> {
    let mut wrong = Vec::new();
    let needed = [
        "tools/call",
        "initialize",
        "prompts/get",
        "resources/read",
        "completion/complete",
        "logging/setLevel",
    ];
    for method in needed {
        wrong.extend([
            (method, None),
            (method, Some(Value::Null)),
            (method, Some(json!({}))),
        ]);
    }
    for method in needed.into_iter().chain([
        "tools/list",
        "resources/list",
        "prompts/list",
        "resources/templates/list",
    ]) {
        for params in [json!([]), json!(["x"]), json!("x"), json!(7), json!(true)] {
            wrong.push((method, Some(params)));
        }
    }
    for method in [
        "tools/list",
        "resources/list",
        "prompts/list",
        "resources/templates/list",
    ] {
        for cursor in [json!(7), json!([]), json!({}), json!(true)] {
            wrong.push((method, Some(json!({"cursor": cursor}))));
        }
        wrong.push((method, Some(json!({"_meta": 7}))));
    }
    for params in [
        json!({"name": "list_projects", "_meta": []}),
        json!({"name": 7}),
        json!({"name": null}),
        json!({"name": "list_projects", "arguments": []}),
        json!({"name": "list_projects", "arguments": "x"}),
        json!({"arguments": {}}),
        json!({"name": "no_such_tool"}),
    ] {
        wrong.push(("tools/call", Some(params)));
    }
    wrong
}

/// The same, of whom nobody waits for an answer. A notification that is no misfit may open something.
fn odd_notifications() -> Vec<String> {
    let own = [
        "no/such",
        "notifications/cancelled",
        "notifications/progress",
    ];
    let own = own.into_iter().flat_map(|method| {
        let params = [json!([]), json!("x"), json!(7), Value::Null];
        params.map(|params| (method, Some(params)))
    });
    let all = wrong_params().into_iter().chain(own);
    all.map(|(method, params)| {
        let mut notification = json!({"jsonrpc": "2.0", "method": method});
        if let Some(params) = params {
            notification["params"] = params;
        }
        notification.to_string()
    })
    .collect()
}

fn message(id: &Value, method: &str, params: Option<&Value>) -> String {
    let mut message = json!({"jsonrpc": "2.0", "id": id, "method": method});
    if let Some(params) = params {
        message["params"] = params.clone();
    }
    message.to_string()
}

async fn post(server: &ServerProcess, token: &str, revision: &str, body: String) -> RawAnswer {
    let request = list(&client_of(server), revision, token);
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn wrong_params_are_not_an_unknown_method() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    for (method, params) in wrong_params() {
        let id = json!("a-7");
        let body = message(&id, method, params.as_ref());
        for revision in &REVISIONS[..4] {
            let answer = post(&server, &token, revision, body.clone()).await;
            assert_eq!(
                answer.error_code(),
                Some(-32602),
                "{revision} {body}: {}",
                answer.body
            );
            assert_eq!(answer.json.unwrap()["id"], id, "{body}");
        }
        let modern = list(&client_of(&server), "2026-07-28", &token);
        let mut modern = modern.header("mcp-method", method);
        if let Some(name) = params.as_ref().and_then(|params| params["name"].as_str()) {
            modern = modern.header("mcp-name", name);
        }
        let answer = modern.body(body.clone()).send().await.unwrap();
        assert_eq!(answer.error_code(), Some(-32602), "{body}: {}", answer.body);
    }
    let nameless = message(&json!(1), "tools/call", Some(&json!({"name": 7})));
    let answer = post(&server, &token, "2025-06-18", nameless).await;
    assert!(answer.body.contains("name is a text"), "{}", answer.body);
    for cursor in [json!(7), json!([]), json!({})] {
        let params = json!({"cursor": cursor});
        let request = client_of(&server).request(Generation::Modern, "tools/list", params);
        let answer = request.bearer(&token).send().await.unwrap();
        assert_eq!(answer.error_code(), Some(-32602), "{}", answer.body);
    }
    for revision in &REVISIONS[..4] {
        for (body, code) in [
            (message(&json!(1), "no/such", None), -32601),
            (message(&json!(1), "tools/calls", Some(&json!({}))), -32601),
            (message(&json!(1), "no/such", Some(&json!([]))), -32601),
            (message(&json!(1), "no/such", Some(&json!("x"))), -32601),
            (message(&json!(1), "ping", Some(&json!([]))), -32602),
            (
                json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}).to_string(),
                -32600,
            ),
            (json!({"id": 1, "method": "ping"}).to_string(), -32600),
            (
                json!({"jsonrpc": "2.0", "id": 1, "method": 7}).to_string(),
                -32600,
            ),
            (r#"{"jsonrpc":"2.0","id":1"#.to_owned(), -32700),
        ] {
            let answer = post(&server, &token, revision, body.clone()).await;
            assert_eq!(
                answer.error_code(),
                Some(code),
                "{revision} {body}: {}",
                answer.body
            );
            if code != -32700 {
                assert_eq!(answer.json.unwrap()["id"], 1, "{body}");
            }
        }
        for id in [
            json!(0),
            json!(-7),
            json!(9_007_199_254_740_993_i64),
            json!(""),
            json!("é\"x"),
        ] {
            let answer = post(&server, &token, revision, message(&id, "ping", None)).await;
            assert_eq!(answer.json.unwrap()["id"], id, "{revision}");
        }
    }
}

#[tokio::test]
async fn wrong_params_are_not_an_unknown_method_over_stdio() {
    let world = World::small().await;
    let command = world.stdio_command();
    let command = command.env("BRAINGRID_API_TOKEN", world.token("user_ada", "org_ada"));
    let mut stdio = RawStdio::start(&command).unwrap();
    // Before the handshake, too, and that is not lost by it.
    let early = message(&json!(99), "tools/list", Some(&json!([])));
    stdio.send_line(&early).await.unwrap();
    let answer = stdio.answer(99, LIMIT).await.unwrap();
    assert_eq!(answer["error"]["code"], -32602, "{answer}");
    let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    stdio.send_line(notification).await.unwrap();
    stdio.initialize().await.unwrap();
    let wrong = wrong_params().into_iter();
    let unknown = [
        None,
        Some(json!({})),
        Some(json!([])),
        Some(json!("x")),
        Some(json!(7)),
    ];
    let unknown = unknown.map(|params| ("no/such", params));
    let cases = wrong
        .map(|case| (case, -32602))
        .chain(unknown.map(|case| (case, -32601)));
    for (id, ((method, params), code)) in (100_u64..).zip(cases) {
        // The handshake is over; another one is a matter of its own.
        let is_object = params
            .as_ref()
            .is_none_or(|params| params.is_object() || params.is_null());
        if method == "initialize" && is_object {
            continue;
        }
        let line = message(&json!(id), method, params.as_ref());
        stdio.send_line(&line).await.unwrap();
        let answer = stdio.answer(id, LIMIT).await.unwrap();
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
    }
    for cursor in [json!(7), json!([]), json!({})] {
        let params = json!({"cursor": cursor});
        let asked = stdio.request(Generation::Modern, "tools/list", params);
        let answer = asked.await.unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    let output = stdio.output().entries();
    let mut answers = output.iter().filter(|line| line.source == Source::Stdout);
    assert!(
        answers.all(|line| line.text.contains(r#""id":"#)),
        "{output:?}"
    );
    assert!(stdio.close(LIMIT).await.unwrap().success());
}

#[tokio::test]
async fn what_a_client_says_besides_does_not_stop_it() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let call = json!({"name": "list_projects", "arguments": "{}"});
    let call = message(&json!(2), "tools/call", Some(&call));
    for (capabilities, client) in [
        (
            json!({"roots": 7, "sampling": []}),
            json!({"name": "x", "version": "1"}),
        ),
        (json!(null), json!(null)),
        (
            json!({}),
            json!({"name": "x", "version": 1, "icons": 7, "extra": null}),
        ),
    ] {
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": capabilities,
            "clientInfo": client});
        let hello = message(&json!(1), "initialize", Some(&params));
        let answer = post(&server, &token, "2025-06-18", hello.clone()).await;
        let agreed = answer.json.unwrap();
        assert_eq!(
            agreed["result"]["protocolVersion"], "2025-06-18",
            "{hello}: {agreed}"
        );
        let called = post(&server, &token, "2025-06-18", call.clone()).await;
        assert!(called.json.unwrap()["result"]["content"].is_array());
        let command = world.stdio_command().env("BRAINGRID_API_TOKEN", &token);
        let mut stdio = RawStdio::start(&command).unwrap();
        stdio.send_line(&hello).await.unwrap();
        let agreed = stdio.answer(1, LIMIT).await.unwrap();
        assert_eq!(
            agreed["result"]["protocolVersion"], "2025-06-18",
            "{hello}: {agreed}"
        );
        let opened = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        stdio.send_line(opened).await.unwrap();
        stdio.send_line(&call).await.unwrap();
        let called = stdio.answer(2, LIMIT).await.unwrap();
        assert!(called["result"]["content"].is_array(), "{called}");
        assert!(stdio.close(LIMIT).await.unwrap().success());
    }
    let hello = message(&json!(1), "initialize", Some(&json!({"capabilities": {}})));
    let answer = post(&server, &token, "2025-06-18", hello).await;
    assert!(answer.body.contains("protocolVersion"), "{}", answer.body);
}

#[tokio::test]
async fn a_marked_body_is_read_and_a_compressed_one_refused_with_a_reason() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let ping = message(&json!(1), "ping", None);
    let marked = format!("\u{feff}{ping}");
    let answer = post(&server, &token, "2025-11-25", marked).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    for (coding, status) in [("gzip", 415), ("identity, br", 415), ("identity", 200)] {
        let request = list(&client_of(&server), "2025-11-25", &token);
        let request = request.header("content-encoding", coding).body(&*ping);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status, status, "{coding}: {}", answer.body);
        if status == 415 {
            assert_eq!(answer.header("accept-encoding"), Some("identity"));
            assert!(answer.body.contains("Content-Encoding"), "{}", answer.body);
        }
    }
    let options =
        mcp_test_support::http_client().request(reqwest::Method::OPTIONS, server.mcp_url());
    let options = options.send().await.unwrap();
    assert_eq!(options.status(), 204);
    assert_eq!(options.headers()["allow"], "POST, OPTIONS");
}

#[tokio::test]
async fn a_notification_gets_no_answer_whatever_is_in_it() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", &token);
    let mut stdio = RawStdio::start(&command).unwrap();
    stdio.initialize().await.unwrap();
    for notification in odd_notifications() {
        let answer = post(&server, &token, "2025-11-25", notification.clone()).await;
        assert_eq!(answer.status, 202, "{notification}: {}", answer.body);
        assert_eq!(answer.body, "", "{notification}");
        stdio.send_line(&notification).await.unwrap();
    }
    // What would have been answered was, before this.
    stdio
        .send_line(&message(&json!(7), "ping", None))
        .await
        .unwrap();
    stdio.answer(7, LIMIT).await.unwrap();
    let output = stdio.output().entries();
    let mut answers = output.iter().filter(|line| line.source == Source::Stdout);
    assert!(
        answers.all(|line| line.text.contains(r#""id":"#)),
        "{output:?}"
    );
    assert!(stdio.close(LIMIT).await.unwrap().success());
}

#[tokio::test]
async fn what_is_no_request_is_refused_under_its_id_over_stdio() {
    let world = World::small().await;
    let command = world.stdio_command();
    let command = command.env("BRAINGRID_API_TOKEN", world.token("user_ada", "org_ada"));
    let mut stdio = RawStdio::start(&command).unwrap();
    let odd = [
        json!({"jsonrpc": "1.0", "method": "ping"}),
        json!({"jsonrpc": 2.0, "method": "ping"}),
        json!({"method": "ping"}),
        json!({"jsonrpc": "2.0", "method": 7}),
        json!({"jsonrpc": "2.0"}),
    ];
    // Before the handshake, and after it.
    for first in [100, 200] {
        for (id, mut line) in (first..).zip(odd.clone()) {
            line["id"] = json!(id);
            stdio.send_line(&line.to_string()).await.unwrap();
            let answer = stdio.answer(id, LIMIT).await.unwrap();
            assert_eq!(answer["error"]["code"], -32600, "{line}: {answer}");
        }
        if first == 100 {
            stdio.initialize().await.unwrap();
        }
    }
    assert!(stdio.close(LIMIT).await.unwrap().success());
}

#[tokio::test]
async fn whoever_looks_for_what_is_not_offered_finds_empty_lists() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let command = world.stdio_command().env("BRAINGRID_API_TOKEN", &token);
    let mut stdio = RawStdio::start(&command).unwrap();
    stdio.initialize().await.unwrap();
    for (method, params, member) in [
        ("resources/list", json!({}), "/resources"),
        ("resources/templates/list", json!({}), "/resourceTemplates"),
        ("prompts/list", json!({}), "/prompts"),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": "x"}, "argument": {"name": "a", "value": ""}}),
            "/completion/values",
        ),
        ("logging/setLevel", json!({"level": "debug"}), ""),
        ("ping", json!({}), ""),
    ] {
        for revision in &REVISIONS[..4] {
            let body = message(&json!(1), method, Some(&params));
            let answer = post(&server, &token, revision, body).await;
            let result = answer
                .result()
                .unwrap_or_else(|| panic!("{method}: {}", answer.body));
            let found = result.pointer(member).unwrap();
            assert!(
                member.is_empty() || *found == json!([]),
                "{method}: {result}"
            );
        }
        let answer = stdio
            .request(Generation::Legacy, method, params)
            .await
            .unwrap();
        assert!(answer["result"].is_object(), "{method}: {answer}");
    }
    for method in ["resources/list", "resources/templates/list", "prompts/list"] {
        let request = client_of(&server).request(Generation::Modern, method, json!({}));
        let answer = request.bearer(&token).send().await.unwrap();
        let result = answer
            .result()
            .unwrap_or_else(|| panic!("{method}: {}", answer.body));
        assert!(
            result["ttlMs"].is_u64() && result["cacheScope"] == "public",
            "{result}"
        );
    }
    assert!(stdio.close(LIMIT).await.unwrap().success());
}

#[tokio::test]
async fn a_refusal_is_json_with_a_code_and_the_id_of_the_request() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let origin = origin_of(&server);
    let http = mcp_test_support::http_client();
    let token = world.token("user_ada", "org_ada");
    let get = |path: &str| http.get(format!("{origin}{path}"));
    let ask = || {
        http.post(format!("{origin}/mcp"))
            .header("content-type", "application/json")
    };
    for (request, status, says) in [
        (get("/no/such"), 404, world.resource()),
        (
            get("/no/such").header("accept", "text/html"),
            404,
            world.resource(),
        ),
        (get("/"), 404, world.resource()),
        (
            get("/.well-known/openid-configuration"),
            404,
            "/.well-known/oauth-protected-resource/mcp".to_owned(),
        ),
        (
            get("/mcp/.well-known/openid-configuration"),
            404,
            "no authorization server".to_owned(),
        ),
        (
            http.post(format!("{origin}/register")),
            404,
            "no authorization server".to_owned(),
        ),
        (get("/mcp").bearer_auth(&token), 405, "POST".to_owned()),
        (get("/mcp"), 401, "access token".to_owned()),
        (ask().bearer_auth("x"), 401, "access token".to_owned()),
        (
            ask().header("origin", "https://evil.example"),
            403,
            "ALLOWED_ORIGINS".to_owned(),
        ),
        (
            ask().header("host", "evil.example"),
            403,
            "ALLOWED_HOSTS".to_owned(),
        ),
    ] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{says}");
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert!(body["error"].is_string(), "{body}");
        assert!(
            body["error_description"].as_str().unwrap().contains(&says),
            "{body}"
        );
        assert_eq!(body["request_id"], id);
    }
    let refused = post(&server, &token, "2025-11-25", "{".to_owned()).await;
    let id = refused.header("x-request-id").unwrap().to_owned();
    assert_eq!(refused.json.unwrap()["error"]["data"]["request_id"], id);
}

#[tokio::test]
async fn a_public_url_with_a_path_is_served_with_and_without_it() {
    let world = World::small().await;
    let resource = "https://example.com/tools/mcp";
    world.issuer.set_audience([resource]);
    let token = world.token("user_ada", "org_ada");
    for public_url in [
        "https://example.com/tools",
        "https://example.com/tools/",
        resource,
    ] {
        let command = world.command().env("MCP_HOST", public_url);
        let command = command.env("UPSTREAM_AUDIENCE", resource);
        let server = world
            .start(&command.env("TRUSTED_PROXIES", "loopback"))
            .await;
        let origin = origin_of(&server);
        // A proxy hands the path on, or takes it off.
        for path in ["/tools/mcp", "/mcp", "/tools/mcp/"] {
            let http = RawHttp::new(format!("{origin}{path}"));
            let call = list(&http, "2025-11-25", &token).header("host", "example.com");
            assert_eq!(call.send().await.unwrap().status, 200, "{path}");
            let first = http
                .request(Generation::Legacy, "ping", json!({}))
                .header("host", "EXAMPLE.com:443");
            let challenge = first.send().await.unwrap();
            let challenge = challenge.header("www-authenticate").unwrap();
            let document = "https://example.com/.well-known/oauth-protected-resource/tools/mcp";
            assert!(challenge.contains(document), "{challenge}");
        }
        for path in [
            "/.well-known/oauth-protected-resource/tools/mcp",
            "/.well-known/oauth-protected-resource/tools",
            "/.well-known/oauth-protected-resource/mcp",
            "/.well-known/oauth-protected-resource",
            "/tools/.well-known/oauth-protected-resource",
        ] {
            let (status, document) = get(&format!("{origin}{path}")).await;
            assert_eq!(
                (status, &document["resource"]),
                (200, &json!(resource)),
                "{path}"
            );
        }
        assert_eq!(get(&format!("{origin}/tools/health")).await.0, 200);
        assert_eq!(get(&format!("{origin}/other/mcp")).await.0, 404);
    }
}

#[tokio::test]
async fn an_origin_that_is_not_listed_is_shown_the_login_by_a_hosted_server_only() {
    let world = World::small().await;
    let resource = "https://mcp.example.com/mcp";
    let hosted = world.command().env("MCP_HOST", "https://mcp.example.com");
    let hosted = world
        .start(&hosted.env("TRUSTED_PROXIES", "loopback"))
        .await;
    let local = world.server().await;
    world.issuer.set_audience([resource]);
    let token = world.token("user_ada", "org_ada");
    for (server, host, token, status) in [
        (&hosted, "mcp.example.com", None, 401),
        (&hosted, "mcp.example.com", Some(&token), 403),
        (&hosted, "evil.example", None, 403),
        (&local, "127.0.0.1", None, 403),
        (&local, "127.0.0.1", Some(&token), 403),
    ] {
        let call = client_of(server).request(Generation::Legacy, "ping", json!({}));
        let mut call = call
            .header("origin", "https://claude.ai")
            .header("host", host);
        if let Some(token) = token {
            call = call.bearer(token);
        }
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status, status, "{host}: {}", answer.body);
        assert_eq!(answer.header("www-authenticate").is_some(), status == 401);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}
