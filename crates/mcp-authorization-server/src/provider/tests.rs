//! The provider's leg against a stand-in provider over real HTTP.

mod answers;
mod examination;
mod logins;
mod outages;
mod places;
mod refreshes;

use std::{
    collections::HashMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use mcp_test_support::{IdentityProvider, http_client};
use url::Url;
use zeroize::Zeroizing;

use super::*;
use crate::keys::digest_of;

const CALLBACK: &str = "https://mcp.test/callback";
const VERIFIER: &str = "a verifier of the authorization server's own leg";
const NONCE: &str = "the nonce of this login";

fn secret() -> Zeroizing<String> {
    Zeroizing::new(IdentityProvider::CLIENT_SECRET.to_owned())
}

async fn open_id() -> (IdentityProvider, ProviderConfig) {
    let idp = IdentityProvider::start().await.unwrap();
    idp.register_redirect(CALLBACK);
    let config = ProviderConfig::open_id(idp.url(), IdentityProvider::CLIENT_ID, secret());
    (idp, config)
}

/// The preset, with the stand-in's addresses.
async fn github() -> (IdentityProvider, ProviderConfig) {
    let idp = IdentityProvider::start_like_github().await.unwrap();
    idp.register_redirect(CALLBACK);
    let (id, preset) = (IdentityProvider::CLIENT_ID, ProviderPreset::GitHub);
    let mut config = ProviderConfig::preset(preset, None, id, secret()).unwrap();
    let mut places = ProviderEndpoints::new(
        idp.at(IdentityProvider::AUTHORIZE_PATH),
        idp.at(IdentityProvider::TOKEN_PATH),
        idp.at(IdentityProvider::USERINFO_PATH),
    );
    places.revocation = Some(idp.at("/applications"));
    config.place = ProviderPlace::Endpoints(places);
    (idp, config)
}

fn provider(config: ProviderConfig) -> Provider {
    provider_of(config, Observer::default())
}

fn provider_of(config: ProviderConfig, observer: Observer) -> Provider {
    Provider::new(config, mcp_auth::http_client().unwrap(), observer).unwrap()
}

async fn world() -> (IdentityProvider, Provider) {
    let (idp, config) = open_id().await;
    (idp, provider(config))
}

/// What the provider's redirect says, after the browser was sent there.
async fn answer_of(provider: &Provider) -> HashMap<String, String> {
    let challenge = URL_SAFE_NO_PAD.encode(digest_of(VERIFIER));
    let url = provider.authorization_url("the state", NONCE, &challenge, CALLBACK);
    let answer = http_client().get(url.await.unwrap()).send().await.unwrap();
    let location = answer.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(CALLBACK), "{location}");
    let pairs = Url::parse(location).unwrap();
    pairs.query_pairs().into_owned().collect()
}

async fn code_of(provider: &Provider) -> String {
    let answer = answer_of(provider).await;
    assert_eq!(answer["state"], "the state");
    answer["code"].clone()
}

async fn redeem(provider: &Provider, code: &str) -> Result<Login, ProviderError> {
    let now = SystemTime::now();
    provider.redeem(code, VERIFIER, NONCE, CALLBACK, now).await
}

async fn log_in(provider: &Provider) -> Result<Login, ProviderError> {
    let code = code_of(provider).await;
    redeem(provider, &code).await
}

async fn refresh(
    provider: &Provider,
    tokens: &ProviderTokens,
) -> Result<ProviderTokens, ProviderError> {
    provider.refresh(tokens, SystemTime::now()).await
}

/// Who has to act, and on what.
fn kind(error: &ProviderError) -> &'static str {
    match error {
        ProviderError::InvalidGrant => "invalid_grant",
        ProviderError::Refused(_) => "refused",
        ProviderError::NoOrganization => "no_organization",
        ProviderError::Misconfigured(_) => "misconfigured",
        ProviderError::Unavailable { .. } => "unavailable",
    }
}

fn misconfigured(error: ProviderError) -> String {
    match error {
        ProviderError::Misconfigured(sentence) => sentence,
        other => panic!("{other:?}"),
    }
}

const A_MOMENT: Duration = Duration::from_millis(200);
