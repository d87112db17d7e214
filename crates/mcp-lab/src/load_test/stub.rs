//! A far end that answers at once: what the API is in a load test, so light that it does not set
//! the pace. It says whose token it was given, and swallows what exporters send.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use mcp_test_support::http::{Answer, Closed, HttpServer, listen, with_type};

use super::tenants::named_in;

/// The running stub.
pub(super) struct Stub {
    port: u16,
    state: Arc<State>,
    _server: HttpServer,
}

#[derive(Default)]
struct State {
    delay_ms: AtomicU64,
    /// Requests whose token, organization and text do not belong together.
    mixed_up: AtomicU64,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    prompt: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
}

impl Stub {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let (listener, port) = listen(0).await?;
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let server = HttpServer::start(listener, move |request| {
            let state = Arc::clone(&shared);
            async move { state.answer(&request).await }
        });
        Ok(Self {
            port,
            state,
            _server: server,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers take so long from now on.
    pub(super) fn set_delay(&self, delay: Duration) {
        let millis = u64::try_from(delay.as_millis()).unwrap_or_default();
        self.state.delay_ms.store(millis, Ordering::Relaxed);
    }

    /// Requests so far in which one tenant's token came with another one's organization or text.
    pub(super) fn mixed_up(&self) -> u64 {
        self.state.mixed_up.load(Ordering::Relaxed)
    }
}

impl State {
    async fn answer(&self, request: &Request<Bytes>) -> Result<Answer, Closed> {
        // OTLP: an empty protobuf message says that all was taken.
        if request.uri().path().starts_with("/v1/") {
            let empty = String::new();
            return Ok(with_type(StatusCode::OK, "application/x-protobuf", empty));
        }
        let delay = self.delay_ms.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let owner = owner(request.headers());
        let body = match *request.method() {
            Method::POST => self.requirement(request, owner.as_deref()),
            _ if request.uri().path().ends_with("/requirements") => list(owner.as_deref()),
            _ => profile(owner.as_deref().unwrap_or("nobody")),
        };
        Ok(with_type(StatusCode::OK, "application/json", body))
    }

    /// Named after whoever's token came, with the text that came.
    fn requirement(&self, request: &Request<Bytes>, owner: Option<&str>) -> String {
        let asked: Option<Asked<'_>> = serde_json::from_slice(request.body()).ok();
        let prompt = asked.map(|asked| asked.prompt).unwrap_or_default();
        let organization = request.headers().get("x-organization-id");
        let organization = organization.and_then(|value| value.to_str().ok());
        let mut named = [owner, organization, Some(&*prompt)]
            .into_iter()
            .flatten()
            .flat_map(named_in);
        let first = named.next();
        if named.any(|other| Some(other) != first) {
            self.mixed_up.fetch_add(1, Ordering::Relaxed);
        }
        let name = match owner {
            Some(owner) => format!("Pay with a saved card, for {owner}"),
            None => "Pay with a saved card".to_owned(),
        };
        json!({
            "id": "0198f0c2-7a51-7c3e-9d7e-2f6f1c0d9b11", "short_id": "REQ-2", "name": name,
            "status": "IDEA", "content": prompt,
            "url": "https://app.braingrid.ai/requirements/REQ-2",
            "task_progress": { "total": 0, "completed": 0 },
        })
        .to_string()
    }
}

fn list(owner: Option<&str>) -> String {
    let owner = owner.unwrap_or("nobody");
    let requirement = |number: u32| {
        json!({
            "id": format!("0198f0c2-7a51-7c3e-9d7e-2f6f1c0d9b{number:02}"),
            "short_id": format!("REQ-{number}"), "status": "IDEA",
            "name": format!("Pay with a saved card, for {owner}"),
        })
    };
    let all: Vec<_> = (1..=5).map(requirement).collect();
    json!({ "requirements": all, "pagination": { "page": 1, "limit": 20, "total": 5, "has_more": false } })
        .to_string()
}

fn profile(owner: &str) -> String {
    let organization = owner.replace("user", "org");
    json!({ "id": owner, "name": owner, "organization_id": organization }).to_string()
}

/// The `sub` of the bearer token, which nobody verifies here.
fn owner(headers: &HeaderMap) -> Option<String> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    Some(serde_json::from_slice::<Claims>(&payload).ok()?.sub)
}
