//! Dynamic registration (RFC 7591) without a register: the id that a client gets is its registration,
//! sealed, and its secret comes of the id. So it holds on every instance, for as long as the key that
//! sealed it is known, and strangers who register cost nothing.

use std::{borrow::Cow, time::SystemTime};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;
use zeroize::Zeroizing;

use super::{
    ClientError, Clients,
    client::{Client, ClientAuthentication, ClientKind, MAX_ID, Secret},
    fields::{Fault, Fields},
};
use crate::keys::{Keys, Kind, digest_of};

/// Longest registration that is read, in bytes.
const MAX_BODY: usize = 16 * 1024;

/// Why there is no registration (RFC 7591 section 3.2.2). The sentences are for the client's developer, and
/// hold nothing that it sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RegistrationError {
    /// `invalid_redirect_uri`, with status 400.
    RedirectUri(Cow<'static, str>),
    /// `invalid_client_metadata`, with status 400.
    Metadata(Cow<'static, str>),
    /// Nothing can be sealed now: status 503.
    Unavailable,
}

impl RegistrationError {
    /// The value of `error`.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::RedirectUri(_) => "invalid_redirect_uri",
            Self::Metadata(_) => "invalid_client_metadata",
            Self::Unavailable => "temporarily_unavailable",
        }
    }

    /// The value of `error_description`.
    pub(crate) fn description(&self) -> &str {
        match self {
            Self::RedirectUri(sentence) | Self::Metadata(sentence) => sentence,
            Self::Unavailable => "clients cannot be registered now",
        }
    }
}

impl From<Fault> for RegistrationError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::RedirectUri(sentence) => Self::RedirectUri(sentence),
            Fault::Metadata(sentence) => Self::Metadata(sentence),
        }
    }
}

/// What an id holds. Short names: every byte of it is in every address that the client opens.
#[derive(Serialize, Deserialize)]
struct Registration {
    #[serde(rename = "r")]
    redirect_uris: Vec<String>,
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "m")]
    method: Method,
    #[serde(rename = "g")]
    grant_types: Vec<String>,
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// Seconds since the epoch.
    #[serde(rename = "t")]
    issued_at: u64,
}

/// Its `token_endpoint_auth_method`.
#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
enum Method {
    #[serde(rename = "n")]
    None,
    #[serde(rename = "b")]
    Basic,
    #[serde(rename = "p")]
    Post,
}

impl Method {
    const ALL: [Self; 3] = [Self::None, Self::Basic, Self::Post];

    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }
}

impl Registration {
    fn parse(fields: &Fields, issued_at: u64) -> Result<Self, Fault> {
        fields.check_response_types()?;
        let asked = fields.method()?;
        let method = Method::ALL.into_iter().find(|it| it.as_str() == asked);
        let method = method.ok_or(Fault::Metadata(
            "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post; \
             private_key_jwt is for clients whose client_id is the URL of their metadata document"
                .into(),
        ))?;
        Ok(Self {
            redirect_uris: fields.redirect_uris()?,
            name: fields.name()?,
            method,
            grant_types: fields.grant_types()?,
            scope: fields.scope()?,
            issued_at,
        })
    }

    fn seal(&self, keys: &Keys) -> Result<String, RegistrationError> {
        let plain = serde_json::to_vec(self).map_err(|_| RegistrationError::Unavailable)?;
        let id = keys
            .seal(Kind::Client, "", &plain)
            .map_err(|_| RegistrationError::Unavailable)?;
        if id.len() > MAX_ID {
            let sentence = format!(
                "a client_id holds the registration and would be longer than {MAX_ID} bytes: \
                 register fewer or shorter redirect_uris, or a shorter client_name or scope"
            );
            return Err(RegistrationError::Metadata(sentence.into()));
        }
        Ok(id)
    }

    fn into_client(self, id: &str) -> Client {
        Client {
            id: id.to_owned(),
            name: self.name,
            kind: ClientKind::Registered,
            redirect_uris: self.redirect_uris,
            authentication: match self.method {
                Method::None => ClientAuthentication::None,
                Method::Basic | Method::Post => ClientAuthentication::Secret(Secret::Derived),
            },
            grant_types: self.grant_types,
            scope: self.scope,
            service: None,
        }
    }

