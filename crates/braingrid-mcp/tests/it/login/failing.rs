//! Logins that fail, and issuers that answer as no standard says.

use mcp_test_support::{
    Gate, TokenBuilder,
    api::{Fault, Operation, Times},
};

use super::*;

async fn with_token(world: &World, token: &str) -> Ran {
    run_with_input(&command(world, &["login", "--token"]), token).await
}

#[tokio::test]
async fn a_login_that_brain_grid_refuses_changes_nothing() {
    let world = World::small().await;
    log_in(&world).await;
    let before = std::fs::read(login_file(&world)).unwrap();
    let same = || std::fs::read(login_file(&world)).unwrap() == before;
    let expired = |token: TokenBuilder| token.expires_in(-600).mint();
    for (token, why) in [
        ("garbage".to_owned(), "does not accept this token"),
        (expired(world.issuer.token()), "it has expired"),
    ] {
        let ran = with_token(&world, &token).await;
        assert_eq!(ran.code, Some(77), "{ran:?}");
        assert!(ran.stderr.contains(why), "{ran:?}");
        assert!(ran.stderr.contains("Nothing was changed"), "{ran:?}");
        assert!(!ran.stderr.contains("issuer logged you in"), "{ran:?}");
        assert!(same());
    }
    // In the browser: the issuer did log the user in, and is given that login back.
    for status in [401, 403] {
        let fault = Fault::Status(status);
        world
            .api
            .inject(Operation::GetProfile, fault, Times::Always);
        let (mut login, url) = start_login(&world).await;
        browse(&url).await;
        let code = login.wait(LIMIT).await.unwrap().code();
        assert_eq!(code, Some(77), "{status}: {}", login.text());
        let text = login.text();
        assert!(text.contains("Nothing was changed"), "{text}");
        assert!(same());
        assert_eq!(world.issuer.live_refresh_tokens(), 1);
        world.api.clear_faults();
    }
    let ran = run(&command(&world, &["whoami"])).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn while_brain_grid_is_away_a_login_that_works_stays_and_a_first_one_is_kept() {
    let world = World::small().await;
    world.api.stop().await;
    let token = world.token("user_ci", "org_ci");
    let ran = with_token(&world, &token).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("could not be asked"), "{ran:?}");
    let before = std::fs::read(login_file(&world)).unwrap();
    let ran = with_token(&world, &world.token("user_eve", "org_eve")).await;
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.stderr.contains("nothing was changed"), "{ran:?}");
    assert_eq!(std::fs::read(login_file(&world)).unwrap(), before);
}

#[tokio::test]
async fn a_refusal_that_does_not_pass_says_what_to_run() {
    let world = World::small().await;
    for (code, words) in [
        ("invalid_client", "does not know the client"),
        ("unauthorized_client", "does not know the client"),
        ("invalid_scope", "refuses to renew it"),
        ("interaction_required", "refuses to renew it"),
    ] {
        log_in(&world).await;
        age(&world, -10);
        world.issuer.refuse_refreshes(code);
        let error = call(&mut stdio(&world)).await.unwrap_err();
        assert!(error.contains(words) && error.contains(code), "{error}");
        assert!(error.contains("braingrid-mcp login"), "{error}");
        assert!(!error.contains("do not have to log in"), "{error}");
        status_says(&world, 77, words).await;
        age(&world, 30);
        status_says(&world, 0, words).await;
    }
    // Each login registered a client of its own.
    assert_eq!(
        world.issuer.count(mcp_test_support::Issuer::REGISTER_PATH),
        4
    );
    log_in(&world).await;
    call(&mut stdio(&world)).await.unwrap();
    age(&world, -10);
    world.issuer.refuse_refreshes("temporarily_unavailable");
    let error = call(&mut stdio(&world)).await.unwrap_err();
    assert!(error.contains("do not have to log in again"), "{error}");
}

/// As a server does that starts after a refusal, or one that a client killed while it asked.
#[tokio::test]
async fn a_refusal_is_told_while_the_issuer_is_asked_once_more() {
    let world = World::small().await;
    log_in(&world).await;
    age(&world, -10);
    world.issuer.refuse_refreshes("invalid_client");
    call(&mut stdio(&world)).await.unwrap_err();
    let gate = Gate::closed();
    world.issuer.hold_tokens(gate.clone());
    let before = world.issuer.grants("refresh_token");
    let _server = stdio(&world);
    let asked =
        |kinds: &[String]| kinds.iter().filter(|kind| *kind == "refresh_token").count() > before;
    assert!(world.issuer.grant_types().wait_until(asked, LIMIT).await);
    status_says(&world, 77, "does not know the client").await;
    gate.open();
}

