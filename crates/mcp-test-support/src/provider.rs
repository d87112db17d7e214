//! [`IdentityProvider`]: a stand-in for the identity provider of an enterprise, as an authorization
//! server in front of it meets it.
//!
//! **What it assumes.** Clients neither register themselves nor have documents: one confidential
//! client is known, with a secret and with redirect URIs that are compared as texts. Code and PKCE
//! (S256); every refresh replaces the refresh token, and the old one is `invalid_grant` from then on,
//! without a grace unless one is set; ID tokens have the nonce; who may not show its login page
//! (`prompt=none`) sends the browser back; tokens can be revoked (RFC 7009). Like GitHub it speaks
//! plain OAuth: opaque access tokens that do not end, no refresh tokens, errors with status 200,
//! answers as forms unless JSON is asked for, users with a number.

mod grants;
mod login;
mod settings;

use std::{
    future, io,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Mutex as AsyncMutex};
use url::Url;

pub use settings::ProviderUser;

use crate::{
    gate::Gate,
    http::{Answer, Closed, HttpServer, json as json_answer, listen, with_type},
    journal::Journal,
    keys::{Algorithm, SigningKey},
    lock::lock,
};

/// A stand-in identity provider. Clones are handles to the same one; it ends with the last of them.
#[derive(Clone)]
pub struct IdentityProvider {
    state: Arc<State>,
    server: Arc<AsyncMutex<Option<HttpServer>>>,
}

/// How it is unwell.
#[derive(Clone, Debug)]
pub enum ProviderFault {
    /// Answers after this long.
    Slow(Duration),
    /// Answers when the gate opens.
    Held(Gate),
    /// Takes the request and never answers.
    Hang,
    /// Answers 200 with something that is no JSON.
    Garbage,
    /// Answers 200 with a mebibyte of JSON.
    Huge,
    /// Sends everybody elsewhere.
    Redirect(String),
    /// Answers this, and does nothing.
    Fixed(u16, String),
    /// Does what it is asked, and closes the connection without an answer, so many times.
    LosesAnswers(u32),
}

/// What its paths are, and how it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    OpenId,
    GitHub,
}

struct State {
    port: u16,
    dialect: Dialect,
    key: Mutex<Arc<SigningKey>>,
    settings: Mutex<settings::Settings>,
    faults: Mutex<Vec<(&'static str, ProviderFault)>>,
    requests: Journal<String>,
    grants: grants::Grants,
}

impl IdentityProvider {
    /// The one client that it knows.
    pub const CLIENT_ID: &'static str = "client of the provider";
    /// That client's secret; what it holds has to be encoded in HTTP Basic.
    pub const CLIENT_SECRET: &'static str = "s3cret: 50%+/";
    /// OpenID Connect discovery.
    pub const METADATA_PATH: &'static str = "/.well-known/openid-configuration";
    /// Where its keys are.
    pub const KEYS_PATH: &'static str = "/keys";
    /// Where a login begins.
    pub const AUTHORIZE_PATH: &'static str = "/authorize";
    /// Where its login page sends what the user did.
    pub const DECISION_PATH: &'static str = "/authorize/decision";
    /// Where grants become tokens.
    pub const TOKEN_PATH: &'static str = "/token";
    /// Who an access token belongs to.
    pub const USERINFO_PATH: &'static str = "/userinfo";
    /// What tokens mean, for the API that they are for (RFC 7662).
    pub const INTROSPECT_PATH: &'static str = "/introspect";
    /// Where tokens are given back (RFC 7009).
    pub const REVOKE_PATH: &'static str = "/revoke";
    /// Where GitHub takes tokens back.
    pub const GITHUB_REVOKE_PATH: &'static str = "/applications/client%20of%20the%20provider/token";

    /// Starts one that speaks OpenID Connect, on a free port of the loopback address.
    pub async fn start() -> io::Result<Self> {
        Self::start_as(Dialect::OpenId).await
    }

    /// Starts one that speaks as GitHub does.
    pub async fn start_like_github() -> io::Result<Self> {
        Self::start_as(Dialect::GitHub).await
    }

