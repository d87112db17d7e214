//! [`TokenExchange`]: one issuer that gives tokens of the upstream API for its own.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use mcp_outbound::{FetchError as Outbound, LogThrottle, read_body};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tracing::Instrument as _;
use url::Url;
use zeroize::Zeroizing;

use super::{
    UpstreamToken,
    answer::{self, Failure, unavailable},
    client::ClientAuthentication,
    config::{AssertionAudience, ExchangeConfig, ExchangeGrant},
    outages::{Outages, PAUSE},
    scopes,
};
use crate::{
    asker::Asker,
    discovery,
    error::{AuthError, ConfigError, ForbiddenReason, UnavailableReason},
    fetch::{FetchError, JSON, form_encoded, parse_url},
    principal::Principal,
    spans,
    token::AccessToken,
    turns::{Bounds, Turns},
};

/// Largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// All users come at once when a server starts, and one of them may come with many tokens.
const BOUNDS: Bounds = Bounds {
    at_work: 32,
    waiting: 4_096,
    waiting_of_one: 64,
    patience: Duration::from_secs(5),
};

/// Exchanges tokens of one issuer for tokens of the upstream API (RFC 8693), so that no client's
/// token travels on.
///
/// It remembers no token: who asks again for the same one causes another exchange.
#[derive(Debug)]
pub struct TokenExchange {
    config: ExchangeConfig,
    configured: Option<Url>,
    /// Found once, however many wait for it; a failure has it looked for again.
    discovered: ArcSwap<OnceCell<Url>>,
    client: reqwest::Client,
    turns: Turns,
    target: u64,
    outages: Outages,
    outages_told: LogThrottle,
    refusals_told: LogThrottle,
    /// As it is sent.
    scope: String,
    /// What the last answer did not grant of it.
    missing: ArcSwap<Vec<String>>,
    missing_told: LogThrottle,
    exchanged: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

/// How it stands with the exchange of one issuer's tokens, for metrics. Counted since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ExchangeStatus {
    /// The issuer's identifier.
    pub issuer: String,
    /// Tokens that it gave.
    pub exchanged: u64,
    /// Tokens that it refused to exchange.
    pub refused: u64,
    /// Questions without an answer that could be used, or whose client it did not take.
    pub failed: u64,
}

