//! Logins: what is asked, who it was, and what is not believed.

use std::{collections::BTreeMap, sync::Arc};

use mcp_test_support::{Algorithm, ProviderUser, SigningKey};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_login_has_user_organization_and_tokens() {
    let (idp, provider) = world().await;
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let login = log_in(&provider).await.unwrap();
    assert_eq!(login.subject, "user_ada");
    assert_eq!(login.organization.as_deref(), Some("org_ada"));
    assert!(idp.takes(&login.tokens.access_token));
    assert!(login.tokens.refresh_token.is_some());
    let granted = login.tokens.scope.as_deref();
    assert_eq!(granted, Some("openid profile email offline_access"));
    let end = login.tokens.expires_at.unwrap();
    assert!((3_600..3_700).contains(&(end - before.as_secs())), "{end}");
    // What was found out is kept.
    log_in(&provider).await.unwrap();
    for (path, times) in [
        (IdentityProvider::METADATA_PATH, 1),
        (IdentityProvider::KEYS_PATH, 1),
        (IdentityProvider::TOKEN_PATH, 2),
        (IdentityProvider::USERINFO_PATH, 0),
    ] {
        assert_eq!(idp.count(path), times, "{path}");
    }
}

#[tokio::test]
async fn the_browser_is_sent_with_everything_that_binds_the_answer() {
    let (idp, mut config) = open_id().await;
    idp.bend_metadata("authorization_endpoint", idp.at("/authorize?tenant=1"));
    config.parameters = vec![("prompt".to_owned(), "consent".to_owned())];
    let provider = provider(config);
    let url = provider.authorization_url("s&t", "n", "ch", CALLBACK);
    let url = url.await.unwrap();
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    let expected = [
        ("tenant", "1"),
        ("response_type", "code"),
        ("client_id", IdentityProvider::CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", "openid profile email offline_access"),
        ("state", "s&t"),
        ("code_challenge", "ch"),
        ("code_challenge_method", "S256"),
        ("nonce", "n"),
        ("prompt", "consent"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(query, expected);
}

#[tokio::test]
async fn a_code_is_good_once_for_its_own_login() {
    let (idp, provider) = world().await;
    let now = SystemTime::now();
    let code = code_of(&provider).await;
    redeem(&provider, &code).await.unwrap();
    let again = redeem(&provider, &code).await;
    assert_eq!(again, Err(ProviderError::InvalidGrant), "a second time");
    let other = "https://mcp.test/other";
    for (verifier, callback) in [("another verifier", CALLBACK), (VERIFIER, other)] {
        let code = code_of(&provider).await;
        let redeemed = provider.redeem(&code, verifier, NONCE, callback, now);
        assert_eq!(redeemed.await, Err(ProviderError::InvalidGrant));
    }
    let code = code_of(&provider).await;
    let redeemed = provider.redeem(&code, VERIFIER, "another nonce", CALLBACK, now);
    assert_eq!(kind(&redeemed.await.unwrap_err()), "refused");
    assert_eq!(idp.count(IdentityProvider::TOKEN_PATH), 5, "none twice");
}

#[tokio::test]
async fn an_id_token_that_does_not_hold_logs_nobody_in() {
    for (claim, value) in [
        ("iss", json!("https://evil.test")),
        ("aud", json!("another client")),
        (
            "aud",
            json!([IdentityProvider::CLIENT_ID, "another client"]),
        ),
        ("azp", json!("another client")),
        ("exp", json!(1)),
        ("iat", json!(null)),
        ("sub", json!(null)),
        ("sub", json!("x".repeat(300))),
    ] {
        let (idp, provider) = world().await;
        idp.bend_id_tokens(claim, value.clone());
        let refused = log_in(&provider).await.unwrap_err();
        assert_eq!(kind(&refused), "misconfigured", "{claim}: {value}");
    }
    // A key that is not the issuer's, under the name of its own.
    let (idp, provider) = world().await;
    let foreign = Arc::new(SigningKey::generate(Algorithm::Rs256));
    let (nonce, id) = (json!(NONCE), json!(IdentityProvider::CLIENT_ID));
    let forged = mcp_test_support::TokenBuilder::new(&idp.url(), &[], foreign)
        .claim("aud", id)
        .claim("nonce", nonce)
        .header("typ", "JWT");
    let own_name = idp.key().kid().to_owned();
    for token in [
        forged.clone().header("kid", own_name),
        forged.clone(),
        forged.unsigned(),
    ] {
        let answer = json!({"access_token": "a", "token_type": "Bearer", "id_token": token.mint()});
        let fault = mcp_test_support::ProviderFault::Fixed(200, answer.to_string());
        idp.break_path(IdentityProvider::TOKEN_PATH, fault);
        assert!(log_in(&provider).await.is_err());
    }
    let answer = json!({"access_token": "a", "token_type": "Bearer"}).to_string();
    let fault = mcp_test_support::ProviderFault::Fixed(200, answer);
    idp.break_path(IdentityProvider::TOKEN_PATH, fault);
    let sentence = misconfigured(log_in(&provider).await.unwrap_err());
    assert!(sentence.contains("openid"), "{sentence}");
}

#[tokio::test]
async fn new_keys_of_the_issuer_are_fetched_when_they_are_needed() {
    let (idp, provider) = world().await;
    log_in(&provider).await.unwrap();
    idp.rotate_keys();
    log_in(&provider).await.unwrap();
    assert_eq!(idp.count(IdentityProvider::KEYS_PATH), 2);
}

#[tokio::test]
async fn an_organization_comes_from_claims_from_a_mapping_or_is_the_same_for_all() {
    let acme = || BTreeMap::from([("acme.test".to_owned(), "org_acme".to_owned())]);
    let user = ProviderUser::new("ada")
        .claim("hd", "acme.test")
        .claim("o", json!({"id": "org_o"}))
        .claim("email", "ada@acme.test")
        .claim("email_verified", true);
    let mapped = |claim: &str| OrganizationFrom::Mapped {
        claim: claim.to_owned(),
        organizations: acme(),
    };
    let claim = |path: &str| OrganizationFrom::Claim(path.to_owned());
    for (from, expected) in [
        (claim("o.id"), Ok(Some("org_o"))),
        (claim("hd"), Ok(Some("acme.test"))),
        (mapped("hd"), Ok(Some("org_acme"))),
        (OrganizationFrom::EmailDomain(acme()), Ok(Some("org_acme"))),
        (OrganizationFrom::Fixed("all".to_owned()), Ok(Some("all"))),
        (OrganizationFrom::Nothing, Ok(None)),
        (claim("missing"), Err(ProviderError::NoOrganization)),
        (mapped("sub"), Err(ProviderError::NoOrganization)),
    ] {
        let (idp, mut config) = open_id().await;
        idp.set_user(user.clone());
        config.organization = from.clone();
        let login = log_in(&provider(config)).await;
        let organization = login.map(|login| login.organization);
        let expected = expected.map(|name| name.map(str::to_owned));
        assert_eq!(organization, expected, "{from:?}");
    }
}

#[tokio::test]
async fn a_user_of_no_organization_is_let_in_where_none_is_needed() {
    let (idp, mut config) = open_id().await;
    idp.set_user(ProviderUser::new("ada"));
    config.organization_required = false;
    let login = log_in(&provider(config)).await.unwrap();
    assert_eq!(login.organization, None);
}

#[tokio::test]
async fn what_the_id_token_lacks_is_looked_up_in_userinfo_of_the_same_user() {
    let (idp, provider) = world().await;
    idp.only_in_userinfo("org_id");
    let login = log_in(&provider).await.unwrap();
    assert_eq!(login.organization.as_deref(), Some("org_ada"));
    assert_eq!(idp.count(IdentityProvider::USERINFO_PATH), 1);
    // Userinfo of somebody else is not believed.
    idp.bend_id_tokens("sub", "somebody_else");
    let login = log_in(&provider).await;
    assert_eq!(login, Err(ProviderError::NoOrganization));
}

#[tokio::test]
async fn a_provider_like_github_has_users_with_a_number() {
    let (idp, mut config) = github().await;
    let login = log_in(&provider(config.clone())).await.unwrap();
    assert_eq!(login.subject, "583231");
    assert_eq!(login.organization, None);
    assert_eq!(login.tokens.expires_at, None);
    assert_eq!(login.tokens.refresh_token, None);
    assert!(idp.takes(&login.tokens.access_token));
    config.organization = OrganizationFrom::Mapped {
        claim: "login".to_owned(),
        organizations: BTreeMap::from([("ada".to_owned(), "org_ada".to_owned())]),
    };
    let login = log_in(&provider(config)).await.unwrap();
    assert_eq!(login.organization.as_deref(), Some("org_ada"));
}

#[tokio::test]
async fn a_redirect_that_names_another_issuer_or_nobody_is_foreign() {
    let (idp, provider) = world().await;
    let answer = answer_of(&provider).await;
    assert_eq!(provider.check_issuer(Some(&answer["iss"])).await, Ok(()));
    for foreign in [None, Some("https://evil.test"), Some("")] {
        let refused = provider.check_issuer(foreign).await.unwrap_err();
        assert_eq!(kind(&refused), "refused", "{foreign:?}");
    }
    let (quiet, config) = open_id().await;
    quiet.bend_metadata("authorization_response_iss_parameter_supported", false);
    let quiet = super::provider(config);
    assert_eq!(quiet.check_issuer(None).await, Ok(()));
    assert!(quiet.check_issuer(Some(&idp.url())).await.is_err());
    let (_idp, config) = github().await;
    let plain = super::provider(config);
    assert_eq!(plain.check_issuer(None).await, Ok(()));
}
