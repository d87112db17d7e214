//! [`Clients`]: who may ask for tokens, and how they prove who they are.
//!
//! A client is found by its id alone, on every instance: an operator configured it, or the id is the
//! address of a document in which it describes itself, or the id *is* its registration, sealed. Nothing
//! about a client is stored.

mod assertion;
mod authentication;
mod client;
mod configured;
mod document;
mod fields;
mod kept;
mod redirect;
mod registration;

use std::{borrow::Cow, collections::HashMap, sync::Arc, time::SystemTime};

use http::HeaderMap;
use mcp_auth::AssertionKeys;
use mcp_outbound::{GuardedClient, Reach};
use mcp_session::FactStore;
use url::Url;

pub(crate) use self::kept::Asker;
use self::{assertion::Used, authentication::Presented, client::MAX_ID, kept::Kept};
use crate::{config::Scope, form::Form, grant::Grant, keys::Keys, request::digest_text};

pub use self::configured::{ClientConfig, ClientConfigError, ServiceConfig};
pub(crate) use self::{
    client::{Client, ClientAuthentication, ClientKind},
    redirect::{Redirect, RedirectKind},
    registration::RegistrationError,
};
#[cfg(any(fuzzing, test))]
pub(crate) use self::{
    document::parse as parse_document,
    redirect::{check as check_redirect, find as find_redirect},
};

/// Why a client is not served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClientError {
    /// There is no such client, or its registration was sealed with a key that is gone: it has to register
    /// again. `invalid_client`; for a browser a page, and never a redirect.
    #[error("there is no client with this client_id")]
    Unknown,
    /// What it says about itself cannot be taken. As above; the sentence is for its developer.
    #[error("the client cannot be used: {0}")]
    Refused(Cow<'static, str>),
    /// It did not prove who it is. `invalid_client`, with status 401 and a challenge where it tried HTTP
    /// Basic (RFC 6749 section 5.2).
    #[error("{0}")]
    NotAuthenticated(&'static str),
    /// The request cannot be read. `invalid_request`.
    #[error("{0}")]
    Request(&'static str),
    /// Too many clients are looked up just now, by their documents. As below.
    #[error("too many clients are being looked up just now; try again in a moment")]
    Busy,
    /// Nobody can tell now, and later somebody can: `temporarily_unavailable`, with status 503.
    #[error("what is needed to know the client cannot be reached")]
    Unavailable,
}

/// What the clients are known by.
pub(crate) struct ClientsConfig {
    /// Those that an operator named.
    pub(crate) configured: Vec<ClientConfig>,
    /// Those that issuers of assertions name, by their ids.
    pub(crate) named: Vec<String>,
    /// All scopes that there are.
    pub(crate) scopes: Vec<Scope>,
    /// Our own issuer identifier, and the address of the token endpoint: an assertion is for either.
    pub(crate) issuer: String,
    pub(crate) token_endpoint: String,
    /// Fetches the documents in which clients describe themselves; none, and there are no such clients.
    pub(crate) documents: Option<GuardedClient>,
}

/// A client that proved who it is.
pub(crate) struct Proven {
    pub(crate) client: Arc<Client>,
    assertion: Option<Used>,
}

impl Proven {
    /// Whether it did so by something that is good once.
    pub(crate) fn once(&self) -> bool {
        self.assertion.is_some()
    }
}

/// Every client there is.
pub(crate) struct Clients {
    configured: HashMap<String, Arc<Client>>,
    keys: Arc<Keys>,
    /// Where assertions are seen to be used once.
    facts: Arc<dyn FactStore>,
    audiences: [String; 2],
    reach: Reach,
    documents: Option<Kept<Client>>,
    key_sets: Option<Kept<AssertionKeys>>,
}

impl Clients {
    /// # Errors
    /// For a configured client that could never be used.
    pub(crate) fn new(
        config: ClientsConfig,
        keys: Arc<Keys>,
        facts: Arc<dyn FactStore>,
    ) -> Result<Self, ClientConfigError> {
        let reach = config.documents.as_ref().map(GuardedClient::reach);
        let documents = config.documents.clone();
        Ok(Self {
            configured: configured::clients(config.configured, &config.named, &config.scopes)?,
            keys,
            facts,
            audiences: [config.issuer, config.token_endpoint],
            reach: reach.unwrap_or(Reach::Public),
            documents: documents.map(|client| Kept::new(client, document::parse)),
            key_sets: config.documents.map(|client| Kept::new(client, key_set)),
        })
    }

    /// The client with this id.
    pub(crate) async fn find(
        &self,
        client_id: &str,
        asker: Asker,
        now: SystemTime,
    ) -> Result<Arc<Client>, ClientError> {
        if let Some(client) = self.configured.get(client_id) {
            return Ok(Arc::clone(client));
        }
        if client_id.len() > MAX_ID {
            return Err(ClientError::Unknown);
        }
        if !document::is_address(client_id) {
            return self.registered(client_id).map(Arc::new);
        }
        let documents = self.documents.as_ref().ok_or(ClientError::Unknown)?;
        let url = document::client_id(client_id, self.reach)
            .map_err(|problem| ClientError::Refused(problem.into()))?;
        documents.get(&url, asker, now).await
    }

    /// The client that proves itself in a request to the token or the revocation endpoint.
    pub(crate) async fn authenticate(
        &self,
        headers: &HeaderMap,
        form: &Form,
        now: SystemTime,
    ) -> Result<Proven, ClientError> {
        let presented = Presented::parse(headers, form)?;
        let asker = self.asker(&presented, form);
        let client = self.find(presented.client_id(), asker, now).await?;
        let assertion = self.check(&client, &presented, asker, now).await?;
        Ok(Proven { client, assertion })
    }

    /// A refresh token, or one to be revoked, that was given to this client tells it from strangers.
    fn asker(&self, presented: &Presented, form: &Form) -> Asker {
        let token = form.get("refresh_token").or_else(|| form.get("token"));
        let grant = token.and_then(|token| Grant::open(&self.keys, token).ok());
        match grant {
            Some(grant) if grant.client == digest_text(presented.client_id()) => Asker::Holder,
            _ => Asker::Anybody,
        }
    }

    /// Uses the client's assertion up, if it proved itself by one. To be asked once what it wants is seen
    /// to be its own: strangers, who are clients if they want to be, leave nothing in the store.
    pub(crate) async fn use_up(&self, proven: &Proven) -> Result<(), ClientError> {
        match &proven.assertion {
            Some(used) => self.use_once(&proven.client.id, used).await,
            None => Ok(()),
        }
    }
}

fn key_set(_: &Url, body: &[u8]) -> Result<AssertionKeys, Cow<'static, str>> {
    AssertionKeys::parse(body).map_err(|problem| format!("its jwks_uri: {problem}").into())
}

#[cfg(test)]
mod tests;
