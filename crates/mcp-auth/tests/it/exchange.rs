//! What is asked of an issuer that exchanges tokens, and how this server proves who it is.

use std::{sync::Arc, time::SystemTime};

use mcp_auth::{
    AccessToken, AssertionAudience, AuthError, ClientAuthentication, ClientKey, ConfigError,
    ExchangeConfig, ExchangeGrant, Preset, Principal, TokenExchange, UpstreamToken, http_client,
};
use mcp_test_support::{
    Algorithm, ExchangeClient, ExchangeRequest, Issuer, SigningKey, payload_of,
};

use crate::world::{issuer, verifier};

pub(crate) const API: &str = "https://api.test";
const CLIENT: &str = "mcp server";
const SECRET: &str = "s&cret: 100%";

/// An issuer that knows this server by its secret in HTTP Basic, and how to ask it.
pub(crate) async fn world() -> (Issuer, ExchangeConfig) {
    let issuer = issuer().await;
    issuer.let_exchange(CLIENT, ExchangeClient::Basic(SECRET.to_owned()));
    let secret = ClientAuthentication::SecretBasic(SECRET.to_owned().into());
    let mut config = ExchangeConfig::new(issuer.url(), CLIENT, secret);
    config.audience = Some(API.to_owned());
    (issuer, config)
}

pub(crate) fn exchange_of(config: ExchangeConfig) -> TokenExchange {
    TokenExchange::new(config, http_client().unwrap()).unwrap()
}

/// A token of the issuer, parsed, with the principal that it proves.
pub(crate) async fn subject(issuer: &Issuer) -> (AccessToken, Principal) {
    subject_named(issuer, "user_1").await
}

pub(crate) async fn subject_named(issuer: &Issuer, name: &str) -> (AccessToken, Principal) {
    let token = issuer.token().subject(name).mint();
    let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
    let principal = verifier(issuer).verify(&token, SystemTime::now()).await;
    (token, principal.unwrap())
}

pub(crate) async fn exchanged(
    issuer: &Issuer,
    config: ExchangeConfig,
) -> Result<UpstreamToken, AuthError> {
    let (token, principal) = subject(issuer).await;
    let exchange = exchange_of(config);
    exchange
        .exchange(&token, &principal, SystemTime::now())
        .await
}

/// The one exchange that was asked for.
fn asked(issuer: &Issuer) -> ExchangeRequest {
    let mut asked = issuer.exchanges().entries();
    assert_eq!(asked.len(), 1);
    asked.remove(0)
}

#[tokio::test]
async fn a_token_becomes_one_of_the_api_for_the_same_user() {
    let (issuer, mut config) = world().await;
    config.scopes = vec!["read".to_owned(), "write".to_owned()];
    let before = SystemTime::now();
    let token = exchanged(&issuer, config).await.unwrap();
    let claims = payload_of(token.expose()).unwrap();
    assert_eq!(
        (&claims["sub"], &claims["aud"]),
        (&"user_1".into(), &API.into())
    );
    assert_eq!(claims["act"]["sub"], CLIENT);
    let actor = token.actor().and_then(|actor| actor.subject.as_deref());
    assert_eq!(actor, Some(CLIENT));
    assert_eq!(claims["scope"], "read write");
    let lifetime = token.expires_at().duration_since(before).unwrap().as_secs();
    assert!((295..=360).contains(&lifetime), "{lifetime}");
    assert!(!format!("{token:?}").contains(token.expose()));
    let asked = asked(&issuer);
    assert_eq!(asked.client.as_deref(), Some(CLIENT));
    let field = |name: &str| asked.form.get(name).map(String::as_str);
    let kind = Some("urn:ietf:params:oauth:token-type:access_token");
    assert_eq!(field("subject_token_type"), kind);
    assert_eq!(field("requested_token_type"), kind);
    assert_eq!(field("audience"), Some(API));
    assert_eq!((field("resource"), field("client_id")), (None, None));
}

#[tokio::test]
async fn this_server_proves_who_it_is_in_each_way() {
    let secret = || SECRET.to_owned();
    let mut ways = vec![(
        ExchangeClient::Post(secret()),
        ClientAuthentication::SecretPost(secret().into()),
    )];
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let key = Arc::new(SigningKey::generate(algorithm));
        let ours = ClientKey::from_pem(&key.private_pem()).unwrap().named("k1");
        let ours = ClientAuthentication::PrivateKeyJwt(ours);
        ways.push((ExchangeClient::Key(key), ours));
    }
    for audience in [AssertionAudience::Issuer, AssertionAudience::TokenEndpoint] {
        for (registered, ours) in ways.clone() {
            let (issuer, mut config) = world().await;
            issuer.let_exchange(CLIENT, registered);
            config.authentication = ours;
            config.assertion_audience = audience;
            let token = exchanged(&issuer, config.clone()).await;
            assert!(token.is_ok(), "{config:?}: {token:?}");
            let shown = format!("{config:?}");
            assert!(!shown.contains(SECRET), "{shown}");
            let again = exchanged(&issuer, config).await;
            assert!(again.is_ok(), "an assertion is good once: {again:?}");
        }
    }
}

