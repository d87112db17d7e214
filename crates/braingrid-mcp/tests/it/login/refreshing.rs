//! The next access token: once for all, and never at the price of the login.

use mcp_test_support::{Gate, IssuerMode, Rotation};

use super::*;

#[tokio::test]
async fn ten_servers_at_once_refresh_once() {
    let world = World::small().await;
    log_in(&world).await;
    age(&world, -10);
    let calls = (0..10).map(|_| async {
        let mut stdio = stdio(&world);
        call(&mut stdio).await
    });
    for outcome in futures::future::join_all(calls).await {
        outcome.unwrap();
    }
    assert_eq!(world.issuer.grants("refresh_token"), 1);
    assert_eq!(world.issuer.live_refresh_tokens(), 1);
}

#[tokio::test]
async fn a_token_that_ends_soon_is_replaced_ahead_of_time() {
    let world = World::small().await;
    log_in(&world).await;
    let mut stdio = stdio(&world);
    call(&mut stdio).await.unwrap();
    assert_eq!(world.issuer.grants("refresh_token"), 0);
    age(&world, 60);
    touch(&world);
    call(&mut stdio).await.unwrap();
    assert_eq!(world.issuer.grants("refresh_token"), 1);
}

#[tokio::test]
async fn a_failed_refresh_keeps_the_token_until_it_is_over_and_the_login_beyond() {
    let world = World::small().await;
    log_in(&world).await;
    age(&world, 60);
    world.issuer.set_mode(IssuerMode::Error500);
    let mut early = stdio(&world);
    call(&mut early).await.unwrap();
    age(&world, -10);
    let mut late = stdio(&world);
    let error = call(&mut late).await.unwrap_err();
    assert!(error.contains("do not have to log in again"), "{error}");
    world.issuer.set_mode(IssuerMode::Normal);
    call(&mut late).await.unwrap();
    assert_eq!(world.issuer.grants("authorization_code"), 1);
}

/// The server is killed when the issuer has rotated the token and nobody has the new one. The
/// issuer takes each refresh token once: only whoever sent it can save the login.
#[tokio::test]
async fn a_server_that_is_killed_during_a_refresh_logs_nobody_out() {
    let world = World::small().await;
    log_in(&world).await;
    age(&world, -10);
    world.issuer.set_rotation(Rotation::Strict);
    let gate = Gate::closed();
    world.issuer.hold_tokens(gate.clone());
    let server = stdio(&world);
    wait_for_refresh(&world).await;
    // SIGKILL.
    drop(server);
    gate.open();
    let mut next = stdio(&world);
    call(&mut next).await.unwrap();
    assert_eq!(
        world.issuer.grants("refresh_token"),
        1,
        "nobody asked twice"
    );
    assert_eq!(world.issuer.live_refresh_tokens(), 1);
}

/// Everything here is killed: the answer is lost. The note makes the next one ask at once.
#[tokio::test]
async fn a_lost_answer_is_asked_for_again_where_the_issuer_allows_it() {
    let world = World::small().await;
    log_in(&world).await;
    world.issuer.set_rotation(Rotation::Grace);
    lose_an_answer(&world).await;
    let mut next = stdio(&world);
    call(&mut next).await.unwrap();
    assert_eq!(world.issuer.grants("refresh_token"), 2);
    assert_eq!(world.issuer.grants("authorization_code"), 1);
}

#[tokio::test]
async fn a_lost_answer_of_a_strict_issuer_ends_the_login_only_with_its_token() {
    let world = World::small().await;
    log_in(&world).await;
    world.issuer.set_rotation(Rotation::Strict);
    lose_an_answer(&world).await;
    let mut next = stdio(&world);
    call(&mut next).await.unwrap();
    age(&world, -10);
    touch(&world);
    let error = call(&mut next).await.unwrap_err();
    assert!(error.contains("braingrid-mcp login"), "{error}");
    log_in(&world).await;
    call(&mut next).await.unwrap();
}

/// A refresh was sent, the issuer acted upon it, and nobody got the answer: what is left is the
/// login from before, whose access token has a minute to live, and the note.
async fn lose_an_answer(world: &World) {
    age(world, 60);
    let before = std::fs::read(login_file(world)).unwrap();
    let mut server = stdio(world);
    call(&mut server).await.unwrap();
    assert_eq!(world.issuer.grants("refresh_token"), 1);
    server.close(LIMIT).await.unwrap();
    std::fs::write(login_file(world), before).unwrap();
    leave_a_note(world);
}

/// The issuer has done what it was asked.
async fn wait_for_refresh(world: &World) {
    let asked = |kinds: &[String]| kinds.iter().any(|kind| kind == "refresh_token");
    assert!(world.issuer.grant_types().wait_until(asked, LIMIT).await);
}

/// Another stamp, as every change has one.
fn touch(world: &World) {
    let file = login_file(world);
    let mut record: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    record["stamp"] = mcp_test_support::random_hex(8).into();
    std::fs::write(file, record.to_string()).unwrap();
}
