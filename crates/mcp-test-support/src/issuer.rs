//! The stand-in OAuth issuer: real HTTP, keys made at start, counted requests, and every way of
//! being unwell that a key fetch can meet.

mod exchange;
mod login;

use std::{
    future, io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header::DATE};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Mutex as AsyncMutex};

pub use exchange::{ExchangeAnswer, ExchangeClient, ExchangeRequest};
pub use login::Rotation;

use crate::{
    gate::Gate,
    http::{Answer, Closed, HttpServer, json as json_answer, listen, with_type},
    journal::Journal,
    keys::{Algorithm, SigningKey},
    lock::lock,
    token::{TokenBuilder, seconds},
};

/// A stand-in issuer. Clones are handles to the same one; it ends with the last of them.
#[derive(Clone)]
pub struct Issuer {
    state: Arc<State>,
    server: Arc<AsyncMutex<Option<HttpServer>>>,
}

/// How the issuer behaves from now on.
#[derive(Clone, Debug)]
pub enum IssuerMode {
    /// Answers at once.
    Normal,
    /// Answers after this long.
    Slow(Duration),
    /// Answers when the gate opens.
    Held(Gate),
    /// Answers 200 with something that is no JSON.
    Garbage,
    /// Answers 500.
    Error500,
    /// Takes the request and never answers.
    Hang,
}

struct State {
    port: u16,
    /// The first of each algorithm signs; all are published.
    keys: Mutex<Vec<Arc<SigningKey>>>,
    /// What is served in place of the keys.
    published: Mutex<Option<String>>,
    audience: Mutex<Vec<String>>,
    /// What its metadata names in place of its own token endpoint.
    token_endpoint: Mutex<Option<String>>,
    /// Seconds by which its clock is ahead of ours.
    clock_offset: AtomicI64,
    mode: Mutex<IssuerMode>,
    requests: Journal<String>,
    logins: login::Logins,
    exchanges: exchange::Exchanges,
}

impl Issuer {
    /// Where the key set is.
    pub const JWKS_PATH: &'static str = "/oauth2/jwks";
    /// OpenID Connect discovery.
    pub const OPENID_PATH: &'static str = "/.well-known/openid-configuration";
    /// Authorization server metadata (RFC 8414).
    pub const METADATA_PATH: &'static str = "/.well-known/oauth-authorization-server";

    /// Starts on a free port of the loopback address.
    pub async fn start() -> io::Result<Self> {
        Self::start_on(0).await
    }

    /// Starts on this port (0: a free one).
    pub async fn start_on(port: u16) -> io::Result<Self> {
        let (listener, port) = listen(port).await?;
        let state = Arc::new(State {
            port,
            keys: Mutex::new(fresh_keys()),
            published: Mutex::new(None),
            audience: Mutex::new(Vec::new()),
            token_endpoint: Mutex::new(None),
            clock_offset: AtomicI64::new(0),
            mode: Mutex::new(IssuerMode::Normal),
            requests: Journal::new(),
            logins: login::Logins::default(),
            exchanges: exchange::Exchanges::default(),
        });
        let server = serve(listener, Arc::clone(&state));
        Ok(Self {
            state,
            server: Arc::new(AsyncMutex::new(Some(server))),
        })
    }

    /// Closes the listener and all connections: from now on connections are refused.
    pub async fn stop(&self) {
        if let Some(server) = self.server.lock().await.take() {
            server.stop().await;
        }
    }

    /// Listens again on the same port, with the same keys. Does nothing while it is running.
    pub async fn come_back(&self) -> io::Result<()> {
        let mut server = self.server.lock().await;
        if server.is_none() {
            let (listener, _) = listen(self.state.port).await?;
            *server = Some(serve(listener, Arc::clone(&self.state)));
        }
        Ok(())
    }

