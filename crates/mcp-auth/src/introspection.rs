//! Opaque tokens: the issuer is asked what they mean (RFC 7662). Anybody can make up such tokens, so
//! the questions are bounded, and those who cause them take turns.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::{Map, Value};
use tracing::Instrument as _;
use url::Url;
use zeroize::Zeroizing;

use crate::{
    asker::Asker,
    claims::Claims,
    error::{AuthError, ConfigError, InvalidReason, UnavailableReason},
    fetch::{FetchError, JSON, form_encoded, parse_url, read_json},
    outcomes::Outcomes,
    spans, times,
    token::AccessToken,
    turns::{Bounds, Turns},
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
    /// Made-up tokens must not become a flood at the issuer, nor hold up good ones.
    turns: Turns,
    pub(crate) questions: Outcomes,
}

/// An issuer that needs a second for a question answers the whole line of one asker in eight.
const BOUNDS: Bounds = Bounds {
    at_work: 32,
    waiting: 1_024,
    waiting_of_one: 256,
    patience: Duration::from_secs(10),
};

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
            turns: Turns::new(BOUNDS),
            questions: Outcomes::default(),
        })
    }

    /// How many tokens wait to be asked about.
    pub(crate) fn waiting(&self) -> usize {
        self.turns.waiting()
    }

    /// Asks for the claims of a token. The issuer and audience checks are the caller's, as for a
    /// JWT; the claims are proven by the connection they came over.
    pub(crate) async fn claims(
        &self,
        token: &AccessToken,
        on_behalf_of: Asker,
        issuer: &str,
        now: SystemTime,
    ) -> Result<Claims, AuthError> {
        let Ok(_turn) = self.turns.turn(on_behalf_of).await else {
            return Err(unavailable(UnavailableReason::IntrospectionBusy));
        };
        let span = spans::introspect(issuer);
        let asked = self.ask(token).instrument(span.clone()).await;
        let asked = asked.and_then(|answer| Ok((is_active(&answer)?, answer)));
        let refused = asked.as_ref().err().and_then(refusal);
        self.questions.count(asked.is_ok() || refused.is_some());
        let (active, answer) = asked.map_err(|error| {
            spans::failed(&span, error.kind());
            match refused {
                Some(refused) => refused,
                None => {
                    tracing::error!(issuer, %error, "introspection failed");
                    unavailable(UnavailableReason::Introspection)
                }
            }
        })?;
        if !active {
            return Err(InvalidReason::Inactive.into());
        }
        Ok(Claims::introspected(
            plain(answer),
            issuer,
            self.believed_until(now),
        ))
    }

    async fn ask(&self, token: &AccessToken) -> Result<Map<String, Value>, FetchError> {
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
            .header("accept", JSON)
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

fn unavailable(reason: UnavailableReason) -> AuthError {
    AuthError::Unavailable {
        reason,
        retry_after: Duration::from_secs(2),
    }
}

/// What an answer that is no success says about this one token, where it says nothing about the
/// endpoint: a made-up token must not look like an outage.
fn refusal(error: &FetchError) -> Option<AuthError> {
    match error {
        FetchError::Status(400 | 404 | 413 | 414 | 422 | 431) => {
            Some(unavailable(UnavailableReason::IntrospectionRefused))
        }
        FetchError::Status(429) => Some(unavailable(UnavailableReason::IntrospectionBusy)),
        _ => None,
    }
}

/// `active`, which every answer has (RFC 7662 section 2.2); some issuers write it as text. What has
/// none is no answer but an error in a 200, and proves nothing.
fn is_active(answer: &Map<String, Value>) -> Result<bool, FetchError> {
    match answer.get("active") {
        Some(Value::Bool(active)) => Ok(*active),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(FetchError::Refused(
            "the answer does not say whether the token is active",
        )),
    }
}

/// The members of an answer as those of a JWT: what is null is not there, times are numbers, and an
/// `exp` of zero or less means none, as issuers write it.
fn plain(mut answer: Map<String, Value>) -> Map<String, Value> {
    answer.retain(|_, value| !value.is_null());
    for name in ["exp", "iat", "nbf"] {
        let text = answer.get(name).and_then(Value::as_str);
        let number = text.and_then(|text| text.trim().parse::<i64>().ok());
        if let Some(number) = number {
            answer.insert(name.to_owned(), number.into());
        }
        let time = answer.get(name).and_then(Value::as_f64);
        if time.is_some_and(|time| time <= 0.0) {
            answer.remove(name);
        }
    }
    answer
}

impl Claims {
    /// The claims of an introspection answer. `iss` and `exp` are optional there (RFC 7662 section
    /// 2.2): the issuer is the one that was asked, and the answer is believed until `until` at most.
    pub(crate) fn introspected(mut answer: Map<String, Value>, issuer: &str, until: u64) -> Self {
        answer.entry("iss").or_insert_with(|| issuer.into());
        let claims = Self(answer);
        let until = times::expiry(&claims).map_or(until, |exp| exp.min(until));
        let Self(mut answer) = claims;
        answer.insert("exp".to_owned(), until.into());
        // However old it is: its issuer vouches for it now.
        answer.remove("iat");
        Self(answer)
    }
}
