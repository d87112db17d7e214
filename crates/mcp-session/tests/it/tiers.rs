//! The order of the tiers, and what each failure costs whom.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant, SystemTime},
};

use mcp_auth::{
    AuthError, ForbiddenReason, InvalidReason, IssuerConfig, SameAudience, TokenVerifier,
    VerifierConfig,
};
use mcp_session::{Keyring, MemoryStore, SessionTiers, SharedStore, Tier, Verdict};
use mcp_test_support::{Gate, Issuer, IssuerMode, http_client};

use crate::world::{
    AUDIENCE, FIRST_KEY, Mood, SECOND_KEY, TestStore, access, eventually, first_ring, instance,
    issuer, token_of, verifier,
};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_new_token_is_verified_once_and_then_answered_from_memory() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    let token = token_of(&issuer, "ada");

    let first = tiers.resolve(&token).await.unwrap();
    assert_eq!(first.tier, Tier::Verification);
    assert_eq!(first.session.principal().subject(), "ada");
    assert_eq!(tiers.flush(SOON).await, 0);
    let (asked, stored) = (issuer.requests().entries().len(), store.calls());

    let second = tiers.resolve(&token).await.unwrap();
    assert_eq!(second.tier, Tier::Memory);
    assert!(Arc::ptr_eq(&first.session, &second.session));
    assert_eq!(issuer.requests().entries().len(), asked, "asked the issuer");
    assert_eq!(store.calls(), stored, "asked the store");
    assert_eq!(store.puts.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn two_hundred_first_requests_share_one_fetch_and_one_verification() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    let token = token_of(&issuer, "ada");

    let requests: Vec<_> = (0..200)
        .map(|_| {
            let (tiers, token) = (tiers.clone(), token.clone());
            tokio::spawn(async move { tiers.resolve(&token).await.unwrap().tier })
        })
        .collect();
    let mut found = Vec::new();
    for request in requests {
        found.push(request.await.unwrap());
    }

    let from_memory = found.iter().filter(|tier| **tier == Tier::Memory).count();
    assert_eq!(from_memory, 199);
    assert_eq!(issuer.count(Issuer::JWKS_PATH), 1);
    assert_eq!(tiers.stats().verifications.get(), 1);
    let (hits, waited) = (
        tiers.stats().memory_hits.get(),
        tiers.stats().coalesced.get(),
    );
    assert_eq!(hits + waited, 199);
}

#[tokio::test]
async fn a_request_that_goes_away_does_not_take_the_others_with_it() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    let token = token_of(&issuer, "ada");
    let gate = Gate::closed();
    issuer.set_mode(IssuerMode::Held(gate.clone()));

    let spawn = || {
        let (tiers, token) = (tiers.clone(), token.clone());
        tokio::spawn(async move { tiers.resolve(&token).await })
    };
    let leader = spawn();
    eventually("the leader asks the issuer", async || {
        !issuer.requests().entries().is_empty()
    })
    .await;
    let waiter = spawn();
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    gate.open();

    assert_eq!(
        waiter.await.unwrap().unwrap().session.principal().subject(),
        "ada"
    );
}

#[tokio::test]
async fn a_new_instance_serves_a_known_token_while_the_issuer_is_down() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let first = instance(&issuer, &store).build();
    first.resolve(&token).await.unwrap();
    first.flush(SOON).await;
    issuer.stop().await;

    let second = instance(&issuer, &store).build();
    let resolved = second.resolve(&token).await.unwrap();
    assert_eq!(resolved.tier, Tier::Store);
    assert_eq!(resolved.session.principal().subject(), "ada");
    assert_eq!(second.resolve(&token).await.unwrap().tier, Tier::Memory);

    let unknown = second.resolve(&token_of(&issuer, "bob")).await.unwrap_err();
    assert!(
        matches!(unknown, AuthError::Unavailable { .. }),
        "{unknown:?}"
    );
}

#[tokio::test]
async fn a_store_hit_without_keys_fetches_them_behind_the_requests_back() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let first = instance(&issuer, &store).build();
    first.resolve(&token).await.unwrap();
    first.flush(SOON).await;

    let verifier = verifier(&issuer);
    let second = SessionTiers::builder(verifier.clone(), first_ring(), store.clone()).build();
    assert_eq!(second.resolve(&token).await.unwrap().tier, Tier::Store);
    eventually("keys are warm", async || verifier.is_warm()).await;
}

