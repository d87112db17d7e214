//! Whoever is let in no more, although the token is good by itself; and tokens of keys that their issuer
//! has withdrawn.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use mcp_auth::{
    AccessToken, AuthError, ForbiddenReason, IntrospectionConfig, InvalidReason, IssuerConfig,
    TokenVerifier, VerifierConfig,
};
use mcp_session::{SessionTiers, SessionTiersBuilder, Tier, Verdict};
use mcp_test_support::{Algorithm, Issuer, IssuerMode, SigningKey, http_client};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::world::{
    AUDIENCE, TestStore, access, eventually, first_ring, instance, issuer, token_of,
};

const SOON: Duration = Duration::from_secs(10);

/// What is said of everybody from now on.
#[derive(Clone)]
struct Said(Arc<Mutex<Verdict>>);

impl Said {
    fn nothing() -> Self {
        Self(Arc::new(Mutex::new(Verdict::Welcome)))
    }

    fn now(&self, verdict: Verdict) {
        *self.0.lock().unwrap() = verdict;
    }

    fn to(&self, tiers: SessionTiersBuilder) -> SessionTiers {
        let said = self.clone();
        tiers.denied(move |_| *said.0.lock().unwrap()).build()
    }
}

#[tokio::test]
async fn what_is_revoked_is_counted_by_cause_on_every_path() {
    let (issuer, store, said) = (issuer().await, TestStore::new(), Said::nothing());
    let token = token_of(&issuer, "ada");
    let [warm, cold] = [(); 2].map(|()| said.to(instance(&issuer, &store)));
    warm.resolve(&token).await.unwrap();
    warm.flush(SOON).await;
    said.now(Verdict::Revoked("webhook"));
    for tiers in [&warm, &cold] {
        let refused = tiers.resolve(&token).await.unwrap_err();
        assert_eq!(refused, InvalidReason::Revoked("webhook").into());
        assert_eq!(refused.cause_of_revocation(), Some("webhook"));
        assert_eq!(tiers.stats().denied.get(), [("webhook", 1)]);
        // For an audit log.
        assert!(tiers.session_of_refused(&token).await.is_some());
    }
    said.now(Verdict::Revoked("operator"));
    warm.resolve(&token).await.unwrap_err();
    assert_eq!(warm.stats().denied.get(), [("operator", 1), ("webhook", 1)]);
    said.now(Verdict::Welcome);
    for tiers in [&warm, &cold] {
        assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
    }
}

#[tokio::test]
async fn a_token_that_may_be_older_than_a_revocation_is_forbidden_until_that_ends() {
    let (issuer, store, said) = (issuer().await, TestStore::new(), Said::nothing());
    let token = access(&issuer.token().without("iat"));
    let tiers = said.to(instance(&issuer, &store));
    let session = tiers.resolve(&token).await.unwrap().session;
    said.now(Verdict::Unclear {
        cause: "operator",
        until: SystemTime::UNIX_EPOCH,
    });
    let unclear = AuthError::from(ForbiddenReason::MayBeRevoked("operator"));
    assert_eq!(tiers.resolve(&token).await.unwrap_err(), unclear);
    assert_eq!(tiers.check(&token, &session), Err(unclear));
    assert_eq!(tiers.stats().denied.get(), [("operator", 2)]);
    assert_eq!(
        tiers.stats().verifications.get(),
        1,
        "nothing is asked anew"
    );
    said.now(Verdict::Welcome);
    assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
}

/// Says of every opaque token whether it is active; counts.
async fn introspection() -> (String, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/introspect", listener.local_addr().unwrap());
    let (active, asked) = (
        Arc::new(AtomicBool::new(true)),
        Arc::new(AtomicUsize::new(0)),
    );
    let (says, count) = (Arc::clone(&active), Arc::clone(&asked));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !String::from_utf8_lossy(&request).contains("token_type_hint=") {
                assert!(stream.read_buf(&mut request).await.unwrap() > 0);
            }
            count.fetch_add(1, Ordering::SeqCst);
            let active = says.load(Ordering::SeqCst);
            let body = json!({"active": active, "sub": "ada", "aud": AUDIENCE, "org_id": "o"});
            let body = body.to_string();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, active, asked)
}

