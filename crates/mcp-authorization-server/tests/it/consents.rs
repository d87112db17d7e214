//! What users agree to: for whom it holds, and who cannot agree in their place.

use std::time::SystemTime;

use http::{Method, StatusCode};
use mcp_authorization_server::ClientConfig;
use mcp_test_support::IdentityProvider;

use crate::{
    client::{App, Browser, sealed_request},
    world::{
        APP, ISSUER, RESOURCE, World, after, ask, assert_stays, form, location, parameter,
        registered,
    },
};

#[tokio::test]
async fn a_consent_is_remembered_for_just_that_client_and_just_those_rights() {
    let (world, server, app, now) = registered().await;
    let other = App::register(&server, now).await;
    let mut browser = Browser::default();
    app.code(&world, [&server; 3], &mut browser, now).await;
    let again = browser.get(&server, &app.link(&[]), after(now, 90)).await;
    assert_eq!(again.status(), StatusCode::SEE_OTHER, "the same again");
    let asked = |link: String| {
        let (mut browser, server) = (browser.clone(), server.clone());
        async move { browser.get(&server, &link, after(now, 90)).await.status() }
    };
    assert_eq!(
        asked(app.link(&[("scope", "notes:read notes:write")])).await,
        StatusCode::OK
    );
    assert_eq!(
        asked(app.link(&[("prompt", "consent")])).await,
        StatusCode::OK
    );
    assert_eq!(
        asked(other.link(&[])).await,
        StatusCode::OK,
        "another client of the same name"
    );
    let elsewhere = [("redirect_uri", "http://127.0.0.1:1/callback")];
    assert_eq!(
        asked(app.link(&elsewhere)).await,
        StatusCode::OK,
        "another program, for all we know"
    );
    let elsewhere = Browser::default().get(&server, &app.link(&[]), now).await;
    assert_eq!(elsewhere.status(), StatusCode::OK, "another browser");
}

#[tokio::test]
async fn who_does_not_agree_is_sent_back_and_nobody_is_asked_to_log_in() {
    let (world, server, app, now) = registered().await;
    let mut browser = Browser::default();
    let page = browser.get(&server, &app.link(&[]), now).await;
    let answer = browser.decide(&server, &page, "deny", now).await;
    let back = location(&answer);
    assert!(back.as_str().starts_with(APP));
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "iss").as_deref(), Some(ISSUER));
    assert_eq!(world.provider.count(IdentityProvider::AUTHORIZE_PATH), 0);
}

#[tokio::test]
async fn a_consent_cannot_be_given_from_another_browser_or_page() {
    let (_world, server, app, now) = registered().await;
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
        assert_stays(
            &answer,
            StatusCode::BAD_REQUEST,
            "the form of another browser",
        );
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
        let answer = ask(&server, Method::POST, "/authorize", &headers, &body, now).await;
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
async fn an_address_that_any_program_may_take_is_agreed_to_each_time() {
    let mut world = World::new().await;
    let web = "https://app.example/callback";
    world.change = Box::new(move |config| {
        // A client whose id everybody knows, as that of an editor.
        config.clients.push(ClientConfig {
            id: "editor".to_owned(),
            secret: None,
            name: None,
            redirect_uris: vec![APP.to_owned(), web.to_owned()],
            jwks: None,
            service: None,
        });
    });
    let (server, now) = (world.server(), SystemTime::now());
    for (redirect_uri, again) in [(APP, StatusCode::OK), (web, StatusCode::SEE_OTHER)] {
        let editor = App {
            id: "editor".to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            resource: RESOURCE.to_owned(),
        };
        let mut browser = Browser::default();
        editor.code(&world, [&server; 3], &mut browser, now).await;
        let answer = browser.get(&server, &editor.link(&[]), now).await;
        assert_eq!(answer.status(), again, "{redirect_uri}");
    }
    // Nor does the form say otherwise.
    let editor = App {
        id: "editor".to_owned(),
        redirect_uri: APP.to_owned(),
        resource: RESOURCE.to_owned(),
    };
    let mut browser = Browser::default();
    let page = browser.get(&server, &editor.link(&[]), now).await;
    let once = sealed_request(&page);
    let remembered = once.replacen("o.", "r.", 1);
    assert_ne!(once, remembered);
    let body = form(&[("request", &remembered), ("decision", "allow")]);
    let answer = browser
        .send(&server, Method::POST, "/authorize", &body, now)
        .await;
    assert_stays(&answer, StatusCode::BAD_REQUEST, "another form");
}
