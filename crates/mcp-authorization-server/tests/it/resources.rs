//! Tokens for a resource below the server's own: of one organization, and of nobody else.

use std::time::SystemTime;

use http::StatusCode;
use mcp_authorization_server::AuthorizationServer;
use serde_json::Value;

use crate::{
    client::{App, Browser},
    world::{ISSUER, RESOURCE, VERIFIER, World, after, location, parameter, post, text, verified},
};

/// One or two names: the organization, and a part of it.
fn is_below(below: &str) -> bool {
    let names: Vec<_> = below.split('/').collect();
    let plain = |name: &&str| {
        name.bytes()
            .all(|it| it.is_ascii_alphanumeric() || it == b'_')
    };
    names.len() <= 2 && names.iter().all(|name| !name.is_empty() && plain(name))
}

async fn world() -> World {
    let mut world = World::new().await;
    world.change = Box::new(|config| config.resource_below = Some(is_below));
    world
}

async fn app_for(server: &AuthorizationServer, below: &str) -> App {
    let mut app = App::register(server, SystemTime::now()).await;
    app.resource = format!("{RESOURCE}{below}");
    app
}

async fn audience(server: &AuthorizationServer, tokens: &Value, now: SystemTime) -> Vec<String> {
    let (principal, upstream) = verified(server, &text(tokens, "access_token"), now).await;
    assert_eq!(principal.organization(), Some("org_ada"));
    assert!(!upstream.expose().is_empty());
    principal.audiences().to_vec()
}

#[tokio::test]
async fn a_token_is_for_the_resource_that_the_user_agreed_to_also_after_refreshes() {
    let (world, now) = (world().await, SystemTime::now());
    let server = world.server();
    for below in ["/org_ada", "/org_ada/web", ""] {
        let app = app_for(&server, below).await;
        let expected = [format!("{RESOURCE}{below}")];
        let mut tokens = app.log_in(&world, &server, now).await;
        for seconds in 1..4 {
            assert_eq!(audience(&server, &tokens, now).await, expected);
            let refresh_token = text(&tokens, "refresh_token");
            let (status, next) = app
                .refresh(&server, &refresh_token, after(now, seconds))
                .await;
            assert_eq!(status, StatusCode::OK, "{next}");
            tokens = next;
        }
    }
}

#[tokio::test]
async fn out_of_a_grant_come_tokens_for_it_or_for_less() {
    let (world, now) = (world().await, SystemTime::now());
    let server = world.server();
    for (granted, wanted, got) in [
        ("", "", Some("")),
        ("", "/org_ada", Some("/org_ada")),
        ("", "/org_ada/web", Some("/org_ada/web")),
        ("/org_ada", "/org_ada", Some("/org_ada")),
        ("/org_ada", "/org_ada/web", Some("/org_ada/web")),
        ("/org_ada", "", None),
        ("/org_ada", "/org_eve", None),
        ("/org_ada", "/org_adam", None),
        ("/org_ada/web", "/org_ada", None),
        ("/org_ada/web", "/org_ada/app", None),
        ("/org_ada/web", "/org_ada/web", Some("/org_ada/web")),
        ("/org_ada", "/org_ada/web/more", None),
    ] {
        let app = app_for(&server, granted).await;
        let code = app
            .code(&world, [&server; 3], &mut Browser::default(), now)
            .await;
        let wanted = format!("{RESOURCE}{wanted}");
        let pairs = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("client_id", &app.id),
            ("code_verifier", VERIFIER),
            ("resource", &wanted),
        ];
        let (status, answer) = post(&server, "/token", &pairs, now).await;
        let Some(got) = got else {
            assert_eq!(
                (status, &answer["error"]),
                (StatusCode::BAD_REQUEST, &"invalid_target".into())
            );
            // The code is not used up by that.
            let (status, tokens) = app.redeem(&server, &code, now).await;
            assert_eq!(status, StatusCode::OK, "{tokens}");
            let refresh_token = text(&tokens, "refresh_token");
            let pairs = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &refresh_token),
                ("client_id", &app.id),
                ("resource", &wanted),
            ];
            let (_, answer) = post(&server, "/token", &pairs, now).await;
            assert_eq!(answer["error"], "invalid_target", "{granted} {wanted}");
            continue;
        };
        assert_eq!(status, StatusCode::OK, "{answer}");
        assert_eq!(
            audience(&server, &answer, now).await,
            [format!("{RESOURCE}{got}")]
        );
        // What was granted stays granted.
        let (_, next) = app
            .refresh(&server, &text(&answer, "refresh_token"), now)
            .await;
        assert_eq!(
            audience(&server, &next, now).await,
            [format!("{RESOURCE}{granted}")]
        );
    }
}

