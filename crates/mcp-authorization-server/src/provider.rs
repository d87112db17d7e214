//! [`Provider`]: the identity provider behind this server, and the client that this server is there.
//! Users log in with it; it says who they are, and gives the tokens that their requests upstream are
//! made with.

mod answer;
mod ask;
mod callback;
mod config;
mod discovery;
mod error;
mod examine;
mod login;
mod organization;
mod preset;
#[cfg(test)]
mod tests;
mod tokens;

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::ClientAuthentication;
use mcp_outbound::{CircuitBreaker, FetchError, HalfOpen, LogThrottle};
use serde::{Deserialize, Serialize};
use serde_json::json;
use url::Url;

pub use config::{
    OrganizationFrom, ProviderConfig, ProviderConfigError, ProviderEndpoints, ProviderPlace,
    Revocation,
};
pub use examine::{ProviderExamination, Standing, examine_provider};
pub use preset::ProviderPreset;

pub(crate) use {
    callback::CallbackRefusal,
    error::{ProviderError, Trouble},
    organization::subject as subject_of,
    tokens::{ProviderTokens, secret},
};

use crate::observe::{Event, Observer};
use answer::{Asked, Granted};
use ask::{as_client, ask, basic};
use discovery::{Discovery, Endpoints};

/// Failures in a row after which the provider is left alone, and for how long.
const FAILURES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(5);

/// The configured provider. One per process: what it finds out is kept in it.
#[derive(Debug)]
pub(crate) struct Provider {
    config: ProviderConfig,
    /// As it is sent.
    scope: String,
    places: Places,
    client: reqwest::Client,
    breaker: CircuitBreaker,
    observer: Observer,
    outages_told: LogThrottle,
    faults_told: LogThrottle,
    refusals_told: LogThrottle,
}

#[derive(Debug)]
enum Places {
    Configured(Arc<Endpoints>),
    Discovered(Arc<Discovery>),
}

/// Somebody who logged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Login {
    /// The user, by a name that the provider gives to nobody else.
    pub(crate) subject: String,
    /// The organization that the user logged in for.
    pub(crate) organization: Option<String>,
    /// What the provider gave.
    pub(crate) tokens: ProviderTokens,
}

impl Provider {
    /// Checks the configuration; no I/O. `client` must follow no redirect, as that of
    /// [`mcp_outbound::http_client`].
    pub(crate) fn new(
        config: ProviderConfig,
        client: reqwest::Client,
        observer: Observer,
    ) -> Result<Self, ProviderConfigError> {
        config.check()?;
        let places = match &config.place {
            ProviderPlace::Endpoints(places) => {
                Places::Configured(Arc::new(Endpoints::configured(places)?))
            }
            ProviderPlace::Issuer(named) => {
                let discovery = Discovery::new(&config, named, client.clone(), observer.clone());
                Places::Discovered(Arc::new(discovery?))
            }
        };
        Ok(Self {
            scope: config.scopes.join(" "),
            config,
            places,
            client,
            breaker: CircuitBreaker::new(FAILURES, HalfOpen::After(PAUSE)),
            observer,
            outages_told: LogThrottle::default(),
            faults_told: LogThrottle::default(),
            refusals_told: LogThrottle::default(),
        })
    }

    /// What the provider is called.
    pub(crate) fn issuer(&self) -> &str {
        self.config.issuer()
    }

    /// Where the browser goes to log in. `code_challenge` is one of S256, `callback` the redirect URI
    /// that is registered for this server's client.
    pub(crate) async fn authorization_url(
        &self,
        state: &str,
        nonce: &str,
        code_challenge: &str,
        callback: &str,
    ) -> Result<Url, ProviderError> {
        let endpoints = self.endpoints().await;
        let endpoints = endpoints.inspect_err(|error| self.tell(error))?;
        Ok(self.request_at(&endpoints, state, nonce, code_challenge, callback))
    }

    fn request_at(
        &self,
        endpoints: &Endpoints,
        state: &str,
        nonce: &str,
        code_challenge: &str,
        callback: &str,
    ) -> Url {
        let mut url = endpoints.authorization.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code");
        query.append_pair("client_id", &self.config.client_id);
        query.append_pair("redirect_uri", callback);
        if !self.scope.is_empty() {
            query.append_pair("scope", &self.scope);
        }
        query.append_pair("state", state);
        query.append_pair("code_challenge", code_challenge);
        query.append_pair("code_challenge_method", "S256");
        if self.config.is_open_id() {
            query.append_pair("nonce", nonce);
        }
        query.extend_pairs(&self.config.parameters);
        drop(query);
        url
    }

