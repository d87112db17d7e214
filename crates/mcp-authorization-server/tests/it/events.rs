//! What an observer is told of logins, and of what comes to nothing.

use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use http::Method;
use mcp_authorization_server::{Event, Observer};
use mcp_test_support::{IdentityProvider, ProviderFault};

use crate::{
    client::{App, Browser},
    world::{World, after, ask, location, post, text},
};

/// What was told since it was last looked at, without durations.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn observer(&self) -> Observer {
        let told = Arc::clone(&self.0);
        Observer::new(move |event| {
            let line = match event {
                Event::Asked {
                    question, outcome, ..
                } => format!("asked {question} {outcome}"),
                Event::LoggedIn => "logged in".to_owned(),
                Event::Refreshed => "refreshed".to_owned(),
                Event::Consent(outcome) => format!("consent {outcome}"),
                Event::Refused { operation, reason } => format!("refused {operation} {reason}"),
                other => format!("{other:?}"),
            };
            told.lock().unwrap().push(line);
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

async fn world() -> (World, Told) {
    let (mut world, told) = (World::new().await, Told::default());
    world.observer = told.observer();
    (world, told)
}

#[tokio::test]
async fn a_login_is_told_step_by_step() {
    let (world, told) = world().await;
    let (server, now) = (world.server(), SystemTime::now());
    let app = App::register(&server, now).await;
    let mut browser = Browser::default();
    let code = app.code(&world, [&server; 3], &mut browser, now).await;
    assert_eq!(
        told.take(),
        [
            "consent asked",
            "consent given",
            "asked metadata ok",
            "asked redeem ok",
            "logged in",
        ]
    );
    let (_, tokens) = app.redeem(&server, &code, now).await;
    assert_eq!(told.take(), [""; 0]);
    let token = text(&tokens, "refresh_token");
    let (_, next) = app.refresh(&server, &token, after(now, 5)).await;
    assert_eq!(told.take(), ["asked refresh ok", "refreshed"]);
    app.refresh(&server, &token, after(now, 6)).await;
    assert_eq!(told.take(), ["refreshed"], "the same answer once more");
    let token = text(&next, "refresh_token");
    let pairs = [("token", token.as_str()), ("client_id", &app.id)];
    post(&server, "/revoke", &pairs, after(now, 7)).await;
    assert_eq!(told.take(), ["asked revoke ok"]);
    // The browser knows this client.
    app.code(&world, [&server; 3], &mut browser, now).await;
    assert_eq!(
        told.take(),
        ["consent remembered", "asked redeem ok", "logged in"]
    );
}

#[tokio::test]
async fn what_comes_to_nothing_is_told_with_its_reason() {
    let (world, told) = world().await;
    let (server, now) = (world.server(), SystemTime::now());
    let app = App::register(&server, now).await;
    let mut browser = Browser::default();
    let page = browser.get(&server, &app.link(&[]), now).await;
    browser.decide(&server, &page, "deny", now).await;
    assert_eq!(
        told.take(),
        [
            "consent asked",
            "consent withheld",
            "refused authorize access_denied"
        ]
    );
    for (method, path, body, expected) in [
        (Method::GET, "/authorize", "", "authorize invalid_request"),
        (
            Method::GET,
            "/authorize?client_id=made-up",
            "",
            "authorize invalid_client",
        ),
        (Method::GET, "/callback", "", "callback not_this_browser"),
        (
            Method::POST,
            "/register",
            "{}",
            "register invalid_redirect_uri",
        ),
        (Method::POST, "/token", "", "token invalid_request"),
        (
            Method::POST,
            "/token",
            "client_id=made-up",
            "token invalid_client",
        ),
        (Method::POST, "/revoke", "", "revoke invalid_request"),
        (
            Method::POST,
            "/token",
            "grant_type=refresh_token&client_id=made-up",
            "refresh invalid_client",
        ),
    ] {
        let json = [("content-type", "application/json")];
        ask(&server, method, path, &json, body, now).await;
        assert_eq!(
            told.take(),
            [format!("refused {expected}")],
            "{path} {body}"
        );
    }
    let (_, refused) = app.refresh(&server, "made up", now).await;
    assert_eq!(told.take(), ["refused refresh invalid_grant"], "{refused}");
}

#[tokio::test]
async fn a_provider_that_fails_is_told_apart_from_one_that_refuses() {
    let (world, told) = world().await;
    let (server, now) = (world.server(), SystemTime::now());
    let app = App::register(&server, now).await;
    let tokens = app.log_in(&world, &server, now).await;
    let token = text(&tokens, "refresh_token");
    told.take();
    for (status, body, outcome, reason) in [
        (503, "", "unavailable", "temporarily_unavailable"),
        (
            401,
            "{\"error\":\"invalid_client\"}",
            "misconfigured",
            "temporarily_unavailable",
        ),
        (
            400,
            "{\"error\":\"invalid_grant\"}",
            "refused",
            "invalid_grant",
        ),
    ] {
        let fault = ProviderFault::Fixed(status, body.to_owned());
        world
            .provider
            .break_path(IdentityProvider::TOKEN_PATH, fault);
        app.refresh(&server, &token, after(now, 5)).await;
        let expected = [
            format!("asked refresh {outcome}"),
            format!("refused refresh {reason}"),
        ];
        assert_eq!(told.take(), expected, "{status}");
    }
    // A login at the same provider: the page says so, and so does the count.
    let mut browser = Browser::default();
    let page = browser.get(&server, &app.link(&[]), now).await;
    let away = browser.decide(&server, &page, "allow", now).await;
    let back = world.at_provider(location(&away).as_str()).await;
    let path = back.strip_prefix(crate::world::ISSUER).unwrap();
    told.take();
    browser.get(&server, path, now).await;
    assert_eq!(
        told.take(),
        ["asked redeem refused", "refused callback access_denied"]
    );
}
