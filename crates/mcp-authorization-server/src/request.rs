//! An authorization request: read, checked, and sealed for its way through the user's browser.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    clients::{Client, ClientKind, Redirect},
    form::Form,
    keys::{CannotSeal, Keys, Kind, NotOurs, digest_of, joined},
    server::Inner,
};

/// For how long somebody may look at the consent page, or at the provider's pages.
pub(crate) const PATIENCE: Duration = Duration::from_mins(10);

/// Longest `state` of a client, in bytes: the request has to fit into a cookie.
const MAX_STATE: usize = 1_024;

/// What a client asks for, checked against what it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AuthorizationRequest {
    /// The digest of the client's id.
    #[serde(rename = "c")]
    pub(crate) client: String,
    /// The name that access tokens have for the client.
    #[serde(rename = "n")]
    pub(crate) client_name: String,
    /// Where the answer goes.
    #[serde(rename = "r")]
    pub(crate) redirect_uri: String,
    /// Given back as it came.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// Sorted, without repetition.
    #[serde(rename = "p")]
    pub(crate) scopes: Vec<String>,
    /// What the tokens are for, if it is below our resource.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(crate) below: Option<String>,
    /// Of PKCE, by S256.
    #[serde(rename = "h")]
    pub(crate) code_challenge: String,
    /// Seconds since the epoch.
    #[serde(rename = "t")]
    pub(crate) asked_at: u64,
}

/// Why a request is no good, as RFC 6749 section 4.1.2.1 has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: &'static str,
    pub(crate) description: String,
}

impl Refused {
    pub(crate) fn new(code: &'static str, description: impl Into<String>) -> Self {
        let description = description.into();
        Self { code, description }
    }
}

impl AuthorizationRequest {
    /// What a known client asks for, with one of its redirect URIs.
    pub(crate) fn read(
        inner: &Inner,
        client: &Client,
        redirect: &Redirect,
        form: &Form,
        now: SystemTime,
    ) -> Result<Self, Refused> {
        let state = form.get("state").map(ToOwned::to_owned);
        if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
            let text = format!("state has more than {MAX_STATE} bytes");
            return Err(Refused::new("invalid_request", text));
        }
        if form.get("response_type") != Some("code") {
            let text = "response_type has to be code";
            return Err(Refused::new("unsupported_response_type", text));
        }
        if !matches!(form.get("response_mode"), None | Some("query")) {
            let text = "response_mode has to be query";
            return Err(Refused::new("invalid_request", text));
        }
        if !client.may_use("authorization_code") {
            let text = "this client is not registered for the grant authorization_code";
            return Err(Refused::new("unauthorized_client", text));
        }
        Ok(Self {
            client: digest_text(&client.id),
            client_name: short_id(client),
            redirect_uri: redirect.uri.clone(),
            state,
            scopes: inner.scopes_of(form.get("scope"), client.scope.as_deref())?,
            code_challenge: challenge(form)?,
            below: inner.out_of(None, inner.wanted(form)?)?,
            asked_at: seconds(now),
        })
    }

    /// As one text, bound to a `place`.
    pub(crate) fn seal(&self, keys: &Keys, place: &str) -> Result<String, CannotSeal> {
        let plain = serde_json::to_vec(self).map_err(|_| CannotSeal)?;
        keys.seal(Kind::Request, place, &plain)
    }

    /// What was sealed for that place not long ago.
    pub(crate) fn open(
        keys: &Keys,
        place: &str,
        sealed: &str,
        now: SystemTime,
    ) -> Result<Self, NotOurs> {
        let plain = keys.open(Kind::Request, place, sealed)?;
        let request: Self = serde_json::from_slice(&plain).map_err(|_| NotOurs)?;
        request.is_recent(now)?;
        Ok(request)
    }

    /// Nobody takes longer than this to decide or to log in.
    pub(crate) fn is_recent(&self, now: SystemTime) -> Result<(), NotOurs> {
        let over = self.asked_at + PATIENCE.as_secs() < seconds(now);
        if over { Err(NotOurs) } else { Ok(()) }
    }

    /// Where the browser goes with an answer for the client: what was asked, `iss` (RFC 9207), and these.
    pub(crate) fn answer(&self, issuer: &str, pairs: &[(&str, &str)]) -> String {
        answer_at(&self.redirect_uri, self.state.as_deref(), issuer, pairs)
    }

    /// The same for a refusal.
    pub(crate) fn refusal(&self, issuer: &str, refused: &Refused) -> String {
        let pairs = [
            ("error", refused.code),
            ("error_description", &refused.description),
        ];
        self.answer(issuer, &pairs)
    }

    /// What a user agrees to: the same client, redirect URI, rights and resource, and no others.
    pub(crate) fn consent_to(&self) -> String {
        let scopes = self.scopes.join(" ");
        let parts = [&*self.client, &*self.redirect_uri, &*scopes];
        let joined = match &self.below {
            Some(below) => joined(parts.into_iter().chain([&**below])),
            None => joined(parts),
        };
        digest_text(&joined)
    }
}

/// The name of a client in access tokens. The id of one that registered itself is long.
fn short_id(client: &Client) -> String {
    match client.kind {
        ClientKind::Configured | ClientKind::Document => client.id.clone(),
        ClientKind::Registered => {
            let digest = digest_text(&client.id);
            format!("registered:{}", digest.get(..22).unwrap_or_default())
        }
    }
}

/// An answer for a redirect URI. A query that it has stays.
pub(crate) fn answer_at(
    redirect_uri: &str,
    state: Option<&str>,
    issuer: &str,
    pairs: &[(&str, &str)],
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer);
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    // Spaces as clients read them that know percent-encoding alone; a plus of its own is written %2B.
    format!(
        "{redirect_uri}{joint}{}",
        query.finish().replace('+', "%20")
    )
}

/// The challenge of PKCE, which may be S256 alone (OAuth 2.1 section 7.5.2).
fn challenge(form: &Form) -> Result<String, Refused> {
    let challenge = form.get("code_challenge").unwrap_or_default();
    if form.get("code_challenge_method") != Some("S256") {
        let text = "PKCE is required: code_challenge, and code_challenge_method=S256";
        return Err(Refused::new("invalid_request", text));
    }
    let digest = URL_SAFE_NO_PAD.decode(challenge);
    if digest.is_ok_and(|digest| digest.len() == 32) {
        return Ok(challenge.to_owned());
    }
    let text = "code_challenge has to be the SHA-256 of the code verifier, as base64url";
    Err(Refused::new("invalid_request", text))
}

pub(crate) fn digest_text(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest_of(text))
}

/// Seconds since the epoch.
pub(crate) fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
