//! [`ClientConfig`]: clients that an operator names.

use std::{collections::HashMap, fmt, sync::Arc};

use mcp_auth::AssertionKeys;
use serde_json::Value;
use zeroize::Zeroizing;

use super::{
    client::{Client, ClientAuthentication, ClientKind, MAX_ID, PublishedKeys, Secret},
    redirect,
};
use crate::{
    config::{AUTHORIZATION_CODE, REFRESH_TOKEN, Scope, scopes_problem},
    keys::digest_of,
};

/// Shortest secret, in bytes: a client may guess as often as the limits of the endpoint allow.
const MIN_SECRET: usize = 16;

/// A client that is known without a document and without registration.
#[derive(Clone, Default)]
pub struct ClientConfig {
    /// Its `client_id`, of at most 1,024 printable ASCII characters.
    pub id: String,
    /// Its secret, of 16 bytes or more. None: a client without one, or with keys.
    pub secret: Option<Zeroizing<String>>,
    /// What users are shown.
    pub name: Option<String>,
    /// Where it may be sent back to: compared as text, except for the port of `http` to this computer.
    /// None: nobody logs in with it.
    pub redirect_uris: Vec<String>,
    /// Its public keys, a JWK set: it proves itself by `private_key_jwt`.
    pub jwks: Option<Value>,
    /// What it gets tokens for without a user; none: it does not.
    pub service: Option<ServiceConfig>,
}

/// What a client gets tokens for without a user (RFC 6749 section 4.4).
#[derive(Clone)]
pub struct ServiceConfig {
    /// The organization that it works for.
    pub organization: String,
    /// The scopes that it may ask for.
    pub scopes: Vec<String>,
    /// What the upstream API is called with for it.
    pub api_token: Zeroizing<String>,
}

/// A configured client that could never be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("client {id:?}: {problem}")]
pub struct ClientConfigError {
    id: String,
    problem: String,
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = self.secret.as_ref().map(|_| "[redacted]");
        f.debug_struct("ClientConfig")
            .field("id", &self.id)
            .field("secret", &secret)
            .field("name", &self.name)
            .field("redirect_uris", &self.redirect_uris)
            .field("jwks", &self.jwks.is_some())
            .field("service", &self.service)
            .finish()
    }
}

impl fmt::Debug for ServiceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceConfig")
            .field("organization", &self.organization)
            .field("scopes", &self.scopes)
            .field("api_token", &"[redacted]")
            .finish()
    }
}

/// The clients by their ids. `named` are those that issuers of assertions name.
pub(super) fn clients(
    configured: Vec<ClientConfig>,
    named: &[String],
    scopes: &[Scope],
) -> Result<HashMap<String, Arc<Client>>, ClientConfigError> {
    let mut clients = HashMap::new();
    for config in configured {
        let id = config.id.clone();
        let error = |problem: String| ClientConfigError {
            id: id.clone(),
            problem,
        };
        let client = client(config, named.contains(&id), scopes).map_err(error)?;
        if clients.insert(id.clone(), Arc::new(client)).is_some() {
            return Err(error("it is configured twice".to_owned()));
        }
    }
    Ok(clients)
}

fn client(config: ClientConfig, is_named: bool, scopes: &[Scope]) -> Result<Client, String> {
    let is_id = |id: &str| {
        (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|byte| (0x20..=0x7e).contains(&byte))
    };
    if !is_id(&config.id) {
        return Err(
            "its id is empty, too long, or has other characters than printable ASCII".into(),
        );
    }
    for uri in &config.redirect_uris {
        redirect::check(uri).map_err(|problem| format!("redirect URI {uri:?} {problem}"))?;
    }
    let without_login = is_named || config.service.is_some();
    let grant_types = match (config.redirect_uris.is_empty(), without_login) {
        (false, _) => vec![AUTHORIZATION_CODE.to_owned(), REFRESH_TOKEN.to_owned()],
        (true, true) => Vec::new(),
        (true, false) => return Err("it has no redirect URI".into()),
    };
    let authentication = authentication(config.secret, config.jwks)?;
    if without_login && matches!(authentication, ClientAuthentication::None) {
        return Err("without a secret or keys it gets no tokens without a login".into());
    }
    if let Some(service) = &config.service {
        check_service(service, scopes)?;
    }
    Ok(Client {
        authentication,
        id: config.id,
        name: config.name,
        kind: ClientKind::Configured,
        redirect_uris: config.redirect_uris,
        grant_types,
        scope: None,
        service: config.service.map(Arc::new),
    })
}

