//! What others try: with codes, links, cookies and pages that are not theirs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use http::StatusCode;
use mcp_authorization_server::Denied;
use mcp_test_support::IdentityProvider;

use crate::{
    client::{App, Browser},
    world::{
        APP, ISSUER, VERIFIER, World, assert_stays, challenge, form, is_grant_refusal, location,
        parameter, post, registered, text,
    },
};

#[tokio::test]
async fn a_code_is_worth_nothing_in_other_hands() {
    let (world, server, app, now) = registered().await;
    let other = App::register(&server, now).await;
    let code = app
        .code(&world, [&server; 3], &mut Browser::default(), now)
        .await;
    let try_with = async |id: &str, uri: &str, verifier: &str| {
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("client_id", id),
            ("redirect_uri", uri),
            ("code_verifier", verifier),
        ];
        post(&server, "/token", &pairs, now).await
    };
    assert!(
        is_grant_refusal(&try_with(&other.id, APP, VERIFIER).await),
        "another client"
    );
    assert!(
        is_grant_refusal(&try_with(&app.id, "http://127.0.0.1:1/x", VERIFIER).await),
        "another URI"
    );
    let wrong = "another-verifier-of-at-least-forty-three-characters";
    assert!(
        is_grant_refusal(&try_with(&app.id, APP, wrong).await),
        "another verifier"
    );
    assert!(
        is_grant_refusal(&try_with(&app.id, APP, "").await),
        "no verifier"
    );
    assert!(
        is_grant_refusal(&try_with(&app.id, APP, &challenge()).await),
        "the challenge, as in the method plain"
    );
    assert!(
        is_grant_refusal(&try_with(&app.id, APP, &VERIFIER[..20]).await),
        "a short verifier"
    );
    // None of it used the code up.
    assert_eq!(app.redeem(&server, &code, now).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_came_of_it() {
    let world = World::new().await;
    let servers = [world.server(), world.server()];
    let now = SystemTime::now();
    let app = App::register(&servers[0], now).await;
    let code = app
        .code(&world, [&servers[0]; 3], &mut Browser::default(), now)
        .await;
    let (one, two) = tokio::join!(
        app.redeem(&servers[0], &code, now),
        app.redeem(&servers[1], &code, now)
    );
    let (good, refused) = if one.0 == StatusCode::OK {
        (one, two)
    } else {
        (two, one)
    };
    assert_eq!(good.0, StatusCode::OK, "{}", good.1);
    assert!(is_grant_refusal(&refused), "a code is good once");
    assert!(is_grant_refusal(&app.redeem(&servers[1], &code, now).await));
    let refresh_token = text(&good.1, "refresh_token");
    assert!(is_grant_refusal(
        &app.refresh(&servers[0], &refresh_token, now).await
    ));
}

#[tokio::test]
async fn without_pkce_by_s256_nothing_begins() {
    let (_, server, app, now) = registered().await;
    let good = challenge();
    for (challenge, method) in [
        ("", ""),
        ("", "S256"),
        // Who has the challenge could be who has the verifier.
        (good.as_str(), "plain"),
        (good.as_str(), ""),
        (good.as_str(), "s256"),
        ("short", "S256"),
    ] {
        let other = [
            ("code_challenge", challenge),
            ("code_challenge_method", method),
        ];
        let answer = Browser::default()
            .get(&server, &app.link(&other), now)
            .await;
        let back = location(&answer);
        assert_eq!(
            parameter(&back, "error").as_deref(),
            Some("invalid_request")
        );
        // Refusals say whose they are, too (RFC 9207): the client knows whom it asked.
        assert_eq!(parameter(&back, "iss").as_deref(), Some(ISSUER));
    }
}

#[tokio::test]
async fn nobody_is_sent_where_a_stranger_wants() {
    let (_, server, app, now) = registered().await;
    for uri in [
        "https://evil.example/",
        "http://127.0.0.1:33418/other",
        "http://127.0.0.1.evil.example:33418/callback",
        "http://127.0.0.1:33418/callback?x=1",
        "http://user@127.0.0.1:33418/callback",
        "javascript:alert(1)",
    ] {
        let answer = Browser::default()
            .get(&server, &app.link(&[("redirect_uri", uri)]), now)
            .await;
        assert_stays(&answer, StatusCode::BAD_REQUEST, uri);
    }
    // Whoever registers an address of the web does not have browsers sent there without a person's word.
    let web = App::register_at(&server, "https://evil.example/cb", now).await;
    let answer = Browser::default()
        .get(&server, &web.link(&[("response_type", "token")]), now)
        .await;
    assert_stays(&answer, StatusCode::BAD_REQUEST, "an address of the web");
    let unknown = app.link(&[("client_id", "nobody"), ("response_type", "token")]);
    let answer = Browser::default().get(&server, &unknown, now).await;
    assert_stays(&answer, StatusCode::BAD_REQUEST, "an unknown client");
}

#[tokio::test]
async fn a_login_ends_in_the_browser_it_began_in_and_once() {
    let (world, server, app, now) = registered().await;
    let mut browser = Browser::default();
    let path = app.back(&world, [&server; 2], &mut browser, now).await;
    // The attacker sends the link that ends the login to somebody else (login CSRF).
    let mut victim = Browser::default();
    victim.get(&server, &app.link(&[]), now).await;
    let answer = victim.get(&server, &path, now).await;
    assert_stays(&answer, StatusCode::BAD_REQUEST, "another browser");
    let redeemed = || world.provider.count(IdentityProvider::TOKEN_PATH);
    assert_eq!(redeemed(), 0);

    let mut replay = browser.clone();
    let answer = browser.get(&server, &path, now).await;
    assert!(parameter(&location(&answer), "code").is_some());
    let answer = replay.get(&server, &path, now).await;
    assert_stays(&answer, StatusCode::BAD_REQUEST, "one login, one code");
    assert_eq!(redeemed(), 1, "twice, the provider would end what it began");
}

#[tokio::test]
async fn an_answer_of_another_provider_is_refused() {
    let (world, server, app, now) = registered().await;
    let mut browser = Browser::default();
    let path = app.back(&world, [&server; 2], &mut browser, now).await;
    let evil = with_parameter(&path, "iss", Some("https://evil.example"));
    // This provider says that it always names itself (RFC 9207 section 2.4).
    let nobody = with_parameter(&path, "iss", None);
    for mixed_up in [evil, nobody] {
        let answer = browser.clone().get(&server, &mixed_up, now).await;
        assert_stays(&answer, StatusCode::FORBIDDEN, &mixed_up);
    }
    let redeemed = world.provider.count(IdentityProvider::TOKEN_PATH);
    assert_eq!(redeemed, 0, "its code goes to nobody");
    let answer = browser.get(&server, &path, now).await;
    assert!(parameter(&location(&answer), "code").is_some());
}

#[tokio::test]
async fn a_code_of_the_provider_is_worth_nothing_in_another_login() {
    let (world, server, app, now) = registered().await;
    let (mut attacker, mut victim) = (Browser::default(), Browser::default());
    let stolen = app.back(&world, [&server; 2], &mut attacker, now).await;
    let path = app.back(&world, [&server; 2], &mut victim, now).await;
    let stolen: url::Url = format!("{ISSUER}{stolen}").parse().unwrap();
    let injected = with_parameter(&path, "code", parameter(&stolen, "code").as_deref());
    let answer = victim.get(&server, &injected, now).await;
    assert_stays(
        &answer,
        StatusCode::BAD_REQUEST,
        "the code of another login",
    );
    assert_eq!(world.provider.logins(), 0);
}

/// A path whose query has this parameter, or none of that name.
fn with_parameter(path: &str, name: &str, value: Option<&str>) -> String {
    let mut url: url::Url = format!("{ISSUER}{path}").parse().unwrap();
    let others: Vec<_> = url.query_pairs().into_owned().collect();
    let others = others.iter().filter(|(other, _)| other != name);
    let others: Vec<_> = others.map(|(name, value)| (&**name, &**value)).collect();
    let pairs = others.into_iter().chain(value.map(|value| (name, value)));
    let query = form(&pairs.collect::<Vec<_>>());
    url.set_query(Some(&query));
    url.as_str().strip_prefix(ISSUER).unwrap().to_owned()
}

#[tokio::test]
async fn tokens_are_for_this_resource_alone() {
    let (world, server, app, now) = registered().await;
    let other = [("resource", "https://other.example.com/mcp")];
    let answer = Browser::default()
        .get(&server, &app.link(&other), now)
        .await;
    assert_eq!(
        parameter(&location(&answer), "error").as_deref(),
        Some("invalid_target")
    );
    let code = app
        .code(&world, [&server; 3], &mut Browser::default(), now)
        .await;
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("client_id", &app.id),
        ("code_verifier", VERIFIER),
        ("resource", "https://other.example.com/mcp"),
    ];
    let (status, answer) = post(&server, "/token", &pairs, now).await;
    assert_eq!(
        (status, &answer["error"]),
        (StatusCode::BAD_REQUEST, &"invalid_target".into())
    );
    // A deployment with the same keys and another address takes nothing of this one.
    let mut elsewhere = world;
    elsewhere.change = Box::new(|config| {
        config.issuer = "https://other.example.com".to_owned();
        config.resource = "https://other.example.com/mcp".to_owned();
    });
    let tokens = app.redeem(&server, &code, now).await.1;
    let elsewhere = elsewhere.server();
    let (status, _) = app
        .refresh(&elsewhere, &text(&tokens, "refresh_token"), now)
        .await;
    assert_ne!(status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_saw_a_used_code_ends_nothing_by_it() {
    let (world, server, app, now) = registered().await;
    let other = App::register(&server, now).await;
    let code = app
        .code(&world, [&server; 3], &mut Browser::default(), now)
        .await;
    let (_, tokens) = app.redeem(&server, &code, now).await;
    assert!(is_grant_refusal(&other.redeem(&server, &code, now).await));
    let (status, answer) = app
        .refresh(&server, &text(&tokens, "refresh_token"), now)
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn who_is_denied_gets_nothing_for_a_code_or_a_refresh_token() {
    let mut world = World::new().await;
    let denied = Arc::new(AtomicBool::new(false));
    let is_denied = Arc::clone(&denied);
    world.change = Box::new(move |config| {
        let is_denied = Arc::clone(&is_denied);
        config.denied = Some(Denied::new(move |grant| {
            grant.subject == "user_ada" && is_denied.load(Ordering::SeqCst)
        }));
    });
    let (server, now) = (world.server(), SystemTime::now());
    let app = App::register(&server, now).await;
    let tokens = app.log_in(&world, &server, now).await;
    let code = app
        .code(&world, [&server; 3], &mut Browser::default(), now)
        .await;
    denied.store(true, Ordering::SeqCst);
    assert!(is_grant_refusal(&app.redeem(&server, &code, now).await));
    assert!(is_grant_refusal(
        &app.refresh(&server, &text(&tokens, "refresh_token"), now)
            .await
    ));
}

#[tokio::test]
async fn a_request_too_long_for_a_cookie_is_refused_before_anybody_logs_in() {
    let world = World::new().await;
    let server = world.server();
    let now = SystemTime::now();
    let long = format!("http://127.0.0.1:33418/{}", "x".repeat(400));
    let app = App::register_at(&server, &long, now).await;
    let state = "\u{1}".repeat(1_024);
    let answer = Browser::default()
        .get(&server, &app.link(&[("state", &state)]), now)
        .await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    // The longest that is taken fits, as browsers measure it.
    let state = "s".repeat(1_024);
    let mut browser = Browser::default();
    for _ in 0..6 {
        let page = browser
            .get(&server, &app.link(&[("state", &state)]), now)
            .await;
        let answer = if page.status() == StatusCode::OK {
            browser.decide(&server, &page, "allow", now).await
        } else {
            page
        };
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    }
    let length: usize = browser
        .cookies
        .iter()
        .map(|(name, value)| name.len() + value.len() + 3)
        .sum();
    assert!(length < 8_000, "{length} bytes of cookies");
}
