//! What an authorization server is told at start.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use mcp_outbound::{GuardedClient, is_secure};
use url::Url;

use crate::{
    assertion_issuers::{AssertionIssuerConfig, AssertionIssuerError},
    clients::{ClientConfig, ClientConfigError},
    observe::Observer,
    provider::{ProviderConfig, ProviderConfigError},
};

/// Grant types.
pub(crate) const AUTHORIZATION_CODE: &str = "authorization_code";
pub(crate) const REFRESH_TOKEN: &str = "refresh_token";
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7523 section 2.1. This server takes identity assertions by it alone.
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// An authorization server for one resource.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AuthorizationServerConfig {
    /// Its identifier (RFC 8414 section 2), and what its endpoints are below: `https`, without a slash
    /// at its end.
    pub issuer: String,
    /// The resource that its tokens are for (RFC 8707).
    pub resource: String,
    /// Says whether what follows the resource and a slash is a resource below it that tokens may be for,
    /// too: `acme`, or `acme/web`. Its first name is an organization, and its tokens are for nobody else.
    /// `None` by default: there is none.
    pub resource_below: Option<fn(&str) -> bool>,
    /// What people know the service by, on the consent page.
    pub service_name: String,
    /// What may be asked for. Without a `scope` in a request, all of it.
    pub scopes: Vec<Scope>,
    /// Who logs people in.
    pub provider: ProviderConfig,
    /// The clients that are known by configuration.
    pub clients: Vec<ClientConfig>,
    /// Whose word is taken for a user without a login here; nobody's by default.
    pub assertion_issuers: Vec<AssertionIssuerConfig>,
    /// Whether any client may register itself (RFC 7591). `true` by default.
    pub dynamic_registration: bool,
    /// Fetches the documents of clients whose id is the address of their metadata; without it there are
    /// none.
    pub client_documents: Option<GuardedClient>,
    /// How long an access token lives at most; it never outlives the provider's. One hour by default.
    pub access_token_lifetime: Duration,
    /// For how long a refresh token may lie unused. 30 days by default.
    pub refresh_token_idle: Duration,
    /// After which the user is asked to log in again, however active. 90 days by default.
    pub grant_lifetime: Duration,
    /// For how long a refresh token that was used gives the same answer again: for those who lost it.
    /// One minute by default.
    pub refresh_grace: Duration,
    /// The claim that names the organization in access tokens. `org_id` by default.
    pub organization_claim: String,
    /// What the provider's tokens are used for, such as the address of an API: what was opened for one is
    /// used for no other.
    pub upstream: String,
    /// Who gets no tokens any more.
    pub denied: Option<Denied>,
    /// Is told what happens, for metrics.
    pub observer: Observer,
}

/// Says whether somebody is no longer let in.
#[derive(Clone)]
pub struct Denied(Arc<dyn Fn(&GrantOf<'_>) -> bool + Send + Sync>);

/// Whose grant it is that tokens are wanted for.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct GrantOf<'a> {
    /// The user, as the provider names it: `sub` in the access token.
    pub subject: &'a str,
    /// The organization.
    pub organization: Option<&'a str>,
    /// The client: `client_id` in the access token.
    pub client: &'a str,
    /// When the user logged in, or another server vouched for them; now, for a client without a user.
    pub logged_in_at: SystemTime,
}

impl Denied {
    /// Asked whenever tokens are given out.
    pub fn new(denied: impl Fn(&GrantOf<'_>) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(denied))
    }

    pub(crate) fn is(&self, grant: &GrantOf<'_>) -> bool {
        (self.0)(grant)
    }
}

impl fmt::Debug for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Denied")
    }
}

/// A right that a client may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// As in RFC 6749 section 3.3.
    pub name: String,
    /// What it allows, for people: "Read your projects".
    pub meaning: String,
}

/// Settings that no authorization server can work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The issuer is no URL that people can be sent to safely.
    #[error(
        "the issuer `{0}` has to be an https URL without query, fragment and slash at its end (http on this machine)"
    )]
    Issuer(String),
    /// The provider cannot be used so.
    #[error(transparent)]
    Provider(#[from] ProviderConfigError),
    /// A client cannot be used so.
    #[error(transparent)]
    Client(#[from] ClientConfigError),
    /// An issuer of assertions cannot be trusted so.
    #[error(transparent)]
    AssertionIssuer(#[from] AssertionIssuerError),
}

impl AuthorizationServerConfig {
    /// How long a login holds at most, where nothing else is said.
    pub const GRANT_LIFETIME: Duration = Duration::from_hours(90 * 24);

    /// An authorization server with the defaults.
    pub fn new(
        issuer: impl Into<String>,
        resource: impl Into<String>,
        provider: ProviderConfig,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            resource: resource.into(),
            resource_below: None,
            service_name: "This service".to_owned(),
            scopes: Vec::new(),
            provider,
            clients: Vec::new(),
            assertion_issuers: Vec::new(),
            dynamic_registration: true,
            client_documents: None,
            access_token_lifetime: Duration::from_hours(1),
            refresh_token_idle: Duration::from_hours(30 * 24),
            grant_lifetime: Self::GRANT_LIFETIME,
            refresh_grace: Duration::from_mins(1),
            organization_claim: "org_id".to_owned(),
            upstream: String::new(),
            denied: None,
            observer: Observer::default(),
        }
    }

    /// The grant types that there are (RFC 6749 section 4).
    pub(crate) fn grant_types(&self) -> Vec<&'static str> {
        let mut grant_types = vec![AUTHORIZATION_CODE, REFRESH_TOKEN];
        if self.clients.iter().any(|client| client.service.is_some()) {
            grant_types.push(CLIENT_CREDENTIALS);
        }
        if !self.assertion_issuers.is_empty() {
            grant_types.push(JWT_BEARER);
        }
        grant_types
    }

    /// For how long an encryption key has to open after another took its place: clients hold what it
    /// sealed. One that registered itself has its id of it, and is to hear that nobody knows it only when
    /// its login is over anyway.
    pub fn keys_needed_for(&self) -> Duration {
        if self.dynamic_registration {
            self.grant_lifetime.max(self.refresh_token_idle)
        } else {
            self.refresh_token_idle.min(self.grant_lifetime)
        }
    }

    /// The issuer's path, without a slash at its end.
    pub(crate) fn prefix(&self) -> Result<String, ConfigError> {
        let problem = || ConfigError::Issuer(self.issuer.clone());
        let url = Url::parse(&self.issuer).map_err(|_| problem())?;
        let plain = is_secure(&url)
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && !self.issuer.ends_with('/');
        let path = url.path().trim_end_matches('/').to_owned();
        if plain { Ok(path) } else { Err(problem()) }
    }
}

/// What is wrong with the scopes that somebody may have, if something is: each has to be known, and where
/// there are scopes, somebody with none of them could do nothing.
pub(crate) fn scopes_problem(allowed: &[String], known: &[Scope]) -> Option<String> {
    let is_known = |name: &&String| known.iter().any(|scope| scope.name == **name);
    let names: Vec<_> = known.iter().map(|scope| scope.name.as_str()).collect();
    if let Some(unknown) = allowed.iter().find(|name| !is_known(name)) {
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(" ")
        };
        return Some(format!("there is no scope {unknown:?}; there are: {names}"));
    }
    let lacks = allowed.is_empty() && !known.is_empty();
    lacks.then(|| format!("it has no scopes; there are: {}", names.join(" ")))
}