    /// Whether a redirect that names `iss`, or nobody, comes from this provider (RFC 9207 section
    /// 2.4). To be asked before anything else in it is believed.
    pub(crate) async fn check_issuer(&self, iss: Option<&str>) -> Result<(), ProviderError> {
        const FOREIGN: ProviderError = ProviderError::Refused(
            "The answer did not come from the identity provider that you were sent to. Go back to \
             the app and begin again.",
        );
        let (named, promised) = match &self.config.place {
            ProviderPlace::Issuer(issuer) => {
                let endpoints = self.endpoints().await?;
                (Some(issuer), endpoints.names_itself)
            }
            ProviderPlace::Endpoints(places) => (places.issuer.as_ref(), false),
        };
        match (iss, named) {
            (Some(iss), Some(named)) if iss != named => Err(FOREIGN),
            (None, _) if promised => Err(FOREIGN),
            _ => Ok(()),
        }
    }

    /// What an `error` in a redirect means for the client, the person and the operator, who reads it
    /// in the log.
    pub(crate) fn callback_refusal(&self, error: &str, callback: &str) -> CallbackRefusal {
        let refusal = callback::read(error, &self.config.client_id, callback, &self.scope);
        // Whoever has a login under way can write such a redirect: it may mean nothing.
        if let Some(to_mend) = &refusal.to_mend
            && self.refusals_told.pass().is_some()
        {
            let issuer = self.issuer();
            tracing::warn!(issuer, %to_mend, "the provider sent a login back with an error");
        }
        refusal
    }

