//! A stand-in for Google's servers, as a proxy that gcloud is told to use: it writes down what it
//! is asked, keeps one service, and can be told to refuse. It knows nothing but what the tests need.

use std::{
    io::{BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

/// What the stand-in knows.
#[derive(Default)]
struct State {
    service: Option<Value>,
    policy: Value,
    requests: Vec<(String, Value)>,
    refuses: Option<&'static str>,
}

/// A running stand-in; it lives as long as the test's process.
#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let recorder = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::default(),
        };
        let answering = recorder.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let recorder = answering.clone();
                thread::spawn(move || recorder.serve(stream));
            }
        });
        recorder
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

    /// The requests that change something, as `METHOD path`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let lines = state.requests.iter().map(|(line, _)| line.clone());
        lines.filter(|line| !line.starts_with("GET ")).collect()
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut stream = stream;
        while let Some((line, body)) = request(&mut reader) {
            let (status, answer) = self.answer(&line, body);
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            if stream.write_all((head + &answer).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, line: &str, body: Value) -> (u16, Value) {
        let mut state = self.state.lock().unwrap();
        state.requests.push((line.to_owned(), body.clone()));
        if state.refuses.is_some_and(|word| line.contains(word)) {
            return refusal(403, "PERMISSION_DENIED");
        }
        if line.contains(":getIamPolicy") {
            return (200, json!({ "etag": "BwXhqDSfQ0g=" }));
        }
        if line.contains(":setIamPolicy") {
            state.policy = body["policy"].clone();
            return (200, state.policy.clone());
        }
        if line.contains("/locations") {
            return (
                200,
                json!({ "locations": [{ "locationId": "europe-west1" }] }),
            );
        }
        if line.starts_with("POST ") || line.starts_with("PUT ") {
            let generation = state
                .service
                .as_ref()
                .map_or(1, |old| old["metadata"]["generation"].as_u64().unwrap() + 1);
            state.service = Some(ready(body, generation));
        }
        match &state.service {
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

fn refusal(code: u16, status: &str) -> (u16, Value) {
    let error = json!({ "code": code, "status": status, "message": "as the test wants it" });
    (code, json!({ "error": error }))
}

/// `METHOD url`, and the body.
fn request(reader: &mut impl std::io::BufRead) -> Option<(String, Value)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let line = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
    Some((line, serde_json::from_slice(&body).unwrap_or_default()))
}
