//! An issuer's metadata for anybody who asks: as it wrote them, asked for now and then.

use std::time::{Duration, Instant};

use futures::future::join_all;
use mcp_auth::{MetadataMirror, MirrorError, http_client};
use mcp_test_support::{Gate, Issuer, IssuerMode};

use crate::{documents::answering, world::issuer};

const SOON: Duration = Duration::from_secs(5);
const HOUR: Duration = Duration::from_hours(1);

/// A mirror that fetches at `age`, and at most once in `pause`.
fn mirror(issuer: &Issuer, age: Duration, pause: Duration) -> MetadataMirror {
    let mirror = MetadataMirror::new(issuer.url(), http_client().unwrap());
    mirror.unwrap().every(age, pause)
}

fn asked(issuer: &Issuer) -> usize {
    issuer.count(Issuer::METADATA_PATH)
}

#[tokio::test]
async fn two_hundred_strangers_cause_one_fetch_and_get_every_byte() {
    let issuer = issuer().await;
    let original = http_client().unwrap();
    let original = original.get(format!("{}{}", issuer.url(), Issuer::METADATA_PATH));
    let original = original.send().await.unwrap().bytes().await.unwrap();
    let (mirror, gate) = (mirror(&issuer, HOUR, HOUR), Gate::closed());
    issuer.set_mode(IssuerMode::Held(gate.clone()));
    let asking = join_all((0..200).map(|_| mirror.document()));
    let (all, ()) = tokio::join!(asking, async {
        let asked = issuer.requests().wait_until(|it| it.len() == 2, SOON);
        assert!(asked.await);
        gate.open();
    });
    for document in all {
        let document = document.unwrap();
        assert_eq!(document.body, original);
        assert!(!document.is_openid);
    }
    mirror.document().await.unwrap();
    assert_eq!(asked(&issuer), 2);
}

#[tokio::test]
async fn a_fetch_goes_on_when_who_asked_for_it_leaves() {
    let issuer = issuer().await;
    let (mirror, gate) = (mirror(&issuer, HOUR, HOUR), Gate::closed());
    issuer.set_mode(IssuerMode::Held(gate.clone()));
    tokio::select! {
        document = mirror.document() => unreachable!("{document:?}"),
        asked = issuer.requests().wait_until(|it| it.len() == 1, SOON) => assert!(asked),
    }
    gate.open();
    mirror.document().await.unwrap();
    assert_eq!(asked(&issuer), 1);
}

#[tokio::test]
async fn an_old_document_serves_while_it_is_renewed_and_while_the_issuer_is_away() {
    let issuer = issuer().await;
    let mirror = mirror(&issuer, Duration::ZERO, Duration::ZERO);
    let first = mirror.document().await.unwrap();
    let gate = Gate::closed();
    issuer.set_mode(IssuerMode::Held(gate.clone()));
    for _ in 0..20 {
        assert_eq!(mirror.document().await.unwrap().body, first.body);
    }
    let fetched = issuer.requests().wait_until(|it| it.len() == 2, SOON);
    assert!(fetched.await);
    assert_eq!(asked(&issuer), 2, "one at a time");
    gate.open();
    issuer.set_token_endpoint("https://elsewhere.test/token");
    issuer.set_mode(IssuerMode::Normal);
    let deadline = Instant::now() + SOON;
    while mirror.document().await.unwrap().body == first.body {
        assert!(Instant::now() < deadline, "it is never renewed");
        tokio::task::yield_now().await;
    }
    for mode in [IssuerMode::Error500, IssuerMode::Garbage] {
        issuer.set_mode(mode);
        mirror.document().await.unwrap();
    }
    issuer.stop().await;
    for _ in 0..5 {
        assert_ne!(mirror.document().await.unwrap().body, first.body);
    }
}

#[tokio::test]
async fn an_issuer_that_fails_is_asked_no_oftener_for_that() {
    for (mode, expected) in [
        (
            IssuerMode::Error500,
            MirrorError::Unavailable { retry_after: HOUR },
        ),
        (IssuerMode::Garbage, MirrorError::NoDocument),
    ] {
        let issuer = issuer().await;
        let mirror = mirror(&issuer, HOUR, HOUR);
        issuer.set_mode(mode);
        for _ in 0..20 {
            assert_eq!(mirror.document().await.unwrap_err(), expected);
        }
        // Once at each of the places where it may be.
        assert_eq!(issuer.requests().entries().len(), 2);
    }
}

#[tokio::test]
async fn what_an_issuer_says_of_another_one_is_not_mirrored() {
    let issuer = issuer().await;
    let named = issuer.url().replace("127.0.0.1", "localhost");
    let mirror = MetadataMirror::new(named, http_client().unwrap()).unwrap();
    let refused = mirror.document().await.unwrap_err();
    assert_eq!(refused, MirrorError::NoDocument);
}

#[tokio::test]
async fn it_is_said_where_the_document_was_found() {
    // Spelled as nobody here would write it.
    let text = "{ \"odd\" : [ 1.0 ],\r\n\t\"issuer\":\"SELF\", \"issuer_note\":\"\\u0041\" }\n";
    let (url, _) = answering(move |path, _| {
        let openid = path.starts_with("/.well-known/openid-configuration");
        (if openid { 200 } else { 404 }, text.to_owned())
    })
    .await;
    let mirror = MetadataMirror::new(&url, http_client().unwrap()).unwrap();
    let found = mirror.document().await.unwrap();
    assert!(found.is_openid);
    let expected = text.replace("SELF", &url);
    assert_eq!(String::from_utf8_lossy(&found.body), expected);
}

#[tokio::test]
async fn a_document_that_is_too_large_is_not_handed_on() {
    let filler = " ".repeat(64 * 1024);
    let (url, _) = answering(move |_, _| {
        let text = format!("{{\"issuer\":\"SELF\"{filler}}}");
        (200, text)
    })
    .await;
    let mirror = MetadataMirror::new(&url, http_client().unwrap()).unwrap();
    let refused = mirror.document().await.unwrap_err();
    assert_eq!(refused, MirrorError::NoDocument);
}
