//! Refresh tokens: races, lost answers, reuse, a store or a provider that is away.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use mcp_session::MemoryFacts;
use mcp_test_support::{IdentityProvider, ProviderFault};
use serde_json::Value;

use crate::{
    client::App,
    store::Failing,
    world::{World, after, is_grant_refusal, logged_in, registered, text, verified},
};

#[tokio::test]
async fn two_that_refresh_at_once_and_lost_answers_lose_no_login() {
    race(60).await;
}

#[tokio::test]
#[ignore = "the long form: run it with --run-ignored all"]
async fn a_thousand_races_and_lost_answers_lose_no_login() {
    race(1_000).await;
}

async fn race(rounds: u64) {
    let world = World::new().await;
    let servers = [world.server(), world.server(), world.server()];
    let now = SystemTime::now();
    let app = App::register(&servers[0], now).await;
    let mut tokens = app.log_in(&world, &servers[0], now).await;
    for round in 1..=rounds {
        let at = after(now, round * 100);
        let refresh_token = text(&tokens, "refresh_token");
        let before = world.provider.count(IdentityProvider::TOKEN_PATH);
        let (one, two, three) = tokio::join!(
            app.refresh(&servers[0], &refresh_token, at),
            app.refresh(&servers[1], &refresh_token, at),
            app.refresh(&servers[2], &refresh_token, at),
        );
        for (status, answer) in [&one, &two, &three] {
            assert_eq!(*status, StatusCode::OK, "round {round}: {answer}");
            assert_eq!(answer, &one.1, "all get the same");
        }
        // Whoever lost it asks once more, anywhere.
        let (status, again) = app
            .refresh(
                servers
                    .iter()
                    .cycle()
                    .nth(round.count_ones() as usize)
                    .unwrap(),
                &refresh_token,
                after(at, 30),
            )
            .await;
        assert_eq!((status, &again), (StatusCode::OK, &one.1));
        let asked = world.provider.count(IdentityProvider::TOKEN_PATH) - before;
        assert_eq!(
            asked, 1,
            "round {round}: the provider was asked {asked} times"
        );
        tokens = one.1;
    }
    verified(
        &servers[2],
        &text(&tokens, "access_token"),
        after(now, rounds * 100),
    )
    .await;
    assert_eq!(
        world.provider.count(IdentityProvider::AUTHORIZE_PATH),
        1,
        "logins"
    );
}

#[tokio::test]
async fn a_refresh_token_that_comes_again_after_the_grace_ends_the_family() {
    let (_world, server, app, tokens, now) = logged_in().await;
    let stolen = text(&tokens, "refresh_token");
    let (_, next) = app.refresh(&server, &stolen, after(now, 10)).await;
    assert!(is_grant_refusal(
        &app.refresh(&server, &stolen, after(now, 3_000)).await
    ));
    // The newest is over, too: nobody knows who has which.
    let newest = text(&next, "refresh_token");
    assert!(is_grant_refusal(
        &app.refresh(&server, &newest, after(now, 3_001)).await
    ));
}

