//! The token endpoint: from a grant to a login (RFC 6749 sections 4.1.3, 5 and 6).

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_core::own_token::claims;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;

use super::credential::StoredCredential;
use super::error::LoginError;
use super::issuer::{Answer, Issuer};

/// As whom and for what a login is asked.
#[derive(Debug, Clone)]
pub struct LoginRequest {
    /// The authorization server's identifier.
    pub issuer: String,
    /// The client's id there; without one, the client registers itself.
    pub client_id: Option<String>,
    /// What the tokens are for (RFC 8707).
    pub resource: Option<String>,
    /// What to ask for.
    pub scopes: Vec<String>,
}

/// A client, known at the issuer.
pub(crate) struct Client {
    pub(crate) issuer: Issuer,
    pub(crate) id: String,
    pub(crate) resource: Option<String>,
    pub(crate) scopes: Vec<String>,
}

impl Client {
    /// Sends a grant to the token endpoint.
    pub(crate) async fn ask(&self, grant: &[(&str, &str)]) -> Answer {
        let mut form = vec![("client_id", self.id.as_str())];
        form.extend(self.resource.as_deref().map(|uri| ("resource", uri)));
        form.extend(grant);
        let endpoint = &self.issuer.metadata.token_endpoint;
        self.issuer.post(endpoint, &form).await
    }

    /// The login that the token endpoint's good answer is.
    pub(crate) fn login(&self, answer: Answer) -> Result<StoredCredential, LoginError> {
        let Answer::Good(body) = answer else {
            return Err(self.issuer.refusal(answer));
        };
        let tokens: Option<Tokens<'_>> = serde_json::from_slice(&body).ok();
        let tokens = tokens.filter(|tokens| tokens.token_type.eq_ignore_ascii_case("bearer"));
        let strange = || self.issuer.unreachable("its answer holds no bearer token");
        let tokens = tokens.ok_or_else(strange)?;
        let access_token = SecretString::from(&*tokens.access_token);
        let now = SystemTime::now();
        let mut login = StoredCredential::new(access_token, now);
        login.expires_at = tokens.end(now).or_else(|| expiry(login.access_token()));
        login.issuer = Some(self.issuer.metadata.issuer.clone());
        login.client_id = Some(self.id.clone());
        login.resource = self.resource.clone();
        // Left out, it is what was asked for (RFC 6749 section 5.1).
        login.scopes = tokens.scope.map_or_else(
            || self.scopes.clone(),
            |scope| scope.split_whitespace().map(str::to_owned).collect(),
        );
        login.refresh_token = tokens.refresh_token.as_deref().map(SecretString::from);
        Ok(login)
    }
}

/// A successful answer. Borrows, so that no copy of a token is left behind.
#[derive(Deserialize)]
struct Tokens<'a> {
    #[serde(borrow)]
    access_token: Cow<'a, str>,
    #[serde(borrow)]
    token_type: Cow<'a, str>,
    #[serde(borrow)]
    refresh_token: Option<Cow<'a, str>>,
    scope: Option<String>,
    /// A number; some issuers write it as text.
    expires_in: Option<Value>,
}

impl Tokens<'_> {
    fn end(&self, now: SystemTime) -> Option<SystemTime> {
        let seconds = match self.expires_in.as_ref()? {
            Value::String(text) => text.parse().ok()?,
            number => number.as_u64()?,
        };
        now.checked_add(Duration::from_secs(seconds))
    }
}

impl StoredCredential {
    /// A token that was given by hand, with what it says about itself. It is not verified: it is
    /// the user's own.
    pub fn from_token(token: SecretString, now: SystemTime) -> Self {
        let mut login = Self::new(token, now);
        login.expires_at = expiry(login.access_token());
        let claims = claims(login.access_token()).unwrap_or_default();
        let issuer = claims.get("iss").and_then(Value::as_str);
        login.issuer = issuer.map(str::to_owned);
        login
    }
}

/// The end that a JWT names.
fn expiry(token: &SecretString) -> Option<SystemTime> {
    let seconds = claims(token)?.get("exp")?.as_u64()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}
