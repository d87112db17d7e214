//! Logins, from the metadata to the first call, on any instance.

use std::time::SystemTime;

use http::{Method, StatusCode};
use mcp_session::MemoryFacts;
use mcp_test_support::{IdentityProvider, ProviderUser};
use serde_json::Value;

use std::sync::Arc;

use crate::{
    client::{App, Browser},
    world::{
        ISSUER, RESOURCE, World, after, ask, is_grant_refusal, location, logged_in, post, text,
        verified,
    },
};

#[tokio::test]
async fn a_client_that_registers_itself_gets_tokens_that_every_instance_takes() {
    let world = World::new().await;
    let now = SystemTime::now();
    let servers = [world.server(), world.server(), world.server()];
    let app = App::register(&servers[0], now).await;
    let mut browser = Browser::default();
    let [one, two, three] = &servers;
    let code = app.code(&world, [one, two, three], &mut browser, now).await;
    let (status, tokens) = app.redeem(one, &code, now).await;
    assert_eq!(status, StatusCode::OK, "{tokens}");
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], "notes:read");
    assert!(tokens["expires_in"].as_u64().unwrap() <= 3_600);

    let access_token = text(&tokens, "access_token");
    for server in &servers {
        let (principal, upstream) = verified(server, &access_token, now).await;
        assert_eq!(principal.issuer(), ISSUER);
        assert_eq!(principal.subject(), "user_ada");
        assert_eq!(principal.organization(), Some("org_ada"));
        assert_eq!(principal.scopes(), ["notes:read"]);
        assert_eq!(principal.audiences(), [RESOURCE]);
        assert!(principal.client_id().unwrap().len() < 40);
        assert!(upstream.expose().len() > 8 && upstream.expires_at() > now);
        assert!(!access_token.contains(upstream.expose()));
    }
    // Each refresh gives the next of both.
    let refresh_token = text(&tokens, "refresh_token");
    let (status, next) = app.refresh(two, &refresh_token, after(now, 5)).await;
    assert_eq!(status, StatusCode::OK, "{next}");
    assert_ne!(text(&next, "refresh_token"), refresh_token);
    let (principal, _) = verified(three, &text(&next, "access_token"), after(now, 5)).await;
    assert_eq!(principal.subject(), "user_ada");
    assert_eq!(world.provider.count(IdentityProvider::TOKEN_PATH), 2);
}

#[tokio::test]
async fn metadata_stand_wherever_clients_look_for_them() {
    let world = World::new().await;
    let server = world.server();
    let now = SystemTime::now();
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
    ] {
        assert!(server.paths().iter().any(|known| known == path), "{path}");
        let answer = ask(&server, Method::GET, path, &[], "", now).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(document["issuer"], ISSUER);
        assert_eq!(
            document["code_challenge_methods_supported"],
            serde_json::json!(["S256"])
        );
        for endpoint in ["authorization", "token", "registration", "revocation"] {
            let endpoint = text(&document, &format!("{endpoint}_endpoint"));
            let path = endpoint.strip_prefix(ISSUER).unwrap();
            assert!(server.paths().iter().any(|known| known == path), "{path}");
        }
    }
    let keys = ask(&server, Method::GET, "/jwks.json", &[], "", now).await;
    let keys: Value = serde_json::from_slice(keys.body()).unwrap();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0].get("d"), None, "no private part");
}

#[tokio::test]
async fn an_emptied_store_and_restarts_sign_nobody_out() {
    let (mut world, _, app, mut tokens, now) = logged_in().await;
    for round in 1..=5 {
        world.facts = Arc::new(MemoryFacts::default());
        let server = world.server();
        let later = after(now, round * 3_000);
        let refresh_token = text(&tokens, "refresh_token");
        let (status, next) = app.refresh(&server, &refresh_token, later).await;
        assert_eq!(status, StatusCode::OK, "{next}");
        verified(&server, &text(&next, "access_token"), later).await;
        tokens = next;
    }
    assert_eq!(
        world.provider.count(IdentityProvider::AUTHORIZE_PATH),
        1,
        "logins"
    );
}

#[tokio::test]
async fn keys_may_be_turned_under_everything_that_clients_hold() {
    let (mut world, _, app, tokens, now) = logged_in().await;
    world.previous = vec![world.key.clone()];
    world.key = zeroize::Zeroizing::new([4; 32]);
    let server = world.server();
    let later = after(now, 60);
    verified(&server, &text(&tokens, "access_token"), later).await;
    let (status, next) = app
        .refresh(&server, &text(&tokens, "refresh_token"), later)
        .await;
    assert_eq!(status, StatusCode::OK, "{next}");
    // What was made anew does without the old key; the client's id is as old as the client.
    world.previous.clear();
    let (_, upstream) = verified(&world.server(), &text(&next, "access_token"), later).await;
    assert!(!upstream.expose().is_empty());
}

#[tokio::test]
async fn a_user_without_an_organization_is_told_so_on_a_page() {
    let world = World::new().await;
    world.provider.set_user(ProviderUser::new("user_bob"));
    let server = world.server();
    let now = SystemTime::now();
    let app = App::register(&server, now).await;
    let mut browser = Browser::default();
    let page = browser.get(&server, &app.link(&[]), now).await;
    let answer = browser.decide(&server, &page, "allow", now).await;
    let back = world.at_provider(location(&answer).as_str()).await;
    let answer = browser
        .get(&server, back.strip_prefix(ISSUER).unwrap(), now)
        .await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let page = String::from_utf8_lossy(answer.body());
    assert!(page.contains("organization"), "{page}");
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_the_login_here_and_at_the_provider() {
    let (world, server, app, tokens, now) = logged_in().await;
    let refresh_token = text(&tokens, "refresh_token");
    let pairs = [
        ("token", refresh_token.as_str()),
        ("client_id", app.id.as_str()),
    ];
    let (status, _) = post(&server, "/revoke", &pairs, now).await;
    assert_eq!(status, StatusCode::OK);
    assert!(is_grant_refusal(
        &app.refresh(&server, &refresh_token, now).await
    ));
    assert!(world.provider.count(IdentityProvider::REVOKE_PATH) > 0);
    let (status, _) = post(
        &server,
        "/revoke",
        &[("token", "nothing"), ("client_id", &app.id)],
        now,
    )
    .await;
    assert_eq!(
        status,
        StatusCode::OK,
        "what is no token is as good as revoked"
    );
}
