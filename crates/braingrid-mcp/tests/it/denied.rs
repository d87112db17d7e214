//! Whoever is let in no more: refused by every instance, whichever heard of it, and told as what it is.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use mcp_fleet::{Cause, Denial, Denials, Denies, Whom};
use mcp_session::{Keyring, RedisConfig, RedisStore};
use mcp_test_support::{
    Exposition, ServerProcess,
    client::{Generation, RawAnswer},
    free_port,
};
use serde_json::json;

use crate::{
    audit::parsed,
    world::{LIMIT, World, client_of, idea},
};

/// Another instance of the fleet, as far as denials go.
pub(crate) fn denials(world: &World) -> Denials {
    let redis = RedisConfig::parse(&world.redis().url()).unwrap();
    let redis = Arc::new(RedisStore::new(redis).unwrap());
    let keyring = Keyring::from_hex(&world.encryption_key, &[]).unwrap();
    let longest = Duration::from_hours(24);
    Denials::shared(Arc::clone(&redis) as _, redis, Arc::new(keyring), longest)
}

pub(crate) fn user(world: &World, subject: &str) -> Whom {
    Whom::User {
        issuer: world.issuer.url(),
        subject: subject.to_owned(),
    }
}

pub(crate) async fn deny(world: &World, whom: Whom, denies: Denies) {
    let denial = Denial {
        whom,
        denies,
        cause: Cause::Operator,
        said_at: SystemTime::now(),
    };
    denials(world).deny(denial).await.unwrap();
}

pub(crate) async fn called(server: &ServerProcess, token: &str) -> RawAnswer {
    let call = client_of(server).call(Generation::Modern, "list_projects", &json!({}));
    call.bearer(token).send().await.unwrap()
}

