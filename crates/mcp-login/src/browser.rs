//! Login in the browser: authorization code with PKCE, answered on this machine's loopback
//! address (RFC 8252, RFC 7636, RFC 9207).

use std::time::Duration;

use aws_lc_rs::digest::{self, SHA256};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use uuid::Uuid;

use super::callback::{Callback, Page, Redirect};
use super::client::Way;
use super::credential::StoredCredential;
use super::error::{LoginError, known_code};
use super::issuer::Issuer;
use super::token::{Client, LoginRequest};

/// A login that waits for its user.
pub struct BrowserLogin {
    client: Client,
    callback: Callback,
    url: Url,
    state: String,
    verifier: SecretString,
}

impl BrowserLogin {
    /// Prepares a login: reads the issuer's metadata, listens on a free port of the loopback
    /// address, and registers the client where it has no id.
    ///
    /// # Errors
    /// When the issuer does not answer, or offers no login of this kind.
    pub async fn start(request: LoginRequest) -> Result<Self, LoginError> {
        let issuer = Issuer::discover(&request.issuer).await?;
        let Some(mut url) = issuer.metadata.authorization_endpoint.clone() else {
            return Err(issuer.lacks("has no login in the browser: try --device"));
        };
        // RFC 7636 section 4.1 asks for 43 to 128 characters.
        let verifier = SecretString::from(unguessable());
        let state = unguessable();
        let callback = Callback::listen(&state).await?;
        let way = Way::Browser {
            redirect_uri: callback.uri(),
        };
        let client = Client::at(issuer, request, way).await?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &client.id)
            .append_pair("redirect_uri", callback.uri())
            .append_pair("state", &state)
            .append_pair("code_challenge", &challenge(&verifier))
            .append_pair("code_challenge_method", "S256");
        if !client.scopes.is_empty() {
            url.query_pairs_mut()
                .append_pair("scope", &client.scopes.join(" "));
        }
        // OpenID Connect Core section 11: without it, offline_access may be ignored.
        if client.scopes.iter().any(|scope| scope == "offline_access") {
            url.query_pairs_mut().append_pair("prompt", "consent");
        }
        if let Some(resource) = &client.resource {
            url.query_pairs_mut().append_pair("resource", resource);
        }
        Ok(Self {
            client,
            callback,
            url,
            state,
            verifier,
        })
    }

    /// The page to open in a browser.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Waits until the user has logged in there, and gets the tokens.
    ///
    /// # Errors
    /// When the user or the issuer declines, when the answer is not for this login, or when
    /// `timeout` runs out.
    pub async fn finish(mut self, timeout: Duration) -> Result<StoredCredential, LoginError> {
        let waiting = tokio::time::timeout(timeout, self.callback.redirect());
        let Ok(redirect) = waiting.await else {
            return Err(LoginError::TooLate);
        };
        let redirect = redirect?;
        let login = self.exchange(&redirect).await;
        let page = match &login {
            Ok(_) => Page::LoggedIn,
            Err(_) => Page::NotLoggedIn,
        };
        redirect.answer(page);
        self.callback.close().await;
        login
    }

    async fn exchange(&self, redirect: &Redirect) -> Result<StoredCredential, LoginError> {
        let metadata = &self.client.issuer.metadata;
        check_issuer(
            redirect.issuer.as_deref(),
            &metadata.issuer,
            metadata.authorization_response_iss_parameter_supported,
        )?;
        if redirect.state != self.state {
            return Err(LoginError::Forged("another state"));
        }
        if let Some(error) = &redirect.error {
            let code = known_code(error).unwrap_or("an error");
            return Err(LoginError::refused(&metadata.issuer, code));
        }
        let Some(code) = &redirect.code else {
            return Err(LoginError::Forged("no code"));
        };
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code.expose_secret()),
            ("redirect_uri", self.callback.uri()),
            ("code_verifier", self.verifier.expose_secret()),
        ];
        self.client.login(self.client.ask(&grant).await)
    }
}

/// RFC 9207 section 2.4: compared as strings; an issuer that announces `iss` must send it.
fn check_issuer(named: Option<&str>, expected: &str, promised: bool) -> Result<(), LoginError> {
    match named {
        Some(named) if named != expected => Err(LoginError::Forged("another issuer")),
        None if promised => Err(LoginError::Forged("no issuer")),
        _ => Ok(()),
    }
}

/// 64 characters that need no escape, with 244 random bits: two UUIDs of version 4.
fn unguessable() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// RFC 7636 section 4.2.
fn challenge(verifier: &SecretString) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&SHA256, verifier.expose_secret().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636() {
        let verifier = SecretString::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(
            challenge(&verifier),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
        let fresh = unguessable();
        assert_eq!(fresh.len(), 64);
        assert_ne!(fresh, unguessable());
    }

    #[test]
    fn an_answer_of_another_issuer_is_refused() {
        let issuer = "https://auth.test";
        let cases = [
            (Some(issuer), true, true),
            (Some(issuer), false, true),
            (None, false, true),
            (None, true, false),
            (Some("https://auth.test/"), false, false),
            (Some("https://evil.test"), true, false),
        ];
        for (named, promised, good) in cases {
            let checked = check_issuer(named, issuer, promised);
            assert_eq!(checked.is_ok(), good, "{named:?} {promised}");
        }
    }
}