/// What `status` says after a refusal.
async fn status_says(world: &World, code: i32, words: &str) {
    let ran = run(&command(world, &["status"])).await;
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.stdout.contains(words), "{ran:?}");
    assert!(ran.stdout.contains(" login"), "{ran:?}");
    assert!(!ran.stdout.contains("refreshed by itself"), "{ran:?}");
}

/// Neither its access token nor its refresh token is taken any more, however old it is.
#[tokio::test]
async fn a_login_that_was_revoked_is_not_called_new() {
    let world = World::small().await;
    for fresh in [true, false] {
        world.api.clear_faults();
        log_in(&world).await;
        let fault = Fault::Status(401);
        world
            .api
            .inject(Operation::GetProfile, fault, Times::Always);
        world.issuer.refuse_refreshes("invalid_grant");
        let why = if fresh {
            // A note of a refresh makes this one due.
            leave_a_note(&world);
            "refresh was interrupted"
        } else {
            age(&world, 60);
            "takes its refresh token no more"
        };
        for _ in 0..2 {
            let ran = run(&command(&world, &["whoami"])).await;
            assert_eq!(ran.code, Some(77), "{ran:?}");
            assert!(ran.stderr.contains(why), "{ran:?}");
            assert!(ran.stderr.contains("` in a terminal"), "{ran:?}");
        }
        let ran = run(&command(&world, &["status"])).await;
        assert!(ran.stdout.contains(why), "{ran:?}");
    }
}

#[tokio::test]
async fn a_registration_that_is_refused_names_the_setting_that_helps() {
    let world = World::small().await;
    for (status, body, why) in [
        (401, r#"{"error":"invalid_token"}"#, "invalid_token"),
        (403, "<html>", "403"),
        (
            400,
            r#"{"error":"invalid_redirect_uri"}"#,
            "invalid_redirect_uri",
        ),
        (
            403,
            r#"{"errorCode":"E0000006","errorSummary":"secret"}"#,
            "E0000006",
        ),
    ] {
        world.issuer.refuse_registrations(status, body);
        for way in ["--no-browser", "--device"] {
            let ran = run(&command(&world, &["login", way])).await;
            assert_eq!(ran.code, Some(78), "{ran:?}");
            assert!(ran.stderr.contains("BRAINGRID_CLIENT_ID"), "{ran:?}");
            assert!(ran.stderr.contains(&format!("({why})")), "{ran:?}");
        }
    }
}

#[tokio::test]
async fn an_issuer_that_answers_oddly_is_one() {
    let world = World::small().await;
    world.issuer.speak_oddly();
    log_in(&world).await;
    age(&world, -10);
    call(&mut stdio(&world)).await.unwrap();
    assert_eq!(world.issuer.grants("refresh_token"), 1);

    let mut login = command(&world, &["login", "--device"]).spawn().unwrap();
    let code = |text: &str| Some(text.split_once("enter the code:")?.1.trim().to_owned());
    let shown = |lines: &[Captured]| lines.iter().any(|it| code(&it.text).is_some());
    login.output().wait_until(shown, LIMIT).await;
    // It was told to wait, with status 200.
    let device = |kind: &String| kind.ends_with("device_code");
    let asked = |kinds: &[String]| kinds.iter().any(device);
    assert!(world.issuer.grant_types().wait_until(asked, LIMIT).await);
    let user_code = code(&login.text()).unwrap();
    let user_code = user_code.lines().next().unwrap().trim().to_owned();
    assert!(world.issuer.approve_device(&user_code));
    let ended = login.wait(LIMIT).await.unwrap();
    assert!(ended.success(), "{}", login.text());
    let ran = run(&command(&world, &["whoami"])).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test]
async fn an_issuer_may_be_written_with_or_without_its_slash() {
    let world = World::small().await;
    let slash = format!("{}/", world.issuer.url());
    let command = command(&world, &["login", "--no-browser"]).env("OAUTH_ISSUER", slash);
    let mut login = command.spawn().unwrap();
    let url = address(login.output()).await;
    browse(&url).await;
    assert!(
        login.wait(LIMIT).await.unwrap().success(),
        "{}",
        login.text()
    );
    call(&mut stdio(&world)).await.unwrap();
}
