//! Where the metadata may place endpoints and keys, and how long it is kept.

use mcp_test_support::ProviderFault;
use serde_json::json;

use super::*;

const METADATA: &str = IdentityProvider::METADATA_PATH;

async fn url_of(provider: &Provider) -> Result<Url, ProviderError> {
    provider.authorization_url("s", "n", "c", CALLBACK).await
}

#[tokio::test]
async fn endpoints_on_another_host_are_used_only_where_it_is_named() {
    for member in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let ((idp, config), (other, _)) = (open_id().await, open_id().await);
        let path = match member {
            "authorization_endpoint" => IdentityProvider::AUTHORIZE_PATH,
            "token_endpoint" => IdentityProvider::TOKEN_PATH,
            _ => IdentityProvider::KEYS_PATH,
        };
        idp.bend_metadata(member, other.at(path));
        let sentence = misconfigured(url_of(&provider(config.clone())).await.unwrap_err());
        assert!(
            sentence.contains(member) && sentence.contains("hosts"),
            "{sentence}"
        );
        let mut named = config;
        named.hosts = vec![other.url().replace("http://", "")];
        url_of(&provider(named)).await.unwrap();
        assert_eq!(other.requests().entries(), Vec::<String>::new(), "{member}");
    }
}

#[tokio::test]
async fn what_a_login_does_without_is_not_used_elsewhere() {
    let ((idp, config), (other, _)) = (open_id().await, open_id().await);
    idp.bend_metadata("userinfo_endpoint", other.at("/userinfo"));
    idp.bend_metadata("revocation_endpoint", other.at("/revoke"));
    idp.only_in_userinfo("org_id");
    let mut config = config;
    config.organization_required = false;
    let provider = provider(config);
    let login = log_in(&provider).await.unwrap();
    assert_eq!(login.organization, None);
    provider.revoke(&login.tokens).await;
    assert_eq!(other.requests().entries(), Vec::<String>::new());
}

#[tokio::test]
async fn metadata_that_cannot_be_used_says_what_to_change() {
    for (member, value, part) in [
        (
            "issuer",
            json!("https://b.test"),
            "configure it as https://b.test",
        ),
        ("issuer", json!("https://u:p3@b.test"), "check the issuer"),
        ("issuer", json!(null), "check the issuer"),
        (
            "issuer",
            json!("https://login.microsoftonline.com/{tenantid}/v2.0"),
            "one, with its id",
        ),
        ("token_endpoint", json!(null), "has no token_endpoint"),
        (
            "token_endpoint",
            json!("http://a.test/t"),
            "has no token_endpoint",
        ),
        (
            "authorization_endpoint",
            json!(7),
            "has no authorization_endpoint",
        ),
        ("jwks_uri", json!("javascript:x"), "has no jwks_uri"),
    ] {
        let (idp, provider) = world().await;
        idp.bend_metadata(member, value.clone());
        let sentence = misconfigured(url_of(&provider).await.unwrap_err());
        assert!(
            sentence.contains(part) && !sentence.contains("p3"),
            "{sentence}"
        );
    }
    let (_idp, mut config) = open_id().await;
    if let ProviderPlace::Issuer(issuer) = &mut config.place {
        issuer.push_str("/nobody");
    }
    let sentence = misconfigured(url_of(&provider(config)).await.unwrap_err());
    assert!(sentence.contains("status 404"), "{sentence}");
}

#[tokio::test]
async fn metadata_is_asked_for_once_for_all_and_a_failure_is_not_repeated_at_once() {
    let (idp, provider) = world().await;
    idp.break_path(METADATA, ProviderFault::Garbage);
    let failed = url_of(&provider).await.unwrap_err();
    assert_eq!(kind(&failed), "unavailable");
    let (failed, asked) = (Some(failed), idp.requests().entries().len());
    assert_eq!(url_of(&provider).await.err(), failed);
    assert_eq!(idp.requests().entries().len(), asked);

    let (idp, provider) = world().await;
    let all = futures::future::join_all((0..20).map(|_| url_of(&provider))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(idp.count(METADATA), 1);
}

#[tokio::test]
async fn the_last_good_metadata_serves_while_the_provider_has_none() {
    let (idp, config) = open_id().await;
    let client = mcp_auth::http_client().unwrap();
    let mut discovery = Discovery::new(&config, &idp.url(), client, Observer::default()).unwrap();
    discovery.fresh_for = Duration::ZERO;
    let discovery = Arc::new(discovery);
    let first = discovery.endpoints().await.unwrap();
    idp.break_path(METADATA, ProviderFault::Garbage);
    let second = discovery.endpoints().await.unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let twice = |paths: &[String]| paths.iter().filter(|path| *path == METADATA).count() == 2;
    let limit = Duration::from_secs(10);
    assert!(
        idp.requests().wait_until(twice, limit).await,
        "asked behind its back"
    );
    let third = discovery.endpoints().await.unwrap();
    assert!(Arc::ptr_eq(&first, &third));
}

#[test]
fn addresses_that_are_not_safe_are_refused_before_anybody_is_asked() {
    let bad = |name: &'static str, places: [&str; 3]| {
        let [authorization, token, userinfo] = places;
        let places = ProviderEndpoints::new(authorization, token, userinfo);
        let config = ProviderConfig::plain(places, "client", secret());
        let made = Provider::new(
            config,
            mcp_auth::http_client().unwrap(),
            Observer::default(),
        );
        assert_eq!(made.err(), Some(ProviderConfigError::Url { name }));
    };
    let good = "https://a.test/x";
    bad("authorization endpoint", ["http://a.test/x", good, good]);
    bad("token endpoint", [good, "a.test", good]);
    bad("userinfo endpoint", [good, good, "file:///etc/passwd"]);
}