#[tokio::test]
async fn a_certificate_beside_the_key_is_named_and_the_key_signs_with_pss() {
    let (issuer, mut config) = world().await;
    let key = Arc::new(SigningKey::generate(Algorithm::Rs256));
    let certificate = "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n";
    let pem = format!("{certificate}{}", key.private_pem());
    issuer.let_exchange(CLIENT, ExchangeClient::Key(key));
    let key = ClientKey::from_pem(&pem).unwrap();
    config.authentication = ClientAuthentication::PrivateKeyJwt(key);
    exchanged(&issuer, config).await.unwrap();
    let asked = asked(&issuer);
    let header = asked.form["client_assertion"].split('.').next().unwrap();
    let header = jsonwebtoken::decode_header(format!("{header}.e30.").as_str()).unwrap();
    assert_eq!(header.alg, jsonwebtoken::Algorithm::PS256);
    // SHA-256 of "abc".
    let thumbprint = "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0";
    assert_eq!(header.x5t_s256.as_deref(), Some(thumbprint));
}

#[tokio::test]
async fn presets_spell_an_exchange_as_their_issuers_do() {
    for (preset, parameter, value) in [
        (Preset::WorkOs, "resource", API),
        (Preset::Auth0, "audience", API),
        (Preset::Keycloak, "audience", API),
        (Preset::Okta, "audience", API),
        (Preset::Entra, "scope", "https://api.test/.default"),
    ] {
        for by_resource in [false, true] {
            let (issuer, mut config) = world().await;
            if by_resource {
                (config.audience, config.resource) = (None, Some(API.to_owned()));
            }
            preset.apply_to_exchange(&mut config);
            let on_behalf_of = config.grant == ExchangeGrant::OnBehalfOf;
            assert_eq!(on_behalf_of, preset == Preset::Entra);
            exchanged(&issuer, config).await.unwrap();
            let asked = asked(&issuer).form;
            let target = ["audience", "resource", "scope"];
            let target: Vec<_> = target
                .iter()
                .filter(|it| asked.contains_key(**it))
                .collect();
            assert_eq!(target, [&parameter], "{preset:?}");
            assert_eq!(asked[parameter], value);
        }
    }
}

#[tokio::test]
async fn the_token_endpoint_is_found_once_and_again_after_a_failure() {
    let (issuer, config) = world().await;
    let (token, principal) = subject(&issuer).await;
    let exchange = exchange_of(config);
    let found = || issuer.count(Issuer::METADATA_PATH) - 1;
    let now = SystemTime::now();
    let ask = || exchange.exchange(&token, &principal, now);
    let all = futures::future::join_all((0..20).map(|_| ask())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(found(), 1);
    issuer.stop().await;
    assert!(ask().await.is_err());
    issuer.come_back().await.unwrap();
    assert!(ask().await.is_ok());
    assert_eq!(found(), 2);
}

#[tokio::test]
async fn secrets_go_to_no_host_that_only_metadata_names() {
    let (issuer, mut config) = world().await;
    let other = world().await.0;
    let elsewhere = format!("{}{}", other.url(), Issuer::TOKEN_PATH);
    issuer.set_token_endpoint(&elsewhere);
    let refused = exchanged(&issuer, config.clone()).await.unwrap_err();
    assert_eq!(refused.label(), "exchange_unavailable");
    assert_eq!(other.exchanges().entries().len(), 0);
    // Configured, it is meant. (There the token is unknown, but it was asked.)
    config.token_endpoint = Some(elsewhere);
    let refused = exchanged(&issuer, config).await.unwrap_err();
    assert_eq!(refused.label(), "not_exchanged");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused() {
    let (_issuer, good) = world().await;
    let refused = |change: fn(&mut ExchangeConfig)| {
        let mut config = good.clone();
        change(&mut config);
        TokenExchange::new(config, http_client().unwrap()).unwrap_err()
    };
    let issuer = good.issuer.clone();
    let no_target = ConfigError::NoExchangeTarget(issuer.clone());
    assert_eq!(refused(|it| it.audience = None), no_target);
    assert_eq!(refused(|it| it.audience = Some(String::new())), no_target);
    let no_client = ConfigError::NoExchangeClient(issuer);
    assert_eq!(refused(|it| it.client_id.clear()), no_client);
    let empty = |it: &mut ExchangeConfig| {
        it.authentication = ClientAuthentication::SecretPost(String::new().into());
    };
    assert_eq!(refused(empty), no_client);
    let plain = "http://issuer.test/token";
    assert_eq!(
        refused(|it| it.token_endpoint = Some("http://issuer.test/token".to_owned())),
        ConfigError::Url(plain.to_owned())
    );
    let public = SigningKey::generate(Algorithm::Es256).public_pem();
    for pem in ["", "no pem", public.as_str()] {
        let error = ClientKey::from_pem(pem).unwrap_err();
        assert!(matches!(error, ConfigError::ClientKey(_)), "{pem}");
    }
}