impl TokenExchange {
    /// Checks the configuration; no I/O. `client` must follow no redirect, as that of
    /// [`http_client`](crate::http_client).
    ///
    /// # Errors
    /// [`ConfigError`], for settings under which no token could be exchanged.
    pub fn new(config: ExchangeConfig, client: reqwest::Client) -> Result<Self, ConfigError> {
        parse_url(&config.issuer)?;
        let endpoint = config.token_endpoint.as_deref();
        let configured = endpoint.map(parse_url).transpose()?;
        let named = [config.audience.as_ref(), config.resource.as_ref()];
        let by_scope = config.grant == ExchangeGrant::OnBehalfOf && !config.scopes.is_empty();
        if !by_scope && named.iter().flatten().all(|name| name.is_empty()) {
            return Err(ConfigError::NoExchangeTarget(config.issuer));
        }
        let secret = match &config.authentication {
            ClientAuthentication::SecretBasic(secret)
            | ClientAuthentication::SecretPost(secret) => !secret.is_empty(),
            ClientAuthentication::PrivateKeyJwt(_) => true,
        };
        if config.client_id.is_empty() || !secret {
            return Err(ConfigError::NoExchangeClient(config.issuer));
        }
        Ok(Self {
            scope: config.scopes.join(" "),
            missing: ArcSwap::default(),
            missing_told: LogThrottle::default(),
            target: target_of(&config),
            config,
            configured,
            discovered: ArcSwap::default(),
            client,
            turns: Turns::new(BOUNDS),
            outages: Outages::default(),
            outages_told: LogThrottle::default(),
            refusals_told: LogThrottle::default(),
            exchanged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// A token of the upstream API for the principal of `token`, which was verified before.
    ///
    /// # Errors
    /// [`AuthError::InvalidToken`] when the issuer says that the token is over,
    /// [`AuthError::Forbidden`] when it does not give one, which another login would not change, and
    /// [`AuthError::Unavailable`] when it gives no answer that could be used, or does not know this
    /// server. All after a wait of five seconds and the configured time at most.
    pub async fn exchange(
        &self,
        token: &AccessToken,
        principal: &Principal,
        now: SystemTime,
    ) -> Result<UpstreamToken, AuthError> {
        // Whatever was put together wrongly: no issuer sees the tokens of another one.
        if principal.issuer() != self.config.issuer {
            return Err(ForbiddenReason::UpstreamDenied.into());
        }
        let (began, user) = (Instant::now(), principal.asker());
        let Ok(_turn) = self.turns.turn(user).await else {
            return Err(unavailable(UnavailableReason::ExchangeBusy, PAUSE));
        };
        let admitted = self.outages.admit(Instant::now());
        admitted.map_err(|wait| unavailable(UnavailableReason::Exchange, wait))?;
        let span = spans::exchange(&self.config.issuer);
        let asking = self.ask(token, now + began.elapsed());
        let asking = asking.instrument(span.clone());
        let asked = tokio::time::timeout(self.config.timeout, asking).await;
        let asked = asked.unwrap_or_else(|_| {
            self.look_for_it_again();
            Err(FetchError::NoAnswer(Outbound::Timeout).into())
        });
        match &asked {
            Err(failure) => {
                spans::failed(&span, failure.kind());
                self.failed(failure, user);
            }
            Ok(_) => {
                self.outages.succeeded();
                self.exchanged.fetch_add(1, Ordering::Relaxed);
            }
        }
        asked.map_err(Failure::into_error)
    }

    /// Stands for what is asked for, of whom, by which client and for which address: a token that was
    /// got for something else is not to be used for this.
    pub fn target(&self) -> u64 {
        self.target
    }

    /// How it stands; asks nobody.
    pub fn status(&self) -> ExchangeStatus {
        ExchangeStatus {
            issuer: self.config.issuer.clone(),
            exchanged: self.exchanged.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    /// The scopes that were asked for and that the last answer did not grant.
    pub fn missing_scopes(&self) -> Arc<Vec<String>> {
        self.missing.load_full()
    }

    /// A token with fewer scopes than the API wants is a token nevertheless, for what it is good for.
    fn compare_scopes(&self, granted: &Value) {
        let missing = scopes::missing(&self.config.scopes, granted);
        let before = self.missing.swap(Arc::new(missing.clone()));
        if !missing.is_empty() && *before != missing && self.missing_told.pass().is_some() {
            let (issuer, missing) = (&self.config.issuer, missing.join(" "));
            tracing::warn!(
                issuer,
                missing,
                "the issuer grants fewer scopes than are asked for: the API may refuse calls"
            );
        }
    }

    fn failed(&self, failure: &Failure, user: Asker) {
        let issuer = &self.config.issuer;
        // About one token, or its user, who may have brought it about: no word about the issuer, unless
        // it knew what to say.
        if let Failure::Refused(_) = failure {
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.outages.succeeded();
        } else {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        if failure.is_outage() {
            self.outages.failed(user, Instant::now());
            if self.outages_told.pass().is_some() {
                tracing::error!(issuer, error = %failure, "tokens cannot be exchanged");
            }
        } else if self.refusals_told.pass().is_some() {
            tracing::warn!(issuer, error = %failure, "a token was not exchanged");
        }
    }

    /// The token endpoint may be elsewhere now.
    fn look_for_it_again(&self) {
        self.discovered.store(Arc::default());
    }

    async fn ask(&self, token: &AccessToken, now: SystemTime) -> Result<UpstreamToken, Failure> {
        let endpoint = self.endpoint().await?;
        let request = self.request(&endpoint, token, now)?;
        let response = request.send().await;
        let response = response.map_err(|error| {
            self.look_for_it_again();
            FetchError::from(Outbound::from(error))
        })?;
        let status = response.status().as_u16();
        if matches!(status, 300..400 | 404 | 405 | 410) {
            self.look_for_it_again();
        }
        let retry_after = retry_after(response.headers());
        let body = read_body(response, MAX_ANSWER).await;
        let body = body.map_err(|error| match FetchError::from(error) {
            FetchError::TooLarge => Failure::Token("an answer that is too long"),
            error => error.into(),
        })?;
        let (token, granted) = answer::read((status, retry_after), &body, token.expose(), now)?;
        self.compare_scopes(&granted);
        Ok(token.for_target(self.target))
    }

    async fn endpoint(&self) -> Result<Url, FetchError> {
        if let Some(configured) = &self.configured {
            return Ok(configured.clone());
        }
        let discovered = self.discovered.load_full();
        let find = || async {
            let (issuer, patience) = (&self.config.issuer, self.config.timeout);
            let found = discovery::find(&self.client, issuer, patience).await?;
            found.token_endpoint()
        };
        discovered.get_or_try_init(find).await.cloned()
    }

    fn request(
        &self,
        endpoint: &Url,
        token: &AccessToken,
        now: SystemTime,
    ) -> Result<reqwest::RequestBuilder, FetchError> {
        let config = &self.config;
        let request = self.client.post(endpoint.clone()).header("accept", JSON);
        let mut form = self.form(token.expose());
        let id = config.client_id.as_str();
        let assertion: Zeroizing<String>;
        let request = match &config.authentication {
            ClientAuthentication::SecretBasic(secret) => {
                let secret = Zeroizing::new(form_encoded(secret));
                request.basic_auth(form_encoded(id), Some(&*secret))
            }
            ClientAuthentication::SecretPost(secret) => {
                form.extend([("client_id", id), ("client_secret", secret.as_str())]);
                request
            }
            ClientAuthentication::PrivateKeyJwt(key) => {
                let audience = match config.assertion_audience {
                    AssertionAudience::Issuer => config.issuer.as_str(),
                    AssertionAudience::TokenEndpoint => endpoint.as_str(),
                };
                assertion = key.assertion(id, audience, now).ok_or(FetchError::Refused(
                    "no assertion could be made for this server's client",
                ))?;
                form.extend([
                    ("client_id", id),
                    ("client_assertion_type", CLIENT_ASSERTION),
                    ("client_assertion", assertion.as_str()),
                ]);
                request
            }
        };
        Ok(request.form(&form))
    }

    /// What is asked for, without who asks.
    fn form<'a>(&'a self, token: &'a str) -> Vec<(&'static str, &'a str)> {
        let config = &self.config;
        let mut form = match config.grant {
            ExchangeGrant::TokenExchange => vec![
                ("grant_type", TOKEN_EXCHANGE),
                ("subject_token", token),
                ("subject_token_type", ACCESS_TOKEN),
                ("requested_token_type", ACCESS_TOKEN),
            ],
            ExchangeGrant::OnBehalfOf => vec![
                ("grant_type", JWT_BEARER),
                ("assertion", token),
                ("requested_token_use", "on_behalf_of"),
            ],
        };
        form.extend(config.audience.as_deref().map(|it| ("audience", it)));
        form.extend(config.resource.as_deref().map(|it| ("resource", it)));
        if !self.scope.is_empty() {
            form.push(("scope", &self.scope));
        }
        form
    }
}

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const CLIENT_ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn target_of(config: &ExchangeConfig) -> u64 {
    let said = json!([
        config.issuer,
        config.token_endpoint,
        config.client_id,
        format!("{:?}", config.grant),
        config.audience,
        config.resource,
        config.scopes,
        config.sent_to,
    ]);
    let digest = digest(&SHA256, said.to_string().as_bytes());
    let (first, _) = digest.as_ref().as_chunks::<8>();
    first.first().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// In seconds; issuers that say a date are asked again when they would have been without a word.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}
