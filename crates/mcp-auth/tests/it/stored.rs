//! What was verified earlier is held against the configuration of today.

use std::time::{Duration, SystemTime};

use mcp_auth::{AudienceFrom, IssuerConfig, Principal, VerifierConfig};

use crate::world::{RESOURCE, verifier_with};

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
    let of = |client: &'static str| principal(move |record| record["a"] = [client].into());
    let mut issuer = IssuerConfig::new(ISSUER, [RESOURCE]);
    issuer.audience_from = Some(clients());
    let verifier = verifier_with(issuer, VerifierConfig::default());
    assert!(verifier.accepts(&of("app"), SystemTime::now()));
    assert!(!verifier.accepts(&of("gone"), SystemTime::now()));
}
