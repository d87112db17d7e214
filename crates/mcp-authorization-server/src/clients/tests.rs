mod assertions;
mod documents;
mod registration;
mod secrets;

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use http::{HeaderValue, StatusCode, header};
use mcp_outbound::SystemRoots;
use mcp_session::MemoryFacts;
use mcp_test_support::{
    Algorithm, Gate, SigningKey,
    http::{Answer, HttpServer, json as answer, listen},
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::*;
use crate::keys::Kind;

const ISSUER: &str = "https://as.test";
const TOKEN: &str = "https://as.test/token";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn keys(current: u8, previous: &[u8]) -> Arc<Keys> {
    let key = |byte: u8| Zeroizing::new([byte; 32]);
    let previous: Vec<_> = previous.iter().copied().map(key).collect();
    Arc::new(Keys::new(
        &key(current),
        &previous,
        ISSUER,
        "https://as.test/mcp",
    ))
}

fn with(keys: Arc<Keys>, configured: Vec<ClientConfig>, facts: MemoryFacts) -> Clients {
    let tls = SystemRoots::new().tls_config().unwrap();
    let documents = GuardedClient::new(tls, "test", Reach::PublicAndThisMachine).unwrap();
    let config = ClientsConfig {
        configured,
        named: Vec::new(),
        scopes: Vec::new(),
        issuer: ISSUER.to_owned(),
        token_endpoint: TOKEN.to_owned(),
        documents: Some(documents),
    };
    Clients::new(config, keys, Arc::new(facts)).unwrap()
}

fn clients() -> Clients {
    with(keys(1, &[]), Vec::new(), MemoryFacts::default())
}

fn register(clients: &Clients, body: Value) -> Result<Value, RegistrationError> {
    let answer = clients.register(body.to_string().as_bytes(), now())?;
    Ok(serde_json::from_slice(&answer).unwrap())
}

fn form(pairs: &[(&str, &str)]) -> Form {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    Form::parse(form.extend_pairs(pairs).finish().as_bytes()).unwrap()
}

fn basic(id: &str, secret: &str) -> HeaderMap {
    let value = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    HeaderMap::from_iter([(
        header::AUTHORIZATION,
        HeaderValue::from_str(&value).unwrap(),
    )])
}

async fn authenticate(
    clients: &Clients,
    headers: &HeaderMap,
    pairs: &[(&str, &str)],
) -> Result<String, ClientError> {
    let proven = clients.authenticate(headers, &form(pairs), now()).await?;
    clients.use_up(&proven).await?;
    Ok(proven.client.id.clone())
}

fn is_refused(result: &Result<String, ClientError>) -> bool {
    matches!(result, Err(ClientError::NotAuthenticated(_)))
}

fn is_request(result: &Result<String, ClientError>) -> bool {
    matches!(result, Err(ClientError::Request(_)))
}

/// A host of documents, which says what the test wants and counts how often it is asked.
struct Host {
    url: String,
    asked: Arc<AtomicUsize>,
    says: Arc<Mutex<Box<dyn Fn() -> Answer + Send>>>,
    server: HttpServer,
}

impl Host {
    async fn start() -> Self {
        Self::behind(None).await
    }

    async fn behind(gate: Option<Gate>) -> Self {
        let (listener, port) = listen(0).await.unwrap();
        let not_found: Box<dyn Fn() -> Answer + Send> =
            Box::new(|| answer(StatusCode::NOT_FOUND, &json!({})));
        let (asked, says) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(not_found)),
        );
        let (counter, answers) = (Arc::clone(&asked), Arc::clone(&says));
        let server = HttpServer::start(listener, move |_| {
            let (counter, answers, gate) =
                (Arc::clone(&counter), Arc::clone(&answers), gate.clone());
            async move {
                counter.fetch_add(1, Ordering::SeqCst);
                if let Some(gate) = gate {
                    gate.passed().await;
                }
                Ok(answers.lock().unwrap()())
            }
        });
        Self {
            url: format!("http://127.0.0.1:{port}/client.json"),
            asked,
            says,
            server,
        }
    }

    fn says(&self, answer: impl Fn() -> Answer + Send + 'static) {
        *self.says.lock().unwrap() = Box::new(answer);
    }

    fn says_status(&self, status: u16) {
        let status = StatusCode::from_u16(status).unwrap();
        self.says(move || answer(status, &json!({})));
    }

    fn describes(&self, name: &'static str, cache_control: &'static str) {
        let url = self.url.clone();
        self.says(move || {
            let document = json!({
                "client_id": url,
                "client_name": name,
                "redirect_uris": ["http://127.0.0.1/cb"],
            });
            let mut answer = answer(StatusCode::OK, &document);
            let value = HeaderValue::from_static(cache_control);
            answer.headers_mut().insert(header::CACHE_CONTROL, value);
            answer
        });
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn name(clients: &Clients, host: &Host, seconds: u64) -> Result<String, ClientError> {
    let client = clients
        .find(
            &host.url,
            Asker::Anybody,
            now() + Duration::from_secs(seconds),
        )
        .await?;
    Ok(client.name.clone().unwrap())
}
