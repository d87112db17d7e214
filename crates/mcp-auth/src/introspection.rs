//! Opaque tokens: the issuer is asked what they mean (RFC 7662).

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    claims::Claims,
    error::{AuthError, ConfigError, InvalidReason},
    fetch::{FetchError, parse_url, read_json},
    spans,
    status::Outcomes,
    token::AccessToken,
};

/// Where and as whom to introspect. One issuer per server may have it: an opaque token does not
/// say where it comes from.
#[derive(Clone)]
#[non_exhaustive]
pub struct IntrospectionConfig {
    /// Introspection endpoint of the issuer.
    pub endpoint: String,
    /// Client this server authenticates as (RFC 6749 section 2.3.1, HTTP Basic).
    pub client_id: String,
    /// That client's secret.
    pub client_secret: Zeroizing<String>,
    /// How long an answer may be believed: the time a revoked token may live on. 60 s by default.
    pub valid_for: Duration,
}

impl IntrospectionConfig {
    /// Introspection with the default lifetime of answers.
    pub fn new(
        endpoint: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: Zeroizing<String>,
    ) -> Self {
        Self {
            endpoint: endpoint.into(),
            client_id: client_id.into(),
            client_secret,
            valid_for: Duration::from_mins(1),
        }
    }
}

impl fmt::Debug for IntrospectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntrospectionConfig")
            .field("endpoint", &self.endpoint)
            .field("client_id", &self.client_id)
            .field("client_secret", &"[redacted]")
            .field("valid_for", &self.valid_for)
            .finish()
    }
}

/// A configured introspection endpoint.
#[derive(Debug)]
pub(crate) struct Introspection {
    config: IntrospectionConfig,
    endpoint: Url,
    client: reqwest::Client,
    timeout: Duration,
    /// Made-up tokens must not become a flood at the issuer.
    permits: Semaphore,
    pub(crate) questions: Outcomes,
}

/// Questions to the issuer at a time; more of them wait.
const MAX_QUESTIONS: usize = 32;

impl Introspection {
    pub(crate) fn new(
        config: IntrospectionConfig,
        client: reqwest::Client,
        timeout: Duration,
    ) -> Result<Self, ConfigError> {
        let endpoint = parse_url(&config.endpoint)?;
        Ok(Self {
            config,
            endpoint,
            client,
            timeout,
            permits: Semaphore::new(MAX_QUESTIONS),
            questions: Outcomes::default(),
        })
    }

    /// Asks for the claims of a token. The issuer and audience checks are the caller's, as for a
    /// JWT; the claims are proven by the connection they came over.
    pub(crate) async fn claims(
        &self,
        token: &AccessToken,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Claims, AuthError> {
        let span = spans::introspect(issuer);
        let asked = self.ask(token).instrument(span.clone()).await;
        self.questions.count(asked.is_ok());
        let answer = asked.map_err(|error| {
            spans::failed(&span, error.kind());
            tracing::error!(issuer, %error, "introspection failed");
            AuthError::Unavailable {
                reason: "the issuer could not be asked about the token",
                retry_after: Duration::from_secs(2),
            }
        })?;
        if answer.get("active") != Some(&Value::Bool(true)) {
            return Err(InvalidReason::Inactive.into());
        }
        Ok(Claims::introspected(
            answer,
            issuer,
            self.believed_until(now),
        ))
    }

    async fn ask(&self, token: &AccessToken) -> Result<Map<String, Value>, FetchError> {
        // The semaphore is never closed, so this always succeeds.
        let _permit = self.permits.acquire().await;
        let form = [
            ("token", token.expose()),
            ("token_type_hint", "access_token"),
        ];
        let request = self
            .client
            .post(self.endpoint.clone())
            .basic_auth(
                form_encoded(&self.config.client_id),
                Some(&*Zeroizing::new(form_encoded(&self.config.client_secret))),
            )
            .header("accept", "application/json")
            .timeout(self.timeout)
            .form(&form);
        read_json(request).await
    }

    fn believed_until(&self, now: SystemTime) -> u64 {
        let until = now + self.config.valid_for;
        until
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    }
}

/// Client id and secret go form-encoded into HTTP Basic (RFC 6749 section 2.3.1).
fn form_encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