    /// The issuer identifier, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.state.url()
    }

    /// The key set's address.
    #[must_use]
    pub fn jwks_url(&self) -> String {
        format!("{}{}", self.url(), Self::JWKS_PATH)
    }

    /// The `aud` of tokens made from now on.
    pub fn set_audience<'a>(&self, audience: impl IntoIterator<Item = &'a str>) {
        *lock(&self.state.audience) = audience.into_iter().map(str::to_owned).collect();
    }

    /// The token endpoint that its metadata names from now on.
    pub fn set_token_endpoint(&self, url: &str) {
        *lock(&self.state.token_endpoint) = Some(url.to_owned());
    }

    /// Changes how requests are answered from now on; those under way keep their old fate.
    pub fn set_mode(&self, mode: IssuerMode) {
        *lock(&self.state.mode) = mode;
    }

    /// Sets its clock so many seconds ahead of ours (negative: behind): `iat`, `exp` and `nbf` of
    /// tokens made from now on, and `Date` of its answers.
    pub fn set_clock_offset(&self, seconds: i64) {
        self.state.clock_offset.store(seconds, Ordering::Relaxed);
    }

    /// New keys replace the old ones, which are published no more.
    pub fn rotate(&self) {
        *lock(&self.state.keys) = fresh_keys();
    }

    /// A new RS256 key signs from now on; the old keys stay published.
    pub fn rotate_with_overlap(&self) {
        let fresh = Arc::new(SigningKey::generate(Algorithm::Rs256));
        lock(&self.state.keys).insert(0, fresh);
    }

    /// The key set from now on, in whatever form; keys of the issuer's own sign as before.
    pub fn publish(&self, key_set: impl Into<String>) {
        *lock(&self.state.published) = Some(key_set.into());
    }

    /// The key that signs with this algorithm.
    #[must_use]
    pub fn key(&self, algorithm: Algorithm) -> Arc<SigningKey> {
        let keys = lock(&self.state.keys);
        let found = keys.iter().find(|key| key.algorithm() == algorithm);
        Arc::clone(found.expect("there is a key of every algorithm"))
    }

    /// A token as this issuer makes it: RS256, the audience set before, one hour.
    pub fn token(&self) -> TokenBuilder {
        let audience = lock(&self.state.audience).clone();
        let key = self.key(Algorithm::Rs256);
        TokenBuilder::at(self.state.now(), &self.url(), &audience, key)
    }

    /// Requests so far for this path.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        self.state.requests.count(|asked| asked == path)
    }

    /// The paths asked for so far, in order; also what to wait on.
    #[must_use]
    pub fn requests(&self) -> &Journal<String> {
        &self.state.requests
    }
}

fn serve(listener: TcpListener, state: Arc<State>) -> HttpServer {
    HttpServer::start(listener, move |request| Arc::clone(&state).answer(request))
}

fn fresh_keys() -> Vec<Arc<SigningKey>> {
    let algorithms = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];
    algorithms.map(SigningKey::generate).map(Arc::new).to_vec()
}

impl State {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn now(&self) -> i64 {
        seconds(SystemTime::now()) + self.clock_offset.load(Ordering::Relaxed)
    }

    async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Result<Answer, Closed> {
        let path = request.uri().path();
        if path.starts_with("/__stand-in/") {
            return Ok(self.control(&request));
        }
        self.requests.push(path.to_owned());
        let mode = lock(&self.mode).clone();
        match mode {
            IssuerMode::Normal => {}
            IssuerMode::Slow(delay) => tokio::time::sleep(delay).await,
            IssuerMode::Held(gate) => gate.passed().await,
            IssuerMode::Garbage => {
                let body = "<html>definitely not json".to_owned();
                return Ok(with_type(StatusCode::OK, "text/html", body));
            }
            IssuerMode::Error500 => return Ok(failure(StatusCode::INTERNAL_SERVER_ERROR)),
            IssuerMode::Hang => future::pending().await,
        }
        if let Some(answer) = self.log_in(&request).await {
            return Ok(answer);
        }
        let mut answer = match path {
            Issuer::JWKS_PATH => match lock(&self.published).clone() {
                Some(text) => with_type(StatusCode::OK, "application/json", text),
                None => json_answer(StatusCode::OK, &self.key_set()),
            },
            Issuer::OPENID_PATH | Issuer::METADATA_PATH => {
                json_answer(StatusCode::OK, &self.metadata())
            }
            _ => failure(StatusCode::NOT_FOUND),
        };
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(self.now().unsigned_abs());
        let date = HeaderValue::from_str(&httpdate::fmt_http_date(date));
        answer
            .headers_mut()
            .extend(date.ok().map(|date| (DATE, date)));
        Ok(answer)
    }

