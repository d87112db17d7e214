//! The token endpoint: from a grant to a login (RFC 6749 sections 4.1.3, 5 and 6).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mcp_core::own_token::claims;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::credential::StoredCredential;
use super::error::LoginError;
use super::issuer::{Issuer, IssuerResponse};
use super::lenient::{seconds, secret, words};

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
    pub(crate) async fn ask(&self, grant: &[(&str, &str)]) -> IssuerResponse {
        let mut form = vec![("client_id", self.id.as_str())];
        form.extend(self.resource.as_deref().map(|uri| ("resource", uri)));
        form.extend(grant);
        let endpoint = &self.issuer.metadata.token_endpoint;
        self.issuer.post(endpoint, &form).await
    }

    /// The login that the token endpoint's good answer is.
    pub(crate) fn login(&self, answer: IssuerResponse) -> Result<StoredCredential, LoginError> {
        let IssuerResponse::Good(body) = answer else {
            return Err(self.issuer.refusal(answer));
        };
        let tokens: Option<Tokens<'_>> = serde_json::from_slice(&body).ok();
        let tokens = tokens.filter(Tokens::is_bearer);
        let access_token = tokens
            .as_ref()
            .and_then(|tokens| secret(tokens.access_token));
        let (Some(tokens), Some(access_token)) = (tokens, access_token) else {
            return Err(self.issuer.strange("bearer token"));
        };
        let now = SystemTime::now();
        let mut login = StoredCredential::new(access_token, now);
        login.expires_at = tokens.end(now).or_else(|| expiry(login.access_token()));
        login.issuer = Some(self.issuer.metadata.issuer.clone());
        login.client_id = Some(self.id.clone());
        login.resource = self.resource.clone();
        // Left out, it is what was asked for (RFC 6749 section 5.1).
        let granted = tokens.scope.as_ref().and_then(words);
        login.scopes = granted.unwrap_or_else(|| self.scopes.clone());
        login.refresh_token = secret(tokens.refresh_token);
        Ok(login)
    }
}

/// A successful answer. Borrows, so that no copy of a token is left behind.
#[derive(Deserialize)]
struct Tokens<'a> {
    #[serde(borrow)]
    access_token: Option<&'a RawValue>,
    token_type: Option<Value>,
    #[serde(borrow)]
    refresh_token: Option<&'a RawValue>,
    scope: Option<Value>,
    expires_in: Option<Value>,
}

impl Tokens<'_> {
    /// One whose type is not said is taken for the only type that is asked for.
    fn is_bearer(&self) -> bool {
        self.token_type.as_ref().is_none_or(|kind| {
            let kind = kind.as_str().unwrap_or("another").trim();
            kind.is_empty() || kind.eq_ignore_ascii_case("bearer")
        })
    }

    fn end(&self, now: SystemTime) -> Option<SystemTime> {
        let left = seconds(self.expires_in.as_ref()?)?;
        now.checked_add(Duration::from_secs(left))
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
    let end = seconds(claims(token)?.get("exp")?)?;
    UNIX_EPOCH.checked_add(Duration::from_secs(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_may_be_odd_where_it_does_not_count() {
        let cases = [
            (r#"{"access_token":"a","token_type":"Bearer"}"#, true),
            (
                r#"{"access_token":"a","token_type":"bearer","expires_in":"60","scope":["a"],"refresh_token":null,"id_token":7}"#,
                true,
            ),
            (
                r#"{"access_token":"a","expires_in":{},"scope":7,"refresh_token":""}"#,
                true,
            ),
            (
                r#"{"access_token":"a","token_type":null,"refresh_token":[]}"#,
                true,
            ),
            (r#"{"access_token":"a"}"#, true),
            (r#"{"access_token":"a","token_type":""}"#, true),
            (r#"{"access_token":"a","token_type":" BEARER "}"#, true),
            (r#"{"access_token":"a","token_type":"DPoP"}"#, false),
            (r#"{"access_token":"a","token_type":7}"#, false),
            (r#"{"access_token":"","token_type":"bearer"}"#, false),
            (r#"{"access_token":"a b","token_type":"bearer"}"#, false),
            (r#"{"access_token":null,"token_type":"bearer"}"#, false),
            (r#"{"token_type":"bearer"}"#, false),
            ("[]", false),
        ];
        for (body, good) in cases {
            let tokens = serde_json::from_str::<Tokens<'_>>(body).ok();
            let token = tokens
                .filter(Tokens::is_bearer)
                .and_then(|tokens| secret(tokens.access_token));
            assert_eq!(token.is_some(), good, "{body}");
        }
    }
}