#[tokio::test]
async fn with_keys_at_hand_no_forged_token_reaches_the_store() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    tiers.resolve(&token_of(&issuer, "ada")).await.unwrap();
    tiers.flush(SOON).await;
    let before = store.calls();

    for n in 0..50 {
        let forged = access(&issuer.token().subject(&format!("forged-{n}")).tampered());
        let error = tiers.resolve(&forged).await.unwrap_err();
        assert_eq!(error, InvalidReason::Signature.into());
    }
    let other_key = access(&issuer.token().header("kid", "unheard-of"));
    let error = tiers.resolve(&other_key).await.unwrap_err();
    assert_eq!(error, InvalidReason::UnknownKey.into());
    assert_eq!(store.calls(), before);
}

#[tokio::test]
async fn made_up_keys_reach_the_store_never_and_the_issuer_seldom() {
    let (issuer, other, store) = (issuer().await, issuer().await, TestStore::new());
    // A second issuer that is away keeps nothing of this from being true for the first.
    other.stop().await;
    let configs = [&issuer, &other].map(|it| IssuerConfig::new(it.url(), [AUDIENCE]));
    let verifier = TokenVerifier::new(configs.into(), http_client(), VerifierConfig::default());
    let ring = Keyring::from_hex(FIRST_KEY, &[SECOND_KEY]).unwrap();
    let tiers = SessionTiers::builder(verifier.unwrap(), ring, store.clone()).build();
    tiers.resolve(&token_of(&issuer, "ada")).await.unwrap();
    tiers.flush(SOON).await;
    let before = store.calls();
    for n in 0..400 {
        let forged = access(&issuer.token().header("kid", format!("made-up-{n}")));
        let label = tiers.resolve(&forged).await.unwrap_err().label();
        assert!(label.starts_with("unknown_key"), "{label}");
    }
    assert_eq!(store.calls(), before, "the store is not asked");
    let fetched = issuer.count(Issuer::JWKS_PATH);
    assert!(fetched <= 5, "{fetched} fetches");

    // While it is away another instance may have seen a key of its: a few are looked up.
    issuer.stop().await;
    let before = store.gets.load(Ordering::SeqCst);
    for n in 0..400 {
        let forged = access(&issuer.token().header("kid", format!("later-{n}")));
        tiers.resolve(&forged).await.unwrap_err();
    }
    let asked = store.gets.load(Ordering::SeqCst) - before;
    assert!(asked <= 2 * 20 * 2, "{asked} look-ups");
}

#[tokio::test]
async fn a_key_that_only_another_instance_has_seen_works_while_the_issuer_is_away() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let (first, second) = (
        instance(&issuer, &store).build(),
        instance(&issuer, &store).build(),
    );
    second.resolve(&token_of(&issuer, "bob")).await.unwrap();
    issuer.rotate();
    let token = token_of(&issuer, "ada");
    first.resolve(&token).await.unwrap();
    first.flush(SOON).await;
    issuer.stop().await;
    assert_eq!(second.resolve(&token).await.unwrap().tier, Tier::Store);
}

#[tokio::test]
async fn without_keys_nothing_reaches_the_store_that_could_not_be_good() {
    let (issuer, store) = (issuer().await, TestStore::new());
    issuer.stop().await;
    let tiers = instance(&issuer, &store).build();
    let bad = [
        (
            issuer.token().claim("iss", "https://elsewhere.example"),
            InvalidReason::Issuer,
        ),
        (
            issuer.token().audience("https://elsewhere.example"),
            InvalidReason::Audience,
        ),
        (issuer.token().expires_in(-3_600), InvalidReason::Expired),
        (issuer.token().unsigned(), InvalidReason::Algorithm),
        (
            issuer.token().hmac_with_public_key(),
            InvalidReason::Algorithm,
        ),
    ];
    for (token, reason) in bad {
        let token = access(&token);
        assert_eq!(tiers.resolve(&token).await.unwrap_err(), reason.into());
        assert_eq!(tiers.resolve(&token).await.unwrap_err(), reason.into());
    }
    assert_eq!(store.calls(), 0);
    assert_eq!(tiers.stats().known_bad_hits.get(), 5);
}

