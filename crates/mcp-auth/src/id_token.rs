//! [`IdTokens`]: the ID tokens that an issuer gives a client with the user's login (OpenID Connect
//! Core). They say who logged in, and open nothing: an access token is never one.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Map, Value};

use crate::{
    asker::Asker,
    claims::Claims,
    error::{AuthError, ConfigError, ForbiddenReason, InvalidReason},
    fetch::parse_url,
    jwk::ALGORITHMS,
    jwt::ParsedToken,
    key_source::{KeyPolicy, KeySource},
    times::{Limits, Times},
};

/// How far clocks may disagree, and how old a token may be that was asked for a moment ago.
const LIMITS: Limits = Limits {
    leeway: Duration::from_secs(90),
    max_lifetime: Duration::from_hours(1),
};

/// Verifies the ID tokens that one issuer made for one client.
#[derive(Debug)]
pub struct IdTokens {
    issuer: String,
    client_id: String,
    keys: Arc<KeySource>,
}

impl IdTokens {
    /// Checks the addresses; no I/O. The keys are at `jwks_uri`, or where the issuer's metadata says
    /// when absent, and are kept as those of a [`TokenVerifier`](crate::TokenVerifier). `client` must
    /// follow no redirect.
    ///
    /// # Errors
    /// [`ConfigError::Url`].
    pub fn new(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        jwks_uri: Option<&str>,
        client: reqwest::Client,
    ) -> Result<Self, ConfigError> {
        let issuer = issuer.into();
        parse_url(&issuer)?;
        let jwks_uri = jwks_uri.map(parse_url).transpose()?;
        Ok(Self {
            keys: KeySource::new(issuer.clone(), jwks_uri, client, KeyPolicy::default()),
            client_id: client_id.into(),
            issuer,
        })
    }

    /// The claims of a token (OpenID Connect Core section 3.1.3.7). `nonce` is the one of the
    /// authorization request.
    ///
    /// # Errors
    /// As [`TokenVerifier::verify`](crate::TokenVerifier::verify).
    pub async fn verify(
        &self,
        token: &str,
        nonce: &str,
        now: SystemTime,
    ) -> Result<Map<String, Value>, AuthError> {
        let parsed = ParsedToken::of(token);
        let token = parsed.unverified(token)?;
        self.check(token.claims, nonce, now)?;
        let (asker, arrived) = (Asker::UNKNOWN, Instant::now());
        self.keys.verify(&token, ALGORITHMS, asker, arrived).await?;
        Ok(token.claims.0.clone())
    }

    fn check(&self, claims: &Claims, nonce: &str, now: SystemTime) -> Result<(), AuthError> {
        if claims.issuer()? != self.issuer {
            return Err(InvalidReason::Issuer.into());
        }
        let audiences = claims.audiences()?;
        // Among several the token says which client asked for it.
        let asked_by = claims.word("azp");
        let unsaid = asked_by.is_none() && audiences.len() > 1;
        if !audiences.contains(&self.client_id)
            || unsaid
            || asked_by.is_some_and(|client| client != self.client_id)
        {
            return Err(InvalidReason::Audience.into());
        }
        let times = Times::of(claims)?;
        times.check(now, LIMITS)?;
        if claims.get("iat").is_none() {
            return Err(InvalidReason::Claim("iat").into());
        }
        if times.issued_at(now, LIMITS).is_none() {
            return Err(InvalidReason::NotYetValid.into());
        }
        if claims.text("nonce") != Some(nonce) {
            return Err(InvalidReason::Claim("nonce").into());
        }
        if claims.subject().is_none() {
            return Err(ForbiddenReason::NoSubject.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn checked(changes: &Value) -> Result<(), AuthError> {
        let client = crate::http_client().unwrap();
        let tokens = IdTokens::new("https://a.test", "client", None, client).unwrap();
        let mut claims = json!({
            "iss": "https://a.test", "aud": "client", "sub": "ada", "nonce": "n",
            "iat": NOW, "exp": NOW + 300,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        tokens.check(&Claims::of(claims), "n", now)
    }

    #[test]
    fn an_id_token_for_this_client_and_this_request_is_good() {
        for changes in [
            json!({}),
            json!({"aud": ["client"]}),
            json!({"azp": "client"}),
            json!({"aud": ["other", "client"], "azp": "client"}),
            json!({"sub": 7}),
            json!({"at_hash": "x", "c_hash": "y", "typ": "ID"}),
            json!({"iat": NOW + 60, "exp": NOW + 1}),
            json!({"iat": NOW - 300, "exp": NOW - 60}),
        ] {
            assert_eq!(checked(&changes), Ok(()), "{changes}");
        }
    }

    #[test]
    fn an_id_token_of_another_login_is_bad() {
        for (changes, reason) in [
            (json!({"iss": "https://a.test/"}), InvalidReason::Issuer),
            (json!({"iss": "https://b.test"}), InvalidReason::Issuer),
            (json!({"iss": null}), InvalidReason::Claim("iss")),
            (json!({"aud": "other"}), InvalidReason::Audience),
            (json!({"aud": null}), InvalidReason::Audience),
            (json!({"aud": ["client", "other"]}), InvalidReason::Audience),
            (json!({"azp": "other"}), InvalidReason::Audience),
            (json!({"exp": NOW - 90}), InvalidReason::Expired),
            (json!({"iat": NOW - 4_000}), InvalidReason::TooOld),
            (json!({"iat": NOW + 91}), InvalidReason::NotYetValid),
            (json!({"nbf": NOW + 91}), InvalidReason::NotYetValid),
            (json!({"iat": null}), InvalidReason::Claim("iat")),
            (json!({"nonce": "m"}), InvalidReason::Claim("nonce")),
            (json!({"nonce": null}), InvalidReason::Claim("nonce")),
            (json!({"nonce": ["n"]}), InvalidReason::Claim("nonce")),
        ] {
            assert_eq!(checked(&changes), Err(reason.into()), "{changes}");
        }
        for (changes, reason) in [
            (json!({"sub": null}), ForbiddenReason::NoSubject),
            (json!({"sub": " "}), ForbiddenReason::NoSubject),
            (json!({"exp": null}), ForbiddenReason::Claim("exp")),
            (json!({"exp": 1e13}), ForbiddenReason::AbsurdTime("exp")),
        ] {
            assert_eq!(checked(&changes), Err(reason.into()), "{changes}");
        }
    }
}