/// Calls until the answer has this status.
pub(crate) async fn answered(server: &ServerProcess, token: &str, status: u16) -> RawAnswer {
    let started = std::time::Instant::now();
    loop {
        let answer = called(server, token).await;
        if answer.status == status {
            return answer;
        }
        assert!(
            started.elapsed() < LIMIT,
            "still {}: {}",
            answer.status,
            answer.body
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.unwrap().as_secs()
}

#[tokio::test]
async fn whoever_is_signed_out_is_refused_by_every_instance_and_may_come_back() {
    let world = World::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let admin = free_port().unwrap();
    let command = world
        .command()
        .env("AUDIT_LOG", folder.path().join("audit"))
        .env("ADMIN_BIND", format!("127.0.0.1:{admin}"));
    let mut one = world.start(&command).await;
    let two = world.server().await;
    let token = |subject: &str, issued: u64| {
        let token = world.issuer.token().subject(subject);
        token.organization("org_1").claim("iat", issued).mint()
    };
    let (ada, bob) = (token("ada", now() - 60), token("bob", now() - 60));
    for server in [&one, &two] {
        for token in [&ada, &bob] {
            assert_eq!(called(server, token).await.status, 200);
        }
    }
    let at = SystemTime::now() - Duration::from_secs(30);
    deny(&world, user(&world, "ada"), Denies::Before(at)).await;
    for server in [&one, &two] {
        let refused = answered(server, &ada, 401).await;
        let challenge = refused.header("www-authenticate").unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
        assert_eq!(called(server, &bob).await.status, 200);
        // A new login is welcome.
        let again = token("ada", now());
        assert_eq!(called(server, &again).await.status, 200);
    }
    // It says nothing of when it was issued, as the next one would not.
    let silent = world.issuer.token().subject("ada").without("iat").mint();
    let unclear = called(&one, &silent).await;
    assert_eq!(unclear.status, 403);
    assert!(unclear.body.contains("does not say when it was issued"));

    let metrics = reqwest::get(format!("http://127.0.0.1:{admin}/metrics")).await;
    let metrics = Exposition::parse(&metrics.unwrap().text().await.unwrap()).unwrap();
    let denied = |cause| metrics.sum("mcp_server_session_denied_total", &[("cause", cause)]);
    assert!(denied("operator") >= 2.0, "{metrics:?}");
    let samples = metrics.samples.iter();
    let causes = samples.filter(|it| it.name == "mcp_server_session_denied_total");
    assert_eq!(causes.count(), Cause::ALL.len(), "from the start");
    assert!((metrics.sum("mcp_server_denials", &[]) - 1.0).abs() < 0.1);
    assert!(metrics.sum("mcp_server_denials_age_seconds", &[]) < 61.0);

    one.stop(LIMIT).await.unwrap();
    let lines = one.access_log();
    let of = |outcome: &str| {
        lines
            .iter()
            .find(|line| line["outcome"] == outcome)
            .cloned()
    };
    assert_eq!(of("revoked").unwrap()["cause"], "operator");
    assert_eq!(of("may_be_revoked").unwrap()["cause"], "operator");
    assert_eq!(of("ok").unwrap().get("cause"), None);
    let audit = std::fs::read_to_string(folder.path().join("audit")).unwrap();
    let records = parsed(&audit);
    let refusal = records.iter().find(|record| record["outcome"] == "revoked");
    let refusal = refusal.unwrap();
    assert_eq!(refusal["cause"], "operator");
    assert_eq!(
        (&refusal["subject"], &refusal["organization"]),
        (&json!("ada"), &json!("org_1"))
    );
}

#[tokio::test]
async fn one_token_or_an_organization_ends_alone_and_comes_back_when_that_is_lifted() {
    let world = World::shared().await;
    let server = world.server().await;
    let token = |id: &str| world.issuer.token().claim("jti", id).mint();
    let (lost, kept) = (token("lost"), token("kept"));
    assert_eq!(called(&server, &lost).await.status, 200);
    let whom = Whom::Token {
        issuer: world.issuer.url(),
        id: "lost".to_owned(),
    };
    deny(&world, whom.clone(), Denies::UntilLifted).await;
    answered(&server, &lost, 401).await;
    assert_eq!(called(&server, &kept).await.status, 200);
    deny(&world, whom, Denies::Nothing).await;
    answered(&server, &lost, 200).await;

    let organization = Whom::Organization("org_1".to_owned());
    deny(&world, organization, Denies::UntilLifted).await;
    answered(&server, &kept, 401).await;
    let other = world.token("ada", "org_2");
    assert_eq!(called(&server, &other).await.status, 200);
    // An instance that is started now reads it before it is asked for long.
    let late = world.server().await;
    answered(&late, &kept, 401).await;
}

#[tokio::test]
async fn without_the_index_a_new_instance_serves_and_a_strict_one_refuses_writes() {
    let mut world = World::shared().await;
    world.redis.as_mut().unwrap().kill();
    let token = world.token("ada", "org_1");
    let write = async |server: &ServerProcess| {
        let arguments = idea("a rough idea");
        let call = client_of(server).call(Generation::Modern, "create_requirement", &arguments);
        call.bearer(&token).send().await.unwrap()
    };
    let easy = world.server().await;
    let done = write(&easy).await;
    assert_eq!(
        done.structured().unwrap()["requirement"]["short_id"],
        "REQ-2"
    );
    let strict = world
        .start(&world.command().env("DENIALS_MAX_AGE", "90"))
        .await;
    assert_eq!(called(&strict, &token).await.status, 200, "reads go on");
    let refused = write(&strict).await;
    let result = refused.result().unwrap();
    assert_eq!(result["isError"], true, "{result}");
    assert!(
        strict
            .said("what is denied was not read for too long", LIMIT)
            .await
    );
    let writes = world.api.requests().entries();
    let writes = writes.iter().filter(|asked| asked.body.is_some()).count();
    assert_eq!(writes, 1);
    world.redis.as_mut().unwrap().restart().await.unwrap();
    let started = std::time::Instant::now();
    loop {
        let answer = write(&strict).await;
        if answer.result().unwrap()["isError"] != true {
            break;
        }
        assert!(started.elapsed() < LIMIT, "{}", answer.body);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_file_keeps_denials_when_the_store_and_the_instance_are_lost() {
    let world = World::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("denials");
    let command = world.command().env("DENIALS_FILE", &path);
    let mut server = world.start(&command).await;
    let token = world.token("ada", "org_1");
    let before = std::fs::read_to_string(&path).unwrap();
    deny(&world, user(&world, "ada"), Denies::UntilLifted).await;
    answered(&server, &token, 401).await;
    let started = std::time::Instant::now();
    while std::fs::read_to_string(&path).unwrap() == before {
        assert!(started.elapsed() < LIMIT, "it is not written");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.kill().await.unwrap();
    world.redis().flush().await.unwrap();
    let again = world.start(&command).await;
    assert_eq!(called(&again, &token).await.status, 401);
    // And so it is back in the store, for the others.
    let other = world.server().await;
    answered(&other, &token, 401).await;
}