#[tokio::test]
async fn a_token_proven_bad_is_not_checked_again_and_one_that_was_not_is() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    let forged = access(&issuer.token().tampered());
    for _ in 0..3 {
        tiers.resolve(&forged).await.unwrap_err();
    }
    assert_eq!(tiers.stats().verifications.get(), 1);

    let early = access(&issuer.token().not_before_in(3_600));
    for _ in 0..3 {
        tiers.resolve(&early).await.unwrap_err();
    }
    assert_eq!(tiers.stats().verifications.get(), 4);
}

#[tokio::test]
async fn an_outage_is_not_remembered_as_an_answer() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    let token = token_of(&issuer, "ada");
    issuer.stop().await;
    let error = tiers.resolve(&token).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    issuer.come_back().await.unwrap();
    assert_eq!(
        tiers.resolve(&token).await.unwrap().tier,
        Tier::Verification
    );
}

#[tokio::test]
async fn an_expired_session_is_not_answered_from_memory() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    let token = token_of(&issuer, "ada");
    let session = tiers.resolve(&token).await.unwrap().session;
    let later = session.expires_at() + Duration::from_mins(10);
    let error = tiers.resolve_at(&token, later).await.unwrap_err();
    assert_eq!(error, InvalidReason::Expired.into());
}

#[tokio::test]
async fn a_session_is_verified_again_after_the_longest_lifetime() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store)
        .max_lifetime(Duration::from_mins(1))
        .build();
    let token = token_of(&issuer, "ada");
    tiers.resolve(&token).await.unwrap();
    let later = SystemTime::now() + Duration::from_mins(2);
    assert_eq!(
        tiers.resolve_at(&token, later).await.unwrap().tier,
        Tier::Verification
    );
}

#[tokio::test]
async fn a_failing_store_costs_nothing_but_is_counted() {
    let (issuer, store) = (issuer().await, TestStore::new());
    store.set_mood(Mood::Failing);
    let tiers = instance(&issuer, &store).build();
    let resolved = tiers.resolve(&token_of(&issuer, "ada")).await.unwrap();
    assert_eq!(resolved.tier, Tier::Verification);
    tiers.flush(SOON).await;
    assert_eq!(tiers.stats().store_errors.get(), 1);
    assert_eq!(tiers.stats().writes_failed.get(), 1);
}

#[tokio::test]
async fn a_hung_store_delays_a_cold_instance_by_its_patience_only() {
    let (issuer, store) = (issuer().await, TestStore::new());
    store.set_mood(Mood::Held(Gate::closed()));
    let tiers = instance(&issuer, &store).build();
    let started = Instant::now();
    let resolved = tiers.resolve(&token_of(&issuer, "ada")).await.unwrap();
    assert_eq!(resolved.tier, Tier::Verification);
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );

    let started = Instant::now();
    tiers.resolve(&token_of(&issuer, "bob")).await.unwrap();
    assert!(
        started.elapsed() < Duration::from_millis(500),
        "warm keys do not wait for the store"
    );
}

#[tokio::test]
async fn a_slow_store_still_answers_when_the_issuer_cannot() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let first = instance(&issuer, &store).build();
    first.resolve(&token).await.unwrap();
    first.flush(SOON).await;
    issuer.stop().await;
    let gate = Gate::closed();
    store.set_mood(Mood::Held(gate.clone()));

    let second = instance(&issuer, &store)
        .store_patience(Duration::from_millis(1))
        .build();
    let waiting = {
        let second = second.clone();
        tokio::spawn(async move { second.resolve(&token).await })
    };
    eventually("the issuer was tried", async || {
        second.stats().verifications.get() == 1
    })
    .await;
    gate.open();
    assert_eq!(waiting.await.unwrap().unwrap().tier, Tier::Store);
}

#[tokio::test]
async fn a_tampered_record_is_a_miss_and_is_deleted() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let name = first_ring().session_key(&token).to_string();
    store
        .put(&name, b"not a record".to_vec(), SOON)
        .await
        .unwrap();

    let tiers = instance(&issuer, &store).build();
    assert_eq!(
        tiers.resolve(&token).await.unwrap().tier,
        Tier::Verification
    );
    assert_eq!(tiers.stats().records_unopened.get(), 1);
    tiers.flush(SOON).await;
    issuer.stop().await;
    let second = instance(&issuer, &store).build();
    assert_eq!(
        second.resolve(&token).await.unwrap().tier,
        Tier::Store,
        "written anew"
    );
}

