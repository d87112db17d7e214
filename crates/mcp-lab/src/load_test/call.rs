//! One MCP call: the request as a client of its generation sends it, and what a good answer is.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::tenants::{Tenant, named_in};
use mcp_test_support::client::Generation;

/// What is called.
#[derive(Clone, Debug)]
pub(super) enum Tool {
    /// `create_requirement`: one request to the API, with a text that only this call has.
    Create,
    /// `list_project_requirements`: one request to the API.
    List,
    /// `tools/list`: none.
    ToolsList,
    /// Whatever the user named.
    Named(String, Value),
}

/// What a tenant sends; made once, so that the generator does not spend its time on it.
pub(super) struct Template {
    tenant: Tenant,
    headers: HeaderMap,
    /// The message around the number of the call, which stands in it twice.
    parts: Vec<String>,
    /// The text an answer must hold, without the number.
    mark: Option<String>,
}

const NUMBER: &str = "@number@";

impl Template {
    pub(super) fn new(
        tenant: &Tenant,
        generation: Generation,
        tool: &Tool,
    ) -> anyhow::Result<Self> {
        let subject = &tenant.subject;
        let mark = matches!(tool, Tool::Create).then(|| format!("{subject} asks "));
        let (method, name, arguments) = match tool {
            Tool::Create => {
                let text = format!(
                    "{subject} asks {NUMBER}: let returning shoppers pay with a saved card in one click"
                );
                let arguments = json!({ "message": text, "project_id": "PROJ-1" });
                ("tools/call", Some("create_requirement"), arguments)
            }
            Tool::List => {
                let arguments = json!({ "project_id": "PROJ-1" });
                ("tools/call", Some("list_project_requirements"), arguments)
            }
            Tool::ToolsList => ("tools/list", None, Value::Null),
            Tool::Named(name, arguments) => ("tools/call", Some(name.as_str()), arguments.clone()),
        };
        let params = match name {
            Some(name) => json!({ "name": name, "arguments": arguments }),
            None => json!({}),
        };
        let mut message = generation.message(0, method, params);
        if let Some(id) = message.get_mut("id") {
            *id = NUMBER.into();
        }
        let message = message
            .to_string()
            .replace(&format!("\"{NUMBER}\""), NUMBER);
        Ok(Self {
            tenant: tenant.clone(),
            headers: headers(generation, method, name, &tenant.token)?,
            parts: message.split(NUMBER).map(str::to_owned).collect(),
            mark,
        })
    }

    /// Carries the id of a protocol session from now on.
    pub(super) fn set_session(&mut self, session: HeaderValue) {
        self.headers.insert("mcp-session-id", session);
    }

    /// The request of the call with this number.
    pub(super) fn request(&self, to: &Endpoint, number: u64) -> Request<Full<Bytes>> {
        let body = self.parts.join(&number.to_string());
        to.post(self.headers.clone(), body)
    }

    /// `initialize` and the notification after it, for servers that keep protocol sessions.
    pub(super) fn handshake(&self, to: &Endpoint) -> [Request<Full<Bytes>>; 2] {
        let version = Generation::Legacy.version();
        let initialize = json!({
            "jsonrpc": "2.0", "id": 0, "method": "initialize",
            "params": {
                "protocolVersion": version, "capabilities": {},
                "clientInfo": { "name": "load-test", "version": env!("CARGO_PKG_VERSION") },
            },
        });
        let initialized = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        [initialize, initialized].map(|message| to.post(self.headers.clone(), message.to_string()))
    }

    /// Whether this is the answer to the call with this number, and only to it.
    ///
    /// # Errors
    /// The kind of what is wrong, and the words for it.
    pub(super) fn check(
        &self,
        number: u64,
        answer: &CallResponse,
    ) -> Result<(), (&'static str, String)> {
        let wrong = |kind| {
            let text = String::from_utf8_lossy(&answer.body);
            let text: String = text.chars().take(300).collect();
            Err((
                kind,
                format!("{} {}: {text}", self.tenant.subject, answer.status),
            ))
        };
        if answer.status != StatusCode::OK {
            return wrong(status_kind(answer.status));
        }
        let Some(message) = answer.message() else {
            return wrong("no JSON-RPC message");
        };
        if message.id != Some(number) {
            return wrong("answer to another request");
        }
        let Some(result) = message.result else {
            return wrong("JSON-RPC error");
        };
        if !self.is_only_ours(result.get()) {
            return wrong("answer of another tenant");
        }
        match serde_json::from_str::<Outcome>(result.get()) {
            Ok(Outcome { is_error: true }) => return wrong("tool error"),
            Err(_) => return wrong("no result"),
            Ok(_) => {}
        }
        if result.get().contains(crate::NOT_DONE_TWICE) {
            return wrong("answer to an earlier call");
        }
        let marked = self.mark.as_ref().is_none_or(|mark| {
            let mark = format!("{mark}{number}:");
            result.get().contains(&mark)
        });
        if marked {
            Ok(())
        } else {
            wrong("answer without our text")
        }
    }

