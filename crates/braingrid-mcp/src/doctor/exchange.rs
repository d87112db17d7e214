//! Whether the issuer gives a token of the API for the one that was shown, and what the API makes of it.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use mcp_auth::{
    AccessToken, AuthError, ExchangeConfig, ForbiddenReason, Principal, TokenExchange,
    UnavailableReason, UpstreamToken,
};
use mcp_core::{ApiError, Caller, Credential, CredentialError, Organization};
use reqwest::Client;
use secrecy::{ExposeSecret as _, SecretString};

use super::check;
use super::finding::Finding;
use crate::assemble;
use crate::config::{ApiSettings, HttpSettings, UpstreamSettings};

/// One exchange as this server makes it, then one call to the API; nothing where no token is exchanged.
pub(super) async fn check(
    client: &Client,
    http: &HttpSettings,
    api: ApiSettings,
    token: &SecretString,
) -> anyhow::Result<Vec<Finding>> {
    let resource = format!("{}/mcp", http.public_url_at(http.listen.port()));
    let verifier = assemble::verifier(&http.auth, &resource, client.clone())?;
    let now = SystemTime::now();
    let Ok(shown) = AccessToken::parse(&format!("Bearer {}", token.expose_secret())) else {
        return Ok(Vec::new());
    };
    let exchanges = |it: &UpstreamSettings| matches!(it, UpstreamSettings::Exchange(_));
    let issuers = || http.auth.issuers.iter();
    let principal = match verifier.verify(&shown, now).await {
        Ok(principal) => principal,
        Err(error) if issuers().any(|it| it.upstream.as_ref().is_some_and(exchanges)) => {
            let says = format!("not tried with this token: {error}");
            return Ok(vec![Finding::not_checked(check::EXCHANGE, says)]);
        }
        Err(_) => return Ok(Vec::new()),
    };
    let settings = issuers().find(|it| it.accepted.issuer == principal.issuer());
    let Some(UpstreamSettings::Exchange(config)) = settings.and_then(|it| it.upstream.as_ref())
    else {
        return Ok(Vec::new());
    };
    let exchange = TokenExchange::new(config.clone(), client.clone())?;
    Ok(match exchange.exchange(&shown, &principal, now).await {
        Ok(upstream) => {
            let left = upstream.expires_at().duration_since(now);
            let minutes = left.unwrap_or_default().as_secs().div_ceil(60);
            let says = format!("the issuer gives a token of the API, good for {minutes} min");
            let given = given(says, &exchange.missing_scopes(), config);
            vec![given, taken(api, &principal, &upstream).await?]
        }
        Err(error) => {
            let says = format!("the issuer gives no token of the API: {error}");
            let fix = fix(&error, config);
            vec![Finding::problem(check::EXCHANGE, says, fix)]
        }
    })
}

/// A token that is there; the scopes that it lacks may be what a call fails by.
fn given(says: String, missing: &[String], config: &ExchangeConfig) -> Finding {
    if missing.is_empty() {
        return Finding::good(check::EXCHANGE, says);
    }
    let missing = missing.join(" ");
    let says = format!("{says}, but without the scopes {missing:?}");
    let client = &config.client_id;
    let fix = format!(
        "at the issuer: let client {client} and the user have these scopes of the API; or take them out of \
         scopes in [issuers.upstream]"
    );
    Finding::warning(check::EXCHANGE, says, fix)
}

/// Asks the API who the user is, with the token that is meant for it.
async fn taken(
    api: ApiSettings,
    principal: &Principal,
    upstream: &UpstreamToken,
) -> anyhow::Result<Finding> {
    let organization = match principal.organization().map(str::parse) {
        Some(Ok(id)) => Organization::known(id),
        _ => Organization::from_profile(None),
    };
    let token = SecretString::from(upstream.expose());
    let caller = Caller::new(None, organization, Vec::new(), Arc::new(Given(token)));
    Ok(match assemble::client(api)?.profile(&caller).await {
        Ok(_) => Finding::good(check::EXCHANGED, "the API knows the user by that token"),
        Err(error) => {
            let fix = match &error {
                ApiError::Unauthorized => {
                    "let audience or resource in [issuers.upstream] be what the API expects in aud \
                     of its tokens"
                }
                ApiError::Forbidden(_) => {
                    "let the issuer put the user's organization, and the scopes that the API wants, \
                     into exchanged tokens too"
                }
                _ => "see the line of the BrainGrid API",
            };
            let says = format!("the API does not serve the user by that token: {error}");
            Finding::problem(check::EXCHANGED, says, fix)
        }
    })
}

/// One token, and no other when it is refused.
struct Given(SecretString);

#[async_trait]
impl Credential for Given {
    async fn bearer(&self) -> Result<SecretString, CredentialError> {
        Ok(self.0.clone())
    }

    fn reject(&self, _: &SecretString) {}
}

/// Which value is to be looked at, at the issuer and here.
fn fix(error: &AuthError, config: &ExchangeConfig) -> String {
    let client = &config.client_id;
    let named = config.audience.iter().chain(&config.resource);
    let named = named.map(String::as_str).collect::<Vec<_>>().join(" or ");
    match error {
        AuthError::Forbidden(ForbiddenReason::UpstreamTarget) => format!(
            "at the issuer: let client {client} have tokens of {named:?}, which must be the name of an \
             API there (UPSTREAM_RESOURCE or UPSTREAM_AUDIENCE, in the file in [issuers.upstream])"
        ),
        AuthError::Forbidden(ForbiddenReason::UpstreamScope) => format!(
            "at the issuer: give the API these scopes and let client {client} ask for them: {:?} \
             (UPSTREAM_SCOPES, in the file scopes in [issuers.upstream])",
            config.scopes.join(" ")
        ),
        AuthError::Forbidden(ForbiddenReason::UpstreamRequest) => format!(
            "at the issuer: see that token exchange is on for client {client}; here: see that \
             OAUTH_PRESET (in the file preset) is the issuer's, for it decides how the request is spelled"
        ),
        AuthError::Forbidden(_) => format!(
            "at the issuer: let client {client} exchange tokens of this user for {named:?}: grants, \
             consent and policies of that client"
        ),
        AuthError::Unavailable { reason, .. } if *reason == UnavailableReason::ExchangeClient => {
            format!(
                "compare client_id {client:?} and its secret or key (UPSTREAM_CLIENT_…, in the file in \
                 [issuers.upstream]) with the issuer's, and let that client use the token exchange grant"
            )
        }
        AuthError::Unavailable { .. } => "see that this machine reaches the issuer's token endpoint \
             (UPSTREAM_TOKEN_ENDPOINT, in the file token_endpoint in [issuers.upstream], where it is on \
             another host than the issuer)"
            .to_owned(),
        _ => "log in anew and try with that token; if it is refused too, see that token exchange is on \
              for the client that the token was issued to"
            .to_owned(),
    }
}