#[tokio::test]
async fn a_record_put_under_another_token_opens_for_nobody() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let (ada, bob) = (token_of(&issuer, "ada"), token_of(&issuer, "bob"));
    let first = instance(&issuer, &store).build();
    first.resolve(&ada).await.unwrap();
    first.flush(SOON).await;
    let ring = first_ring();
    let record = store
        .get(&ring.session_key(&ada).to_string())
        .await
        .unwrap()
        .unwrap();
    store
        .put(&ring.session_key(&bob).to_string(), record, SOON)
        .await
        .unwrap();
    issuer.stop().await;

    let second = instance(&issuer, &store).build();
    let error = second.resolve(&bob).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable { .. }), "{error:?}");
    second.flush(SOON).await;
    assert_eq!(
        store
            .get(&ring.session_key(&bob).to_string())
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn nobody_is_logged_out_by_a_key_rotation() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let before = instance(&issuer, &store).build();
    before.resolve(&token).await.unwrap();
    before.flush(SOON).await;
    issuer.stop().await;
    let deployed = |current, previous: &[&str]| {
        let ring = Keyring::from_hex(current, previous).unwrap();
        SessionTiers::builder(verifier(&issuer), ring, store.clone()).build()
    };

    let both_keys = deployed(FIRST_KEY, &[SECOND_KEY]);
    assert_eq!(both_keys.resolve(&token).await.unwrap().tier, Tier::Store);
    assert_eq!(both_keys.stats().records_resealed.get(), 0);

    let rotated = deployed(SECOND_KEY, &[FIRST_KEY]);
    assert_eq!(rotated.resolve(&token).await.unwrap().tier, Tier::Store);
    assert_eq!(rotated.stats().records_resealed.get(), 1);
    rotated.flush(SOON).await;

    let old_key_gone = deployed(SECOND_KEY, &[]);
    assert_eq!(
        old_key_gone.resolve(&token).await.unwrap().tier,
        Tier::Store
    );
    let not_yet_rotated = deployed(FIRST_KEY, &[SECOND_KEY]);
    assert_eq!(
        not_yet_rotated.resolve(&token).await.unwrap().tier,
        Tier::Store
    );
}

#[tokio::test]
async fn a_forgotten_session_is_gone_everywhere_and_its_token_stays_good() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let name = first_ring().session_key(&token).to_string();
    let tiers = instance(&issuer, &store).build();
    tiers.resolve(&token).await.unwrap();

    tiers.forget(&token).await.unwrap();
    assert_eq!(
        store.get(&name).await.unwrap(),
        None,
        "also when its write was still queued"
    );
    assert_eq!(
        tiers.resolve(&token).await.unwrap().tier,
        Tier::Verification
    );

    store.set_mood(Mood::Failing);
    tiers.forget(&token).await.unwrap_err();
}

#[tokio::test]
async fn a_session_forgotten_by_one_instance_is_forgotten_by_all() {
    let issuer = issuer().await;
    let store = Arc::new(MemoryStore::default());
    let instance = || SessionTiers::builder(verifier(&issuer), first_ring(), store.clone()).build();
    let (one, other) = (instance(), instance());
    let (token, kept) = (token_of(&issuer, "ada"), token_of(&issuer, "bob"));
    for tiers in [&one, &other] {
        tiers.resolve(&token).await.unwrap();
        tiers.resolve(&kept).await.unwrap();
    }
    one.flush(SOON).await;
    other.flush(SOON).await;

    one.forget(&token).await.unwrap();
    eventually("the other instance forgets it too", async || {
        other.resolve(&token).await.unwrap().tier == Tier::Verification
    })
    .await;
    assert_eq!(other.resolve(&kept).await.unwrap().tier, Tier::Memory);
}

