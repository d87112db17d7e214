//! Upstream tokens that came with the client's token: opened once, over with it, and never a login
//! for what a login does not mend.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use futures::future::join_all;
use mcp_auth::{
    AccessToken, Asker, AuthError, ForbiddenReason, GrantOpener, InvalidReason, IssuerConfig,
    Principal, SameAudience, TokenVerifier, Upstream, UpstreamCredentials, UpstreamToken,
    VerifierConfig,
};
use mcp_session::{Resolved, SessionTiers, SessionTiersBuilder, SharedStore, Tier, Verdict};
use mcp_test_support::{Algorithm, Gate, Issuer, SigningKey, TokenBuilder, http_client};
use serde_json::json;

use crate::world::{AUDIENCE, TestStore, access, first_ring, instance, issuer, token_of};

const SOON: Duration = Duration::from_secs(5);
const OURS: &str = "https://mcp.example.com";

/// Opens what is in the claim `sealed`, which these tests do not seal.
#[derive(Debug)]
struct Opener {
    opened: AtomicUsize,
    target: u64,
    gate: Gate,
}

impl Opener {
    fn for_target(target: u64) -> Arc<Self> {
        let gate = Gate::closed();
        gate.open();
        Self::behind(gate, target)
    }

    fn behind(gate: Gate, target: u64) -> Arc<Self> {
        let opened = AtomicUsize::new(0);
        Arc::new(Self {
            opened,
            target,
            gate,
        })
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl GrantOpener for Opener {
    async fn open(
        &self,
        token: &AccessToken,
        principal: &Principal,
        now: SystemTime,
    ) -> Result<UpstreamToken, AuthError> {
        let number = self.opened.fetch_add(1, Ordering::SeqCst);
        self.gate.passed().await;
        assert!(!token.expose().is_empty());
        if principal.subject() == "nobody" {
            return Err(InvalidReason::NotGranted.into());
        }
        let secret = format!("granted-s3cret-of-{}-{number}", principal.subject());
        // Its own times are the authorization server's business.
        Ok(UpstreamToken::new(secret.into(), now, now))
    }

    fn target(&self) -> u64 {
        self.target
    }
}

/// An authorization server in this process.
struct Ours(Arc<SigningKey>);

impl Ours {
    fn new() -> Self {
        Self(Arc::new(SigningKey::generate(Algorithm::EdDsa)))
    }

    fn verifier(&self) -> TokenVerifier {
        let mut config = IssuerConfig::new(OURS, [AUDIENCE]);
        config.jwks = Some(json!({ "keys": [self.0.jwk()] }).to_string());
        let verifier = VerifierConfig::default();
        TokenVerifier::new(vec![config], http_client(), verifier).unwrap()
    }

    fn instance(&self, store: &Arc<TestStore>, opener: &Arc<Opener>) -> SessionTiersBuilder {
        let tiers = SessionTiers::builder(self.verifier(), first_ring(), store.clone());
        tiers.upstream(OURS, granted(opener))
    }

    fn token(&self, subject: &str) -> TokenBuilder {
        let key = Arc::clone(&self.0);
        TokenBuilder::new(OURS, &[AUDIENCE.to_owned()], key).subject(subject)
    }

    /// One that was issued before `now`, in seconds.
    fn issued_ago(&self, subject: &str, now: SystemTime, seconds: u64) -> AccessToken {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let issued = now.as_secs() - seconds;
        access(&self.token(subject).claim("iat", issued))
    }
}

fn granted(opener: &Arc<Opener>) -> UpstreamCredentials {
    UpstreamCredentials::Granted(opener.clone())
}

/// An issuer elsewhere, whose keys a new instance does not have: it asks the store first.
fn elsewhere(issuer: &Issuer, store: &Arc<TestStore>, opener: &Arc<Opener>) -> SessionTiers {
    let tiers = instance(issuer, store).upstream(issuer.url(), granted(opener));
    tiers.build()
}

fn upstream_of(resolved: &Resolved) -> UpstreamToken {
    let upstream = resolved.session.upstream();
    let Some(Upstream::Exchanged(token)) = upstream else {
        unreachable!("{upstream:?}");
    };
    token.clone()
}

#[tokio::test]
async fn two_hundred_first_calls_open_a_token_once_and_a_warm_one_asks_no_store() {
    let (ours, store, gate) = (Ours::new(), TestStore::new(), Gate::closed());
    let opener = Opener::behind(gate.clone(), 1);
    let tiers = ours.instance(&store, &opener).build();
    let token = access(&ours.token("ada"));
    let calls = join_all((0..200).map(|_| tiers.resolve(&token)));
    let (all, ()) = tokio::join!(calls, async { gate.open() });
    let first = upstream_of(all[0].as_ref().unwrap());
    for resolved in &all {
        assert_eq!(upstream_of(resolved.as_ref().unwrap()), first);
    }
    assert_eq!(opener.opened(), 1);
    tiers.flush(SOON).await;
    assert_eq!(store.calls(), 1, "it is written, and looked for nowhere");
    assert_eq!(tiers.resolve(&token).await.unwrap().tier, Tier::Memory);
    let again = tiers.upstream_token_at(&token, Asker::UNKNOWN, None, SystemTime::now());
    assert_eq!(again.await.unwrap(), first);
    assert_eq!((opener.opened(), store.calls()), (1, 1));
}

#[tokio::test]
async fn another_instance_finds_what_was_opened_sealed_and_opens_nothing() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let opener = Opener::for_target(1);
    let token = token_of(&issuer, "ada");
    let first = elsewhere(&issuer, &store, &opener);
    let first_one = upstream_of(&first.resolve(&token).await.unwrap());
    first.flush(SOON).await;
    let name = first_ring().session_key(&token).to_string();
    let record = store.get(&name).await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&record).contains("granted-s3cret"));
    issuer.stop().await;
    let second = elsewhere(&issuer, &store, &opener);
    let found = second.resolve(&token).await.unwrap();
    assert_eq!(found.tier, Tier::Store);
    assert_eq!(upstream_of(&found).expose(), first_one.expose());
    assert_eq!(opener.opened(), 1);
}

