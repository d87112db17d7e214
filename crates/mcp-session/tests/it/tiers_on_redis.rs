//! The tiers on a real Redis: what is in it, what is sent to it, and what its outages cost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use mcp_session::{RedisStore, SessionTiers, Tier};
use mcp_test_support::{Issuer, RedisServer};

use crate::{
    redis::config,
    world::{access, eventually, first_ring, issuer, token_of, verifier},
};

const SOON: Duration = Duration::from_secs(10);

fn instance(issuer: &Issuer, server: &RedisServer) -> SessionTiers {
    let store = Arc::new(RedisStore::new(config(&server.url())).unwrap());
    SessionTiers::builder(verifier(issuer), first_ring(), store).build()
}

#[tokio::test]
async fn redis_holds_sealed_records_only_and_not_longer_than_the_token_lives() {
    let (issuer, server) = (issuer().await, RedisServer::start().await.unwrap());
    let tiers = instance(&issuer, &server);
    let builder = issuer
        .token()
        .subject("user_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E")
        .claim("email", "ada@example.com")
        .expires_in(600);
    let minted = builder.mint();
    tiers.resolve(&access(&builder)).await.unwrap();
    tiers.flush(SOON).await;

    let entries = server.keys_and_values().await.unwrap();
    let [(key, value)] = entries.as_slice() else {
        panic!("{} entries", entries.len())
    };
    assert!(key.starts_with("mcp:session:v1:"), "{key}");
    assert!(value.len() <= 1_024, "{} bytes", value.len());
    assert!((500..=600).contains(&server.ttl(key).await.unwrap()));
    let stored = String::from_utf8_lossy(value).into_owned() + key;
    let claims = minted.split('.').nth(1).unwrap();
    for secret in [minted.as_str(), claims, "user_01", "ada@", "org_1"] {
        assert!(!stored.contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn warm_calls_send_nothing_and_forged_tokens_send_nothing() {
    let (issuer, server) = (issuer().await, RedisServer::start().await.unwrap());
    let tiers = instance(&issuer, &server);
    let token = token_of(&issuer, "ada");
    tiers.resolve(&token).await.unwrap();
    tiers.flush(SOON).await;
    server.reset_stats().await.unwrap();

    for n in 0..50 {
        assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
        let forged = access(&issuer.token().subject(&format!("forged-{n}")).tampered());
        tiers.resolve(&forged).await.unwrap_err();
    }
    assert!(server.commandstats().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_restarted_instance_finds_its_sessions_while_the_issuer_is_down() {
    let (issuer, server) = (issuer().await, RedisServer::start().await.unwrap());
    let token = token_of(&issuer, "ada");
    let first = instance(&issuer, &server);
    first.resolve(&token).await.unwrap();
    first.flush(SOON).await;
    issuer.stop().await;
    let second = instance(&issuer, &server);
    assert_eq!(second.resolve(&token).await.unwrap().tier, Tier::Store);
}

#[tokio::test]
async fn a_hung_redis_delays_new_tokens_by_little_and_known_ones_not_at_all() {
    let (issuer, server) = (issuer().await, RedisServer::start().await.unwrap());
    let tiers = instance(&issuer, &server);
    let known = token_of(&issuer, "ada");
    tiers.resolve(&known).await.unwrap();
    tiers.flush(SOON).await;
    server.pause().unwrap();

    let started = Instant::now();
    for n in 0..20 {
        assert_eq!(tiers.resolve(&known).await.unwrap().tier, Tier::Memory);
        let new = token_of(&issuer, &format!("new-{n}"));
        assert_eq!(tiers.resolve(&new).await.unwrap().tier, Tier::Verification);
    }
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );

    let cold = instance(&issuer, &server);
    let started = Instant::now();
    assert_eq!(cold.resolve(&known).await.unwrap().tier, Tier::Verification);
    assert!(
        started.elapsed() < Duration::from_secs(1),
        "{:?}",
        started.elapsed()
    );
    server.resume().unwrap();
}

#[tokio::test]
async fn sessions_are_kept_again_when_redis_is_back() {
    let (issuer, mut server) = (issuer().await, RedisServer::start().await.unwrap());
    let tiers = instance(&issuer, &server);
    server.kill();
    for n in 0..5 {
        tiers
            .resolve(&token_of(&issuer, &format!("lost-{n}")))
            .await
            .unwrap();
        tiers.flush(SOON).await;
    }
    server.restart().await.unwrap();
    crate::world::eventually("new sessions are written", async || {
        tiers.resolve(&token_of(&issuer, "kept")).await.unwrap();
        tiers.flush(SOON).await;
        tiers.stats().writes.get() > 0
    })
    .await;
}

#[tokio::test]
async fn a_session_is_forgotten_by_all_instances_also_after_redis_went_away() {
    let (issuer, mut server) = (issuer().await, RedisServer::start().await.unwrap());
    let (one, other) = (instance(&issuer, &server), instance(&issuer, &server));
    let token = token_of(&issuer, "ada");
    // An instance hears from a moment after its first session on, and again from a moment after
    // Redis is back.
    let forgotten_everywhere = async || {
        other.resolve(&token).await.unwrap();
        let told = one.forget(&token).await.is_ok();
        tokio::time::sleep(Duration::from_millis(5)).await;
        told && other.resolve(&token).await.unwrap().tier != Tier::Memory
    };
    one.resolve(&token).await.unwrap();
    eventually("told over Redis", forgotten_everywhere).await;
    server.restart().await.unwrap();
    eventually("told over Redis again", forgotten_everywhere).await;
}