#[tokio::test]
async fn a_provider_that_is_away_signs_nobody_out() {
    let (world, server, app, tokens, now) = logged_in().await;
    let refresh_token = text(&tokens, "refresh_token");
    world.provider.break_path(
        IdentityProvider::TOKEN_PATH,
        ProviderFault::Fixed(503, "{}".to_owned()),
    );
    let (status, answer) = app.refresh(&server, &refresh_token, now).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    // A code that clients do not take for a reason to begin another login.
    assert_eq!(answer["error"], "temporarily_unavailable");
    world.provider.heal();
    let (status, answer) = app.refresh(&server, &refresh_token, after(now, 60)).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn a_login_that_the_provider_ended_is_over() {
    let (world, server, app, tokens, now) = logged_in().await;
    let ended = r#"{"error":"invalid_grant"}"#.to_owned();
    world.provider.break_path(
        IdentityProvider::TOKEN_PATH,
        ProviderFault::Fixed(400, ended),
    );
    let refresh_token = text(&tokens, "refresh_token");
    assert!(is_grant_refusal(
        &app.refresh(&server, &refresh_token, now).await
    ));
}

#[tokio::test]
async fn refresh_tokens_end_unused_and_with_their_grant() {
    const DAY: u64 = 86_400;
    let (_world, server, app, mut tokens, now) = logged_in().await;
    let refresh_token = text(&tokens, "refresh_token");
    assert!(is_grant_refusal(
        &app.refresh(&server, &refresh_token, after(now, 31 * DAY))
            .await
    ));
    for day in [20, 40, 60, 80] {
        let (status, next) = app
            .refresh(
                &server,
                &text(&tokens, "refresh_token"),
                after(now, day * DAY),
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{next}");
        tokens = next;
    }
    let (status, _) = app
        .refresh(
            &server,
            &text(&tokens, "refresh_token"),
            after(now, 91 * DAY),
        )
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "however active");
}

#[tokio::test]
async fn scopes_become_fewer_never_more_and_another_client_gets_nothing() {
    let (world, server, app, now) = registered().await;
    let other = App::register(&server, now).await;
    let tokens = app.log_in(&world, &server, now).await;
    let refresh_token = text(&tokens, "refresh_token");
    assert!(is_grant_refusal(
        &other.refresh(&server, &refresh_token, now).await
    ));
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &refresh_token),
        ("client_id", &app.id),
        ("scope", "notes:read notes:write"),
    ];
    let (status, answer) = crate::world::post(&server, "/token", &pairs, now).await;
    assert_eq!(
        (status, &answer["scope"]),
        (StatusCode::OK, &"notes:read".into())
    );
    let refresh_token = text(&answer, "refresh_token");
    let pairs = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &refresh_token),
        ("client_id", &app.id),
        ("scope", "notes:write"),
    ];
    let (status, answer) = crate::world::post(&server, "/token", &pairs, now).await;
    assert_eq!(
        (status, &answer["error"]),
        (StatusCode::BAD_REQUEST, &"invalid_scope".into())
    );
}

#[tokio::test]
async fn without_the_store_nothing_is_given_out_and_what_there_is_stays_good() {
    let (mut world, _, app, tokens, now) = logged_in().await;
    let facts = std::mem::replace(&mut world.facts, Failing::after(0));
    let away = world.server();
    let refresh_token = text(&tokens, "refresh_token");
    let asked = world.provider.count(IdentityProvider::TOKEN_PATH);
    let (status, answer): (_, Value) = app.refresh(&away, &refresh_token, now).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer["error"], "temporarily_unavailable");
    assert_eq!(
        world.provider.count(IdentityProvider::TOKEN_PATH),
        asked,
        "nothing is used up"
    );
    verified(&away, &text(&tokens, "access_token"), now).await;
    world.facts = facts;
    let (status, _) = app.refresh(&world.server(), &refresh_token, now).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_loses_no_login() {
    let (world, server, app, tokens, now) = logged_in().await;
    let refresh_token = text(&tokens, "refresh_token");
    let gate = mcp_test_support::Gate::closed();
    let held = ProviderFault::Held(gate.clone());
    world
        .provider
        .break_path(IdentityProvider::TOKEN_PATH, held);
    let before = world.provider.count(IdentityProvider::TOKEN_PATH);
    {
        let gone = app.refresh(&server, &refresh_token, now);
        let asked = async {
            while world.provider.count(IdentityProvider::TOKEN_PATH) == before {
                tokio::task::yield_now().await;
            }
        };
        // The client is dropped as soon as the provider was asked.
        tokio::select! {
            _ = gone => panic!("the provider holds its answer"),
            () = asked => {}
        }
    }
    world.provider.heal();
    gate.open();
    let (status, answer) = app
        .refresh(&world.server(), &refresh_token, after(now, 5))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        world.provider.count(IdentityProvider::TOKEN_PATH) - before,
        1
    );
}

#[tokio::test]
async fn a_store_that_fails_at_any_moment_of_a_refresh_loses_no_login() {
    // A refresh takes fewer commands than this.
    for commands in 0..12 {
        let (mut world, _, app, mut tokens, now) = logged_in().await;
        world.facts = Failing::after(commands);
        let failing = world.server();
        let refresh_token = text(&tokens, "refresh_token");
        let (status, answer) = app.refresh(&failing, &refresh_token, now).await;
        match status {
            StatusCode::OK => tokens = answer,
            StatusCode::SERVICE_UNAVAILABLE => {
                assert_eq!(answer["error"], "temporarily_unavailable");
            }
            status => panic!("after {commands} commands: {status} {answer}"),
        }
        world.facts = Arc::new(MemoryFacts::default());
        let (status, answer) = app
            .refresh(
                &world.server(),
                &text(&tokens, "refresh_token"),
                after(now, 40),
            )
            .await;
        assert_eq!(
            status,
            StatusCode::OK,
            "after {commands} commands: {answer}"
        );
    }
}

