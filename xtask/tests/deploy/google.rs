//! A stand-in for Google's servers, as a proxy that gcloud is told to use: it writes down what it
//! is asked, keeps one service, and can be told to refuse. It knows nothing but what the tests need.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::http;

/// What the stand-in knows.
#[derive(Default)]
struct State {
    service: Option<Value>,
    policy: Value,
    requests: Vec<(String, Value)>,
    refuses: Option<&'static str>,
}

/// A running stand-in; it lives as long as the test's process.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let answering = state.clone();
        let port = http::serve(move |line, body| answering.lock().unwrap().answer(line, body));
        Self { port, state }
    }

    /// Every request with this word in its line is refused from now on.
    pub(crate) fn refuse(&self, word: &'static str) {
        self.state.lock().unwrap().refuses = Some(word);
    }

    pub(crate) fn service(&self) -> Option<Value> {
        self.state.lock().unwrap().service.clone()
    }

    pub(crate) fn policy(&self) -> Value {
        self.state.lock().unwrap().policy.clone()
    }

    /// The body of the request that changed something and has this word in its line.
    pub(crate) fn sent(&self, word: &str) -> Option<Value> {
        let state = self.state.lock().unwrap();
        let mut sent = state
            .requests
            .iter()
            .filter(|(line, _)| !line.starts_with("GET "));
        sent.find(|(line, _)| line.contains(word))
            .map(|(_, body)| body.clone())
    }

    /// The requests that change something, as `METHOD path`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let lines = state.requests.iter().map(|(line, _)| line.clone());
        lines.filter(|line| !line.starts_with("GET ")).collect()
    }
}

impl State {
    fn answer(&mut self, line: &str, raw: &[u8]) -> (u16, Value) {
        let body: Value = serde_json::from_slice(raw).unwrap_or_default();
        self.requests.push((line.to_owned(), body.clone()));
        if self.refuses.is_some_and(|word| line.contains(word)) {
            return refusal(403, "PERMISSION_DENIED");
        }
        if line.contains("storage.test/") {
            return (200, storage(line, raw));
        }
        if line.contains("build.test/") {
            return (200, build(line));
        }
        if line.contains(":getIamPolicy") {
            return (200, json!({ "etag": "BwXhqDSfQ0g=" }));
        }
        if line.contains(":setIamPolicy") {
            self.policy = body["policy"].clone();
            return (200, self.policy.clone());
        }
        if line.contains("/locations") {
            return (
                200,
                json!({ "locations": [{ "locationId": "europe-west1" }] }),
            );
        }
        if line.starts_with("POST ") || line.starts_with("PUT ") {
            let generation = self
                .service
                .as_ref()
                .map_or(1, |old| old["metadata"]["generation"].as_u64().unwrap() + 1);
            self.service = Some(ready(body, generation));
        }
        match &self.service {
            Some(service) => (200, service.clone()),
            None => refusal(404, "NOT_FOUND"),
        }
    }
}

/// The service as Cloud Run shows it once it serves.
fn ready(mut service: Value, generation: u64) -> Value {
    let conditions = ["Ready", "ConfigurationsReady", "RoutesReady"]
        .map(|kind| json!({ "type": kind, "status": "True" }));
    service["metadata"]["generation"] = generation.into();
    service["metadata"]["resourceVersion"] = format!("v{generation}").into();
    service["status"] = json!({
        "observedGeneration": generation,
        "latestCreatedRevisionName": format!("braingrid-mcp-{generation:05}"),
        "latestReadyRevisionName": format!("braingrid-mcp-{generation:05}"),
        "url": "https://braingrid-mcp-abc-ew.a.run.app",
        "address": { "url": "https://braingrid-mcp-abc-ew.a.run.app" },
        "traffic": [{ "percent": 100, "latestRevision": true }],
        "conditions": conditions,
    });
    service
}

/// Cloud Storage: the project's bucket is there, and takes what Cloud Build is to build.
fn storage(line: &str, raw: &[u8]) -> Value {
    let bucket = json!({ "id": BUCKET, "name": BUCKET, "projectNumber": "1" });
    if line.contains("/upload/") {
        return json!({
            "bucket": BUCKET,
            "name": "source.tgz",
            "generation": "1",
            "size": second_part(raw).len().to_string(),
        });
    }
    if line.contains("/b?") {
        return json!({ "items": [bucket] });
    }
    bucket
}

const BUCKET: &str = "braingrid-staging_cloudbuild";

/// The file of a `multipart/related` upload, after its description.
fn second_part(raw: &[u8]) -> &[u8] {
    let after = |from: &[u8]| from.windows(2).position(|two| two == b"\n\n").unwrap() + 2;
    let first = after(raw);
    let second = first + after(&raw[first..]);
    let end = raw.windows(3).rposition(|three| three == b"\n--").unwrap();
    &raw[second..end]
}

/// Cloud Build: a build that succeeds. Without logs in a bucket: gcloud reads those by HTTPS only.
fn build(line: &str) -> Value {
    let options = json!({ "logging": "CLOUD_LOGGING_ONLY" });
    let project = "braingrid-staging";
    let build =
        |status| json!({ "id": "b1", "projectId": project, "status": status, "options": options });
    if !line.starts_with("POST ") {
        return build("SUCCESS");
    }
    let metadata = json!({
        "@type": "type.googleapis.com/google.devtools.cloudbuild.v1.BuildOperationMetadata",
        "build": build("QUEUED"),
    });
    json!({ "name": "operations/build/braingrid-staging/b1", "metadata": metadata })
}

fn refusal(code: u16, status: &str) -> (u16, Value) {
    let error = json!({ "code": code, "status": status, "message": "as the test wants it" });
    (code, json!({ "error": error }))
}
