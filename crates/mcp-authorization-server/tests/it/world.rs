//! A provider, instances of the server, browsers, and clients.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use mcp_auth::{AccessToken, Principal, TokenVerifier, UpstreamToken, VerifierConfig};
use mcp_authorization_server::{
    AssertionIssuerConfig, AuthorizationServer, AuthorizationServerConfig, ClientConfig,
    ConfigError, Denied, EncryptionKeys, ProviderConfig, Scope,
};
use mcp_session::{FactStore, MemoryFacts};
use mcp_test_support::IdentityProvider;
use serde_json::{Value, json};
use url::Url;
use zeroize::Zeroizing;

pub(crate) const ISSUER: &str = "https://mcp.example.com";
pub(crate) const RESOURCE: &str = "https://mcp.example.com/mcp";
pub(crate) const APP: &str = "http://127.0.0.1:33418/callback";
pub(crate) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-000";

pub(crate) struct World {
    pub(crate) provider: IdentityProvider,
    pub(crate) facts: Arc<dyn FactStore>,
    pub(crate) key: Zeroizing<[u8; 32]>,
    pub(crate) previous: Vec<Zeroizing<[u8; 32]>>,
    pub(crate) change: fn(&mut AuthorizationServerConfig),
    pub(crate) clients: Vec<ClientConfig>,
    pub(crate) assertion_issuers: Vec<AssertionIssuerConfig>,
    pub(crate) denied: Option<Denied>,
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
            change: |_| {},
            clients: Vec::new(),
            assertion_issuers: Vec::new(),
            denied: None,
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

/// A browser, and its cookies.
#[derive(Default, Clone)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) async fn get(
        &mut self,
        server: &AuthorizationServer,
        path: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        self.send(server, Method::GET, path, "", now).await
    }

    pub(crate) async fn send(
        &mut self,
        server: &AuthorizationServer,
        method: Method,
        path: &str,
        body: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let cookies = cookies.join("; ");
        let answer = ask(server, method, path, &[("cookie", &cookies)], body, now).await;
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let line = line.to_str().unwrap();
            assert!(
                line.starts_with("__Host-") && line.contains("; Secure"),
                "{line}"
            );
            assert!(
                line.contains("; HttpOnly") && line.contains("; SameSite=Lax"),
                "{line}"
            );
            let (name, value) = line.split_once(';').unwrap().0.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                assert!(name.len() + value.len() < 4_096, "a browser drops {name}");
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    /// Says yes or no on the consent page.
    pub(crate) async fn decide(
        &mut self,
        server: &AuthorizationServer,
        page: &Response<Bytes>,
        decision: &str,
        now: SystemTime,
    ) -> Response<Bytes> {
        let body = form(&[("request", &sealed_request(page)), ("decision", decision)]);
        self.send(server, Method::POST, "/authorize", &body, now)
            .await
    }
}

/// The hidden field of the consent page.
pub(crate) fn sealed_request(page: &Response<Bytes>) -> String {
    assert_eq!(page.status(), StatusCode::OK);
    let html = String::from_utf8_lossy(page.body()).into_owned();
    let (_, after) = html
        .split_once("name=\"request\" value=\"")
        .unwrap_or_else(|| panic!("{html}"));
    after.split_once('"').unwrap().0.to_owned()
}

/// A client that registered itself.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) redirect_uri: String,
}

impl App {
    pub(crate) async fn register(server: &AuthorizationServer, now: SystemTime) -> Self {
        Self::register_at(server, APP, now).await
    }

    pub(crate) async fn register_at(
        server: &AuthorizationServer,
        redirect_uri: &str,
        now: SystemTime,
    ) -> Self {
        let body = json!({
            "client_name": "An app",
            "redirect_uris": [redirect_uri],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        });
        let json = [("content-type", "application/json")];
        let answer = ask(
            server,
            Method::POST,
            "/register",
            &json,
            &body.to_string(),
            now,
        )
        .await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        Self {
            id: answer["client_id"].as_str().unwrap().to_owned(),
            redirect_uri: redirect_uri.to_owned(),
        }
    }

    /// Where the browser is sent first; `other` parameters replace or add.
    pub(crate) fn link(&self, other: &[(&str, &str)]) -> String {
        let challenge = challenge();
        let mut pairs = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", self.id.as_str()),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("state", "the state of the client"),
            ("scope", "notes:read"),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
            ("resource", RESOURCE),
        ]);
        pairs.extend(other.iter().copied());
        pairs.retain(|_, value| !value.is_empty());
        let pairs: Vec<_> = pairs.into_iter().collect();
        format!("/authorize?{}", form(&pairs))
    }

    /// Logs in with a browser, over these instances in turn; the code.
    pub(crate) async fn code(
        &self,
        world: &World,
        servers: [&AuthorizationServer; 3],
        browser: &mut Browser,
        now: SystemTime,
    ) -> String {
        let mut answer = browser.get(servers[0], &self.link(&[]), now).await;
        if answer.status() == StatusCode::OK {
            answer = browser.decide(servers[1], &answer, "allow", now).await;
        }
        let back = world.at_provider(location(&answer).as_str()).await;
        let path = back.strip_prefix(ISSUER).unwrap();
        let answer = browser.get(servers[2], path, now).await;
        let back = location(&answer);
        assert!(back.as_str().starts_with(&self.redirect_uri), "{back}");
        assert_eq!(
            parameter(&back, "state").as_deref(),
            Some("the state of the client")
        );
        assert_eq!(parameter(&back, "iss").as_deref(), Some(ISSUER));
        parameter(&back, "code").unwrap()
    }

    pub(crate) async fn redeem(
        &self,
        server: &AuthorizationServer,
        code: &str,
        now: SystemTime,
    ) -> (StatusCode, Value) {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("client_id", &self.id),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", VERIFIER),
            ("resource", RESOURCE),
        ];
        post(server, "/token", &pairs, now).await
    }

    pub(crate) async fn refresh(
        &self,
        server: &AuthorizationServer,
        refresh_token: &str,
        now: SystemTime,
    ) -> (StatusCode, Value) {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token),
            ("client_id", &self.id),
        ];
        post(server, "/token", &pairs, now).await
    }

    /// Logs in whole; the answer with the tokens.
    pub(crate) async fn log_in(
        &self,
        world: &World,
        server: &AuthorizationServer,
        now: SystemTime,
    ) -> Value {
        let mut browser = Browser::default();
        let code = self.code(world, [server; 3], &mut browser, now).await;
        let (status, tokens) = self.redeem(server, &code, now).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        tokens
    }
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
