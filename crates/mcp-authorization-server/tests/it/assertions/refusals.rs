//! Assertions, clients and issuers that get nothing.

use mcp_test_support::IssuerMode;

use super::*;
use crate::world::APP;

#[tokio::test]
async fn an_assertion_that_is_not_for_this_use_is_refused() {
    type Bend = fn(TokenBuilder) -> TokenBuilder;
    let (issuer, world) = trusting().await;
    let server = world.server();
    let now = SystemTime::now();
    let good = assertion(&issuer);
    assert_eq!(present(&server, &good, now).await.0, StatusCode::OK);
    let cases: &[(&str, &str, Bend)] = &[
        ("another audience", "invalid_grant", |it| {
            it.audience("https://other.test")
        }),
        ("the resource as audience", "invalid_grant", |it| {
            it.audience(RESOURCE)
        }),
        ("an audience too many", "invalid_grant", |it| {
            it.claim("aud", json!([ISSUER, "https://other.test"]))
        }),
        ("an access token", "invalid_grant", |it| {
            it.header("typ", "at+jwt")
        }),
        ("no type", "invalid_grant", |it| it.without_header("typ")),
        ("another client", "invalid_grant", |it| {
            it.claim("client_id", "other")
        }),
        ("no client", "invalid_grant", |it| it.without("client_id")),
        ("expired", "invalid_grant", |it| it.expires_in(-100)),
        ("not valid yet", "invalid_grant", |it| it.not_before_in(600)),
        ("without iat", "invalid_grant", |it| it.without("iat")),
        ("of long ago", "invalid_grant", |it| {
            it.claim("iat", 1_700_000_000)
        }),
        ("without jti", "invalid_grant", |it| it.without("jti")),
        ("no user", "invalid_grant", |it| it.without("sub")),
        ("a user with a line break", "invalid_grant", |it| {
            it.subject("ada\n")
        }),
        ("bound to a key", "invalid_grant", |it| {
            it.claim("cnf", json!({"jkt": "x"}))
        }),
        ("unsigned", "invalid_grant", TokenBuilder::unsigned),
        (
            "the public key as a secret",
            "invalid_grant",
            TokenBuilder::hmac_with_public_key,
        ),
        ("tampered with", "invalid_grant", TokenBuilder::tampered),
        ("a key of nobody", "invalid_grant", |it| {
            it.signed_by(Arc::new(SigningKey::generate(Algorithm::Es256)))
                .header("typ", "oauth-id-jag+jwt")
        }),
        ("an unknown issuer", "invalid_grant", |it| {
            it.claim("iss", "https://nobody.test")
        }),
        ("no issuer", "invalid_grant", |it| it.without("iss")),
        ("an issuer of another client", "unauthorized_client", |it| {
            it.claim("iss", "https://elsewhere.test")
        }),
        ("another resource", "invalid_target", |it| {
            it.claim("resource", "https://other.test/mcp")
        }),
        ("an odd resource", "invalid_target", |it| {
            it.claim("resource", json!({"0": RESOURCE}))
        }),
        (
            "a scope that its issuer may not grant",
            "invalid_scope",
            |it| it.scope("notes:write"),
        ),
        ("an odd scope", "invalid_grant", |it| {
            it.claim("scope", json!(["notes:read"]))
        }),
        ("rights in another form", "invalid_grant", |it| {
            it.claim("authorization_details", json!([{"type": "notes"}]))
        }),
        (
            "a tenant of which nothing is known",
            "invalid_grant",
            |it| it.claim("tenant", "acme"),
        ),
    ];
    for (what, expected, bend) in cases {
        let answer = present(&server, &bend(assertion(&issuer)), now).await;
        assert_eq!(refusal(answer), *expected, "{what}");
    }
    for bent in [
        assertion(&issuer).without("resource"),
        assertion(&issuer).claim("resource", json!(["https://other.test/mcp", RESOURCE])),
        assertion(&issuer).without("scope"),
        assertion(&issuer).claim("aud", json!([ISSUER])),
    ] {
        let (status, answer) = present(&server, &bent, now).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(answer["scope"], "notes:read");
    }
}

#[tokio::test]
async fn no_issuer_signs_for_another() {
    let (issuer, mut world) = trusting().await;
    let second = Issuer::start().await.unwrap();
    world.assertion_issuers.push(trust(&second.url()));
    let server = world.server();
    let now = SystemTime::now();
    let forged = assertion(&second).claim("iss", issuer.url());
    assert_eq!(
        refusal(present(&server, &forged, now).await),
        "invalid_grant"
    );
    // Two users of one name are two users.
    let (_, one) = present(&server, &assertion(&issuer), now).await;
    let (_, two) = present(&server, &assertion(&second), now).await;
    let (one, _) = verified(&server, &text(&one, "access_token"), now).await;
    let (two, _) = verified(&server, &text(&two, "access_token"), now).await;
    assert_ne!(one.subject(), two.subject());
}

