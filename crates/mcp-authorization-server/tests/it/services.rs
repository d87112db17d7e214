//! Clients without a user, which get tokens for themselves.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Method, StatusCode};
use mcp_auth::{AccessToken, AuthError, ForbiddenReason, TokenVerifier, VerifierConfig};
use mcp_authorization_server::{AuthorizationServer, ClientConfig, Denied, ServiceConfig};
use mcp_test_support::{Algorithm, SigningKey, TokenBuilder};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    client::App,
    store::Failing,
    world::{APP, ISSUER, RESOURCE, World, ask, form, metadata, post, text, verified},
};

pub(crate) const API_TOKEN: &str = "api-token-of-the-service";
const SECRET: &str = "secret of the nightly job";
pub(crate) const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn secret(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.to_owned())
}

fn service(scopes: &[&str]) -> ServiceConfig {
    ServiceConfig {
        organization: "org_ci".to_owned(),
        scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
        api_token: secret(API_TOKEN),
    }
}

/// A client with keys, and one with a secret.
fn clients(key: &SigningKey) -> Vec<ClientConfig> {
    let signing = ClientConfig {
        id: "ci".to_owned(),
        jwks: Some(json!({"keys": [key.jwk()]})),
        service: Some(service(&["notes:read", "notes:write"])),
        ..ClientConfig::default()
    };
    let with_secret = ClientConfig {
        id: "nightly".to_owned(),
        secret: Some(secret(SECRET)),
        service: Some(service(&["notes:read"])),
        ..ClientConfig::default()
    };
    vec![signing, with_secret]
}

/// What a client signs to prove who it is.
pub(crate) fn proof(client: &str, key: &Arc<SigningKey>) -> String {
    let claims = TokenBuilder::new(client, &[ISSUER.to_owned()], Arc::clone(key));
    let claims = claims.subject(client).expires_in(60).header("typ", "JWT");
    claims.mint()
}

/// Asks for a token with a signed proof; `more` replaces or adds.
async fn signed(
    server: &AuthorizationServer,
    proof: &str,
    more: &[(&str, &str)],
    now: SystemTime,
) -> (StatusCode, Value) {
    let mut pairs = vec![
        ("grant_type", "client_credentials"),
        ("client_assertion", proof),
        ("client_assertion_type", JWT_BEARER),
        ("resource", RESOURCE),
    ];
    pairs.retain(|(name, _)| more.iter().all(|(other, _)| name != other));
    pairs.extend(more);
    post(server, "/token", &pairs, now).await
}

async fn by_secret(
    server: &AuthorizationServer,
    (id, secret): (&str, &str),
    more: &[(&str, &str)],
    now: SystemTime,
) -> (StatusCode, Value) {
    let mut pairs = vec![
        ("grant_type", "client_credentials"),
        ("client_id", id),
        ("client_secret", secret),
    ];
    pairs.extend(more);
    post(server, "/token", &pairs, now).await
}

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate(Algorithm::Es256))
}

async fn world(key: &SigningKey) -> World {
    let mut world = World::new().await;
    world.clients = clients(key);
    world
}

#[tokio::test]
async fn a_client_gets_a_token_for_itself_that_every_instance_knows_for_a_services() {
    let key = key();
    let world = world(&key).await;
    let (one, two) = (world.server(), world.server());
    let now = SystemTime::now();
    let (status, tokens) = signed(&one, &proof("ci", &key), &[], now).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(tokens["scope"], "notes:read notes:write");
    assert_eq!(tokens.get("refresh_token"), None);
    let token = text(&tokens, "access_token");
    let (principal, upstream) = verified(&two, &token, now).await;
    assert_eq!(principal.subject(), "ci");
    assert_eq!(principal.client_id(), Some("ci"));
    assert_eq!(principal.organization(), Some("org_ci"));
    assert_eq!(principal.audiences(), [RESOURCE]);
    assert_eq!(upstream.expose(), API_TOKEN);
    assert!(!token.contains(API_TOKEN));
    assert_eq!(
        world.provider.requests().entries(),
        [""; 0],
        "nobody logs in"
    );

    let mut issuer = two.issuer();
    assert!(issuer.service_principals);
    issuer.service_principals = false;
    let http = mcp_auth::http_client().unwrap();
    let verifier = TokenVerifier::new(vec![issuer], http, VerifierConfig::default()).unwrap();
    let token = AccessToken::parse(&format!("Bearer {token}")).unwrap();
    let refused = verifier.verify(&token, now).await;
    let expected = AuthError::Forbidden(ForbiddenReason::ServicePrincipal);
    assert_eq!(refused, Err(expected), "it is known for a service's");
}