    async fn start_as(dialect: Dialect) -> io::Result<Self> {
        let (listener, port) = listen(0).await?;
        let state = Arc::new(State {
            port,
            dialect,
            key: Mutex::new(Arc::new(SigningKey::generate(Algorithm::Rs256))),
            settings: Mutex::new(settings::Settings::new(dialect)),
            faults: Mutex::default(),
            requests: Journal::new(),
            grants: grants::Grants::default(),
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

    /// Listens again on the same port, and knows everything it knew.
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

    /// The address of a path of it.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url())
    }

    /// Where an API asks what its tokens mean, with the client's id and secret in the URL, each encoded
    /// as HTTP Basic wants it: for [`Api::introspect_at`](crate::Api::introspect_at).
    #[must_use]
    pub fn introspection(&self) -> Url {
        let encoded =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let id = encoded(&lock(&self.state.settings).client_id);
        let secret = encoded(Self::CLIENT_SECRET);
        let (port, path) = (self.state.port, Self::INTROSPECT_PATH);
        let url = format!("http://{id}:{secret}@127.0.0.1:{port}{path}");
        url.parse().expect("it is made of escaped parts")
    }

    /// From now on this is what becomes of requests for this path, until [`IdentityProvider::heal`].
    pub fn break_path(&self, path: &'static str, fault: ProviderFault) {
        let mut faults = lock(&self.state.faults);
        faults.retain(|(broken, _)| *broken != path);
        faults.push((path, fault));
    }

    /// It is well again.
    pub fn heal(&self) {
        lock(&self.state.faults).clear();
    }

    /// A new key replaces the old one, which is published no more.
    pub fn rotate_keys(&self) {
        *lock(&self.state.key) = Arc::new(SigningKey::generate(Algorithm::Rs256));
    }

    /// The key that signs ID tokens.
    #[must_use]
    pub fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&lock(&self.state.key))
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

impl State {
    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    async fn answer(self: Arc<Self>, request: Request<Bytes>) -> Result<Answer, Closed> {
        let path = request.uri().path().to_owned();
        self.requests.push(path.clone());
        match self.fault_of(&path) {
            None | Some(ProviderFault::LosesAnswers(0)) => {}
            Some(ProviderFault::Slow(delay)) => tokio::time::sleep(delay).await,
            Some(ProviderFault::Held(gate)) => gate.passed().await,
            Some(ProviderFault::Hang) => future::pending().await,
            Some(ProviderFault::Garbage) => {
                let body = "<html>definitely not json".to_owned();
                return Ok(with_type(StatusCode::OK, "text/html", body));
            }
            Some(ProviderFault::Huge) => {
                let filler = "x".repeat(1024 * 1024);
                return Ok(json_answer(StatusCode::OK, &json!({ "filler": filler })));
            }
            Some(ProviderFault::Redirect(to)) => return Ok(redirect(StatusCode::FOUND, &to)),
            Some(ProviderFault::Fixed(status, body)) => {
                let status = StatusCode::from_u16(status).expect("it is a status");
                return Ok(with_type(status, "application/json", body));
            }
            Some(ProviderFault::LosesAnswers(_)) => {
                let _lost = self.route(&request);
                return Err(Closed);
            }
        }
        Ok(self.route(&request))
    }

    /// What is wrong with this path now. An answer that is lost is lost once.
    fn fault_of(&self, path: &str) -> Option<ProviderFault> {
        let mut faults = lock(&self.faults);
        let (_, fault) = faults.iter_mut().find(|(broken, _)| *broken == path)?;
        let now = fault.clone();
        if let ProviderFault::LosesAnswers(left) = fault {
            *left = left.saturating_sub(1);
        }
        Some(now)
    }

    fn route(&self, request: &Request<Bytes>) -> Answer {
        let open_id = self.dialect == Dialect::OpenId;
        match (request.method(), request.uri().path()) {
            (&Method::GET, IdentityProvider::METADATA_PATH) if open_id => {
                json_answer(StatusCode::OK, &self.metadata())
            }
            (&Method::GET, IdentityProvider::KEYS_PATH) if open_id => {
                let keys = [lock(&self.key).jwk()];
                json_answer(StatusCode::OK, &json!({ "keys": keys }))
            }
            (&Method::GET, IdentityProvider::AUTHORIZE_PATH) => self.authorize(request),
            (&Method::POST, IdentityProvider::DECISION_PATH) => self.decide(request),
            (&Method::POST, IdentityProvider::TOKEN_PATH) => self.token(request),
            (&Method::GET, IdentityProvider::USERINFO_PATH) => self.userinfo(request.headers()),
            (&Method::POST, IdentityProvider::INTROSPECT_PATH) if open_id => {
                self.introspect(request)
            }
            (&Method::POST, IdentityProvider::REVOKE_PATH) if open_id => self.revoke(request),
            (&Method::DELETE, IdentityProvider::GITHUB_REVOKE_PATH) if !open_id => {
                self.revoke_like_github(request)
            }
            _ => json_answer(StatusCode::NOT_FOUND, &json!({ "error": "not_found" })),
        }
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url());
        let mut metadata = json!({
            "issuer": self.url(),
            "authorization_endpoint": at(IdentityProvider::AUTHORIZE_PATH),
            "token_endpoint": at(IdentityProvider::TOKEN_PATH),
            "userinfo_endpoint": at(IdentityProvider::USERINFO_PATH),
            "introspection_endpoint": at(IdentityProvider::INTROSPECT_PATH),
            "revocation_endpoint": at(IdentityProvider::REVOKE_PATH),
            "jwks_uri": at(IdentityProvider::KEYS_PATH),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
        });
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.extend(lock(&self.settings).metadata.clone());
        }
        metadata
    }
}

fn redirect(status: StatusCode, to: &str) -> Answer {
    let mut answer = with_type(status, "text/plain", String::new());
    let to = to.parse().expect("it is made of escaped parts");
    answer.headers_mut().insert(header::LOCATION, to);
    answer
}