#[tokio::test]
async fn an_opaque_token_is_asked_about_anew_after_a_revocation_and_that_counts() {
    let (issuer, store, said) = (issuer().await, TestStore::new(), Said::nothing());
    let (url, active, asked) = introspection().await;
    let instance = || {
        let mut config = IssuerConfig::new(issuer.url(), [AUDIENCE]);
        let secret = "secret".to_owned().into();
        config.introspection = Some(IntrospectionConfig::new(&url, "id", secret));
        let config = (vec![config], VerifierConfig::default());
        let verifier = TokenVerifier::new(config.0, http_client(), config.1).unwrap();
        said.to(SessionTiers::builder(verifier, first_ring(), store.clone()))
    };
    let token = AccessToken::parse("Bearer opaque").unwrap();
    let (now, later) = (SystemTime::now(), SystemTime::now() + SOON);
    let [one, other] = [instance(), instance()];
    let resolved = async |tiers: &SessionTiers, now| {
        let resolved = tiers.resolve_at(&token, now).await;
        tiers.flush(SOON).await;
        (resolved.map(|it| it.tier), asked.load(Ordering::SeqCst))
    };
    assert_eq!(resolved(&one, now).await, (Ok(Tier::Verification), 1));
    said.now(Verdict::Unclear {
        cause: "webhook",
        until: now + Duration::from_secs(5),
    });
    // Whose record is older than the revocation is asked about, wherever it was found.
    assert_eq!(resolved(&one, later).await, (Ok(Tier::Verification), 2));
    assert_eq!(resolved(&one, later).await, (Ok(Tier::Memory), 2));
    assert_eq!(resolved(&other, later).await, (Ok(Tier::Store), 2));
    active.store(false, Ordering::SeqCst);
    said.now(Verdict::Unclear {
        cause: "webhook",
        until: later + Duration::from_secs(5),
    });
    let much_later = later + SOON;
    for (tiers, asked) in [(&one, 3), (&other, 4)] {
        let refused = resolved(tiers, much_later).await;
        assert_eq!(refused, (Err(InvalidReason::Inactive.into()), asked));
    }
    // Suspended is suspended, whatever the issuer says.
    active.store(true, Ordering::SeqCst);
    said.now(Verdict::Revoked("operator"));
    let third = instance();
    let (refused, asked) = resolved(&third, much_later).await;
    assert_eq!(refused, Err(InvalidReason::Revoked("operator").into()));
    assert_eq!(resolved(&third, much_later).await.1, asked);
}

/// Has the issuer's keys fetched again by each call that needs none.
fn watching(issuer: &Issuer, store: &Arc<TestStore>) -> SessionTiers {
    let mut config = VerifierConfig::default();
    config.keys.fresh_for = Duration::ZERO;
    config.keys.retry_after = Duration::ZERO;
    config.keys.cooldown = Duration::ZERO;
    config.keys.spacing = Duration::ZERO;
    let issuer = IssuerConfig::new(issuer.url(), [AUDIENCE]);
    let verifier = TokenVerifier::new(vec![issuer], http_client(), config).unwrap();
    SessionTiers::builder(verifier, first_ring(), store.clone()).build()
}

#[tokio::test]
async fn a_key_that_its_issuer_withdraws_ends_the_sessions_it_verified() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let (token, other) = (token_of(&issuer, "ada"), token_of(&issuer, "bob"));
    let tiers = watching(&issuer, &store);
    for token in [&token, &other] {
        tiers.resolve(token).await.unwrap();
    }
    tiers.flush(SOON).await;
    issuer.rotate();
    eventually("the warm session ends", async || {
        let resolved = tiers.resolve(&token).await;
        resolved.is_err_and(|error| error == InvalidReason::UnknownKey.into())
    })
    .await;
    assert_eq!(
        tiers.resolve(&other).await.unwrap_err(),
        InvalidReason::UnknownKey.into()
    );
    tiers.flush(SOON).await;
    assert_eq!(store.deletes.load(Ordering::SeqCst), 2);
    tiers.resolve(&token_of(&issuer, "ada")).await.unwrap();
}

#[tokio::test]
async fn a_stored_session_of_a_key_that_was_withdrawn_ends_as_well() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let before = watching(&issuer, &store);
    before.resolve(&token).await.unwrap();
    before.flush(SOON).await;
    issuer.rotate();
    // It has no keys yet, and believes the store meanwhile.
    let after = watching(&issuer, &store);
    assert_eq!(after.resolve(&token).await.unwrap().tier, Tier::Store);
    eventually("it ends when there are keys", async || {
        after.resolve(&token).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn nobody_is_signed_out_by_a_fetch_that_fails_or_by_a_key_that_is_renamed() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let tiers = watching(&issuer, &store);
    tiers.resolve(&token).await.unwrap();
    let fetched = async |mode: &str| {
        let before = issuer.count(Issuer::JWKS_PATH);
        eventually(mode, async || {
            assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
            // One that came before may have begun before.
            issuer.count(Issuer::JWKS_PATH) >= before + 3
        })
        .await;
    };
    fetched("as it is").await;
    for mode in [IssuerMode::Error500, IssuerMode::Garbage] {
        issuer.set_mode(mode);
        let before = issuer.requests().entries().len();
        eventually("failing", async || {
            assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
            issuer.requests().entries().len() >= before + 3
        })
        .await;
    }
    issuer.set_mode(IssuerMode::Normal);
    issuer.publish(r#"{"keys": []}"#);
    fetched("an empty set").await;
    // The same key under another name, and beside others; how it is written does not matter.
    let mut renamed = issuer.key(Algorithm::Rs256).jwk();
    renamed["kid"] = json!("renamed");
    renamed["n"] = json!(format!("{}==", renamed["n"].as_str().unwrap()));
    let fresh = SigningKey::generate(Algorithm::Rs256).jwk();
    issuer.publish(json!({"keys": [fresh, renamed]}).to_string());
    fetched("another name").await;
}

#[tokio::test]
async fn a_withdrawn_key_is_no_reason_while_the_issuer_cannot_be_asked_again() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let token = token_of(&issuer, "ada");
    let tiers = instance(&issuer, &store).build();
    tiers.resolve(&token).await.unwrap();
    issuer.rotate();
    // Has the new set fetched.
    tiers.resolve(&token_of(&issuer, "bob")).await.unwrap();
    issuer.stop().await;
    assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
    issuer.come_back().await.unwrap();
    let refused = tiers.resolve(&token).await.unwrap_err();
    assert_eq!(refused, InvalidReason::UnknownKey.into());
}
