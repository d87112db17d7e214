//! Raw requests to a Streamable HTTP endpoint: right by default, and every part can be bent.

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::Generation;

/// One endpoint, asked over pooled connections.
#[derive(Clone, Debug)]
pub struct RawHttp {
    client: reqwest::Client,
    url: String,
}

/// A request that is about to be sent.
#[derive(Clone, Debug)]
#[must_use]
pub struct RawRequest {
    client: reqwest::Client,
    url: String,
    headers: HeaderMap,
    body: String,
}

/// What came back, whole.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The status.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
    /// The JSON-RPC message in it, from a JSON body or from the last event of a stream.
    pub json: Option<Value>,
}

impl RawHttp {
    /// Asks `url`, for example `http://127.0.0.1:8080/mcp`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            client: crate::http_client(),
            url: url.into(),
        }
    }

    /// Asks `url` with a client of the caller's choice, for example one with a single connection.
    #[must_use]
    pub fn with_client(client: reqwest::Client, url: impl Into<String>) -> Self {
        Self {
            client,
            url: url.into(),
        }
    }

    /// A JSON-RPC request with all headers its generation asks for, and no token yet.
    pub fn request(&self, generation: Generation, method: &str, params: Value) -> RawRequest {
        let message = generation.message(1, method, params);
        let mut request = RawRequest {
            client: self.client.clone(),
            url: self.url.clone(),
            headers: HeaderMap::new(),
            body: message.to_string(),
        }
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
        if method != "initialize" {
            request = request.header("mcp-protocol-version", generation.version());
        }
        if generation == Generation::Modern {
            request = request.header("mcp-method", method);
            let named = ["name", "uri", "taskId"]
                .iter()
                .find_map(|name| message.get("params")?.get(*name)?.as_str());
            if let Some(name) = named {
                request = request.header("mcp-name", &header_text(name));
            }
        }
        request
    }

    /// A tool call.
    pub fn call(&self, generation: Generation, tool: &str, arguments: &Value) -> RawRequest {
        let params = json!({ "name": tool, "arguments": arguments });
        self.request(generation, "tools/call", params)
    }

    /// The `initialize` of a 2025-11-25 client.
    pub fn initialize(&self) -> RawRequest {
        self.request(
            Generation::Legacy,
            "initialize",
            json!({
                "protocolVersion": Generation::Legacy.version(),
                "capabilities": {},
                "clientInfo": super::client_info(),
            }),
        )
    }
}

impl RawRequest {
    /// Adds `Authorization: Bearer …`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets a header, in place of an earlier one of that name.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let (name, value) = header_of(name, value);
        self.headers.insert(name, value);
        self
    }

    /// Adds a header beside an earlier one of that name.
    pub fn second_header(mut self, name: &str, value: &str) -> Self {
        let (name, value) = header_of(name, value);
        self.headers.append(name, value);
        self
    }

    /// Leaves a header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// Sends this body instead.
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and gives the answer to be read as it comes; dropping it hangs up.
    pub async fn open(self) -> anyhow::Result<reqwest::Response> {
        let request = self
            .client
            .post(&self.url)
            .headers(self.headers)
            .body(self.body);
        request.send().await.context("no answer")
    }

    /// Sends it and reads the whole answer.
    pub async fn send(self) -> anyhow::Result<RawAnswer> {
        let answer = self.open().await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.text().await.context("answer broke off")?;
        let json = message_in(&headers, &body);
        Ok(RawAnswer {
            status,
            headers,
            body,
            json,
        })
    }
}

impl RawAnswer {
    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The JSON-RPC result.
    #[must_use]
    pub fn result(&self) -> Option<&Value> {
        self.json.as_ref()?.get("result")
    }

    /// `structuredContent` of a tool's result.
    #[must_use]
    pub fn structured(&self) -> Option<&Value> {
        self.result()?.get("structuredContent")
    }

    /// The JSON-RPC error code.
    #[must_use]
    pub fn error_code(&self) -> Option<i64> {
        self.json.as_ref()?.get("error")?.get("code")?.as_i64()
    }
}

fn message_in(headers: &HeaderMap, body: &str) -> Option<Value> {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
        return serde_json::from_str(body).ok();
    }
    let mut events = body
        .lines()
        .rev()
        .filter_map(|line| line.strip_prefix("data:"));
    events.find_map(|event| serde_json::from_str(event.trim()).ok())
}

/// A value that is not plain ASCII travels wrapped (MCP 2026-07-28, standard headers).
fn header_text(value: &str) -> String {
    if value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return value.to_owned();
    }
    format!("=?base64?{}?=", STANDARD.encode(value))
}

fn header_of(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a test names a legal header");
    let value = HeaderValue::from_bytes(value.as_bytes()).expect("a test sends a legal value");
    (name, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modern_call_carries_its_headers_and_meta() {
        let request = RawHttp::new("http://localhost/mcp");
        let request = request.call(Generation::Modern, "list_projects", &json!({}));
        assert_eq!(request.headers["mcp-protocol-version"], "2026-07-28");
        assert_eq!(request.headers["mcp-method"], "tools/call");
        assert_eq!(request.headers["mcp-name"], "list_projects");
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let meta = &body["params"]["_meta"];
        assert_eq!(
            meta["io.modelcontextprotocol/protocolVersion"],
            "2026-07-28"
        );
        assert_eq!(
            meta["io.modelcontextprotocol/clientCapabilities"],
            json!({})
        );
    }

    #[test]
    fn legacy_call_carries_only_the_version() {
        let request = RawHttp::new("http://localhost/mcp");
        let request = request.call(Generation::Legacy, "list_projects", &json!({}));
        assert_eq!(request.headers["mcp-protocol-version"], "2025-11-25");
        assert!(!request.headers.contains_key("mcp-method"));
        assert!(!request.body.contains("_meta"));
    }

    #[test]
    fn name_that_is_no_plain_ascii_is_wrapped() {
        assert_eq!(header_text("get_project"), "get_project");
        assert_eq!(header_text("caf\u{e9}"), "=?base64?Y2Fmw6k=?=");
    }

    #[test]
    fn message_is_found_in_a_body_and_in_a_stream() {
        let of = |kind: &'static str, body: &str| {
            let kind = HeaderValue::from_static(kind);
            message_in(&HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]), body)
        };
        assert_eq!(
            of("application/json", "{\"id\":1}"),
            Some(json!({ "id": 1 }))
        );
        let stream = "data: {\"method\":\"x\"}\n\nid: 7\ndata: {\"id\":1}\n\ndata:\n\n";
        assert_eq!(of("text/event-stream", stream), Some(json!({ "id": 1 })));
        assert_eq!(of("text/html", "<html>"), None);
    }
}
