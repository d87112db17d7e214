//! Users for whom another identity provider speaks: identity assertions (ID-JAG).

mod refusals;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::StatusCode;
use mcp_authorization_server::{
    AssertionIssuerConfig, AuthorizationServer, ClientConfig, Denied, OrganizationFrom,
};
use mcp_outbound::{GuardedClient, Reach};
use mcp_test_support::{
    Algorithm, Issuer, SigningKey, TokenBuilder,
    http::{HttpServer, json as json_answer, listen},
};
use serde_json::{Value, json};

use crate::{
    client::App,
    services::{JWT_BEARER as CLIENT_ASSERTION, proof, secret},
    store::Failing,
    world::{ISSUER, RESOURCE, World, metadata, post, text, verified},
};

const API_TOKEN: &str = "api-token-of-the-enterprise";
const SECRET: &str = "secret of the agent";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn agent(id: &str) -> ClientConfig {
    ClientConfig {
        id: id.to_owned(),
        secret: Some(secret(SECRET)),
        ..ClientConfig::default()
    }
}

fn trust(issuer: &str) -> AssertionIssuerConfig {
    AssertionIssuerConfig {
        issuer: issuer.to_owned(),
        jwks_uri: None,
        clients: vec!["agent".to_owned()],
        organization: OrganizationFrom::Fixed("org_acme".to_owned()),
        scopes: vec!["notes:read".to_owned()],
        api_token: secret(API_TOKEN),
    }
}

/// An identity provider that is trusted, and the world where it is.
async fn trusting() -> (Issuer, World) {
    let issuer = Issuer::start().await.unwrap();
    let mut world = World::new().await;
    world.clients = vec![agent("agent"), agent("other")];
    // Somebody has to name the other one, who could do nothing else.
    let elsewhere = AssertionIssuerConfig {
        clients: vec!["other".to_owned()],
        ..trust("https://elsewhere.test")
    };
    world.assertion_issuers = vec![trust(&issuer.url()), elsewhere];
    (issuer, world)
}

/// An assertion as it has to be.
fn assertion(issuer: &Issuer) -> TokenBuilder {
    of(issuer.token())
}

fn of(token: TokenBuilder) -> TokenBuilder {
    let token = token.header("typ", "oauth-id-jag+jwt").audience(ISSUER);
    let token = token.subject("ada").without("org_id").expires_in(300);
    let token = token
        .claim("client_id", "agent")
        .claim("resource", RESOURCE);
    token.scope("notes:read notes:write")
}

async fn present_as(
    server: &AuthorizationServer,
    client: &str,
    assertion: &str,
    more: &[(&str, &str)],
    now: SystemTime,
) -> (StatusCode, Value) {
    let mut pairs = vec![
        ("grant_type", JWT_BEARER),
        ("assertion", assertion),
        ("client_id", client),
        ("client_secret", SECRET),
    ];
    pairs.extend(more);
    post(server, "/token", &pairs, now).await
}

async fn present(
    server: &AuthorizationServer,
    assertion: &TokenBuilder,
    now: SystemTime,
) -> (StatusCode, Value) {
    present_as(server, "agent", &assertion.mint(), &[], now).await
}

fn refusal((status, answer): (StatusCode, Value)) -> String {
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert_eq!(answer.get("access_token"), None);
    text(&answer, "error")
}

#[tokio::test]
async fn the_user_of_an_assertion_gets_a_token_that_every_instance_takes() {
    let (issuer, world) = trusting().await;
    let (one, two) = (world.server(), world.server());
    let now = SystemTime::now();
    let at = 1_700_000_000;
    let (status, tokens) = present(&one, &assertion(&issuer).claim("auth_time", at), now).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(tokens["scope"], "notes:read", "what its issuer may grant");
    assert_eq!(tokens["resource"], RESOURCE);
    assert_eq!(tokens.get("refresh_token"), None);
    let token = text(&tokens, "access_token");
    let (principal, upstream) = verified(&two, &token, now).await;
    assert_eq!(principal.subject(), format!("{}#ada", issuer.url()));
    assert_eq!(principal.client_id(), Some("agent"));
    assert_eq!(principal.organization(), Some("org_acme"));
    assert_eq!(principal.scopes(), ["notes:read"]);
    assert_eq!(upstream.expose(), API_TOKEN);
    let claims = mcp_test_support::payload_of(&token).unwrap();
    assert_eq!(claims["auth_time"], at);
    assert_eq!(
        world.provider.requests().entries(),
        [""; 0],
        "nobody logs in"
    );
}