#[tokio::test]
async fn a_stored_session_of_another_mode_or_target_is_not_used() {
    let (issuer, store) = (issuer().await, TestStore::new());
    let (one, other) = (Opener::for_target(1), Opener::for_target(2));
    let token = token_of(&issuer, "ada");
    let same = instance(&issuer, &store).upstream(issuer.url(), SameAudience::new(AUDIENCE));
    let tiers = [
        same.build(),
        elsewhere(&issuer, &store, &one),
        elsewhere(&issuer, &store, &other),
        instance(&issuer, &store).build(),
        elsewhere(&issuer, &store, &one),
    ];
    let mut seen = Vec::new();
    for tiers in tiers {
        let resolved = tiers.resolve(&token).await.unwrap();
        seen.push(match resolved.session.upstream() {
            Some(Upstream::Exchanged(token)) => Some(token.target()),
            Some(Upstream::Presented) => Some(0),
            None => None,
        });
        tiers.flush(SOON).await;
    }
    assert_eq!(seen, [Some(0), Some(1), Some(2), None, Some(1)]);
    assert_eq!((one.opened(), other.opened()), (2, 1));
}

#[tokio::test]
async fn it_lasts_as_long_as_the_clients_token_and_is_never_renewed() {
    let (ours, store) = (Ours::new(), TestStore::new());
    let opener = Opener::for_target(1);
    let tiers = ours.instance(&store, &opener).build();
    let (token, now) = (access(&ours.token("ada")), SystemTime::now());
    let first = upstream_of(&tiers.resolve_at(&token, now).await.unwrap());
    // An hour, and 90 s for clocks that disagree.
    for seconds in [1, 1_800, 3_590, 3_640] {
        let later = now + Duration::from_secs(seconds);
        let resolved = tiers.resolve_at(&token, later).await.unwrap();
        assert_eq!(upstream_of(&resolved), first, "{seconds}");
    }
    let over = tiers.resolve_at(&token, now + Duration::from_secs(3_700));
    assert_eq!(over.await.unwrap_err(), InvalidReason::Expired.into());
    assert_eq!(opener.opened(), 1);
}