    /// What is registered, as the answer says it (RFC 7591 section 3.2.1).
    fn answer(&self, id: &str, fields: &Fields) -> Map<String, Value> {
        let mut answer = echoed(fields);
        let registered = [
            ("client_id", json!(id)),
            ("client_id_issued_at", json!(self.issued_at)),
            ("redirect_uris", json!(self.redirect_uris)),
            ("token_endpoint_auth_method", json!(self.method.as_str())),
            ("grant_types", json!(self.grant_types)),
            ("response_types", json!(["code"])),
        ];
        let optional = [("client_name", &self.name), ("scope", &self.scope)];
        let optional = optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, json!(value.as_ref()?))));
        for (name, value) in registered.into_iter().chain(optional) {
            answer.insert(name.to_owned(), value);
        }
        answer
    }
}

/// What is taken note of and not kept: it is not shown to users, and no address in it is ever fetched.
fn echoed(fields: &Fields) -> Map<String, Value> {
    let is_page =
        |text: &str| Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
    let mut echoed = Map::new();
    for name in ["client_uri", "logo_uri", "tos_uri", "policy_uri"] {
        if let Ok(Some(text)) = fields.text(name)
            && is_page(text)
        {
            echoed.insert(name.to_owned(), json!(text));
        }
    }
    for name in ["software_id", "software_version"] {
        if let Ok(Some(text)) = fields.text(name) {
            echoed.insert(name.to_owned(), json!(text));
        }
    }
    if let Ok(Some(text @ ("native" | "web"))) = fields.text("application_type") {
        echoed.insert("application_type".to_owned(), json!(text));
    }
    if let Ok(Some(contacts)) = fields.texts("contacts") {
        echoed.insert("contacts".to_owned(), json!(contacts));
    }
    echoed
}

impl Clients {
    /// Registers a client. The answer, as JSON, is for a 201.
    pub(crate) fn register(
        &self,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Vec<u8>, RegistrationError> {
        if body.len() > MAX_BODY {
            let sentence = "the client's metadata is longer than 16 KiB";
            return Err(RegistrationError::Metadata(sentence.into()));
        }
        let fields = Fields::parse(body)?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let registration = Registration::parse(&fields, since.unwrap_or_default().as_secs())?;
        let id = registration.seal(&self.keys)?;
        let mut answer = registration.answer(&id, &fields);
        if registration.method != Method::None {
            let secret = secrets(&self.keys, &id).next();
            let secret = secret.ok_or(RegistrationError::Unavailable)?;
            answer.insert("client_secret".to_owned(), json!(secret.as_str()));
            answer.insert("client_secret_expires_at".to_owned(), json!(0));
        }
        Ok(Value::Object(answer).to_string().into_bytes())
    }

    /// The client whose registration is this id.
    pub(crate) fn registered(&self, id: &str) -> Result<Client, ClientError> {
        let opened = self.keys.open(Kind::Client, "", id);
        let opened = opened.map_err(|_| ClientError::Unknown)?;
        let registration: Registration =
            serde_json::from_slice(&opened).map_err(|_| ClientError::Unknown)?;
        Ok(registration.into_client(id))
    }
}

/// The secret of a registration: a keyed hash of its id, under the current key and then under every
/// previous one.
fn secrets(keys: &Keys, id: &str) -> impl Iterator<Item = Zeroizing<String>> {
    let names = keys.names(Kind::Client, &[b"secret", id.as_bytes()]);
    let hash = |name: String| {
        let name = Zeroizing::new(name);
        name.rsplit_once(':')
            .map(|(_, hash)| Zeroizing::new(hash.to_owned()))
    };
    names.into_iter().filter_map(hash)
}

/// Whether a secret is the one of a client, in a time that does not tell how much of it is right.
pub(super) fn is_secret(keys: &Keys, client: &Client, expected: &Secret, given: &str) -> bool {
    let is_it = |digest: [u8; 32]| verify_slices_are_equal(&digest, &digest_of(given)).is_ok();
    match expected {
        Secret::Configured(digest) => is_it(*digest),
        Secret::Derived => secrets(keys, &client.id).any(|secret| is_it(digest_of(&secret))),
    }
}