#[tokio::test]
async fn a_user_of_the_provider_is_the_same_with_and_without_a_login() {
    let (_, mut world) = trusting().await;
    world.assertion_issuers.push(trust(&world.provider.url()));
    let server = world.server();
    let now = SystemTime::now();
    let token = TokenBuilder::new(&world.provider.url(), &[], world.provider.key());
    let (status, tokens) = present(&server, &of(token).subject("user_ada"), now).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let (by_assertion, _) = verified(&server, &text(&tokens, "access_token"), now).await;
    let app = App::register(&server, now).await;
    let tokens = app.log_in(&world, &server, now).await;
    let (by_login, _) = verified(&server, &text(&tokens, "access_token"), now).await;
    assert_eq!(by_assertion.subject(), by_login.subject());
}

#[tokio::test]
async fn an_assertion_is_good_once_on_all_instances_and_never_without_the_store() {
    let (issuer, mut world) = trusting().await;
    let now = SystemTime::now();
    let good = assertion(&issuer);
    let facts = std::mem::replace(&mut world.facts, Failing::after(0));
    let (status, answer) = present(&world.server(), &good, now).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["error"], "temporarily_unavailable");

    world.facts = facts;
    let servers = [world.server(), world.server()];
    let (one, two) = tokio::join!(
        present(&servers[0], &good, now),
        present(&servers[1], &good, now)
    );
    let mut statuses = [one.0, two.0];
    statuses.sort();
    assert_eq!(
        statuses,
        [StatusCode::OK, StatusCode::BAD_REQUEST],
        "one of two at once"
    );
    // While the keys are turned, one instance has what the other had.
    world.previous = vec![world.key.clone()];
    world.key = zeroize::Zeroizing::new([4; 32]);
    assert_eq!(
        refusal(present(&world.server(), &good, now).await),
        "invalid_grant"
    );
    // Until it is over by any clock.
    let late = now + Duration::from_secs(300 + 80);
    assert_eq!(
        refusal(present(&world.server(), &good, late).await),
        "invalid_grant"
    );
    let fresh = assertion(&issuer);
    assert_eq!(
        present(&world.server(), &fresh, now).await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn who_was_signed_out_after_the_assertion_was_made_gets_nothing() {
    let (issuer, mut world) = trusting().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let now = SystemTime::now();
    world.denied = Some(Denied::new(move |grant| {
        let named = [Some(grant.subject), grant.organization, Some(grant.client)];
        let named = named.map(|it| it.unwrap().to_owned());
        seen.lock().unwrap().push((named, grant.logged_in_at));
        grant.logged_in_at < now - Duration::from_mins(1)
    }));
    let server = world.server();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let made = |ago: u64| assertion(&issuer).claim("iat", seconds - ago);
    assert_eq!(
        refusal(present(&server, &made(120), now).await),
        "invalid_grant"
    );
    assert_eq!(present(&server, &made(30), now).await.0, StatusCode::OK);
    let named = [
        format!("{}#ada", issuer.url()),
        "org_acme".to_owned(),
        "agent".to_owned(),
    ];
    let at = |ago: u64| UNIX_EPOCH + Duration::from_secs(seconds - ago);
    let expected = [120, 30].map(|ago| (named.clone(), at(ago)));
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[tokio::test]
async fn each_tenant_of_an_issuer_is_its_own_organization_with_its_own_token() {
    let (issuer, mut world) = trusting().await;
    let tenant = |name: &str, organization: &str| AssertionIssuerConfig {
        organization: OrganizationFrom::Mapped {
            claim: "tenant".to_owned(),
            organizations: BTreeMap::from([(name.to_owned(), organization.to_owned())]),
        },
        api_token: secret(&format!("token of {organization}")),
        ..trust(&issuer.url())
    };
    world.clients = vec![agent("agent")];
    world.assertion_issuers = vec![tenant("acme", "org_1"), tenant("globex", "org_2")];
    let server = world.server();
    let now = SystemTime::now();
    for (name, organization) in [("acme", "org_1"), ("globex", "org_2")] {
        let assertion = assertion(&issuer).claim("tenant", name);
        let (status, tokens) = present(&server, &assertion, now).await;
        assert_eq!(status, StatusCode::OK, "{tokens}");
        let (principal, upstream) = verified(&server, &text(&tokens, "access_token"), now).await;
        assert_eq!(principal.organization(), Some(organization));
        assert_eq!(upstream.expose(), format!("token of {organization}"));
    }
    for other in [
        assertion(&issuer).claim("tenant", "initech"),
        assertion(&issuer).claim("tenant", json!(["acme", "globex"])),
        assertion(&issuer),
    ] {
        assert_eq!(
            refusal(present(&server, &other, now).await),
            "invalid_grant"
        );
    }
    // Another claim makes no tenant of an issuer another's.
    let by_group = AssertionIssuerConfig {
        organization: OrganizationFrom::Mapped {
            claim: "group".to_owned(),
            organizations: BTreeMap::from([("acme".to_owned(), "org_1".to_owned())]),
        },
        ..trust(&issuer.url())
    };
    world.assertion_issuers = vec![by_group];
    let server = world.server();
    let assertion = assertion(&issuer).claim("group", "acme");
    let (status, answer) = present(&server, &assertion, now).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let foreign = assertion.claim("tenant", "globex").claim("jti", "another");
    assert_eq!(
        refusal(present(&server, &foreign, now).await),
        "invalid_grant"
    );
}

#[tokio::test]
async fn a_client_with_a_document_presents_an_assertion_by_its_keys() {
    let (issuer, mut world) = trusting().await;
    world.change = Box::new(|config| {
        let tls = mcp_outbound::SystemRoots::new().tls_config().unwrap();
        let client = GuardedClient::new(tls, "test", Reach::PublicAndThisMachine);
        config.client_documents = Some(client.unwrap());
    });
    let key = Arc::new(SigningKey::generate(Algorithm::Es256));
    let (listener, port) = listen(0).await.unwrap();
    let at = move |path: &str| format!("http://127.0.0.1:{port}{path}");
    let jwk = key.jwk();
    let _host = HttpServer::start(listener, move |request| {
        let mut document = json!({"client_id": at(request.uri().path())});
        document["grant_types"] = json!([JWT_BEARER]);
        if request.uri().path() == "/signs.json" {
            document["token_endpoint_auth_method"] = "private_key_jwt".into();
            document["jwks"] = json!({"keys": [jwk]});
        }
        async move { Ok(json_answer(StatusCode::OK, &document)) }
    });
    let [signs, public] = ["/signs.json", "/public.json"].map(at);
    world.clients.clear();
    world.assertion_issuers = vec![AssertionIssuerConfig {
        clients: vec![signs.clone(), public.clone()],
        ..trust(&issuer.url())
    }];
    let server = world.server();
    let now = SystemTime::now();
    let of = |client: &str| assertion(&issuer).claim("client_id", client).mint();
    let (assertion, proof) = (of(&signs), proof(&signs, &key));
    let pairs = [
        ("grant_type", JWT_BEARER),
        ("assertion", &*assertion),
        ("client_assertion", &*proof),
        ("client_assertion_type", CLIENT_ASSERTION),
    ];
    let (status, tokens) = post(&server, "/token", &pairs, now).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    let (principal, _) = verified(&server, &text(&tokens, "access_token"), now).await;
    assert_eq!(principal.client_id(), Some(&*signs));
    // Anybody could say that it is this one.
    let assertion = of(&public);
    let pairs = [
        ("grant_type", JWT_BEARER),
        ("assertion", &*assertion),
        ("client_id", &*public),
    ];
    let answer = post(&server, "/token", &pairs, now).await;
    assert_eq!(refusal(answer), "unauthorized_client");
}

#[tokio::test]
async fn metadata_name_the_profile_where_it_is_on() {
    let (_, world) = trusting().await;
    for (world, profiles) in [
        (world, json!(["urn:ietf:params:oauth:grant-profile:id-jag"])),
        (World::new().await, Value::Null),
    ] {
        let document = metadata(&world.server()).await;
        assert_eq!(document["authorization_grant_profiles_supported"], profiles);
        let grants = document["grant_types_supported"].as_array().unwrap();
        assert_eq!(grants.contains(&JWT_BEARER.into()), !profiles.is_null());
    }
}
