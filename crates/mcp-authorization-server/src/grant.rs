//! A grant: what a user gave a client, as its refresh token holds it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::{
    access::Holder,
    code::Code,
    keys::{CannotSeal, Keys, Kind, NotOurs},
    provider::ProviderTokens,
    request::seconds,
};
use zeroize::Zeroizing;

/// What a refresh token holds. Times are seconds since the epoch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    /// All refresh tokens that came of one login.
    #[serde(rename = "f")]
    pub(crate) family: String,
    /// Which of them this is, from 1.
    #[serde(rename = "g")]
    pub(crate) generation: u64,
    /// The digest of the client's id.
    #[serde(rename = "c")]
    pub(crate) client: String,
    /// The name that access tokens have for the client.
    #[serde(rename = "n")]
    pub(crate) client_name: String,
    /// The provider that the user logged in with.
    #[serde(rename = "i")]
    pub(crate) provider: String,
    /// The user, as that provider names it.
    #[serde(rename = "s")]
    pub(crate) subject: String,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    pub(crate) organization: Option<String>,
    #[serde(rename = "p")]
    pub(crate) scopes: Vec<String>,
    /// What its tokens are for, if it is below our resource.
    #[serde(rename = "b", default, skip_serializing_if = "Option::is_none")]
    pub(crate) below: Option<String>,
    /// When the user logged in.
    #[serde(rename = "l")]
    pub(crate) logged_in_at: u64,
    /// When this refresh token was made.
    #[serde(rename = "t")]
    pub(crate) made_at: u64,
    /// What the provider gave.
    #[serde(rename = "u")]
    pub(crate) tokens: ProviderTokens,
}

impl Grant {
    /// The first of a family.
    pub(crate) fn of(code: Code, family: String, provider: &str, now: SystemTime) -> Self {
        let Code {
            request,
            login,
            logged_in_at,
        } = code;
        Self {
            family,
            generation: 1,
            client: request.client,
            client_name: request.client_name,
            provider: provider.to_owned(),
            subject: login.subject,
            organization: login.organization,
            scopes: request.scopes,
            below: request.below,
            logged_in_at,
            made_at: seconds(now),
            tokens: login.tokens,
        }
    }

    /// The next of its family, with what the provider gave now.
    pub(crate) fn next(&self, tokens: ProviderTokens, now: SystemTime) -> Self {
        Self {
            generation: self.generation + 1,
            made_at: seconds(now),
            tokens,
            ..self.clone()
        }
    }

    /// Whom its access tokens are for.
    pub(crate) fn holder(&self) -> Holder<'_> {
        Holder {
            subject: &self.subject,
            organization: self.organization.as_deref(),
            client: &self.client_name,
            logged_in_at: Some(self.logged_in_at),
            upstream: &self.tokens.access_token,
            upstream_until: self.tokens.expires_at,
        }
    }

    /// The refresh token. The provider's access token is not in it where the next one comes of the
    /// provider's refresh token: it would make it twice as long.
    pub(crate) fn seal(&self, keys: &Keys) -> Result<String, CannotSeal> {
        let mut held = self.clone();
        if held.tokens.refresh_token.is_some() {
            held.tokens.access_token = Zeroizing::default();
        }
        let plain = Zeroizing::new(serde_json::to_vec(&held).map_err(|_| CannotSeal)?);
        keys.seal(Kind::Refresh, "", &plain)
    }

    /// The grant that a refresh token holds.
    pub(crate) fn open(keys: &Keys, token: &str) -> Result<Self, NotOurs> {
        let plain = keys.open(Kind::Refresh, "", token)?;
        serde_json::from_slice(&plain).map_err(|_| NotOurs)
    }
}