#[tokio::test]
async fn a_store_that_comes_back_has_the_answers_that_it_was_away_for() {
    for commands in 0..12 {
        let (mut world, _, app, tokens, now) = logged_in().await;
        let store = Failing::after(commands);
        world.facts = Arc::clone(&store) as _;
        let refresh_token = text(&tokens, "refresh_token");
        let before = world.provider.count(IdentityProvider::TOKEN_PATH);
        let (status, answer) = app.refresh(&world.server(), &refresh_token, now).await;
        if world.provider.count(IdentityProvider::TOKEN_PATH) == before {
            // Nobody was asked, and nothing is to be remembered.
            continue;
        }
        assert_eq!(
            status,
            StatusCode::OK,
            "after {commands} commands: {answer}"
        );
        store.come_back();
        // The client's other process, or the same that lost the answer. This provider takes no token twice.
        let other = world.server();
        let again = app.refresh(&other, &refresh_token, after(now, 5));
        assert_eq!(again.await, (status, answer), "after {commands} commands");
    }
}

#[tokio::test]
async fn a_store_that_is_emptied_at_any_moment_loses_no_login_where_the_provider_has_a_grace() {
    for commands in 0..12 {
        let (mut world, _, app, tokens, now) = logged_in().await;
        world.provider.set_refresh_grace(Duration::from_secs(30));
        world.facts = Failing::emptied_after(commands);
        let (one, two) = (world.server(), world.server());
        let refresh_token = text(&tokens, "refresh_token");
        let (first, second) = tokio::join!(
            app.refresh(&one, &refresh_token, now),
            app.refresh(&two, &refresh_token, now)
        );
        let again = app.refresh(&one, &refresh_token, after(now, 5)).await;
        for (status, answer) in [first, second, again] {
            assert_eq!(
                status,
                StatusCode::OK,
                "after {commands} commands: {answer}"
            );
            let newest = text(&answer, "refresh_token");
            let (status, answer) = app.refresh(&two, &newest, after(now, 10)).await;
            assert_eq!(
                status,
                StatusCode::OK,
                "after {commands} commands: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn who_is_late_within_the_grace_is_answered_though_others_went_on() {
    let (world, server, app, tokens, now) = logged_in().await;
    let refresh_token = text(&tokens, "refresh_token");
    let (_, next) = app.refresh(&server, &refresh_token, now).await;
    let second = text(&next, "refresh_token");
    let (_, newest) = app.refresh(&server, &second, after(now, 1)).await;
    // A request that was on its way for long, or waited for its turn.
    let other = world.server();
    let late = app.refresh(&other, &refresh_token, after(now, 2)).await;
    assert_eq!(late, (StatusCode::OK, next));
    let third = text(&newest, "refresh_token");
    let goes_on = app.refresh(&server, &third, after(now, 3)).await;
    assert_eq!(goes_on.0, StatusCode::OK);
}

#[tokio::test]
async fn while_keys_are_turned_two_instances_refresh_once() {
    let (mut world, _, app, tokens, now) = logged_in().await;
    let (old, new) = (world.key.clone(), zeroize::Zeroizing::new([4; 32]));
    world.previous = vec![new.clone()];
    let one = world.server();
    (world.key, world.previous) = (new, vec![old]);
    let two = world.server();
    let refresh_token = text(&tokens, "refresh_token");
    let before = world.provider.count(IdentityProvider::TOKEN_PATH);
    let (first, second) = tokio::join!(
        app.refresh(&one, &refresh_token, now),
        app.refresh(&two, &refresh_token, now)
    );
    assert_eq!(
        (first.0, second.0),
        (StatusCode::OK, StatusCode::OK),
        "{} {}",
        first.1,
        second.1
    );
    assert_eq!(first.1, second.1);
    assert_eq!(
        world.provider.count(IdentityProvider::TOKEN_PATH) - before,
        1
    );
}

#[tokio::test]
async fn an_emptied_store_between_two_that_refresh_ends_neither() {
    let (mut world, server, app, tokens, now) = logged_in().await;
    let refresh_token = text(&tokens, "refresh_token");
    let (_, next) = app.refresh(&server, &refresh_token, now).await;
    world.facts = Arc::new(MemoryFacts::default());
    let server = world.server();
    // The provider takes the old one no more, which says nothing about the new one.
    assert!(is_grant_refusal(
        &app.refresh(&server, &refresh_token, after(now, 5)).await
    ));
    let (status, answer) = app
        .refresh(&server, &text(&next, "refresh_token"), after(now, 6))
        .await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}
