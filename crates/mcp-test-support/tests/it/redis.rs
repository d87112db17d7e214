//! The Redis child process. Without a binary the tests fail and say what to install.

use std::time::Duration;

use mcp_test_support::RedisServer;

#[tokio::test]
async fn what_was_set_is_seen_and_counted() {
    let redis = RedisServer::start().await.unwrap();
    assert!(redis.commandstats().await.unwrap().is_empty());
    redis.set("mcp:a", b"\x00\r\nbytes").await.unwrap();
    let held = redis.keys_and_values().await.unwrap();
    assert_eq!(held, [("mcp:a".to_owned(), b"\x00\r\nbytes".to_vec())]);
    assert_eq!(redis.ttl("mcp:a").await.unwrap(), -1);
    let stats = redis.commandstats().await.unwrap();
    assert_eq!((stats.get("set"), stats.get("get")), (Some(&1), Some(&1)));
    redis.reset_stats().await.unwrap();
    redis.flush().await.unwrap();
    assert!(redis.keys_and_values().await.unwrap().is_empty());
}

#[tokio::test]
async fn restarted_server_is_empty_on_the_same_port() {
    let mut redis = RedisServer::start().await.unwrap();
    let url = redis.url();
    redis.set("a", b"1").await.unwrap();
    redis.kill();
    assert!(redis.keys_and_values().await.is_err());
    redis.restart().await.unwrap();
    assert_eq!(redis.url(), url);
    assert!(redis.keys_and_values().await.unwrap().is_empty());
}

#[tokio::test]
async fn paused_server_answers_after_it_was_resumed() {
    let redis = RedisServer::start().await.unwrap();
    redis.pause().unwrap();
    let ask = redis.keys_and_values();
    tokio::pin!(ask);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), &mut ask)
            .await
            .is_err()
    );
    redis.resume().unwrap();
    assert!(ask.await.unwrap().is_empty());
}
