//! What others try: with codes, links, cookies and pages that are not theirs.

use std::time::SystemTime;

use http::{Method, StatusCode};
use mcp_test_support::IdentityProvider;

use crate::{
    client::{App, Browser, sealed_request},
    world::{
        APP, ISSUER, RESOURCE, VERIFIER, World, after, form, is_grant_refusal, location, parameter,
        post, registered, text,
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
    let good: Vec<_> = [&one, &two]
        .into_iter()
        .filter(|(status, _)| *status == StatusCode::OK)
        .collect();
    assert!(good.len() <= 1, "a code is good once");
    assert!(is_grant_refusal(&app.redeem(&servers[1], &code, now).await));
    for (_, tokens) in good {
        let refresh_token = text(tokens, "refresh_token");
        assert!(is_grant_refusal(
            &app.refresh(&servers[0], &refresh_token, now).await
        ));
    }
}

#[tokio::test]
async fn without_pkce_by_s256_nothing_begins() {
    let (world, server, app, now) = registered().await;
    for other in [
        [("code_challenge", ""), ("code_challenge_method", "")],
        [
            ("code_challenge", VERIFIER),
            ("code_challenge_method", "plain"),
        ],
        [("code_challenge", VERIFIER), ("code_challenge_method", "")],
        [
            ("code_challenge", "short"),
            ("code_challenge_method", "S256"),
        ],
    ] {
        let answer = Browser::default()
            .get(&server, &app.link(&other), now)
            .await;
        assert_eq!(
            parameter(&location(&answer), "error").as_deref(),
            Some("invalid_request")
        );
    }
}

#[tokio::test]
async fn nobody_is_sent_where_a_stranger_wants() {
    let (world, server, app, now) = registered().await;
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
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{uri}");
        assert!(answer.headers().get("location").is_none(), "{uri}");
    }
    // Whoever registers an address of the web does not have browsers sent there without a person's word.
    let web = App::register_at(&server, "https://evil.example/cb", now).await;
    let answer = Browser::default()
        .get(&server, &web.link(&[("response_type", "token")]), now)
        .await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    assert!(answer.headers().get("location").is_none());
}

#[tokio::test]
async fn a_consent_cannot_be_given_from_another_browser_or_page() {
    let (world, server, app, now) = registered().await;
    // The attacker's own page has a form that is good in the attacker's browser.
    let mut attacker = Browser::default();
    let page = attacker.get(&server, &app.link(&[]), now).await;
    let body = form(&[("request", &sealed_request(&page)), ("decision", "allow")]);
    for mut victim in [Browser::default(), {
        let mut victim = Browser::default();
        victim.get(&server, &app.link(&[]), now).await;
        victim
    }] {
        let answer = victim
            .send(&server, Method::POST, "/authorize", &body, now)
            .await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
        assert!(answer.headers().get("location").is_none());
    }
    let cookies: Vec<_> = attacker
        .cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    for elsewhere in [
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ] {
        let headers = [("cookie", cookies[0].as_str()), elsewhere];
        let answer =
            crate::world::ask(&server, Method::POST, "/authorize", &headers, &body, now).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{elsewhere:?}");
    }
    let late = attacker
        .send(&server, Method::POST, "/authorize", &body, after(now, 601))
        .await;
    assert_eq!(late.status(), StatusCode::BAD_REQUEST, "too late");
    let answer = attacker
        .send(&server, Method::POST, "/authorize", &body, now)
        .await;
    assert!(answer.status().is_redirection());
}

#[tokio::test]
async fn a_login_ends_in_the_browser_it_began_in_and_once() {
    let (world, server, app, now) = registered().await;
    let mut browser = Browser::default();
    let page = browser.get(&server, &app.link(&[]), now).await;
    let answer = browser.decide(&server, &page, "allow", now).await;
    let back = world.at_provider(location(&answer).as_str()).await;
    let path = back.strip_prefix(ISSUER).unwrap();
    // The attacker sends the link that ends the login to somebody else (login CSRF, code injection).
    let mut victim = Browser::default();
    victim.get(&server, &app.link(&[]), now).await;
    let answer = victim.get(&server, path, now).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let asked = world.provider.count(IdentityProvider::TOKEN_PATH);
    assert_eq!(asked, 0, "nothing is redeemed");
    // The provider's name is checked where it says it (mix-up).
    let mut elsewhere: url::Url = back.parse().unwrap();
    elsewhere
        .query_pairs_mut()
        .append_pair("iss", "https://evil.example");
    let mixed = elsewhere.as_str().strip_prefix(ISSUER).unwrap().to_owned();
    let mut copy = browser.clone();
    let answer = copy.get(&server, &mixed, now).await;
    assert!(parameter(&location_or_issuer(&answer), "code").is_none());

    let replay = browser.clone();
    let answer = browser.get(&server, path, now).await;
    assert!(parameter(&location(&answer), "code").is_some());
    let answer = replay.clone().get(&server, path, now).await;
    assert!(
        answer.headers().get("location").is_none()
            || parameter(&location(&answer), "code").is_none(),
        "one login, one code"
    );
}

fn location_or_issuer(answer: &http::Response<bytes::Bytes>) -> url::Url {
    match answer.headers().get("location") {
        Some(_) => location(answer),
        None => ISSUER.parse().unwrap(),
    }
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
    elsewhere.change = |config| {
        config.issuer = "https://other.example.com".to_owned();
        config.resource = "https://other.example.com/mcp".to_owned();
    };
    let tokens = app.redeem(&server, &code, now).await.1;
    let elsewhere = elsewhere.server();
    let (status, _) = app
        .refresh(&elsewhere, &text(&tokens, "refresh_token"), now)
        .await;
    assert_ne!(status, StatusCode::OK);
    let _ = RESOURCE;
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
    use std::sync::atomic::{AtomicBool, Ordering};
    static DENIED: AtomicBool = AtomicBool::new(false);
    let mut world = World::new().await;
    world.change = |config| {
        let denied = |grant: &mcp_authorization_server::GrantOf<'_>| {
            grant.subject == "user_ada" && DENIED.load(Ordering::SeqCst)
        };
        config.denied = Some(mcp_authorization_server::Denied::new(denied));
    };
    let server = world.server();
    let now = SystemTime::now();
    let app = App::register(&server, now).await;
    let tokens = app.log_in(&world, &server, now).await;
    let code = app
        .code(&world, [&server; 3], &mut Browser::default(), now)
        .await;
    DENIED.store(true, Ordering::SeqCst);
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