#[tokio::test]
async fn what_is_no_resource_of_ours_is_refused_before_anybody_is_asked() {
    let (world, now) = (world().await, SystemTime::now());
    let server = world.server();
    let below: [&[&str]; 8] = [
        &["/a/b/c"],
        &["/../x"],
        &["/%2e%2e"],
        &["/org ada"],
        &["//org_ada"],
        &["x/org_ada"],
        &["/org_ada", "/org_eve"],
        &["", "/org_ada"],
    ];
    for below in below {
        let app = app_for(&server, "").await;
        let mut link = app.link(&[("resource", "")]);
        for below in below {
            let resource = format!("{RESOURCE}{below}");
            let pair = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("resource", &resource)
                .finish();
            link = format!("{link}&{pair}");
        }
        let answer = Browser::default().get(&server, &link, now).await;
        let error = parameter(&location(&answer), "error");
        assert_eq!(error.as_deref(), Some("invalid_target"), "{below:?}");
    }
    // Where there is nothing below, there is nothing.
    let mut world = world;
    world.change = Box::new(|_| {});
    let server = world.server();
    let app = app_for(&server, "/org_ada").await;
    let answer = Browser::default().get(&server, &app.link(&[]), now).await;
    let error = parameter(&location(&answer), "error");
    assert_eq!(error.as_deref(), Some("invalid_target"));
}

#[tokio::test]
async fn consent_says_which_organization_and_is_for_that_one() {
    let (world, now) = (world().await, SystemTime::now());
    let server = world.server();
    let mut browser = Browser::default();
    let mut app = app_for(&server, "").await;
    for (below, said) in [
        ("", ""),
        ("/org_ada", "the organization <strong><bdi>org_ada</bdi>"),
        ("/org_ada/web", "the project <strong><bdi>web</bdi>"),
        ("/org_eve", "the organization <strong><bdi>org_eve</bdi>"),
    ] {
        app.resource = format!("{RESOURCE}{below}");
        let page = browser.get(&server, &app.link(&[]), now).await;
        let html = String::from_utf8_lossy(page.body()).into_owned();
        assert_eq!(page.status(), StatusCode::OK, "asked anew for {below}");
        assert!(html.contains(said), "{html}");
        assert_eq!(html.contains("Only in"), !below.is_empty(), "{html}");
        let answer = browser.decide(&server, &page, "allow", now).await;
        assert!(answer.status().is_redirection());
    }
}

#[tokio::test]
async fn who_signs_in_for_another_organization_is_told_so_and_gets_nothing() {
    let (world, now) = (world().await, SystemTime::now());
    let server = world.server();
    for below in ["/org_eve", "/ORG_ADA", "/org_eve/web"] {
        let app = app_for(&server, below).await;
        let mut browser = Browser::default();
        let page = browser.get(&server, &app.link(&[]), now).await;
        let answer = browser.decide(&server, &page, "allow", now).await;
        let back = world.at_provider(location(&answer).as_str()).await;
        let path = back.strip_prefix(ISSUER).unwrap();
        let answer = browser.get(&server, path, now).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        let html = String::from_utf8_lossy(answer.body()).into_owned();
        assert!(html.contains("another organization"), "{html}");
        assert!(
            html.contains("error=access_denied"),
            "the way back to the app: {html}"
        );
        assert!(!html.contains("code="), "{html}");
    }
}
