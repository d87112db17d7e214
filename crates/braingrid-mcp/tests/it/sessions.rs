//! Sessions: any instance serves anybody, once is enough, nobody is mixed up.

use std::collections::BTreeSet;

use futures::future::join_all;
use mcp_test_support::{
    Gate, Issuer, IssuerMode,
    client::{Generation, RawHttp},
};
use serde_json::json;

use crate::world::{LIMIT, World, client_of, idea, tiers};

#[tokio::test]
async fn a_token_seen_by_one_instance_is_served_by_a_new_one_while_the_issuer_is_down() {
    let world = World::shared().await;
    let token = world.token("user_ada", "org_ada");
    let first = world.warm_server().await;
    let answer = client_of(&first).call(Generation::Modern, "list_projects", &json!({}));
    assert_eq!(answer.bearer(&token).send().await.unwrap().status, 200);
    stored_sessions(&world, 1).await;

    world.issuer.stop().await;
    let second = world.server().await;
    for generation in Generation::BOTH {
        let answer = client_of(&second).call(generation, "list_projects", &json!({}));
        let answer = answer.bearer(&token).send().await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let lines = second.wait_access_log(2, LIMIT).await;
    assert_eq!(tiers(&lines), ["store", "memory"]);

    let stranger = world
        .issuer
        .token()
        .subject("user_new")
        .organization("org_new")
        .mint();
    let answer = client_of(&second).call(Generation::Modern, "list_projects", &json!({}));
    let answer = answer.bearer(&stranger).send().await.unwrap();
    assert_eq!(
        answer.status, 503,
        "nobody can tell about a token nobody has seen"
    );
}

#[tokio::test]
async fn a_killed_and_restarted_instance_loses_no_call_and_asks_for_no_login() {
    let world = World::shared().await;
    let token = world.token("user_ada", "org_ada");
    let command = world.command();
    let mut server = world.start(&command).await;
    let client = client_of(&server);
    let calls = |from: u32| {
        let (client, token) = (client.clone(), token.clone());
        async move {
            for number in from..from + 3 {
                let arguments = idea(&format!("an idea with number {number}"));
                let generation = Generation::BOTH[usize::try_from(number % 2).unwrap()];
                let answer = client.call(generation, "create_requirement", &arguments);
                let answer = answer.bearer(&token).send().await.unwrap();
                assert_eq!(answer.status, 200, "{}", answer.body);
                let id = answer.structured().unwrap()["requirement"]["short_id"].clone();
                assert_eq!(id, format!("REQ-{number}"), "every write exactly once");
            }
        }
    };
    // Every project of the stand-in starts with one requirement.
    calls(2).await;
    server.kill().await.unwrap();
    let _server = world.start(&command).await;
    calls(5).await;
}

#[tokio::test]
async fn two_users_on_one_connection_and_one_session_id_are_never_mixed_up() {
    let world = World::small().await;
    let server = world.warm_server().await;
    let users = ["ada", "bob"].map(|name| {
        let (subject, organization) = (format!("user_{name}"), format!("org_{name}"));
        (world.token(&subject, &organization), subject, organization)
    });
    let one_connection = reqwest::Client::builder()
        .pool_max_idle_per_host(1)
        .build()
        .unwrap();
    let client = RawHttp::with_client(one_connection, server.mcp_url());
    for number in 0..60_usize {
        let (token, subject, organization) = &users[number % 2];
        let generation = Generation::BOTH[(number / 2) % 2];
        let request = client
            .call(generation, "list_projects", &json!({}))
            .header("mcp-session-id", "shared-by-both")
            .bearer(token);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(
            answer.header("mcp-session-id").is_none(),
            "no session id is ever minted"
        );
        let asked = world.api.requests().entries().pop().unwrap();
        assert_eq!(asked.subject.as_deref(), Some(subject.as_str()));
        assert_eq!(asked.organization.as_deref(), Some(organization.as_str()));
    }

    world.api.requests().clear();
    let calls = (0..200_usize).map(|number| {
        let (token, ..) = &users[number % 2];
        let arguments = idea(&format!(
            "{} wants number {number}",
            ["ada", "bob"][number % 2]
        ));
        let request = client.call(
            Generation::BOTH[(number / 2) % 2],
            "create_requirement",
            &arguments,
        );
        request
            .header("mcp-session-id", "shared-by-both")
            .bearer(token)
            .send()
    });
    assert!(
        join_all(calls)
            .await
            .iter()
            .all(|answer| answer.as_ref().unwrap().status == 200)
    );
    for asked in world.api.requests().entries() {
        let Some(body) = &asked.body else { continue };
        let owner = asked
            .subject
            .as_deref()
            .unwrap()
            .trim_start_matches("user_");
        assert_eq!(
            asked.organization.as_deref(),
            Some(format!("org_{owner}").as_str())
        );
        assert!(
            body.to_string().contains(&format!("{owner} wants")),
            "{owner}: {body}"
        );
    }
}

#[tokio::test]
async fn two_hundred_first_requests_cause_one_key_fetch_and_one_verification() {
    let world = World::shared().await;
    let gate = Gate::closed();
    world.issuer.set_mode(IssuerMode::Held(gate.clone()));
    let server = world.server().await;
    let token = world.token("user_ada", "org_ada");
    let client = client_of(&server);
    let calls = tokio::spawn(async move {
        let call = |_| {
            let request = client.call(Generation::Modern, "tools/list", &json!({}));
            request.bearer(&token).send()
        };
        join_all((0..200).map(call)).await
    });
    let held = |seen: &[String]| !seen.is_empty();
    assert!(world.issuer.requests().wait_until(held, LIMIT).await);
    gate.open();
    let answers = calls.await.unwrap();
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap().status == 200)
    );
    assert_eq!(world.issuer.count(Issuer::JWKS_PATH), 1);
    let tiers = tiers(&server.wait_access_log(200, LIMIT).await);
    let verified = tiers.iter().filter(|tier| *tier == "verification").count();
    assert_eq!((tiers.len(), verified), (200, 1));
}

