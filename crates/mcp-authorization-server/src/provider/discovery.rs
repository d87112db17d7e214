//! Where a provider's endpoints and keys are: as configured, or as its metadata says (OpenID Connect
//! Discovery, RFC 8414), which is kept while nothing better is to be had.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mcp_auth::IdTokens;
use mcp_outbound::{LogThrottle, is_issuer, is_secure, metadata_urls};
use reqwest::Client;
use serde_json::{Map, Value};
use tokio::sync::OwnedMutexGuard;
use url::Url;

use super::{
    ask::ask,
    asked,
    config::{ProviderConfig, ProviderConfigError, ProviderEndpoints, secure},
    error::{ProviderError, RETRY_AFTER, Trouble},
    outcome_of,
};
use crate::observe::Observer;

/// The addresses of a provider.
#[derive(Debug)]
pub(super) struct Endpoints {
    pub(super) authorization: Url,
    pub(super) token: Url,
    pub(super) userinfo: Option<Url>,
    pub(super) revocation: Option<Url>,
    /// Whether its redirects name it (RFC 9207 section 3).
    pub(super) names_itself: bool,
    /// Absent where it speaks plain OAuth.
    pub(super) id_tokens: Option<Keys>,
}

/// Whose keys sign ID tokens, and where they are.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) uri: Url,
    pub(super) verifier: Arc<IdTokens>,
}

impl Endpoints {
    /// Those of a provider without metadata.
    pub(super) fn configured(places: &ProviderEndpoints) -> Result<Self, ProviderConfigError> {
        let revocation = places.revocation.as_deref();
        let revocation = revocation.map(|it| secure("revocation endpoint", it));
        Ok(Self {
            authorization: secure("authorization endpoint", &places.authorization)?,
            token: secure("token endpoint", &places.token)?,
            userinfo: Some(secure("userinfo endpoint", &places.userinfo)?),
            revocation: revocation.transpose()?,
            names_itself: false,
            id_tokens: None,
        })
    }
}

/// The metadata of one issuer, found once for all who wait.
#[derive(Debug)]
pub(super) struct Discovery {
    issuer: Url,
    /// As it is configured, and as its ID tokens have to say.
    named: String,
    client_id: String,
    hosts: Vec<String>,
    client: Client,
    timeout: Duration,
    /// Age at which metadata is asked for anew, while logins go on with it. 10 minutes.
    pub(super) fresh_for: Duration,
    found: Mutex<Option<Found>>,
    /// Holding this lock is the right to ask.
    asking: Arc<tokio::sync::Mutex<Option<Failed>>>,
    observer: Observer,
    told: LogThrottle,
}

#[derive(Debug, Clone)]
struct Found {
    endpoints: Arc<Endpoints>,
    asked_at: Instant,
}

#[derive(Debug)]
struct Failed {
    at: Instant,
    error: ProviderError,
}

impl Discovery {
    pub(super) fn new(
        config: &ProviderConfig,
        named: &str,
        client: Client,
        observer: Observer,
    ) -> Result<Self, ProviderConfigError> {
        Ok(Self {
            issuer: secure("issuer", named)?,
            named: named.to_owned(),
            client_id: config.client_id.clone(),
            hosts: config.hosts.clone(),
            client,
            timeout: config.timeout,
            fresh_for: Duration::from_mins(10),
            found: Mutex::default(),
            asking: Arc::default(),
            observer,
            told: LogThrottle::default(),
        })
    }

    /// The endpoints; asked for where there are none, and again behind the login's back where they
    /// have aged.
    pub(super) async fn endpoints(self: &Arc<Self>) -> Result<Arc<Endpoints>, ProviderError> {
        let now = Instant::now();
        match self.at_hand() {
            Some(found) if now < found.asked_at + self.fresh_for => Ok(found.endpoints),
            Some(found) => {
                // Somebody who holds the lock is asking already.
                if let Ok(state) = Arc::clone(&self.asking).try_lock_owned()
                    && recent(state.as_ref(), now).is_none()
                {
                    tokio::spawn(Arc::clone(self).look(state));
                }
                Ok(found.endpoints)
            }
            None => {
                let state = Arc::clone(&self.asking).lock_owned().await;
                if let Some(found) = self.at_hand() {
                    return Ok(found.endpoints);
                }
                if let Some(error) = recent(state.as_ref(), now) {
                    return Err(error);
                }
                // In its own task: whoever goes away takes nobody else's answer along.
                let looked = tokio::spawn(Arc::clone(self).look(state)).await;
                looked.unwrap_or_else(|_| Err(Trouble::Unreadable.now()))
            }
        }
    }