/// The reasons for which users were sent away.
fn signouts(tiers: &SessionTiers) -> Vec<(&'static str, u64)> {
    let all = tiers.stats().signouts.get();
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[tokio::test]
async fn a_token_that_had_been_good_is_a_signout_and_a_made_up_one_is_none() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store).build();
    tiers.resolve(&token_of(&issuer, "ada")).await.unwrap();
    let expired = access(&issuer.token().expires_in(-3_600));
    for _ in 0..3 {
        tiers.resolve(&expired).await.unwrap_err();
    }
    let forged = access(&issuer.token().expires_in(-3_600).tampered());
    tiers.resolve(&forged).await.unwrap_err();
    let elsewhere = access(&issuer.token().audience("https://else.test"));
    tiers.resolve(&elsewhere).await.unwrap_err();
    assert_eq!(signouts(&tiers), [("expired", 1)]);
    let refused = tiers.stats().refused_tokens.get().into_iter();
    let refused: Vec<_> = refused.filter(|(_, _, count)| *count > 0).collect();
    let url = issuer.url();
    assert_eq!(
        refused,
        [(url.clone(), "audience", 1), (url, "expired", 1)],
        "each once, forged ones never"
    );
    assert_eq!(tiers.stats().resolved(Tier::Verification).get(), 1);
}

#[tokio::test]
async fn a_key_that_is_withdrawn_signs_out_those_whose_session_just_ended() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let tiers = instance(&issuer, &store)
        .max_lifetime(Duration::from_mins(1))
        .build();
    let token = token_of(&issuer, "ada");
    tiers.resolve(&token).await.unwrap();
    issuer.rotate();
    assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
    let later = SystemTime::now() + Duration::from_secs(61);
    // The key set in memory would still do.
    tiers.resolve_at(&token, later).await.unwrap();
    let other = token_of(&issuer, "bob");
    tiers.resolve(&other).await.unwrap();
    let later = SystemTime::now() + Duration::from_secs(122);
    let error = tiers.resolve_at(&token, later).await.unwrap_err();
    assert_eq!(error, InvalidReason::UnknownKey.into());
    assert_eq!(signouts(&tiers), [("unknown_key", 1)]);
}

#[tokio::test]
async fn a_denied_principal_is_refused_also_from_memory() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let denied = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = Arc::clone(&denied);
    let tiers = instance(&issuer, &store)
        .denied(move |principal| {
            if principal.subject() == "ada" && asked.load(Ordering::SeqCst) {
                Verdict::Revoked("operator")
            } else {
                Verdict::Welcome
            }
        })
        .build();
    let (ada, bob) = (token_of(&issuer, "ada"), token_of(&issuer, "bob"));
    tiers.resolve(&ada).await.unwrap();
    denied.store(true, Ordering::SeqCst);
    assert_eq!(
        tiers.resolve(&ada).await.unwrap_err(),
        InvalidReason::Revoked("operator").into()
    );
    tiers.resolve(&ada).await.unwrap_err();
    assert_eq!(signouts(&tiers), [("revoked", 1)], "once for each token");
    tiers.resolve(&bob).await.unwrap();
    denied.store(false, Ordering::SeqCst);
    assert_eq!(tiers.resolve(&ada).await.unwrap().tier, Tier::Memory);
}

#[tokio::test]
async fn the_upstream_audience_is_asked_for_stored_sessions_too() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let first = instance(&issuer, &store)
        .upstream(issuer.url(), SameAudience::new(AUDIENCE))
        .build();
    first.resolve(&token).await.unwrap();
    first.flush(SOON).await;
    issuer.stop().await;
    let second = instance(&issuer, &store)
        .upstream(issuer.url(), SameAudience::new("https://api.example.com"))
        .build();
    let error = second.resolve(&token).await.unwrap_err();
    assert_eq!(
        error,
        AuthError::Forbidden(ForbiddenReason::UpstreamAudience)
    );
}

#[tokio::test]
async fn a_full_write_queue_drops_and_counts() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let gate = Gate::closed();
    let tiers = instance(&issuer, &store).write_queue(1).build();
    tiers.resolve(&token_of(&issuer, "warm")).await.unwrap();
    tiers.flush(SOON).await;
    store.set_mood(Mood::Held(gate.clone()));

    tiers
        .resolve(&token_of(&issuer, "under way"))
        .await
        .unwrap();
    eventually("the first write is under way", async || {
        store.puts.load(Ordering::SeqCst) == 2
    })
    .await;
    tiers.resolve(&token_of(&issuer, "queued")).await.unwrap();
    tiers.resolve(&token_of(&issuer, "dropped")).await.unwrap();
    assert_eq!(tiers.stats().writes_dropped.get(), 1);
    assert_eq!(tiers.flush(Duration::from_millis(10)).await, 1);
    gate.open();
    assert_eq!(tiers.flush(SOON).await, 0);
    assert_eq!(tiers.stats().writes.get(), 3);
}
