//! The server: its parts, its paths, and what answers on each.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use mcp_auth::{GrantOpener, IssuerConfig};
use mcp_outbound::{LogThrottle, run_to_end};
use mcp_session::FactStore;
use moka::future::Cache;
use serde_json::json;
use tokio::sync::Semaphore;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    access::Opener,
    answer::{document, json_answer, method_not_allowed, preflight},
    assertion_issuers::AssertionIssuers,
    clients::{Clients, ClientsConfig, RegistrationError},
    config::{AuthorizationServerConfig, CLIENT_CREDENTIALS, ConfigError, GrantOf},
    cookies::Cookies,
    error::OAuthError,
    keys::{Keys, digest_of},
    metadata::{self, OFFLINE_ACCESS},
    observe::{operation, refused},
    provider::Provider,
    request::{PATIENCE, Refused},
};

/// An OAuth 2.1 authorization server. Cheap to clone.
#[derive(Clone)]
pub struct AuthorizationServer {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: AuthorizationServerConfig,
    pub(crate) keys: Arc<Keys>,
    pub(crate) facts: Arc<dyn FactStore>,
    pub(crate) clients: Clients,
    pub(crate) assertion_issuers: AssertionIssuers,
    pub(crate) provider: Provider,
    pub(crate) cookies: Cookies,
    /// The issuer's path, without a slash at its end.
    pub(crate) prefix: String,
    /// The issuer's origin, as browsers write it.
    pub(crate) origin: String,
    /// Where the provider sends browsers back to.
    pub(crate) callback: String,
    /// The states of logins that came back from the provider: each is asked about once.
    pub(crate) used_states: Cache<String, ()>,
    /// Codes of the provider that are being redeemed: strangers who make them up leave room for refreshes.
    pub(crate) redemptions: Semaphore,
    pub(crate) kept_told: LogThrottle,
    metadata: Bytes,
    jwks: Bytes,
}

/// The encryption keys of a deployment: everything is derived from them, so that any instance reads
/// what another one wrote.
pub struct EncryptionKeys<'a> {
    /// Seals and signs.
    pub current: &'a Zeroizing<[u8; 32]>,
    /// Open and verify.
    pub previous: &'a [Zeroizing<[u8; 32]>],
}

impl AuthorizationServer {
    /// Checks the configuration; no I/O. `facts` is where codes and refreshes are kept apart: what all
    /// instances share, or one instance's memory.
    ///
    /// # Errors
    /// [`ConfigError`] says what to change.
    pub fn new(
        config: AuthorizationServerConfig,
        keys: &EncryptionKeys<'_>,
        facts: Arc<dyn FactStore>,
        client: reqwest::Client,
    ) -> Result<Self, ConfigError> {
        let prefix = config.prefix()?;
        let origin = Url::parse(&config.issuer).map(|url| url.origin().ascii_serialization());
        let keys = Arc::new(Keys::new(
            keys.current,
            keys.previous,
            &config.issuer,
            &config.resource,
        ));
        let assertion_issuers = AssertionIssuers::new(&config, &client)?;
        let named = config.assertion_issuers.iter();
        let known = ClientsConfig {
            configured: config.clients.clone(),
            named: named.flat_map(|issuer| issuer.clients.clone()).collect(),
            scopes: config.scopes.clone(),
            issuer: config.issuer.clone(),
            token_endpoint: format!("{}/token", config.issuer),
            documents: config.client_documents.clone(),
        };
        let clients = Clients::new(known, Arc::clone(&keys), Arc::clone(&facts))?;
        let observer = config.observer.clone();
        let provider = Provider::new(config.provider.clone(), client, observer)?;
        Ok(Self {
            inner: Arc::new(Inner {
                clients,
                assertion_issuers,
                provider,
                cookies: Cookies::new(&config.issuer),
                origin: origin.unwrap_or_default(),
                used_states: Cache::builder()
                    .max_capacity(STATES)
                    .time_to_live(PATIENCE)
                    .build(),
                redemptions: Semaphore::new(REDEMPTIONS),
                kept_told: LogThrottle::default(),
                callback: format!("{}/callback", config.issuer),
                metadata: metadata::render(&config),
                jwks: keys.jwks().to_string().into(),
                prefix,
                config,
                keys,
                facts,
            }),
        })
    }