    /// What the metadata says now, and all of it; nothing is kept.
    pub(super) async fn once(&self) -> Result<(Arc<Endpoints>, Map<String, Value>), ProviderError> {
        let metadata = self.find().await?;
        let endpoints = self.read(&metadata)?;
        Ok((Arc::new(endpoints), metadata))
    }

    fn at_hand(&self) -> Option<Found> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.clone()
    }

    async fn look(
        self: Arc<Self>,
        mut state: OwnedMutexGuard<Option<Failed>>,
    ) -> Result<Arc<Endpoints>, ProviderError> {
        let asked_at = Instant::now();
        let looked = self.find().await;
        let looked = looked.and_then(|metadata| self.read(&metadata).map(Arc::new));
        self.observer
            .tell(asked("metadata", outcome_of(&looked), asked_at));
        match &looked {
            Ok(endpoints) => {
                *state = None;
                let endpoints = Arc::clone(endpoints);
                let found = Some(Found {
                    endpoints,
                    asked_at,
                });
                *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
            }
            Err(error) => {
                *state = Some(Failed {
                    at: Instant::now(),
                    error: error.clone(),
                });
                if self.told.pass().is_some() {
                    let issuer = &self.named;
                    tracing::error!(issuer, %error, "the provider's metadata cannot be used");
                }
            }
        }
        looked
    }

    /// The metadata. OpenID Connect's own place first: only there all that is needed is sure to be.
    async fn find(&self) -> Result<Map<String, Value>, ProviderError> {
        let mut outcome = None;
        let mut absent = 404;
        for url in metadata_urls(&self.named).into_iter().rev() {
            let reply = ask(self.client.get(url), self.timeout).await?;
            let failed = match (reply.status, reply.object()) {
                (200, Some(metadata)) => match self.is_of_this_issuer(&metadata) {
                    Ok(()) => return Ok(metadata),
                    Err(error) => error,
                },
                (200, None) => Trouble::Unreadable.now(),
                (429, _) => Trouble::Busy.for_a(reply.retry_after),
                (status @ 500.., _) => Trouble::Status(status).for_a(reply.retry_after),
                (status, _) => {
                    absent = status;
                    continue;
                }
            };
            outcome.get_or_insert(failed);
        }
        Err(outcome.unwrap_or_else(|| {
            ProviderError::Misconfigured(format!(
                "there is no metadata where the provider's issuer says (status {absent}): check the \
                 issuer"
            ))
        }))
    }

    /// The names have to be equal as texts (OpenID Connect Discovery section 4.3).
    fn is_of_this_issuer(&self, metadata: &Map<String, Value>) -> Result<(), ProviderError> {
        let named = text(metadata, "issuer").unwrap_or_default();
        if named == self.named {
            return Ok(());
        }
        let what_to_do = if named.contains("{tenantid}") {
            "it stands for all tenants of Entra: configure the issuer of one, with its id"
                .to_owned()
        } else if is_issuer(named) {
            format!("if it is the one you mean, configure it as {named}")
        } else {
            "check the issuer".to_owned()
        };
        Err(ProviderError::Misconfigured(format!(
            "the provider's metadata names another issuer than {}: {what_to_do}",
            self.named
        )))
    }

    fn read(&self, metadata: &Map<String, Value>) -> Result<Endpoints, ProviderError> {
        let needed = |name: &'static str| {
            let placed = self.placed(metadata, name)?;
            placed.ok_or_else(|| {
                ProviderError::Misconfigured(format!(
                    "the provider's metadata has no {name} that is an https URL"
                ))
            })
        };
        // What a login does without may be anywhere: it is not used there.
        let optional = |name: &'static str| {
            let placed = self.placed(metadata, name);
            placed.unwrap_or_else(|error| {
                tracing::warn!(issuer = self.named, %error, "an endpoint of the provider is not used");
                None
            })
        };
        let promised = metadata.get("authorization_response_iss_parameter_supported");
        Ok(Endpoints {
            authorization: needed("authorization_endpoint")?,
            token: needed("token_endpoint")?,
            id_tokens: Some(self.keys_at(needed("jwks_uri")?)?),
            userinfo: optional("userinfo_endpoint"),
            revocation: optional("revocation_endpoint"),
            names_itself: promised.and_then(Value::as_bool).unwrap_or_default(),
        })
    }

    /// The verifier that is at work already, unless the keys have moved.
    fn keys_at(&self, uri: Url) -> Result<Keys, ProviderError> {
        let known = self.at_hand();
        let known = known.and_then(|found| found.endpoints.id_tokens.clone());
        if let Some(known) = known.filter(|known| known.uri == uri) {
            return Ok(known);
        }
        let (issuer, client_id) = (self.named.as_str(), self.client_id.as_str());
        let verifier = IdTokens::new(issuer, client_id, Some(uri.as_str()), self.client.clone());
        let verifier = verifier.map_err(|error| ProviderError::Misconfigured(error.to_string()))?;
        Ok(Keys {
            uri,
            verifier: Arc::new(verifier),
        })
    }

    /// An address in the metadata: on the issuer's own host and port, or on a host that is named, or a
    /// document under somebody else's control could point this server, with its secrets, anywhere.
    fn placed(
        &self,
        metadata: &Map<String, Value>,
        name: &'static str,
    ) -> Result<Option<Url>, ProviderError> {
        let url = text(metadata, name).and_then(|text| Url::parse(text).ok());
        let Some(url) = url.filter(is_secure) else {
            return Ok(None);
        };
        let is_own = place(&url) == place(&self.issuer);
        if is_own || self.hosts.iter().any(|host| is_on(host, &url)) {
            return Ok(Some(url));
        }
        let (host, _) = place(&url);
        Err(ProviderError::Misconfigured(format!(
            "the provider's {name} is on another host ({}): if that is meant, name it in the \
             provider's hosts",
            host.unwrap_or_default()
        )))
    }
}