    fn key_set(&self) -> Value {
        let keys: Vec<_> = lock(&self.keys).iter().map(|key| key.jwk()).collect();
        json!({ "keys": keys })
    }

    fn metadata(&self) -> Value {
        let url = self.url();
        json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}{}", Issuer::AUTHORIZE_PATH),
            "token_endpoint": lock(&self.token_endpoint).clone()
                .unwrap_or_else(|| format!("{url}{}", Issuer::TOKEN_PATH)),
            "registration_endpoint": format!("{url}{}", Issuer::REGISTER_PATH),
            "revocation_endpoint": format!("{url}{}", Issuer::REVOKE_PATH),
            "device_authorization_endpoint": format!("{url}{}", Issuer::DEVICE_PATH),
            "authorization_response_iss_parameter_supported": true,
            "jwks_uri": format!("{url}{}", Issuer::JWKS_PATH),
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code", "refresh_token", exchange::TOKEN_EXCHANGE],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
            "scopes_supported": ["email", "offline_access", "openid", "profile"],
        })
    }

    /// The same controls for scripts: `POST /__stand-in/mode` with `{"mode":"slow","millis":500}`,
    /// `POST /__stand-in/rotate`, `POST /__stand-in/token` with claims, `GET /__stand-in/requests`.
    fn control(&self, request: &Request<Bytes>) -> Answer {
        let asked: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/__stand-in/requests") => json_answer(
                StatusCode::OK,
                &json!({ "requests": self.requests.entries() }),
            ),
            (&Method::POST, "/__stand-in/mode") => match mode_named(&asked) {
                Some(mode) => {
                    *lock(&self.mode) = mode;
                    json_answer(StatusCode::OK, &asked)
                }
                None => failure(StatusCode::UNPROCESSABLE_ENTITY),
            },
            (&Method::POST, "/__stand-in/rotate") => {
                *lock(&self.keys) = fresh_keys();
                json_answer(StatusCode::OK, &self.key_set())
            }
            (&Method::POST, "/__stand-in/token") => {
                json_answer(StatusCode::OK, &json!({ "token": self.mint(&asked) }))
            }
            _ => failure(StatusCode::NOT_FOUND),
        }
    }

    fn mint(&self, claims: &Value) -> String {
        let audience = lock(&self.audience).clone();
        let key = Arc::clone(lock(&self.keys).first().expect("there are keys"));
        let builder = TokenBuilder::at(self.now(), &self.url(), &audience, key);
        let claims = claims.as_object().into_iter().flatten();
        claims
            .fold(builder, |token, (name, value)| {
                token.claim(name, value.clone())
            })
            .mint()
    }
}

fn mode_named(asked: &Value) -> Option<IssuerMode> {
    let millis = asked.get("millis").and_then(Value::as_u64).unwrap_or(1000);
    Some(match asked.get("mode")?.as_str()? {
        "normal" => IssuerMode::Normal,
        "slow" => IssuerMode::Slow(Duration::from_millis(millis)),
        "garbage" => IssuerMode::Garbage,
        "error500" => IssuerMode::Error500,
        "hang" => IssuerMode::Hang,
        _ => return None,
    })
}

fn failure(status: StatusCode) -> Answer {
    let text = status.canonical_reason().unwrap_or("error");
    json_answer(
        status,
        &json!({ "error": "server_error", "error_description": text }),
    )
}
