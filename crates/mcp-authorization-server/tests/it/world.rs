//! A provider, instances of the server, and how they are asked.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use mcp_auth::{AccessToken, Principal, TokenVerifier, UpstreamToken, VerifierConfig};
use mcp_authorization_server::{
    AssertionIssuerConfig, AuthorizationServer, AuthorizationServerConfig, ClientConfig,
    ConfigError, Denied, EncryptionKeys, Observer, ProviderConfig, Scope,
};
use mcp_session::{FactStore, MemoryFacts};
use mcp_test_support::IdentityProvider;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::client::App;

pub(crate) const ISSUER: &str = "https://mcp.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const APP: &str = "http://127.0.0.1:33418/callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-000";

/// What a test has otherwise than usual.
type Change = Box<dyn Fn(&mut AuthorizationServerConfig) + Send>;

pub(crate) struct World {
    pub(crate) provider: IdentityProvider,
    pub(crate) facts: Arc<dyn FactStore>,
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) previous: Vec<Zeroizing<[u8; 32]>>,
    pub(crate) change: Change,
    pub(crate) clients: Vec<ClientConfig>,
    pub(crate) assertion_issuers: Vec<AssertionIssuerConfig>,
    pub(crate) denied: Option<Denied>,
    pub(crate) observer: Observer,
    http: reqwest::Client,
}

impl World {
    pub(crate) async fn new() -> Self {
        let provider = IdentityProvider::start().await.unwrap();
        provider.register_redirect(&format!("{ISSUER}/callback"));
        let tls = mcp_outbound::SystemRoots::new().tls_config().unwrap();
        Self {
            provider,
            facts: Arc::new(MemoryFacts::default()),
            key: Zeroizing::new([3; 32]),
            previous: Vec::new(),
            change: Box::new(|_| {}),
            clients: Vec::new(),
            assertion_issuers: Vec::new(),
            denied: None,
            observer: Observer::default(),
            http: mcp_outbound::http_client(tls, "test").unwrap(),
        }
    }

    /// Another instance of the same deployment.
    pub(crate) fn server(&self) -> AuthorizationServer {
        self.try_server().unwrap()
    }

    pub(crate) fn try_server(&self) -> Result<AuthorizationServer, ConfigError> {
        let secret = Zeroizing::new(IdentityProvider::CLIENT_SECRET.to_owned());
        let provider =
            ProviderConfig::open_id(self.provider.url(), IdentityProvider::CLIENT_ID, secret);
        let mut config = AuthorizationServerConfig::new(ISSUER, RESOURCE, provider);
        config.service_name = "Notes".to_owned();
        config.scopes = ["notes:read", "notes:write"].map(scope).to_vec();
        config.clients.clone_from(&self.clients);
        config.assertion_issuers.clone_from(&self.assertion_issuers);
        config.denied.clone_from(&self.denied);
        config.observer = self.observer.clone();
        (self.change)(&mut config);
        let keys = EncryptionKeys {
            current: &self.key,
            previous: &self.previous,
        };
        AuthorizationServer::new(config, &keys, Arc::clone(&self.facts), self.http.clone())
    }

    /// The provider's answer to a browser.
    pub(crate) async fn at_provider(&self, url: &str) -> String {
        let answer = self.http.get(url).send().await.unwrap();
        assert!(answer.status().is_redirection(), "{}", answer.status());
        let location = answer.headers().get(header::LOCATION).unwrap();
        location.to_str().unwrap().to_owned()
    }
}

/// A world, an instance in it, and an app that registered there.
pub(crate) async fn registered() -> (World, AuthorizationServer, App, SystemTime) {
    let world = World::new().await;
    let (server, now) = (world.server(), SystemTime::now());
    let app = App::register(&server, now).await;
    (world, server, app, now)
}

/// The same, with the tokens that its user let the app have.
pub(crate) async fn logged_in() -> (World, AuthorizationServer, App, Value, SystemTime) {
    let (world, server, app, now) = registered().await;
    let tokens = app.log_in(&world, &server, now).await;
    (world, server, app, tokens, now)
}

fn scope(name: &str) -> Scope {
    Scope {
        name: name.to_owned(),
        meaning: format!("use {name}"),
    }
}

/// Asks an instance.
pub(crate) async fn ask(
    server: &AuthorizationServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
    now: SystemTime,
) -> Response<Bytes> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap();
    server.handle_at(request, now).await
}

pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(pairs);
    form.finish()
}

/// Posts a form to an endpoint for programs; the status and the JSON.
pub(crate) async fn post(
    server: &AuthorizationServer,
    path: &str,
    pairs: &[(&str, &str)],
    now: SystemTime,
) -> (StatusCode, Value) {
    let kind = [("content-type", "application/x-www-form-urlencoded")];
    let answer = ask(server, Method::POST, path, &kind, &form(pairs), now).await;
    let json = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
    (answer.status(), json)
}

/// What the server says of itself.
pub(crate) async fn metadata(server: &AuthorizationServer) -> Value {
    let path = "/.well-known/oauth-authorization-server";
    let answer = ask(server, Method::GET, path, &[], "", SystemTime::now()).await;
    serde_json::from_slice(answer.body()).unwrap()
}

/// Whether a code or a refresh token was refused.
pub(crate) fn is_grant_refusal((status, answer): &(StatusCode, Value)) -> bool {
    *status == StatusCode::BAD_REQUEST && answer["error"] == "invalid_grant"
}

pub(crate) fn challenge() -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
    URL_SAFE_NO_PAD.encode(digest)
}

pub(crate) fn location(answer: &Response<Bytes>) -> Url {
    let location = answer.headers().get(header::LOCATION);
    let Some(location) = location else {
        let page = String::from_utf8_lossy(answer.body());
        panic!("no redirect but {}: {page}", answer.status());
    };
    location.to_str().unwrap().parse().unwrap()
}

pub(crate) fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut pairs = url.query_pairs();
    pairs
        .find(|(found, _)| found == name)
        .map(|(_, value)| value.into_owned())
}

pub(crate) fn text(json: &Value, name: &str) -> String {
    json[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {json}"))
        .to_owned()
}

/// What a resource server makes of an access token, and what it opens of it.
pub(crate) async fn verified(
    server: &AuthorizationServer,
    token: &str,
    now: SystemTime,
) -> (Principal, UpstreamToken) {
    let tls = mcp_outbound::SystemRoots::new().tls_config().unwrap();
    let client = mcp_outbound::http_client(tls, "test").unwrap();
    let verifier =
        TokenVerifier::new(vec![server.issuer()], client, VerifierConfig::default()).unwrap();
    let token: AccessToken = AccessToken::parse(&format!("Bearer {token}")).unwrap();
    let principal = verifier.verify(&token, now).await.unwrap();
    let upstream = server.opener().open(&token, &principal, now).await.unwrap();
    (principal, upstream)
}

/// A moment later.
pub(crate) fn after(now: SystemTime, seconds: u64) -> SystemTime {
    now + Duration::from_secs(seconds)
}

/// The browser is shown a page with this status, and sent nowhere.
#[track_caller]
pub(crate) fn assert_stays(answer: &Response<Bytes>, status: StatusCode, why: &str) {
    assert_eq!(answer.status(), status, "{why}");
    assert!(answer.headers().get("location").is_none(), "{why}");
}