    fn is_only_ours(&self, result: &str) -> bool {
        let Some(ours) = self.tenant.subject.strip_prefix("user-") else {
            return true;
        };
        named_in(result).all(|named| named == ours)
    }
}

fn headers(
    generation: Generation,
    method: &str,
    name: Option<&str>,
    token: &str,
) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    headers.insert(header::ACCEPT, accept);
    headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse()?);
    let version = HeaderName::from_static("mcp-protocol-version");
    headers.insert(version, HeaderValue::from_static(generation.version()));
    if generation == Generation::Modern {
        headers.insert("mcp-method", method.parse()?);
        if let Some(name) = name {
            headers.insert("mcp-name", name.parse()?);
        }
    }
    Ok(headers)
}

fn status_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "status 401",
        403 => "status 403",
        404 => "status 404",
        429 => "status 429",
        503 => "status 503",
        500.. => "status 5xx",
        _ => "another status",
    }
}

/// Where calls go.
#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    /// `host:port`, to connect to and as `Host`.
    pub(super) authority: String,
    path: http::Uri,
    /// The whole URL, for one behind TLS.
    pub(super) url: url::Url,
}

impl Endpoint {
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let url: url::Url = url.parse()?;
        let host = url.host_str().unwrap_or("localhost");
        let port = url.port_or_known_default().unwrap_or(80);
        Ok(Self {
            authority: format!("{host}:{port}"),
            path: url.path().parse()?,
            url,
        })
    }

    /// A request for a path beside the endpoint.
    pub(super) fn get(&self, path: &'static str) -> Request<Full<Bytes>> {
        let mut request = self.to(http::Uri::from_static(path), HeaderMap::new(), Bytes::new());
        *request.method_mut() = http::Method::GET;
        request
    }

    fn post(&self, headers: HeaderMap, body: String) -> Request<Full<Bytes>> {
        self.to(self.path.clone(), headers, Bytes::from(body))
    }

    fn to(&self, path: http::Uri, headers: HeaderMap, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = path;
        *request.headers_mut() = headers;
        if let Ok(host) = HeaderValue::from_str(&self.authority) {
            request.headers_mut().insert(header::HOST, host);
        }
        request
    }
}

/// What came back, whole.
#[derive(Debug)]
pub(super) struct CallResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(default)]
    id: Option<u64>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default, rename = "isError")]
    is_error: bool,
}

impl CallResponse {
    /// The JSON-RPC message, from a body of JSON or from the last event of a stream.
    fn message(&self) -> Option<Message<'_>> {
        if self.body.first() == Some(&b'{') {
            return serde_json::from_slice(&self.body).ok();
        }
        let text = std::str::from_utf8(&self.body).ok()?;
        let mut events = text
            .lines()
            .rev()
            .filter_map(|line| line.strip_prefix("data:"));
        events.find_map(|event| serde_json::from_str(event.trim()).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(generation: Generation) -> Template {
        let tenant = Tenant {
            subject: "user-0007".into(),
            token: "a.b.c".into(),
        };
        Template::new(&tenant, generation, &Tool::Create).unwrap()
    }

    fn checked(body: &str, status: u16) -> Result<(), &'static str> {
        let answer = CallResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_owned()),
        };
        let checked = template(Generation::Legacy).check(12, &answer);
        checked.map_err(|(kind, _)| kind)
    }

    #[test]
    fn a_request_carries_its_number_as_id_and_in_its_text() {
        for generation in Generation::BOTH {
            let message = template(generation).parts.join("12");
            let message: Value = serde_json::from_str(&message).unwrap();
            assert_eq!(message["id"], 12);
            let text = message["params"]["arguments"]["message"].as_str().unwrap();
            assert!(text.starts_with("user-0007 asks 12: "), "{text}");
        }
    }

    #[test]
    fn only_the_whole_and_own_answer_is_good() {
        let good =
            r#"{"jsonrpc":"2.0","id":12,"result":{"content":[{"text":"user-0007 asks 12: x"}]}}"#;
        assert_eq!(checked(good, 200), Ok(()));
        assert_eq!(
            checked(&format!("event: message\ndata: {good}\n\n"), 200),
            Ok(())
        );
        assert_eq!(checked("", 200), Err("no JSON-RPC message"));
        assert_eq!(checked(good, 401), Err("status 401"));
        let bent = |from: &str, to: &str| checked(&good.replace(from, to), 200);
        assert_eq!(
            bent("\"id\":12", "\"id\":13"),
            Err("answer to another request")
        );
        assert_eq!(bent("asks 12", "asks 13"), Err("answer without our text"));
        assert_eq!(bent(": x", ": org-0008"), Err("answer of another tenant"));
        assert_eq!(
            bent("{\"content", "{\"isError\":true,\"content"),
            Err("tool error")
        );
        assert_eq!(
            bent(": x", ": x. It was not done twice."),
            Err("answer to an earlier call")
        );
        assert_eq!(bent("\"result\"", "\"error\""), Err("JSON-RPC error"));
    }
}