#[tokio::test]
async fn what_the_api_refuses_sends_the_client_for_a_newer_token() {
    let (ours, store, now) = (Ours::new(), TestStore::new(), SystemTime::now());
    let opener = Opener::for_target(1);
    let tiers = ours.instance(&store, &opener).build();
    let token = ours.issued_ago("ada", now, 61);
    let old = upstream_of(&tiers.resolve_at(&token, now).await.unwrap());
    let refused = || tiers.upstream_token_at(&token, Asker::UNKNOWN, Some(old.expose()), now);
    let expected = AuthError::from(InvalidReason::NotGranted);
    for refused in join_all((0..20).map(|_| refused())).await {
        assert_eq!(refused.unwrap_err(), expected);
    }
    // So does every call from now on, and nothing is opened for it.
    assert_eq!(tiers.resolve_at(&token, now).await.unwrap_err(), expected);
    tiers.flush(SOON).await;
    let name = first_ring().session_key(&token).to_string();
    assert_eq!(store.get(&name).await.unwrap(), None);
    assert_eq!(opener.opened(), 1);
    let newer = ours.issued_ago("ada", now, 0);
    let fresh = upstream_of(&tiers.resolve_at(&newer, now).await.unwrap());
    assert_ne!(fresh.expose(), old.expose());
    let signouts = tiers.stats().signouts.get();
    assert!(signouts.contains(&("not_granted", 1)), "{signouts:?}");
}

#[tokio::test]
async fn new_tokens_that_the_api_refuses_too_are_no_reason_for_another_login() {
    let (ours, store) = (Ours::new(), TestStore::new());
    let opener = Opener::for_target(1);
    let tiers = ours.instance(&store, &opener).build();
    let refused = async |token: &AccessToken, now| {
        let new = upstream_of(&tiers.resolve_at(token, now).await.unwrap());
        let refused = tiers.upstream_token_at(token, Asker::UNKNOWN, Some(new.expose()), now);
        let error = refused.await.unwrap_err();
        assert_eq!(tiers.resolve_at(token, now).await.unwrap_err(), error);
        error
    };
    let renew = AuthError::from(InvalidReason::NotGranted);
    let denied = AuthError::from(ForbiddenReason::UpstreamRefused);
    let now = SystemTime::now();
    // One that was just issued, too, may have been withdrawn; so may the one of the first refresh.
    for (seconds, expected) in [(0, &renew), (2, &renew), (4, &denied), (6, &denied)] {
        let then = now + Duration::from_secs(seconds);
        let token = ours.issued_ago("ada", then, 0);
        assert_eq!(refused(&token, then).await, *expected, "{seconds}");
    }
    // What was good for a while is no token of that kind.
    let later = now + Duration::from_mins(5);
    assert_eq!(
        refused(&ours.issued_ago("ada", later, 61), later).await,
        renew
    );
    // Nor has anybody else to do with it.
    assert_eq!(refused(&access(&ours.token("bob")), now).await, renew);
}

#[tokio::test]
async fn a_token_that_does_not_open_is_remembered_as_such() {
    let (ours, store) = (Ours::new(), TestStore::new());
    let opener = Opener::for_target(1);
    let tiers = ours.instance(&store, &opener).build();
    let token = access(&ours.token("nobody"));
    for _ in 0..5 {
        let refused = tiers.resolve(&token).await.unwrap_err();
        assert_eq!(refused, InvalidReason::NotGranted.into());
    }
    assert_eq!((opener.opened(), store.calls()), (1, 0));
}

#[tokio::test]
async fn whoever_is_denied_gets_no_granted_token() {
    let (ours, store) = (Ours::new(), TestStore::new());
    let opener = Opener::for_target(1);
    let tiers = ours.instance(&store, &opener);
    let tiers = tiers
        .denied(|principal| match principal.subject() {
            "ada" => Verdict::Revoked("operator"),
            _ => Verdict::Welcome,
        })
        .build();
    let now = SystemTime::now();
    for (subject, good) in [("ada", false), ("bob", true)] {
        let token = access(&ours.token(subject));
        let upstream = tiers.upstream_token_at(&token, Asker::UNKNOWN, None, now);
        assert_eq!(upstream.await.is_ok(), good, "{subject}");
    }
}