fn check_service(service: &ServiceConfig, scopes: &[Scope]) -> Result<(), String> {
    if service.organization.trim().is_empty() {
        return Err("it works for no organization".into());
    }
    if service.api_token.is_empty() {
        return Err("nothing says what the API is called with for it".into());
    }
    scopes_problem(&service.scopes, scopes).map_or(Ok(()), Err)
}

fn authentication(
    secret: Option<Zeroizing<String>>,
    jwks: Option<Value>,
) -> Result<ClientAuthentication, String> {
    match (secret, jwks) {
        (None, None) => Ok(ClientAuthentication::None),
        (Some(secret), None) if secret.len() < MIN_SECRET => {
            Err(format!("its secret is shorter than {MIN_SECRET} bytes"))
        }
        (Some(secret), None) => {
            let secret = Secret::Configured(digest_of(&secret));
            Ok(ClientAuthentication::Secret(secret))
        }
        (None, Some(jwks)) => {
            let keys = AssertionKeys::parse(jwks.to_string().as_bytes());
            let keys = keys.map_err(|problem| format!("its keys: {problem}"))?;
            let keys = PublishedKeys::Here(Arc::new(keys));
            Ok(ClientAuthentication::PrivateKeyJwt(keys))
        }
        (Some(_), Some(_)) => {
            Err("it has a secret and keys: it can prove itself in one way".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config() -> ClientConfig {
        ClientConfig {
            id: "dashboard".to_owned(),
            secret: Some(Zeroizing::new("a secret of some length".to_owned())),
            redirect_uris: vec!["https://a.test/cb".to_owned()],
            ..ClientConfig::default()
        }
    }

    #[test]
    fn a_configured_client_is_known_by_its_id() {
        let clients = clients(vec![config()], &[], &[]).unwrap();
        let client = &clients["dashboard"];
        assert_eq!(client.kind, ClientKind::Configured);
        assert!(client.may_use("refresh_token") && !client.may_use("password"));
        assert!(client.redirect(None).is_some());
    }

    #[test]
    fn a_client_that_could_never_be_used_is_refused_by_name() {
        let text = |text: &str| Some(Zeroizing::new(text.to_owned()));
        for (wrong, problem) in [
            (
                ClientConfig {
                    id: String::new(),
                    ..config()
                },
                "its id is empty",
            ),
            (
                ClientConfig {
                    id: "a\nb".to_owned(),
                    ..config()
                },
                "printable",
            ),
            (
                ClientConfig {
                    redirect_uris: Vec::new(),
                    ..config()
                },
                "no redirect URI",
            ),
            (
                ClientConfig {
                    redirect_uris: vec!["http://a.test/".to_owned()],
                    ..config()
                },
                "plain http",
            ),
            (
                ClientConfig {
                    secret: text("hunter2"),
                    ..config()
                },
                "shorter than 16",
            ),
            (
                ClientConfig {
                    jwks: Some(json!({"keys": []})),
                    ..config()
                },
                "one way",
            ),
            (
                ClientConfig {
                    secret: None,
                    jwks: Some(json!({"keys": []})),
                    ..config()
                },
                "its keys",
            ),
        ] {
            let error = clients(vec![wrong], &[], &[]).unwrap_err().to_string();
            assert!(
                error.contains(problem) && !error.contains("hunter2"),
                "{error}"
            );
        }
        let twice = clients(vec![config(), config()], &[], &[])
            .unwrap_err()
            .to_string();
        assert_eq!(twice, "client \"dashboard\": it is configured twice");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let shown = format!("{:?}", config());
        assert!(
            shown.contains("[redacted]") && !shown.contains("of some length"),
            "{shown}"
        );
    }
}