#[tokio::test]
async fn a_client_with_a_secret_gets_the_scopes_that_it_asks_for() {
    let world = world(&key()).await;
    let server = world.server();
    let now = SystemTime::now();
    let scope = [("scope", "notes:read notes:write offline_access")];
    let (status, tokens) = by_secret(&server, ("nightly", SECRET), &scope, now).await;
    assert_eq!(
        (status, &tokens["scope"]),
        (StatusCode::OK, &"notes:read".into())
    );
    let (principal, _) = verified(&server, &text(&tokens, "access_token"), now).await;
    assert_eq!(principal.scopes(), ["notes:read"]);

    let basic = format!("Basic {}", STANDARD.encode(format!("nightly:{SECRET}")));
    let headers = [("authorization", &*basic)];
    let body = form(&[("grant_type", "client_credentials")]);
    let answer = ask(&server, Method::POST, "/token", &headers, &body, now).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn nobody_else_gets_a_token_without_a_login() {
    let (key, other) = (key(), key());
    let mut world = world(&key).await;
    world.clients.push(ClientConfig {
        id: "dashboard".to_owned(),
        secret: Some(secret(SECRET)),
        redirect_uris: vec![APP.to_owned()],
        ..ClientConfig::default()
    });
    let server = world.server();
    let now = SystemTime::now();
    let app = App::register(&server, now).await;
    let used = proof("ci", &key);
    assert_eq!(signed(&server, &used, &[], now).await.0, StatusCode::OK);
    let fresh = || proof("ci", &key);
    let write = [("scope", "notes:write")];
    let public = [
        ("grant_type", "client_credentials"),
        ("client_id", &*app.id),
    ];
    for (what, answer, expected) in [
        (
            "a client for people",
            by_secret(&server, ("dashboard", SECRET), &[], now).await,
            "unauthorized_client",
        ),
        (
            "one that registered itself",
            post(&server, "/token", &public, now).await,
            "unauthorized_client",
        ),
        (
            "a wrong secret",
            by_secret(&server, ("nightly", "secret of somebody else"), &[], now).await,
            "invalid_client",
        ),
        (
            "a secret in place of a signature",
            by_secret(&server, ("ci", SECRET), &[], now).await,
            "invalid_client",
        ),
        (
            "another key",
            signed(&server, &proof("ci", &other), &[], now).await,
            "invalid_client",
        ),
        (
            "a proof that was used, on another instance",
            signed(&world.server(), &used, &[], now).await,
            "invalid_client",
        ),
        (
            "a scope that is not its own",
            by_secret(&server, ("nightly", SECRET), &write, now).await,
            "invalid_scope",
        ),
        (
            "another resource",
            signed(
                &server,
                &fresh(),
                &[("resource", "https://other.test/mcp")],
                now,
            )
            .await,
            "invalid_target",
        ),
        (
            "a login",
            signed(
                &server,
                &fresh(),
                &[("grant_type", "authorization_code")],
                now,
            )
            .await,
            "unauthorized_client",
        ),
    ] {
        let (status, answer) = answer;
        assert!(status.is_client_error(), "{what}: {status} {answer}");
        assert_eq!(answer["error"], expected, "{what}: {answer}");
        assert_eq!(answer.get("access_token"), None, "{what}");
    }
    let off = World::new().await;
    let (_, answer) = post(&off.server(), "/token", &public, now).await;
    assert_eq!(answer["error"], "unsupported_grant_type", "it is off");
}

#[tokio::test]
async fn a_proof_that_cannot_be_seen_to_be_new_is_503() {
    let key = key();
    let mut world = world(&key).await;
    world.facts = Failing::after(0);
    let now = SystemTime::now();
    let (status, answer) = signed(&world.server(), &proof("ci", &key), &[], now).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    assert_eq!(answer["error"], "temporarily_unavailable");
}

#[tokio::test]
async fn a_client_that_is_denied_gets_nothing() {
    let key = key();
    let mut world = world(&key).await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    world.denied = Some(Denied::new(move |grant| {
        let organization = grant.organization.map(ToOwned::to_owned);
        let said = (grant.subject.to_owned(), organization, grant.logged_in_at);
        seen.lock().unwrap().push(said);
        grant.client == "ci"
    }));
    let now = SystemTime::now();
    let (status, answer) = signed(&world.server(), &proof("ci", &key), &[], now).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["error"], "unauthorized_client", "{answer}");
    let organization = Some("org_ci".to_owned());
    assert_eq!(
        *asked.lock().unwrap(),
        [("ci".to_owned(), organization, now)]
    );
    let answer = by_secret(&world.server(), ("nightly", SECRET), &[], now).await;
    assert_eq!(answer.0, StatusCode::OK, "another client");
}

#[tokio::test]
async fn metadata_say_what_is_on() {
    let supported =
        async |world: &World| metadata(&world.server()).await["grant_types_supported"].clone();
    let plain = json!(["authorization_code", "refresh_token"]);
    assert_eq!(supported(&World::new().await).await, plain);
    let with_service = json!(["authorization_code", "refresh_token", "client_credentials"]);
    assert_eq!(supported(&world(&key()).await).await, with_service);
}

#[tokio::test]
async fn a_service_that_could_never_work_is_refused_at_start() {
    let key = key();
    let [signing, with_secret] = clients(&key).try_into().unwrap_or_else(|_| panic!("two"));
    let of = |change: fn(&mut ClientConfig)| {
        let mut client = signing.clone();
        change(&mut client);
        client
    };
    for (client, problem) in [
        (of(|it| it.jwks = None), "without a secret or keys"),
        (of(|it| it.service = None), "no redirect URI"),
        (of(|it| it.service = Some(service(&[]))), "it has no scopes"),
        (
            of(|it| it.service = Some(service(&["notes:burn"]))),
            "no scope \"notes:burn\"",
        ),
        (
            of(|it| it.service.as_mut().unwrap().api_token = secret("")),
            "nothing says what the API is called with",
        ),
        (
            of(|it| it.service.as_mut().unwrap().organization = " ".to_owned()),
            "no organization",
        ),
    ] {
        let mut world = World::new().await;
        world.clients = vec![client, with_secret.clone()];
        let error = world.try_server().unwrap_err().to_string();
        assert!(
            error.starts_with("client \"ci\": ") && error.contains(problem),
            "{error}"
        );
    }
    let shown = format!("{with_secret:?}");
    assert!(
        !shown.contains(API_TOKEN) && !shown.contains(SECRET),
        "{shown}"
    );
}
