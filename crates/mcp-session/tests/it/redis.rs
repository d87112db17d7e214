//! `RedisStore` against a real server that comes and goes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mcp_session::{RedisConfig, RedisStore, SharedStore, StoreError};
use mcp_test_support::RedisServer;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::world::eventually;

const HOUR: Duration = Duration::from_hours(1);

pub(crate) fn config(url: &str) -> RedisConfig {
    let pause = Duration::from_millis(20);
    RedisConfig::parse(url)
        .unwrap()
        .circuit(3, pause, pause * 4)
}

async fn running() -> (RedisServer, RedisStore) {
    let server = RedisServer::start().await.unwrap();
    let store = RedisStore::new(config(&server.url())).unwrap();
    (server, store)
}

#[tokio::test]
async fn an_entry_is_kept_for_its_lifetime_and_removed() {
    let (server, store) = running().await;
    assert_eq!(store.get("k").await.unwrap(), None);
    store.put("k", vec![0, 159, 146, 150], HOUR).await.unwrap();
    assert_eq!(store.get("k").await.unwrap(), Some(vec![0, 159, 146, 150]));
    assert!((3_590..=3_600).contains(&server.ttl("k").await.unwrap()));
    store.delete("k").await.unwrap();
    assert_eq!(store.get("k").await.unwrap(), None);
    store.put("k", vec![1], Duration::ZERO).await.unwrap();
    assert_eq!(store.get("k").await.unwrap(), None);
    store.ping().await.unwrap();
}

#[tokio::test]
async fn nothing_is_sent_but_the_documented_commands() {
    let (server, store) = running().await;
    assert!(
        server.commandstats().await.unwrap().is_empty(),
        "connecting is lazy"
    );
    for _ in 0..20 {
        store.get("k").await.unwrap();
    }
    store.put("k", vec![1], HOUR).await.unwrap();
    store.delete("k").await.unwrap();
    store.ping().await.unwrap();
    let sent = server.commandstats().await.unwrap();
    let expected = [("del", 1), ("get", 20), ("ping", 1), ("set", 1)];
    assert_eq!(
        sent,
        expected
            .map(|(name, calls)| (name.to_owned(), calls))
            .into()
    );
}

#[tokio::test]
async fn an_unreachable_server_opens_the_circuit_and_then_costs_nothing() {
    let (mut server, store) = running().await;
    store.ping().await.unwrap();
    server.kill();
    for _ in 0..3 {
        store.get("k").await.unwrap_err();
    }
    assert!(store.is_circuit_open());
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(store.get("k").await, Err(StoreError::CircuitOpen));
    }
    assert!(
        started.elapsed() < Duration::from_millis(20),
        "{:?}",
        started.elapsed()
    );

    server.restart().await.unwrap();
    eventually("the circuit closes by itself", async || {
        !store.is_circuit_open()
    })
    .await;
    store.put("k", vec![1], HOUR).await.unwrap();
    assert_eq!(store.get("k").await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn a_hung_server_is_given_up_within_the_timeout() {
    let (server, store) = running().await;
    store.put("k", vec![1], HOUR).await.unwrap();
    server.pause().unwrap();
    let started = Instant::now();
    for _ in 0..3 {
        assert_eq!(store.get("k").await, Err(StoreError::Timeout));
    }
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(store.get("k").await, Err(StoreError::CircuitOpen));
    server.resume().unwrap();
    eventually("the circuit closes by itself", async || {
        !store.is_circuit_open()
    })
    .await;
    assert_eq!(store.get("k").await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn broken_connections_are_replaced_without_an_error() {
    let (mut server, store) = running().await;
    for _ in 0..4 {
        store.ping().await.unwrap();
    }
    server.restart().await.unwrap();
    for _ in 0..4 {
        store.ping().await.unwrap();
    }
    assert!(!store.is_circuit_open());
}

#[tokio::test]
async fn many_commands_share_the_lanes() {
    let (server, store) = running().await;
    let requests: Vec<_> = (0..200)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { store.put(&format!("k{n}"), vec![1], HOUR).await })
        })
        .collect();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!(server.keys_and_values().await.unwrap().len(), 200);
    assert_eq!(server.commandstats().await.unwrap().get("set"), Some(&200));
}

#[tokio::test]
async fn a_store_that_is_dropped_leaves_nothing_running() {
    let (mut server, store) = running().await;
    server.kill();
    for _ in 0..3 {
        store.ping().await.unwrap_err();
    }
    drop(store);
    let handle = tokio::runtime::Handle::current();
    eventually("the probe ends", async || {
        handle.metrics().num_alive_tasks() == 0
    })
    .await;
}

/// A server that answers every command with this and then with blanks without end; what it wrote.
async fn talking(answer: &'static str) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                stream.read_u8().await.unwrap();
                let blanks = vec![b' '; 64 * 1024];
                let mut told = stream.write(answer.as_bytes()).await;
                while let Ok(length) = told {
                    count.fetch_add(length, Ordering::SeqCst);
                    told = stream.write(&blanks).await;
                }
            });
        }
    });
    (port, written)
}

#[tokio::test]
async fn a_hostile_server_that_never_stops_talking_is_hung_up_on() {
    // What both systems' socket buffers may take of four connections, and no more.
    const BUFFERS: usize = 64 * 1024 * 1024;
    for answer in [
        "$536870912\r\n",
        "*1\r\n$536870912\r\n",
        "*100000000\r\n",
        ">2\r\n+message\r\n$536870912\r\n",
        "!536870912\r\n",
        "+",
    ] {
        let (port, written) = talking(answer).await;
        let patient = config(&format!("redis://127.0.0.1:{port}"));
        let patient = patient.command_timeout(HOUR).connect_timeout(HOUR);
        let store = RedisStore::new(patient).unwrap();
        // It does not wait for the timeout: the connection ends.
        let error = store.get("k").await.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
        let written = written.load(Ordering::SeqCst);
        assert!(written < BUFFERS, "{answer:?}: {written} bytes");
    }
}
