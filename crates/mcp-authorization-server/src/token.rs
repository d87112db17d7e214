//! The token endpoint: tokens for a code, and for a refresh token.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use mcp_session::StoreError;
use serde_json::{Map, Value};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{
    access::Minted,
    answer::json_answer,
    clients::{Client, ClientError, Proven},
    code::Redeemed,
    config::{AUTHORIZATION_CODE, JWT_BEARER, REFRESH_TOKEN},
    family::{Lease, Turn},
    form::Form,
    grant::Grant,
    metadata::OFFLINE_ACCESS,
    provider::{ProviderError, ProviderTokens},
    request::{AuthorizationRequest, Refused, digest_text, seconds},
    resource::Wanted,
    server::Inner,
};

use crate::error::OAuthError;

/// The body of a successful answer, which holds tokens.
pub(crate) type Tokens = Zeroizing<Vec<u8>>;

/// What of a grant an access token is for.
struct Part {
    scopes: Vec<String>,
    /// The resource, if it is below ours.
    below: Option<String>,
}

/// How long the provider is asked at most: the lease lasts longer.
const ASKING: Duration = Duration::from_secs(12);

/// When it is worth asking the store again.
const STORE_AGAIN: Duration = Duration::from_secs(2);

impl Inner {
    /// `POST /token`.
    pub(crate) async fn token(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Response<Bytes> {
        match self.tokens(headers, body, now).await {
            Ok(tokens) => json_answer(StatusCode::OK, tokens.to_vec()),
            Err(error) => error.into_response(),
        }
    }

    async fn tokens(
        self: &Arc<Self>,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<Tokens, OAuthError> {
        let form =
            Form::parse(body).map_err(|error| OAuthError::invalid_request(error.to_string()))?;
        let proven = self.clients.authenticate(headers, &form, now).await?;
        let client = &proven.client;
        let wanted = self.wanted(&form).map_err(invalid_target)?;
        let Some(grant_type) = form.get("grant_type") else {
            return Err(OAuthError::invalid_request("grant_type is missing"));
        };
        let supported = self.config.grant_types();
        match grant_type {
            AUTHORIZATION_CODE | REFRESH_TOKEN if !client.may_use(grant_type) => {
                Err(not_for_this_client())
            }
            AUTHORIZATION_CODE => self.for_code(&proven, &form, wanted, now).await,
            REFRESH_TOKEN => self.for_refresh_token(&proven, &form, wanted, now).await,
            other if !supported.contains(&other) => {
                Err(OAuthError::unsupported_grant_type(&supported))
            }
            JWT_BEARER => self.for_assertion(&proven, &form, wanted, now).await,
            _ => self.for_client(&proven, &form, wanted, now).await,
        }
    }

    async fn for_code(
        &self,
        proven: &Proven,
        form: &Form,
        wanted: Wanted,
        now: SystemTime,
    ) -> Result<Tokens, OAuthError> {
        let Some(code) = form.get("code") else {
            return Err(OAuthError::invalid_request("code is missing"));
        };
        let client = &*proven.client;
        let check = |request: &AuthorizationRequest| {
            check_code(request, client, form)?;
            let below = self.out_of(request.below.as_deref(), wanted.clone());
            below.map(drop).map_err(invalid_target)
        };
        if proven.once()
            && let Some(request) = self.peek(code).await.map_err(store_away)?
        {
            check(&request)?;
            self.clients.use_up(proven).await?;
        }
        match self.redeem(code, check).await.map_err(store_away)?? {
            Redeemed::Good(code, family) => {
                let grant = Grant::of(*code, family, self.provider.issuer(), now);
                self.check_denials(&grant)?;
                let below = self.out_of(grant.below.as_deref(), wanted.clone());
                let part = Part {
                    scopes: grant.scopes.clone(),
                    below: below.map_err(invalid_target)?,
                };
                self.deliver(client, &grant, &part, now).await
            }
            Redeemed::Again(family) => {
                tracing::warn!("an authorization code was used twice: the login is over");
                self.end(&family, now).await.map_err(store_away)?;
                Err(OAuthError::invalid_grant("the code was used before"))
            }
            Redeemed::Unknown => Err(OAuthError::invalid_grant(
                "the code is unknown or older than a minute",
            )),
        }
    }

    async fn for_refresh_token(
        self: &Arc<Self>,
        proven: &Proven,
        form: &Form,
        wanted: Wanted,
        now: SystemTime,
    ) -> Result<Tokens, OAuthError> {
        let Some(token) = form.get("refresh_token") else {
            return Err(OAuthError::invalid_request("refresh_token is missing"));
        };
        let grant = Grant::open(&self.keys, token)
            .map_err(|_| OAuthError::invalid_grant("the refresh token is none of this server's"))?;
        let client = &*proven.client;
        self.check_grant(&grant, client, now)?;
        self.clients.use_up(proven).await?;
        let below = self.out_of(grant.below.as_deref(), wanted);
        let part = Part {
            scopes: self.narrowed(&grant, form.get("scope"))?,
            below: below.map_err(invalid_target)?,
        };
        let turn = self.turn(&grant.family, grant.generation, now).await;
        match turn.map_err(store_away)? {
            Turn::Again(answer) => Ok(answer),
            Turn::Over => Err(OAuthError::invalid_grant("the login is over")),
            Turn::Busy => Err(OAuthError::unavailable(
                "the same refresh token is just being used",
                STORE_AGAIN,
            )),
            Turn::Mine(lease) => self.renew(client, &grant, &part, lease, now).await,
        }
    }

    /// The next tokens of a family, with what the provider gives now.
    async fn renew(
        self: &Arc<Self>,
        client: &Client,
        grant: &Grant,
        part: &Part,
        lease: Lease,
        now: SystemTime,
    ) -> Result<Tokens, OAuthError> {
        // Nobody asks for longer than the lease lasts.
        let asked = timeout(ASKING, self.provider.refresh(&grant.tokens, now));
        let tokens = match asked.await {
            Ok(Ok(tokens)) if is_of_use(&tokens, now) => tokens,
            Ok(Ok(_) | Err(ProviderError::InvalidGrant)) => {
                // Somebody else may have had the next one of the provider; then this is it, too.
                let next = self.answer_of(&grant.family, grant.generation + 1).await;
                self.give_back(&lease).await;
                return match next.map_err(store_away)? {
                    Some(answer) => Ok(answer),
                    None => Err(OAuthError::invalid_grant(
                        "the identity provider ended the login",
                    )),
                };
            }
            other => {
                self.give_back(&lease).await;
                if let Ok(Err(error)) = other {
                    tracing::warn!(%error, "a login cannot be renewed just now");
                }
                return Err(OAuthError::unavailable(
                    "the identity provider cannot be asked just now",
                    Duration::from_secs(5),
                ));
            }
        };
        // From here on nothing may fail: the provider has used its last refresh token up.
        let next = grant.next(tokens, now);
        let answer = self.deliver(client, &next, part, now).await?;
        let spare = answer.clone();
        match self.settle(&lease, answer, now).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) => Err(OAuthError::invalid_grant("the login was ended")),
            Err(error) => {
                // Who asked has the answer. Who loses it, or asked at the same time, finds it there once
                // the store is back.
                tracing::warn!(%error, "a refresh is not written down yet");
                let (inner, answer) = (Arc::clone(self), spare.clone());
                tokio::spawn(async move { inner.settle_later(lease, answer, now).await });
                Ok(spare)
            }
        }
    }

