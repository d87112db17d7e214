//! Clients that describe themselves in a document.

use super::*;
use crate::error::OAuthError;

#[tokio::test]
async fn a_document_is_kept_as_long_as_its_host_says_within_bounds() {
    for (cache_control, kept, again) in [
        ("no-store", 59, 60),
        ("max-age=1", 59, 60),
        ("public", 59, 60),
        ("max-age=600", 599, 600),
        ("max-age=31536000", 86_399, 86_400),
    ] {
        let (clients, host) = (clients(), Host::start().await);
        host.describes("one", cache_control);
        assert_eq!(name(&clients, &host, 0).await.as_deref(), Ok("one"));
        host.describes("two", cache_control);
        assert_eq!(
            name(&clients, &host, kept).await.as_deref(),
            Ok("one"),
            "{cache_control}"
        );
        assert_eq!(host.asked(), 1);
        assert_eq!(
            name(&clients, &host, again).await.as_deref(),
            Ok("two"),
            "{cache_control}"
        );
        assert_eq!(host.asked(), 2);
    }
}

#[tokio::test]
async fn a_document_outlives_its_host_by_a_day() {
    const DAY: u64 = 86_400;
    let (clients, host) = (clients(), Host::start().await);
    host.describes("one", "max-age=60");
    assert!(name(&clients, &host, 0).await.is_ok());
    let weather = [
        (500, 60),
        (404, 70),
        (429, 80),
        (403, 90),
        (401, 100),
        (302, 110),
    ];
    for (status, seconds) in weather {
        host.says_status(status);
        assert!(name(&clients, &host, seconds).await.is_ok(), "{status}");
    }
    assert_eq!(host.asked(), 7);
    host.server.stop().await;
    let find = async |seconds| {
        clients
            .find(
                &host.url,
                Asker::Anybody,
                now() + Duration::from_secs(seconds),
            )
            .await
    };
    assert!(find(60 + DAY - 1).await.is_ok());
    assert_eq!(
        find(60 + DAY + 10).await.unwrap_err(),
        ClientError::Unavailable
    );
}

#[tokio::test]
async fn a_document_that_is_withdrawn_or_broken_is_gone() {
    for status in [410] {
        let (clients, host) = (clients(), Host::start().await);
        host.describes("one", "max-age=60");
        assert!(name(&clients, &host, 0).await.is_ok());
        host.says_status(status);
        let gone = name(&clients, &host, 60).await;
        assert!(
            matches!(gone, Err(ClientError::Refused(_))),
            "{status}: {gone:?}"
        );
        // What it said before does not come back with an outage.
        host.says_status(500);
        assert_eq!(
            name(&clients, &host, 70).await,
            Err(ClientError::Unavailable)
        );
    }
    let (clients, host) = (clients(), Host::start().await);
    host.describes("one", "max-age=60");
    assert!(name(&clients, &host, 0).await.is_ok());
    host.says(|| {
        answer(
            StatusCode::OK,
            &json!({"client_id": "https://other.test/x"}),
        )
    });
    assert!(matches!(
        name(&clients, &host, 60).await,
        Err(ClientError::Refused(_))
    ));
}

#[tokio::test]
async fn a_host_that_failed_is_left_in_peace_for_a_moment() {
    let (clients, host) = (clients(), Host::start().await);
    let missing = name(&clients, &host, 0).await;
    assert!(
        matches!(missing, Err(ClientError::Refused(_))),
        "{missing:?}"
    );
    host.describes("one", "");
    assert!(name(&clients, &host, 9).await.is_err());
    assert_eq!(host.asked(), 1);
    assert_eq!(name(&clients, &host, 10).await.as_deref(), Ok("one"));
    host.says_status(503);
    assert!(name(&clients, &host, 70).await.is_ok());
    assert!(name(&clients, &host, 79).await.is_ok());
    assert_eq!(host.asked(), 3);
}

#[tokio::test]
async fn many_requests_fetch_a_document_once() {
    let gate = Gate::closed();
    let host = Host::behind(Some(gate.clone())).await;
    host.describes("one", "max-age=60");
    let clients = clients();
    let requests = futures::future::join_all((0..50).map(|_| name(&clients, &host, 0)));
    let (names, ()) = tokio::join!(requests, async { gate.open() });
    assert!(names.iter().all(|name| name.as_deref() == Ok("one")));
    assert_eq!(host.asked(), 1);
}

