//! Ways in, and ways out.

use super::*;

#[tokio::test]
async fn a_login_in_the_browser_serves_the_tools() {
    let world = World::small().await;
    log_in(&world).await;
    let mut stdio = stdio(&world);
    call(&mut stdio).await.unwrap();
    let asked = world.api.requests().entries().pop().unwrap();
    assert_eq!(asked.subject.as_deref(), Some("user_ada"));
    assert_eq!(asked.organization.as_deref(), Some("org_ada"));
    assert_eq!(world.issuer.count(Issuer::REGISTER_PATH), 1);
}

#[tokio::test]
async fn the_browser_is_opened_with_the_address() {
    let world = World::small().await;
    let seen = world.home.path().join("seen");
    let script = world.home.path().join("browser");
    let text = format!("#!/bin/sh\necho \"$1\" > {}\n", seen.display());
    std::fs::write(&script, text).unwrap();
    make_executable(&script);
    let command = command(&world, &["login"]).env("BROWSER", script);
    let mut login = command.spawn().unwrap();
    let url = address(login.output()).await;
    browse(&url).await;
    assert!(login.wait(LIMIT).await.unwrap().success());
    let deadline = tokio::time::Instant::now() + SHORT;
    while tokio::time::Instant::now() < deadline && !seen.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(std::fs::read_to_string(seen).unwrap().trim(), url);
}

#[tokio::test]
async fn an_answer_with_another_state_is_turned_away_and_the_login_goes_on() {
    let world = World::small().await;
    let (mut login, url) = start_login(&world).await;
    let query: std::collections::BTreeMap<_, _> = url::Url::parse(&url)
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect();
    let callback = &query["redirect_uri"];
    assert!(callback.starts_with("http://127.0.0.1:"), "{callback}");
    assert_eq!(query["code_challenge_method"], "S256");
    for forged in ["?code=stolen&state=guessed", "?code=stolen", "/../else", ""] {
        let (status, _) = browse(&format!("{callback}{forged}")).await;
        assert_eq!(status, 404, "{forged}");
    }
    assert_eq!(world.issuer.grants("authorization_code"), 0);
    assert_eq!(browse(&url).await.0, 200);
    assert!(login.wait(LIMIT).await.unwrap().success());
    // One answer, then nobody listens.
    assert!(browser().get(callback).send().await.is_err());
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused() {
    let world = World::small().await;
    world.issuer.pretend_to_be("https://evil.example");
    let (mut login, url) = start_login(&world).await;
    assert_eq!(browse(&url).await.0, 400);
    let code = login.wait(LIMIT).await.unwrap().code();
    assert_eq!(code, Some(77), "{}", login.text());
    assert!(login.text().contains("another issuer"), "{}", login.text());
    assert_eq!(world.issuer.grants("authorization_code"), 0);
    assert!(!login_file(&world).exists());
}

#[tokio::test]
async fn a_user_who_declines_is_not_logged_in() {
    let world = World::small().await;
    world.issuer.decline();
    let (mut login, url) = start_login(&world).await;
    assert_eq!(browse(&url).await.0, 400);
    assert_eq!(login.wait(LIMIT).await.unwrap().code(), Some(77));
    assert!(login.text().contains("declined"), "{}", login.text());
}

#[tokio::test]
async fn a_login_on_another_device_waits_for_it() {
    let world = World::small().await;
    let mut login = command(&world, &["login", "--device"]).spawn().unwrap();
    assert!(address(login.output()).await.ends_with("/device"));
    let code = |text: &str| Some(text.split_once("enter the code:")?.1.trim().to_owned());
    login
        .output()
        .wait_until(
            |lines| lines.iter().any(|it| code(&it.text).is_some()),
            LIMIT,
        )
        .await;
    let asked = |kinds: &[String]| !kinds.is_empty();
    world.issuer.grant_types().wait_until(asked, LIMIT).await;
    let user_code = code(&login.text()).unwrap();
    let user_code = user_code.lines().next().unwrap().trim().to_owned();
    assert!(world.issuer.approve_device(&user_code));
    assert!(
        login.wait(LIMIT).await.unwrap().success(),
        "{}",
        login.text()
    );
    call(&mut stdio(&world)).await.unwrap();
}

#[tokio::test]
async fn a_token_is_read_from_standard_input_or_a_file_and_never_from_the_command_line() {
    let world = World::small().await;
    let token = world.token("user_ci", "org_ci");
    let ran = run_with_input(&command(&world, &["login", "--token"]), &token).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("org_ci"), "{ran:?}");
    call(&mut stdio(&world)).await.unwrap();

    let file = world.home.path().join("token");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let ran = run(&command(&world, &["login", "--token"]).arg(&file)).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");

    let ran = run(&command(&world, &["login", "--token", &token])).await;
    assert_eq!(ran.code, Some(64), "{ran:?}");
    assert!(ran.stderr.contains("pipe it in"), "{ran:?}");
    assert!(!ran.stderr.contains(&token) && !ran.stdout.contains(&token));
    let ran = run_with_input(&command(&world, &["login", "--token", "-"]), "no token").await;
    assert_eq!(ran.code, Some(64), "{ran:?}");
}

#[tokio::test]
async fn a_logout_revokes_at_the_issuer_and_says_when_it_cannot() {
    let world = World::small().await;
    log_in(&world).await;
    assert_eq!(world.issuer.live_refresh_tokens(), 1);
    let ran = run(&command(&world, &["logout"])).await;
    assert!(ran.stdout.contains("revoked"), "{ran:?}");
    assert_eq!(world.issuer.live_refresh_tokens(), 0);
    assert!(!login_file(&world).exists());
    let ran = run(&command(&world, &["logout"])).await;
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "There was no login.\n")
    );

    log_in(&world).await;
    world.issuer.stop().await;
    let ran = run(&command(&world, &["logout"])).await;
    assert!(ran.stdout.contains("could not be revoked"), "{ran:?}");
    assert!(!login_file(&world).exists());
}

#[tokio::test]
async fn a_running_server_notices_a_login_a_logout_and_another_organization() {
    let world = World::small().await;
    let mut stdio = stdio(&world);
    let error = call(&mut stdio).await.unwrap_err();
    assert!(error.contains("braingrid-mcp login"), "{error}");
    log_in(&world).await;
    call(&mut stdio).await.unwrap();
    world.issuer.set_user("user_bob", "org_bob");
    log_in(&world).await;
    call(&mut stdio).await.unwrap();
    let asked = world.api.requests().entries().pop().unwrap();
    assert_eq!(asked.subject.as_deref(), Some("user_bob"));
    assert_eq!(asked.organization.as_deref(), Some("org_bob"));
    // No tool ends it; the one that is asked says how.
    let text = call_tool(&mut stdio, "logout").await.unwrap();
    assert!(text.contains("braingrid-mcp logout"), "{text}");
    call(&mut stdio).await.unwrap();
    run(&command(&world, &["logout"])).await;
    let error = call(&mut stdio).await.unwrap_err();
    assert!(error.contains("braingrid-mcp login"), "{error}");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_no_refusal() {
    let world = World::small().await;
    world.issuer.stop().await;
    let ran = run(&command(&world, &["login", "--no-browser"])).await;
    assert_eq!(ran.code, Some(69), "{ran:?}");
    assert!(ran.stderr.contains("cannot be used right now"), "{ran:?}");
}

fn make_executable(file: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

use mcp_test_support::Issuer;
