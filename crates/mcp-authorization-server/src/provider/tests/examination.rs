//! What an operator is told of a provider that nobody could log in at, without a login.

use mcp_test_support::ProviderFault;
use serde_json::json;

use super::*;
use crate::provider::examine::{Standing, examine_provider};

const TOKEN: &str = IdentityProvider::TOKEN_PATH;
const AUTHORIZE: &str = IdentityProvider::AUTHORIZE_PATH;

async fn examined(config: &ProviderConfig) -> ProviderExamination {
    let client = mcp_auth::http_client().unwrap();
    let found = examine_provider(config, CALLBACK, client).await.unwrap();
    let shown = format!("{found:?}");
    assert!(!shown.contains(IdentityProvider::CLIENT_SECRET), "{shown}");
    found
}

fn wrong(standing: Option<Standing>, part: &str) {
    match standing {
        Some(Standing::Wrong(what)) => assert!(what.contains(part), "{what}"),
        other => panic!("{other:?} instead of {part}"),
    }
}

#[tokio::test]
async fn a_provider_that_is_set_up_is_well_and_nobody_is_logged_in() {
    let (idp, mut config) = open_id().await;
    idp.show_login_page();
    // What a person would be asked is not asked here.
    config.parameters = vec![("prompt".to_owned(), "consent".to_owned())];
    let found = examined(&config).await;
    assert_eq!(found.endpoints, Standing::Good);
    assert_eq!(found.keys.unwrap().keys, Some(Ok(vec!["RS256".to_owned()])));
    assert_eq!(found.client, Some(Standing::Good));
    assert_eq!(found.redirect, Some(Standing::Good));
    let (metadata, keys) = (IdentityProvider::METADATA_PATH, IdentityProvider::KEYS_PATH);
    let asked = idp.requests().entries();
    assert_eq!(asked, [metadata, keys, TOKEN, AUTHORIZE]);
    assert_eq!(idp.logins(), 0);

    let (_idp, config) = github().await;
    let found = examined(&config).await;
    assert!(found.keys.is_none());
    assert_eq!(found.client, Some(Standing::Good));
    assert!(matches!(found.redirect, Some(Standing::Unclear(_))));
}

#[tokio::test]
async fn the_value_that_is_wrong_is_named() {
    let another = || Zeroizing::new("another secret".to_owned());
    for of_github in [false, true] {
        let (_idp, mut config) = if of_github {
            github().await
        } else {
            open_id().await
        };
        config.authentication = ClientAuthentication::SecretPost(another());
        let found = examined(&config).await;
        wrong(found.client, "check client id and secret");
    }
    let (idp, mut config) = open_id().await;
    config.authentication = ClientAuthentication::SecretPost(another());
    let ways = json!(["client_secret_basic", "pe3r"]);
    idp.bend_metadata("token_endpoint_auth_methods_supported", ways);
    let found = examined(&config).await;
    wrong(found.client, "names client_secret_basic as ways");

    let (idp, config) = open_id().await;
    idp.show_login_page();
    idp.refuse_logins("invalid_scope");
    wrong(examined(&config).await.redirect, "one of the scopes openid");
    let at = |place: &str| ProviderFault::Redirect(place.to_owned());
    idp.break_path(AUTHORIZE, at("/error?error=redirect_mismatch"));
    wrong(
        examined(&config).await.redirect,
        "register https://mcp.test/callback as redirect URI of client",
    );
    for (body, part) in [
        (json!({"error": "unauthorized_client"}), "allow the grant"),
        (json!({"error": "application_suspended"}), "is active there"),
    ] {
        idp.break_path(TOKEN, ProviderFault::Fixed(400, body.to_string()));
        wrong(examined(&config).await.client, part);
    }

    let (idp, config) = open_id().await;
    idp.bend_metadata("token_endpoint", json!(null));
    let found = examined(&config).await;
    wrong(Some(found.endpoints), "token_endpoint");
    assert_eq!((found.client, found.redirect), (None, None));
    let (idp, config) = open_id().await;
    idp.bend_metadata("issuer", json!("https://b.test"));
    wrong(
        Some(examined(&config).await.endpoints),
        "configure it as https://b.test",
    );
}

#[tokio::test]
async fn what_cannot_be_told_is_no_fault() {
    let (idp, config) = open_id().await;
    let invalid_request = json!({"error": "invalid_request"}).to_string();
    idp.break_path(TOKEN, ProviderFault::Fixed(400, invalid_request));
    let found = examined(&config).await;
    assert!(matches!(found.client, Some(Standing::Doubtful(_))));
    idp.break_path(AUTHORIZE, ProviderFault::Garbage);
    let found = examined(&config).await;
    assert!(matches!(found.redirect, Some(Standing::Unclear(_))));
    let elsewhere = format!("{CALLBACK}.evil.test/?error=login_required");
    idp.break_path(AUTHORIZE, ProviderFault::Redirect(elsewhere));
    let found = examined(&config).await;
    assert!(matches!(found.redirect, Some(Standing::Unclear(_))));
    // A page with an error may be about the redirect URI.
    let (_idp, mut unknown) = open_id().await;
    unknown.client_id = "another client".to_owned();
    let found = examined(&unknown).await;
    assert!(matches!(found.redirect, Some(Standing::Doubtful(_))));
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_misconfigured() {
    let (idp, config) = open_id().await;
    for path in [TOKEN, AUTHORIZE] {
        idp.break_path(path, ProviderFault::Fixed(503, String::new()));
    }
    let found = examined(&config).await;
    assert!(matches!(found.client, Some(Standing::Away(_))));
    assert!(matches!(found.redirect, Some(Standing::Away(_))));
    idp.break_path(IdentityProvider::KEYS_PATH, ProviderFault::Garbage);
    let found = examined(&config).await;
    assert!(matches!(found.keys.unwrap().keys, Some(Err(_))));
    idp.stop().await;
    let found = examined(&config).await;
    assert!(matches!(found.endpoints, Standing::Away(_)));
}