#[tokio::test]
async fn a_host_that_is_slow_on_purpose_has_few_turns_and_others_are_told_to_come_again() {
    let gate = Gate::closed();
    let host = Host::behind(Some(gate.clone())).await;
    let clients = clients();
    let urls: Vec<_> = (0..5).map(|at| format!("{}?{at}", host.url)).collect();
    let (last, four) = urls.split_last().unwrap();
    let held = futures::future::join_all(
        four.iter()
            .map(|url| clients.find(url, Asker::Anybody, now())),
    );
    let others = async {
        while host.asked() < four.len() {
            tokio::task::yield_now().await;
        }
        let busy = clients.find(last, Asker::Anybody, now()).await.unwrap_err();
        assert_eq!(busy, ClientError::Busy);
        let (error, answer) = (OAuthError::from(busy), StatusCode::SERVICE_UNAVAILABLE);
        let answered = error.into_response();
        assert_eq!(answered.status(), answer);
        assert!(answered.headers().contains_key(header::RETRY_AFTER));
        // Who holds what this server gave is not held up by strangers, nor by those who ask for the same.
        let holder = clients.find(last, Asker::Holder, now());
        let same = clients.find(&four[0], Asker::Holder, now());
        let asked = async {
            while host.asked() < four.len() + 2 {
                tokio::task::yield_now().await;
            }
            gate.open();
        };
        let (found, same, ()) = tokio::join!(holder, same, asked);
        assert_ne!(found.unwrap_err(), ClientError::Busy);
        assert_ne!(same.unwrap_err(), ClientError::Busy);
    };
    tokio::join!(held, others);
    // Nothing of it is kept against anybody.
    assert_eq!(host.asked(), urls.len() + 1);
    assert_ne!(
        clients.find(last, Asker::Anybody, now()).await.unwrap_err(),
        ClientError::Busy
    );
}

#[tokio::test]
async fn ids_that_are_addresses_of_no_document_are_refused() {
    let clients = clients();
    for id in [
        "https://a.test",
        "https://a.test/../x",
        "http://a.test/x",
        "https://10.0.0.1/x",
    ] {
        let refused = clients.find(id, Asker::Anybody, now()).await.unwrap_err();
        assert!(
            matches!(refused, ClientError::Refused(_)),
            "{id}: {refused:?}"
        );
    }
    let config = ClientsConfig {
        configured: Vec::new(),
        named: Vec::new(),
        scopes: Vec::new(),
        issuer: ISSUER.to_owned(),
        token_endpoint: TOKEN.to_owned(),
        documents: None,
    };
    let without = Clients::new(config, keys(1, &[]), Arc::new(MemoryFacts::default())).unwrap();
    let unknown = without
        .find("https://a.test/client.json", Asker::Anybody, now())
        .await
        .unwrap_err();
    assert_eq!(unknown, ClientError::Unknown);
}

#[test]
fn who_was_given_a_refresh_token_is_no_stranger_and_nobody_else_is_with_it() {
    let clients = clients();
    let grant = json!({
        "f": "family", "g": 1, "c": digest_text("https://a.test/client.json"), "n": "client",
        "i": "https://idp.test", "s": "ada", "p": [], "l": 1, "t": 1,
        "u": {"access_token": "at", "refresh_token": "rt"},
    });
    let grant: Grant = serde_json::from_value(grant).unwrap();
    let token = grant.seal(&clients.keys).unwrap();
    let foreign = grant.seal(&keys(9, &[])).unwrap();
    let asker = |client: &str, name: &str, token: &str| {
        let form = form(&[("client_id", client), (name, token)]);
        let presented = Presented::parse(&HeaderMap::new(), &form).ok().unwrap();
        clients.asker(&presented, &form)
    };
    let client = "https://a.test/client.json";
    assert_eq!(asker(client, "refresh_token", &token), Asker::Holder);
    assert_eq!(asker(client, "token", &token), Asker::Holder);
    let other = "https://b.test/client.json";
    assert_eq!(asker(other, "refresh_token", &token), Asker::Anybody);
    assert_eq!(asker(client, "refresh_token", &foreign), Asker::Anybody);
    assert_eq!(asker(client, "code", &token), Asker::Anybody);
}