    /// The answer with the tokens of a grant.
    async fn deliver(
        &self,
        client: &Client,
        grant: &Grant,
        part: &Part,
        now: SystemTime,
    ) -> Result<Tokens, OAuthError> {
        let below = part.below.as_deref();
        let minted = self.mint(&grant.holder(), &part.scopes, below, now).await;
        let mut answer = answer(&minted.map_err(store_away)?, &part.scopes);
        if client.may_use(REFRESH_TOKEN) {
            let refresh_token = grant.seal(&self.keys);
            let refresh_token = refresh_token.map_err(|_| store_away(StoreError::Full))?;
            answer.insert("refresh_token".to_owned(), refresh_token.into());
        }
        Ok(body_of(answer))
    }

    /// Whether a grant is still good, and this client's.
    fn check_grant(
        &self,
        grant: &Grant,
        client: &Client,
        now: SystemTime,
    ) -> Result<(), OAuthError> {
        if grant.client != digest_text(&client.id) {
            let text = "the refresh token belongs to another client";
            return Err(OAuthError::invalid_grant(text));
        }
        let since = |at: u64| Duration::from_secs(seconds(now).saturating_sub(at));
        let idle = since(grant.made_at) > self.config.refresh_token_idle;
        let long_ago = since(grant.logged_in_at) > self.config.grant_lifetime;
        if idle || long_ago {
            return Err(OAuthError::invalid_grant("the refresh token is over"));
        }
        if grant.provider != self.provider.issuer() {
            let text = "the login was at another identity provider";
            return Err(OAuthError::invalid_grant(text));
        }
        self.check_denials(grant)
    }

    /// A login that was ended, or somebody who is not let in any more.
    fn check_denials(&self, grant: &Grant) -> Result<(), OAuthError> {
        let logged_in_at = SystemTime::UNIX_EPOCH + Duration::from_secs(grant.logged_in_at);
        let organization = grant.organization.as_deref();
        if self.is_denied(
            &grant.subject,
            organization,
            &grant.client_name,
            logged_in_at,
        ) {
            return Err(OAuthError::invalid_grant("the login was ended"));
        }
        Ok(())
    }

