//! What was verified earlier is held against the configuration of today.

use std::time::{Duration, SystemTime};

use mcp_auth::{
    AccessToken, AudienceFrom, IssuerConfig, Principal, SameAudience, UpstreamCredentials,
    VerifierConfig,
};
use serde_json::json;

use crate::world::{RESOURCE, config_for, issuer, verifier_with, verify};

const ISSUER: &str = "https://a.test";

/// A principal whose token was issued a day ago and is good for ever.
fn principal(change: impl Fn(&mut serde_json::Value)) -> Principal {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let mut record = serde_json::json!({
        "i": ISSUER, "s": "ada", "o": "acme", "a": [RESOURCE],
        "e": 32_503_680_000_u64, "t": now - 86_400,
    });
    change(&mut record);
    Principal::from_record(serde_json::from_value(record).unwrap())
}

type Change = fn(&mut IssuerConfig);

#[test]
fn a_stored_principal_is_held_against_the_rules_of_today() {
    let day = Duration::from_hours(24);
    let cases: [(&str, Change, Duration, bool); 8] = [
        ("as it was", |_| {}, 31 * day, true),
        (
            "another audience",
            |it| it.audiences = vec!["x".into()],
            31 * day,
            false,
        ),
        (
            "bound to it",
            |it| it.organizations = vec!["acme".into()],
            31 * day,
            true,
        ),
        (
            "bound to another",
            |it| it.organizations = vec!["x".into()],
            31 * day,
            false,
        ),
        ("a life that is over", |_| {}, day / 2, false),
        (
            "a life that ends within the leeway",
            |_| {},
            Duration::from_mins(24 * 60 - 1),
            true,
        ),
        (
            "another issuer",
            |it| it.issuer = "https://b.test".into(),
            31 * day,
            false,
        ),
        (
            "more clients",
            |it| it.audience_from = Some(clients()),
            31 * day,
            true,
        ),
    ];
    for (name, change, max_lifetime, accepted) in cases {
        let mut issuer = IssuerConfig::new(ISSUER, [RESOURCE]);
        change(&mut issuer);
        let mut config = VerifierConfig::default();
        config.max_lifetime = max_lifetime;
        let verifier = verifier_with(issuer, config);
        let accepts = verifier.accepts(&principal(|_| {}), SystemTime::now());
        assert_eq!(accepts, accepted, "{name}");
    }
}

fn clients() -> AudienceFrom {
    AudienceFrom::new("client_id", ["app".to_owned()])
}

#[test]
fn a_client_that_is_listed_no_more_takes_its_sessions_with_it() {
    let of = |client: &'static str| {
        principal(move |record| {
            record["a"] = Vec::<&str>::new().into();
            record["w"] = client.into();
        })
    };
    let mut issuer = IssuerConfig::new(ISSUER, [RESOURCE]);
    issuer.audience_from = Some(clients());
    let verifier = verifier_with(issuer, VerifierConfig::default());
    assert!(verifier.accepts(&of("app"), SystemTime::now()));
    assert!(!verifier.accepts(&of("gone"), SystemTime::now()));
    // Neither is the other, whoever chose its spelling.
    assert!(!verifier.accepts(&of(RESOURCE), SystemTime::now()));
    let named = principal(|record| record["a"] = ["app"].into());
    assert!(!verifier.accepts(&named, SystemTime::now()));
}

/// Some issuers let whoever registers a client choose its id.
#[tokio::test]
async fn a_client_that_stands_in_for_an_audience_is_no_audience() {
    const API: &str = "https://api.test";
    let at_work = issuer().await;
    let mut config = config_for(&at_work);
    config.audience_from = Some(AudienceFrom::new(
        "client_id",
        [API, RESOURCE, "app"].map(str::to_owned),
    ));
    let verifier = verifier_with(config, VerifierConfig::default());
    let upstream = || SameAudience::new(API);
    for (audiences, client, of_api, of_api_and_its_clients) in [
        // Told by its audience, whatever its client is called.
        (json!([RESOURCE, API]), "app", true, true),
        (json!([RESOURCE]), API, false, false),
        // An audience that is called like a client is none of the clients.
        (json!([RESOURCE, "app"]), "app", false, false),
        // Told by its client, whatever audience it is called like.
        (json!(null), API, false, false),
        (json!(null), RESOURCE, false, false),
        (json!(null), "app", false, true),
    ] {
        let token = at_work.token().claim("aud", audiences.clone());
        let token = token.claim("client_id", client).mint();
        let principal = verify(&verifier, &token).await.unwrap();
        let stands_in = audiences.is_null().then_some(client);
        assert_eq!(principal.stand_in(), stands_in, "{audiences} {client}");
        assert_eq!(principal.audiences().is_empty(), audiences.is_null());
        assert!(verifier.accepts(&principal, SystemTime::now()));
        let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
        let now = SystemTime::now();
        let mode = UpstreamCredentials::from(upstream());
        let obtained = mode.obtain(&token, &principal, now).await;
        assert_eq!(obtained.is_ok(), of_api, "{audiences} {client}");
        let with_clients = upstream().and_of_clients(["app".to_owned()]);
        let mode = UpstreamCredentials::from(with_clients);
        let obtained = mode.obtain(&token, &principal, now).await;
        assert_eq!(
            obtained.is_ok(),
            of_api_and_its_clients,
            "{audiences} {client}"
        );
    }
}
