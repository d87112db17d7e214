//! The stand-in API as a server: records, applies faults, then performs.

use std::{
    future, io,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, sync::Mutex as AsyncMutex};
use url::Url;

use super::{
    caller::{self, Caller},
    faults::{Fault, Faults, Times},
    ids::Query,
    introspection::Introspection,
    operation::{Operation, Target},
    record::{Performed, Recorded},
    state::{Asked, ErrorResponse, Payload, State},
    tls::TlsDoor,
};
use crate::{
    http::{Answer, Closed, HttpServer, json as json_answer, listen, with_type},
    journal::Journal,
    lock::lock,
    token::payload_of,
};

/// The stand-in BrainGrid API. Clones are handles to the same one; it ends with the last of them.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
    server: Arc<AsyncMutex<Option<HttpServer>>>,
}

pub(super) struct Inner {
    port: u16,
    state: Mutex<State>,
    faults: Mutex<Faults>,
    requests: Journal<Recorded>,
    writes: Journal<Operation>,
    performed: Journal<Performed>,
    abandoned: Journal<Operation>,
    only_uuids: AtomicBool,
    introspection: OnceLock<Introspection>,
}

impl Api {
    /// Starts on a free port of the loopback address.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts on this port (0: a free one).
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let (listener, port) = listen(port).await?;
        let inner = Arc::new(Inner {
            port,
            state: Mutex::new(State::default()),
            faults: Mutex::new(Faults::default()),
            requests: Journal::new(),
            writes: Journal::new(),
            performed: Journal::new(),
            abandoned: Journal::new(),
            only_uuids: AtomicBool::new(false),
            introspection: OnceLock::new(),
        });
        let server = serve(listener, Arc::clone(&inner));
        Ok(Self {
            inner,
            server: Arc::new(AsyncMutex::new(Some(server))),
        })
    }

    /// Closes the listener and all connections: from now on connections are refused.
    pub async fn stop(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.stop().await;
        }
    }

    /// Listens again on the same port, with the same state. Does nothing while it is running.
    pub async fn come_back(&self) -> io::Result<()> {
        let mut server = self.server.lock().await;
        if server.is_none() {
            let (listener, _) = listen(self.inner.port).await?;
            *server = Some(serve(listener, Arc::clone(&self.inner)));
        }
        Ok(())
    }

    /// The base URL, `http://127.0.0.1:PORT`; the paths begin with `/api/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.inner.port)
    }

    /// Opens a second door, with TLS and HTTP/2.
    pub async fn tls_door(&self) -> io::Result<TlsDoor> {
        TlsDoor::open(Arc::clone(&self.inner)).await
    }

    /// Makes requests for `operation` meet `fault`. Faults of one operation are met in the order
    /// they were added.
    pub fn inject(&self, operation: Operation, fault: Fault, times: Times) {
        lock(&self.inner.faults).add(operation, fault, times);
    }

    /// Forgets all faults.
    pub fn clear_faults(&self) {
        lock(&self.inner.faults).clear();
    }

    /// Adds a project to an organization and gives its short id.
    pub fn add_project(&self, organization: &str, name: &str, repository: Option<&str>) -> String {
        let mut state = lock(&self.inner.state);
        let project = state
            .organization(organization)
            .add_project(name, repository, "seed");
        project
            .fields
            .get("short_id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    }

    /// Tells which organization a subject belongs to when its token has no `org_id`.
    pub fn set_membership(&self, subject: &str, organization: &str) {
        let mut state = lock(&self.inner.state);
        state
            .memberships
            .insert(subject.to_owned(), organization.to_owned());
    }

    /// Has opaque tokens explained by the issuer (RFC 7662) from now on. The URL carries the
    /// client's id and secret; a second call changes nothing.
    pub fn introspect_at(&self, endpoint: Url) {
        let _ = self.inner.introspection.set(Introspection::new(endpoint));
    }

    /// Every request so far, recorded when it arrived; also what to wait on.
    #[must_use]
    pub fn requests(&self) -> &Journal<Recorded> {
        &self.inner.requests
    }

    /// Requests so far for this operation.
    #[must_use]
    pub fn count(&self, operation: Operation) -> usize {
        self.inner
            .requests
            .count(|request| request.operation == Some(operation))
    }

    /// Every write that was carried out, whether or not its answer was delivered.
    #[must_use]
    pub fn writes(&self) -> &Journal<Operation> {
        &self.inner.writes
    }

    /// The same, with what each of them said.
    #[must_use]
    pub fn performed(&self) -> &Journal<Performed> {
        &self.inner.performed
    }

    /// Every request whose connection was closed by the client before it was answered.
    #[must_use]
    pub fn abandoned(&self) -> &Journal<Operation> {
        &self.inner.abandoned
    }

    /// Knows things by UUID only from now on: a short id in a path is not found.
    pub fn refuse_short_ids(&self) {
        self.inner.only_uuids.store(true, Ordering::SeqCst);
    }
}

fn serve(listener: TcpListener, inner: Arc<Inner>) -> HttpServer {
    HttpServer::start(listener, move |request| Arc::clone(&inner).answer(request))
}

impl Inner {
    pub(super) async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Result<Answer, Closed> {
        if request.uri().path() == "/__stand-in/requests" {
            return Ok(self.control());
        }
        let known = Operation::of(request.method(), request.uri().path());
        let claims = self.claims(&request).await;
        self.requests.push(Recorded::of(
            &request,
            known.as_ref().map(|(operation, _)| *operation),
            claims.as_ref(),
        ));
        let Some((operation, target)) = known else {
            return Ok(refused(&ErrorResponse::new(404, "no such operation")));
        };
        if self.only_uuids.load(Ordering::SeqCst) && target.has_short_id() {
            return Ok(refused(&ErrorResponse::new(404, "not found")));
        }
        let fault = lock(&self.faults).take(operation);
        // Dropped in the middle when the client closes its connection.
        let mut waiting = Waiting(Some(operation), &self.abandoned);
        let answer = self.meet(fault, operation, &target, &request, claims).await;
        waiting.0 = None;
        answer
    }

    /// The answer, or what the fault makes of it.
    async fn meet(
        &self,
        fault: Option<Fault>,
        operation: Operation,
        target: &Target,
        request: &Request<Bytes>,
        claims: Option<Map<String, Value>>,
    ) -> Result<Answer, Closed> {
        if let Some(answer) = before(fault.as_ref()).await {
            return answer;
        }
        let answer = self.perform(operation, target, request, claims.as_ref());
        match fault {
            Some(Fault::CloseAfterWrite) => Err(Closed),
            Some(Fault::HeldAfterWrite(gate)) => {
                gate.passed().await;
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    /// What the credential says: a JWT by itself, an opaque token through the issuer.
    async fn claims(&self, request: &Request<Bytes>) -> Option<Map<String, Value>> {
        let token = caller::token(request.headers())?;
        match (payload_of(token), self.introspection.get()) {
            (None, Some(introspection)) => introspection.claims(token).await,
            (claims, _) => claims,
        }
    }

    fn perform(
        &self,
        operation: Operation,
        target: &Target,
        request: &Request<Bytes>,
        claims: Option<&Map<String, Value>>,
    ) -> Answer {
        let mut state = lock(&self.state);
        let named = operation != Operation::GetProfile;
        let caller = Caller::of(
            request.headers(),
            claims,
            &state.memberships,
            named,
            SystemTime::now(),
        );
        let done = caller.and_then(|caller| {
            let asked = Asked {
                operation,
                target,
                caller: &caller,
                query: Query::parse(request.uri().query()),
                body: serde_json::from_slice(request.body()).unwrap_or_default(),
            };
            state.perform(&asked)
        });
        match done {
            Ok(payload) => {
                if operation.is_write() {
                    self.writes.push(operation);
                    let body = serde_json::from_slice(request.body()).unwrap_or_default();
                    self.performed.push(Performed { operation, body });
                }
                paid(payload)
            }
            Err(refusal) => refused(&refusal),
        }
    }

    /// What a script may ask: every request with its owner, without tokens.
    fn control(&self) -> Answer {
        let requests: Vec<_> = self
            .requests
            .entries()
            .iter()
            .map(|request| {
                json!({
                    "method": request.method, "path": request.path, "query": request.query,
                    "subject": request.subject, "organization": request.organization,
                    "token_sha256": request.token_hash,
                })
            })
            .collect();
        json_answer(StatusCode::OK, &json!({ "requests": requests }))
    }
}

/// A request that is being answered; noted as abandoned when it goes before that.
struct Waiting<'a>(Option<Operation>, &'a Journal<Operation>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(operation) = self.0 {
            self.1.push(operation);
        }
    }
}

/// The part of a fault that comes before anything is done; `None` to go on.
async fn before(fault: Option<&Fault>) -> Option<Result<Answer, Closed>> {
    match fault? {
        Fault::Status(status) => Some(Ok(refused(&ErrorResponse::new(
            *status,
            "as the test wished",
        )))),
        Fault::StatusWithBody(status, body) => Some(Ok(refused(&ErrorResponse {
            status: *status,
            body: body.clone(),
        }))),
        Fault::RetryAfter(status, seconds) => {
            let mut answer = refused(&ErrorResponse::new(*status, "as the test wished"));
            answer
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
            Some(Ok(answer))
        }
        Fault::Delay(delay) => {
            tokio::time::sleep(*delay).await;
            None
        }
        Fault::Held(gate) => {
            gate.passed().await;
            None
        }
        Fault::Close => Some(Err(Closed)),
        Fault::Garbage => Some(Ok(with_type(
            StatusCode::OK,
            "text/html",
            "<html>no json".to_owned(),
        ))),
        Fault::Hang => future::pending().await,
        Fault::CloseAfterWrite | Fault::HeldAfterWrite(_) => None,
    }
}

fn refused(refusal: &ErrorResponse) -> Answer {
    json_answer(status(refusal.status), &refusal.body)
}

fn paid(payload: Payload) -> Answer {
    match payload {
        Payload::Json(204, _) => {
            with_type(StatusCode::NO_CONTENT, "application/json", String::new())
        }
        Payload::Json(code, body) => json_answer(status(code), &body),
        Payload::Events(events) => {
            let events: Vec<_> = events
                .iter()
                .map(|event| format!("data: {event}"))
                .collect();
            let body = events.join(
                "

",
            ) + "

";
            with_type(StatusCode::OK, "text/event-stream", body)
        }
    }
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}