    /// The paths it answers on, each from the root of its host.
    pub fn paths(&self) -> Vec<String> {
        let prefix = &self.inner.prefix;
        let mut paths: Vec<String> = ENDPOINTS
            .iter()
            .map(|path| format!("{prefix}{path}"))
            .collect();
        for known in WELL_KNOWN {
            // RFC 8414 section 3.1 puts it before the path; some clients take the resource for the
            // issuer, and OpenID Connect puts it behind.
            let resource = format!("{prefix}/mcp");
            for path in [
                (*known).to_owned(),
                format!("{known}{prefix}"),
                format!("{known}{resource}"),
                format!("{prefix}{known}"),
                format!("{resource}{known}"),
            ] {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths
    }

    /// What verifies its access tokens, by the keys it has: an issuer like any other. Previous keys are
    /// among them.
    pub fn issuer(&self) -> IssuerConfig {
        let config = &self.inner.config;
        let mut issuer = IssuerConfig::new(&config.issuer, [&config.resource]);
        issuer.resources_below = config.resource_below.map(|_| config.resource.clone());
        issuer.jwks = Some(String::from_utf8_lossy(&self.inner.jwks).into_owned());
        issuer.algorithms = vec!["EdDSA".to_owned()];
        issuer.service_principals = config.grant_types().contains(&CLIENT_CREDENTIALS);
        issuer
            .organization_claim
            .clone_from(&config.organization_claim);
        issuer
    }

    /// Opens what its access tokens hold of the provider's.
    pub fn opener(&self) -> Arc<dyn GrantOpener> {
        let inner = &self.inner;
        let purpose = format!("{} {}", inner.provider.issuer(), inner.config.upstream);
        let digest = digest_of(&purpose);
        let target = digest.first_chunk().copied().unwrap_or_default();
        Arc::new(Opener {
            target: u64::from_be_bytes(target),
            keys: Arc::clone(&self.inner.keys),
            facts: Arc::clone(&self.inner.facts),
        })
    }

    /// Answers a request for one of its [paths](Self::paths).
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        self.handle_at(request, SystemTime::now()).await
    }

    /// The same at another time. What was begun is finished also when the client goes away meanwhile: a
    /// provider that was asked for the next tokens has used the old ones up.
    pub async fn handle_at(&self, request: Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.answer(request, now).await };
        let answered = run_to_end(work, || {}).await;
        answered.unwrap_or_else(|| {
            let text = "an error of this server";
            OAuthError::unavailable(text, Duration::from_secs(2)).into_response()
        })
    }
}

impl fmt::Debug for AuthorizationServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationServer")
            .field("issuer", &self.inner.config.issuer)
            .finish_non_exhaustive()
    }
}

/// States that are remembered as used, and codes that are redeemed at one time.
const STATES: u64 = 20_000;
const REDEMPTIONS: usize = 32;

const ENDPOINTS: &[&str] = &[
    "/authorize",
    "/callback",
    "/token",
    "/register",
    "/revoke",
    "/jwks.json",
];

const WELL_KNOWN: &[&str] = &[
    "/.well-known/oauth-authorization-server",
    "/.well-known/openid-configuration",
];