#[tokio::test]
async fn a_repeated_call_asks_neither_issuer_nor_redis() {
    let world = World::shared().await;
    let server = world.warm_server().await;
    let token = world.token("user_ada", "org_ada");
    let call = async |generation: Generation| {
        let request = client_of(&server).call(generation, "list_projects", &json!({}));
        assert_eq!(request.bearer(&token).send().await.unwrap().status, 200);
    };
    call(Generation::Modern).await;
    stored_sessions(&world, 1).await;
    world.have_read_denials(1).await;
    let asked_before = world.issuer.requests().entries().len();
    world.redis().reset_stats().await.unwrap();
    for number in 0..50 {
        call(Generation::BOTH[number % 2]).await;
    }
    assert_eq!(world.issuer.requests().entries().len(), asked_before);
    assert_eq!(
        world.redis().commandstats().await.unwrap(),
        [].into(),
        "commands on warm calls"
    );
    let tiers: BTreeSet<_> = tiers(&server.wait_access_log(51, LIMIT).await)[1..]
        .to_vec()
        .into_iter()
        .collect();
    assert_eq!(tiers, ["memory".to_owned()].into());
}

/// Waits until Redis holds this many sessions: they are written behind the answer's back.
pub(crate) async fn stored_sessions(world: &World, count: usize) {
    let deadline = tokio::time::Instant::now() + LIMIT;
    let stored = async || {
        let all = world.redis().keys_and_values().await.unwrap();
        let sessions = all
            .iter()
            .filter(|(key, _)| key.starts_with("mcp:session:"));
        sessions.count()
    };
    while stored().await < count {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the session was not stored"
        );
        tokio::task::yield_now().await;
    }
}
