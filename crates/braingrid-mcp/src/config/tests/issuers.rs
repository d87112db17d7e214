//! The authorization servers.

use super::*;

#[test]
fn several_issuers_from_the_file_or_one_from_the_environment() {
    let toml = r#"
        transport = "http"
        upstream_audience = "api"
        [[issuers]]
        issuer = "https://one.example.com"
        audiences = ["extra"]
        algorithms = ["ES256"]
        organization_claim = "tenant"
        organization_required = false
        [[issuers]]
        issuer = "https://two.example.com"
        jwks_uri = "https://two.example.com/keys"
    "#;
    let issuers = http(load_file(toml, &[])).auth.issuers;
    assert_eq!(issuers.len(), 2);
    assert_eq!(issuers[0].accepted.audiences, ["extra"]);
    assert_eq!(issuers[0].accepted.algorithms, ["ES256"]);
    assert_eq!(issuers[0].accepted.organization_claim, "tenant");
    assert!(
        !issuers[0].accepted.organization_required && issuers[1].accepted.organization_required
    );
    assert_eq!(
        issuers[1].accepted.jwks_uri.as_deref(),
        Some("https://two.example.com/keys")
    );

    let issuers = http(load_file(
        toml,
        &[("WORKOS_ISSUER", "https://env.example.com")],
    ))
    .auth
    .issuers;
    assert_eq!(issuers.len(), 1);
    assert_eq!(issuers[0].accepted.issuer, "https://env.example.com");

    let found = problems(load_file(
        toml,
        &[("OAUTH_JWKS_URI", "https://one.example.com/k")],
    ));
    assert!(
        found[0].starts_with("OAUTH_JWKS_URI: ") && found.len() == 1,
        "{found:?}"
    );
    let found = problems(load_file(
        &format!("oauth_issuer = \"https://x.example\"\n{toml}"),
        &[],
    ));
    assert!(
        found[0].starts_with("oauth_issuer in ") && found.len() == 1,
        "{found:?}"
    );
}

#[test]
fn a_bad_issuer_entry_is_named_with_its_key() {
    let toml = r#"
        transport = "http"
        upstream_audience = "api"
        [[issuers]]
        isuer = "https://one.example.com"
        algorithms = ["HS256", "none"]
        [[issuers]]
        issuer = "http://two.example.com"
    "#;
    let found = problems(load_file(toml, &[]));
    let expected = [
        ("issuer of issuers[0] in ", "set the issuer"),
        ("isuer of issuers[0] in ", "did you mean issuer?"),
        ("algorithms of issuers[0] in ", "RS256"),
        ("algorithms of issuers[0] in ", "EdDSA"),
        ("issuer of issuers[1] in ", "use https"),
    ];
    for (start, fix) in expected {
        let told = |line: &String| line.starts_with(start) && line.contains(fix);
        assert!(found.iter().any(told), "{start} … {fix} in {found:#?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn a_preset_sets_what_the_vendor_does_and_can_be_overruled() {
    let toml = r#"
        transport = "http"
        upstream_audience = "https://api.example.com"
        [[issuers]]
        issuer = "https://a.example.com"
        preset = "entra"
        [[issuers]]
        issuer = "https://b.example.com"
        preset = "descope"
        organization_claim = "tenant"
        algorithms = ["ES256"]
        service_principals = true
    "#;
    let config = load_file(toml, &[]).unwrap().config;
    let Serve::Http(http) = config.serve else {
        panic!("http was asked for");
    };
    let [entra, descope] = http.auth.issuers.as_slice() else {
        panic!("two issuers");
    };
    assert_eq!(entra.accepted.organization_claim, "tid");
    assert_eq!(entra.accepted.algorithms, ["RS256"]);
    assert!(!entra.accepted.service_principals);
    assert_eq!(descope.accepted.organization_claim, "tenant");
    assert_eq!(descope.accepted.algorithms, ["ES256"]);
    assert!(descope.accepted.service_principals);
}

#[test]
fn the_client_id_is_an_audience_with_a_warning() {
    let config = load_http(&[("WORKOS_CLIENT_ID", "client_1")])
        .unwrap()
        .config;
    assert!(
        config
            .warnings
            .iter()
            .any(|warning| warning.contains("WORKOS_CLIENT_ID"))
    );
}

#[test]
fn events_say_whose_users_they_are_about_and_what_they_come_with_is_no_guess() {
    let toml = r#"
        transport = "http"
        upstream_audience = "api"
        [[issuers]]
        issuer = "https://one.example.com"
        organizations = ["a"]
        [[issuers]]
        issuer = "https://two.example.com"
        organizations = ["b"]
    "#;
    let secret = ("WORKOS_WEBHOOK_SECRET", "whsec-0123456789abcdef");
    let two = ("EVENTS_ISSUER", "https://two.example.com");
    let events = http(load_file(toml, &[secret, two])).revocation.events;
    let events = events.unwrap();
    assert_eq!(events.paths(), ["/events/workos"]);
    assert_eq!(events.workos_events.len(), 2);
    for (environment, setting) in [
        (&[secret][..], "EVENTS_ISSUER"),
        (
            &[secret, ("EVENTS_ISSUER", "https://three.example.com")],
            "EVENTS_ISSUER",
        ),
        (
            &[("WORKOS_WEBHOOK_SECRET", "short"), two],
            "WORKOS_WEBHOOK_SECRET",
        ),
        (
            &[("SECURITY_EVENTS_TRANSMITTER", "https://a.test"), two],
            "SECURITY_EVENTS_AUDIENCES",
        ),
        (
            &[("SECURITY_EVENTS_AUDIENCES", "https://a.test"), two],
            "SECURITY_EVENTS_AUDIENCES",
        ),
    ] {
        let found = problems(load_file(toml, environment));
        let told = found.len() == 1 && found[0].starts_with(setting);
        assert!(told, "{found:?}");
    }
    let none = http(load_file(toml, &[])).revocation.events;
    assert!(none.is_none());
}