/// A failure of a moment ago, or of while this login waited, is an answer to it, too.
fn recent(failed: Option<&Failed>, arrived: Instant) -> Option<ProviderError> {
    let failed = failed.filter(|failed| arrived < failed.at + RETRY_AFTER)?;
    Some(failed.error.clone())
}

fn text<'m>(metadata: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    metadata.get(name).and_then(Value::as_str)
}

fn place(url: &Url) -> (Option<&str>, Option<u16>) {
    (url.host_str(), url.port_or_known_default())
}

/// Whether a URL is on a host that is named so: `name`, `name:port`, or `.name` for all below it.
fn is_on(named: &str, url: &Url) -> bool {
    let named = named.to_ascii_lowercase();
    let (Some(host), port) = (url.host_str(), url.port()) else {
        return false;
    };
    if let Some(port) = port {
        return named == format!("{host}:{port}");
    }
    // A dot in front: at least one more label, which a suffix of the text alone would not say.
    named == host || (named.starts_with('.') && host.len() > named.len() && host.ends_with(&named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_whole_with_its_port_or_as_all_below() {
        for (named, url, expected) in [
            ("keys.test", "https://keys.test/k", true),
            ("Keys.test", "https://keys.test:443/k", true),
            ("keys.test", "https://keys.test:8443/k", false),
            ("keys.test:8443", "https://keys.test:8443/k", true),
            ("keys.test", "https://evil-keys.test/k", false),
            ("keys.test", "https://a.keys.test/k", false),
            (".keys.test", "https://a.keys.test/k", true),
            (".keys.test", "https://a.b.keys.test/k", true),
            (".keys.test", "https://keys.test/k", false),
            (".keys.test", "https://evilkeys.test/k", false),
            (".keys.test", "https://a.keys.test:8443/k", false),
            ("", "https://keys.test/k", false),
        ] {
            let url = Url::parse(url).unwrap();
            assert_eq!(is_on(named, &url), expected, "{named} {url}");
        }
    }
}