#[tokio::test]
async fn an_assertion_is_presented_by_its_client_which_proves_who_it_is() {
    let (issuer, mut world) = trusting().await;
    let server = world.server();
    let now = SystemTime::now();
    let good = assertion(&issuer).mint();
    let ask_with = async |pairs: &[(&str, &str)]| {
        let mut all = vec![("grant_type", JWT_BEARER), ("assertion", &*good)];
        all.extend(pairs);
        post(&server, "/token", &all, now).await
    };
    let nothing = [("client_id", "agent")];
    let wrong = [
        ("client_id", "agent"),
        ("client_secret", "secret of somebody else"),
    ];
    for pairs in [&nothing[..], &wrong[..]] {
        let (status, answer) = ask_with(pairs).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer["error"], "invalid_client");
    }
    let other = present_as(&server, "other", &good, &[], now).await;
    assert_eq!(refusal(other), "unauthorized_client");
    let app = App::register(&server, now).await;
    let anybody = ask_with(&[("client_id", &app.id)]).await;
    assert_eq!(refusal(anybody), "unauthorized_client");
    let elsewhere = [("resource", "https://other.test/mcp")];
    let elsewhere = present_as(&server, "agent", &good, &elsewhere, now).await;
    assert_eq!(refusal(elsewhere), "invalid_target");
    let more = present_as(&server, "agent", &good, &[("scope", "notes:write")], now).await;
    assert_eq!(refusal(more), "invalid_scope");
    let missing = [
        ("grant_type", JWT_BEARER),
        ("client_id", "agent"),
        ("client_secret", SECRET),
    ];
    let missing = post(&server, "/token", &missing, now).await;
    assert_eq!(refusal(missing), "invalid_request");
    // None of it used the assertion up.
    let answer = present_as(&server, "agent", &good, &[], now).await;
    assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);

    world.assertion_issuers.clear();
    world.clients = vec![ClientConfig {
        redirect_uris: vec![APP.to_owned()],
        ..agent("agent")
    }];
    let off = present(&world.server(), &assertion(&issuer), now).await;
    assert_eq!(refusal(off), "unsupported_grant_type", "it is off");
}

#[tokio::test]
async fn an_issuer_whose_keys_cannot_be_had_is_503_and_uses_nothing_up() {
    let (issuer, world) = trusting().await;
    let server = world.server();
    let now = SystemTime::now();
    let good = assertion(&issuer);
    issuer.set_mode(IssuerMode::Error500);
    let (status, answer) = present(&server, &good, now).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["error"], "temporarily_unavailable");
    issuer.set_mode(IssuerMode::Normal);
    let answer = present(&world.server(), &good, now).await;
    assert_eq!(answer.0, StatusCode::OK, "{}", answer.1);
    // What is wrong anyhow causes no question.
    let asked = issuer.requests().entries().len();
    let server = world.server();
    let wrong = assertion(&issuer).audience("https://other.test");
    refusal(present(&server, &wrong, now).await);
    assert_eq!(issuer.requests().entries().len(), asked);
}

#[tokio::test]
async fn an_issuer_that_could_never_be_believed_or_always_is_refused_at_start() {
    let of = |change: fn(&mut AssertionIssuerConfig)| {
        let mut entry = trust("https://idp.test");
        change(&mut entry);
        entry
    };
    for (entry, problem) in [
        (of(|it| it.issuer = ISSUER.to_owned()), "this server itself"),
        (
            of(|it| it.issuer = "http://idp.test".to_owned()),
            "https URL",
        ),
        (
            of(|it| it.jwks_uri = Some("http://idp.test/keys".to_owned())),
            "https URL",
        ),
        (of(|it| it.clients.clear()), "names no client"),
        (
            of(|it| it.organization = OrganizationFrom::Nothing),
            "bound to no organization",
        ),
        (
            of(|it| it.organization = OrganizationFrom::Claim("org_id".to_owned())),
            "bound to no organization",
        ),
        (
            of(|it| it.organization = OrganizationFrom::EmailDomain(BTreeMap::new())),
            "bound to no organization",
        ),
        (
            of(|it| it.api_token = secret("")),
            "nothing says what the API is called with",
        ),
        (of(|it| it.scopes.clear()), "it has no scopes"),
        (
            of(|it| it.scopes = vec!["notes:burn".to_owned()]),
            "no scope \"notes:burn\"",
        ),
    ] {
        let mut world = World::new().await;
        world.clients = vec![agent("agent")];
        world.assertion_issuers = vec![entry];
        let error = world.try_server().unwrap_err().to_string();
        assert!(
            error.starts_with("assertion issuer ") && error.contains(problem),
            "{error}"
        );
    }
    let mut world = World::new().await;
    world.clients = vec![agent("agent")];
    let elsewhere = of(|it| it.jwks_uri = Some("https://keys.test/".to_owned()));
    world.assertion_issuers = vec![trust("https://idp.test"), elsewhere];
    let error = world.try_server().unwrap_err().to_string();
    assert!(error.contains("several addresses"), "{error}");
    let public = ClientConfig {
        secret: None,
        redirect_uris: vec![APP.to_owned()],
        ..agent("agent")
    };
    world.assertion_issuers = vec![trust("https://idp.test")];
    world.clients = vec![public];
    let error = world.try_server().unwrap_err().to_string();
    assert!(error.contains("without a secret or keys"), "{error}");
    let shown = format!("{:?}", trust("https://idp.test"));
    assert!(!shown.contains(API_TOKEN), "{shown}");
}