    /// The login that a code stands for.
    ///
    /// A code is sent again only where it cannot have arrived: a second time it would be refused, and
    /// may end the login that the first one began (RFC 6749 section 4.1.2).
    pub(crate) async fn redeem(
        &self,
        code: &str,
        code_verifier: &str,
        nonce: &str,
        callback: &str,
        now: SystemTime,
    ) -> Result<Login, ProviderError> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", callback),
            ("code_verifier", code_verifier),
        ];
        let redeemed = async {
            let endpoints = self.endpoints().await?;
            let asked = Asked::Code { callback };
            let granted = self.grant(&endpoints, &form, asked, now).await?;
            self.login(&endpoints, granted, nonce, now).await
        };
        self.settled("redeem", redeemed).await
    }

    /// New tokens for those of a login. Where there is no refresh token, the same ones, if the
    /// provider says that the login still is.
    ///
    /// A refresh whose answer was lost is asked for once more at once: some providers take the same
    /// token again for a moment, and with the others nothing is left to lose.
    pub(crate) async fn refresh(
        &self,
        tokens: &ProviderTokens,
        now: SystemTime,
    ) -> Result<ProviderTokens, ProviderError> {
        let refreshed = async {
            let endpoints = self.endpoints().await?;
            let Some(refresh_token) = &tokens.refresh_token else {
                self.check_live(&endpoints, tokens, now).await?;
                return Ok(tokens.clone());
            };
            let form = [
                ("grant_type", "refresh_token"),
                ("refresh_token", refresh_token.as_str()),
            ];
            let granted = self.grant(&endpoints, &form, Asked::Refresh, now).await?;
            let mut fresh = granted.tokens;
            fresh.refresh_token = fresh.refresh_token.or_else(|| tokens.refresh_token.clone());
            fresh.scope = fresh.scope.or_else(|| tokens.scope.clone());
            Ok(fresh)
        };
        self.settled("refresh", refreshed).await
    }

    /// Gives the tokens of a login back, as far as the provider takes them: nobody depends on it.
    pub(crate) async fn revoke(&self, tokens: &ProviderTokens) {
        if self.breaker.is_open() {
            return;
        }
        let revoked = async {
            let endpoints = self.endpoints().await?;
            let Some(endpoint) = &endpoints.revocation else {
                return Ok(None);
            };
            let request = self.revocation(endpoint, tokens)?;
            let reply = ask(request, self.config.timeout).await?;
            Ok::<_, ProviderError>(Some(reply.status))
        };
        let began = Instant::now();
        let revoked = revoked.await;
        let outcome = match &revoked {
            Ok(None) => return,
            Ok(Some(200..300)) => "ok",
            Ok(Some(500..)) => "unavailable",
            Ok(Some(_)) => "refused",
            Err(error) => error.outcome(),
        };
        self.observer.tell(asked("revoke", outcome, began));
        match revoked {
            Ok(None | Some(200..300)) => {}
            Ok(Some(status)) => tracing::debug!(status, "the provider did not take tokens back"),
            Err(error) => tracing::debug!(%error, "tokens could not be given back"),
        }
    }

    fn revocation(
        &self,
        endpoint: &Url,
        tokens: &ProviderTokens,
    ) -> Result<reqwest::RequestBuilder, ProviderError> {
        let (id, authentication) = (&self.config.client_id, &self.config.authentication);
        if self.config.revocation == Revocation::GitHub {
            let mut endpoint = endpoint.clone();
            if let Ok(mut path) = endpoint.path_segments_mut() {
                path.extend([id, "token"]);
            }
            let request = self.client.delete(endpoint);
            let request = match authentication {
                ClientAuthentication::SecretBasic(secret)
                | ClientAuthentication::SecretPost(secret) => basic(request, id, secret),
                ClientAuthentication::PrivateKeyJwt(_) => request,
            };
            return Ok(request.json(&json!({ "access_token": tokens.access_token.as_str() })));
        }
        let (token, hint) = match &tokens.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&tokens.access_token, "access_token"),
        };
        let form = [("token", token.as_str()), ("token_type_hint", hint)];
        let (request, now) = (self.client.post(endpoint.clone()), SystemTime::now());
        as_client(request, &form, (id, authentication), endpoint, now)
    }

    async fn endpoints(&self) -> Result<Arc<Endpoints>, ProviderError> {
        match &self.places {
            Places::Configured(endpoints) => Ok(Arc::clone(endpoints)),
            Places::Discovered(discovery) => discovery.endpoints().await,
        }
    }

    /// Does what is asked of the provider, unless it is left alone; counts and tells what came of it.
    async fn settled<T>(
        &self,
        question: &'static str,
        asking: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let admitted = self.breaker.admit(Instant::now());
        admitted.map_err(|wait| Trouble::LeftAlone.for_a(wait))?;
        let began = Instant::now();
        let settled = asking.await;
        self.observer
            .tell(asked(question, outcome_of(&settled), began));
        match &settled {
            Err(error) if error.is_outage() => {
                self.breaker.failed(Instant::now());
            }
            _ => self.breaker.succeeded(),
        }
        settled.inspect_err(|error| self.tell(error))
    }

    fn tell(&self, error: &ProviderError) {
        let issuer = self.issuer();
        match error {
            ProviderError::Misconfigured(_) => {
                if self.faults_told.pass().is_some() {
                    tracing::error!(issuer, %error, "nobody can log in with the provider");
                }
            }
            ProviderError::Unavailable { .. } => {
                if self.outages_told.pass().is_some() {
                    tracing::warn!(issuer, %error, "the provider did not answer a login");
                }
            }
            _ => tracing::debug!(issuer, %error, "the provider refused a login"),
        }
    }

    /// Asks the token endpoint, a second time where that may help and there is time left.
    async fn grant(
        &self,
        endpoints: &Endpoints,
        form: &[(&'static str, &str)],
        asked: Asked<'_>,
        now: SystemTime,
    ) -> Result<Granted, ProviderError> {
        let (endpoint, began) = (&endpoints.token, Instant::now());
        let client = (self.config.client_id.as_str(), &self.config.authentication);
        let mut again = true;
        loop {
            let request = self.client.post(endpoint.clone());
            let request = as_client(request, form, client, endpoint, now)?;
            let left = self.config.timeout.saturating_sub(began.elapsed());
            let reply = ask(request, left).await;
            let lost = match (&reply, asked) {
                (Err(FetchError::NotSent), _) | (Err(FetchError::Broken), Asked::Refresh) => true,
                // Something in front of the provider did not hear its answer.
                (Ok(reply), Asked::Refresh) => matches!(reply.status, 502 | 504),
                _ => false,
            };
            if lost && std::mem::take(&mut again) {
                continue;
            }
            return answer::read(&reply?, asked, client.0, now);
        }
    }
}

/// What came of a question that began then, for the observer.
fn asked(question: &'static str, outcome: &'static str, began: Instant) -> Event {
    Event::Asked {
        question,
        outcome,
        duration: began.elapsed(),
    }
}

fn outcome_of<T>(answer: &Result<T, ProviderError>) -> &'static str {
    answer
        .as_ref()
        .map_or_else(ProviderError::outcome, |_| "ok")
}