    /// Of the scopes that somebody may have without a login, those that are asked for; all of them, where
    /// none are.
    pub(crate) fn granted_scopes(
        &self,
        allowed: &[String],
        asked: Option<&str>,
    ) -> Result<Vec<String>, OAuthError> {
        let asked = asked.unwrap_or_default().split_ascii_whitespace();
        let asked: Vec<&str> = asked.filter(|scope| *scope != OFFLINE_ACCESS).collect();
        let is_meant = |scope: &&String| asked.is_empty() || asked.contains(&scope.as_str());
        let mut granted: Vec<String> = allowed.iter().filter(is_meant).cloned().collect();
        if granted.is_empty() && !self.config.scopes.is_empty() {
            let text = format!("there may be no other scopes than: {}", allowed.join(" "));
            return Err(OAuthError::invalid_scope(text));
        }
        granted.sort();
        granted.dedup();
        Ok(granted)
    }

    /// Scopes may become fewer, never more (RFC 6749 section 6).
    fn narrowed(&self, grant: &Grant, asked: Option<&str>) -> Result<Vec<String>, OAuthError> {
        let Some(asked) = asked else {
            return Ok(grant.scopes.clone());
        };
        let asked = self
            .scopes_of(Some(asked), None)
            .map_err(|refused| OAuthError::invalid_scope(refused.description))?;
        // A client may repeat what it asked for at first, also what it did not get.
        let narrowed: Vec<String> = asked
            .into_iter()
            .filter(|scope| grant.scopes.contains(scope))
            .collect();
        if narrowed.is_empty() && !grant.scopes.is_empty() {
            let text = "the refresh token was given for none of these scopes";
            return Err(OAuthError::invalid_scope(text));
        }
        Ok(narrowed)
    }
}

/// What is said with an access token (RFC 6749 section 5.1).
pub(crate) fn answer(minted: &Minted, scopes: &[String]) -> Map<String, Value> {
    Map::from_iter([
        ("access_token".to_owned(), minted.token.as_str().into()),
        ("token_type".to_owned(), "Bearer".into()),
        ("expires_in".to_owned(), minted.lives.as_secs().into()),
        ("scope".to_owned(), scopes.join(" ").into()),
    ])
}

pub(crate) fn body_of(answer: Map<String, Value>) -> Tokens {
    Zeroizing::new(Value::Object(answer).to_string().into_bytes())
}

pub(crate) fn not_for_this_client() -> OAuthError {
    OAuthError::unauthorized_client("this client is not registered for this grant_type")
}

pub(crate) fn invalid_target(refused: Refused) -> OAuthError {
    OAuthError::invalid_target(refused.description)
}

/// What a code was given for has to be what the client says (RFC 6749 section 4.1.3, RFC 7636).
fn check_code(
    request: &AuthorizationRequest,
    client: &Client,
    form: &Form,
) -> Result<(), OAuthError> {
    if request.client != digest_text(&client.id) {
        return Err(OAuthError::invalid_grant(
            "the code belongs to another client",
        ));
    }
    let elsewhere = |uri: &str| uri != request.redirect_uri;
    if form.get("redirect_uri").is_some_and(elsewhere) {
        let text = "redirect_uri is not that of the authorization request";
        return Err(OAuthError::invalid_grant(text));
    }
    let verifier = form.get("code_verifier").unwrap_or_default();
    let usual = verifier.len() >= 43 && verifier.len() <= 128;
    if !usual || digest_text(verifier) != request.code_challenge {
        return Err(OAuthError::invalid_grant(
            "code_verifier does not fit the code_challenge",
        ));
    }
    Ok(())
}

/// Whether new tokens are worth a token of ours. Where there is nothing to get others with, those that
/// are about to end are a login that does.
fn is_of_use(tokens: &ProviderTokens, now: SystemTime) -> bool {
    let soon = seconds(now) + 60;
    tokens.refresh_token.is_some() || tokens.expires_at.is_none_or(|at| at > soon)
}

/// Nobody is signed out by it: what clients hold stays good.
pub(crate) fn store_away(error: StoreError) -> OAuthError {
    tracing::warn!(error = %error, "the store is needed to give out tokens, and does not answer");
    OAuthError::unavailable(
        "a part that this needs does not answer just now",
        STORE_AGAIN,
    )
}

impl From<ClientError> for OAuthError {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Request(text) => Self::invalid_request(text),
            // What a client's document says just now is no reason for it to forget all it has.
            ClientError::Unavailable | ClientError::Busy | ClientError::Refused(_) => {
                Self::unavailable(error.to_string(), STORE_AGAIN)
            }
            ClientError::Unknown | ClientError::NotAuthenticated(_) => {
                Self::invalid_client(error.to_string())
            }
        }
    }
}