impl Inner {
    async fn answer(self: &Arc<Self>, request: Request<Bytes>, now: SystemTime) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let (method, headers) = (&parts.method, &parts.headers);
        let query = parts.uri.query().unwrap_or_default();
        let path = parts.uri.path();
        let path = path.strip_prefix(&*self.prefix).unwrap_or(path);
        let is_read = matches!(*method, Method::GET | Method::HEAD);
        let is_options = *method == Method::OPTIONS;
        let mut response = match path {
            "/authorize" if is_read => self.authorize(headers, query, now).await,
            "/authorize" if *method == Method::POST => self.decide(headers, &body, now).await,
            "/authorize" => method_not_allowed("GET, POST"),
            "/callback" if *method == Method::GET => self.callback(headers, query, now).await,
            "/callback" => method_not_allowed("GET"),
            "/token" | "/register" | "/revoke" if is_options => preflight("POST"),
            "/token" | "/register" | "/revoke" if *method != Method::POST => {
                method_not_allowed("POST, OPTIONS")
            }
            "/token" => self.token(headers, &body, now).await,
            "/revoke" => self.revoke(headers, &body, now).await,
            "/register" => self.register(&body, now),
            _ if is_options => preflight("GET"),
            _ if !is_read => method_not_allowed("GET, OPTIONS"),
            "/jwks.json" => document(self.jwks.clone()),
            _ => document(self.metadata.clone()),
        };
        if let Some(operation) = operation(method, path, &body) {
            self.config.observer.answered(operation, &mut response);
        }
        response
    }

    fn register(&self, body: &[u8], now: SystemTime) -> Response<Bytes> {
        if !self.config.dynamic_registration {
            let text = "this server registers no clients; use a client id metadata document";
            return OAuthError::invalid_request(text).into_response();
        }
        match self.clients.register(body, now) {
            Ok(registered) => json_answer(StatusCode::CREATED, registered),
            Err(RegistrationError::Unavailable) => {
                let text = RegistrationError::Unavailable.description().to_owned();
                OAuthError::unavailable(text, Duration::from_secs(2)).into_response()
            }
            Err(error) => {
                let body = json!({"error": error.code(), "error_description": error.description()});
                let answer = json_answer(StatusCode::BAD_REQUEST, body.to_string());
                refused(error.code(), answer)
            }
        }
    }

    /// The scopes that are meant, sorted: all, where none are named. What is asked for and not known is
    /// left out, as long as something is left.
    pub(crate) fn scopes_of(
        &self,
        asked: Option<&str>,
        registered: Option<&str>,
    ) -> Result<Vec<String>, Refused> {
        let is_known = |name: &str| self.config.scopes.iter().any(|scope| scope.name == name);
        let registered: Vec<&str> = registered.unwrap_or_default().split(' ').collect();
        let limited = registered.iter().any(|name| is_known(name));
        let known = |name: &&str| is_known(name) && (!limited || registered.contains(name));
        let all = || self.config.scopes.iter().map(|scope| scope.name.clone());
        let asked = asked
            .unwrap_or_default()
            .split(' ')
            .filter(|it| !it.is_empty());
        let asked: Vec<&str> = asked.filter(|name| *name != OFFLINE_ACCESS).collect();
        let mut scopes: Vec<String> = if asked.is_empty() {
            all().filter(|name| known(&name.as_str())).collect()
        } else {
            asked
                .into_iter()
                .filter(known)
                .map(ToOwned::to_owned)
                .collect()
        };
        if scopes.is_empty() && !self.config.scopes.is_empty() {
            let names: Vec<String> = all().collect();
            let text = format!(
                "none of the scopes is known here; there are: {}",
                names.join(" ")
            );
            return Err(Refused::new("invalid_scope", text));
        }
        scopes.sort();
        scopes.dedup();
        Ok(scopes)
    }

    /// What scopes mean to people.
    pub(crate) fn meanings(&self, scopes: &[String]) -> Vec<&str> {
        let granted = self
            .config
            .scopes
            .iter()
            .filter(|scope| scopes.contains(&scope.name));
        granted.map(|scope| scope.meaning.as_str()).collect()
    }

    /// Whether a resource that is named is this server's.
    pub(crate) fn is_ours(&self, named: &str) -> bool {
        let named = named.trim_end_matches('/');
        named == self.config.resource.trim_end_matches('/') || named == self.config.issuer
    }

    pub(crate) fn is_denied(
        &self,
        subject: &str,
        organization: Option<&str>,
        client: &str,
        logged_in_at: SystemTime,
    ) -> bool {
        let grant = GrantOf {
            subject,
            organization,
            client,
            logged_in_at,
        };
        let denied = self.config.denied.as_ref();
        denied.is_some_and(|denied| denied.is(&grant))
    }
}
