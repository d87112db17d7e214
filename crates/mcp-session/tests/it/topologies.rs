//! The ways Redis is run: with a password over TLS from a private CA, behind Sentinel, as a
//! cluster. Every test starts its own servers.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures::StreamExt as _;
use mcp_session::{FactStore, Heard, Rate, RedisConfigError, RedisStore, SharedStore, StoreError};
use mcp_test_support::{RedisServer, free_port, install_tls_provider};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::{facts, redis::config, world::eventually};

const HOUR: Duration = Duration::from_hours(1);

/// A `redis-server` with arguments of its own; killed on drop.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(directory: &TempDir, arguments: &[&str]) -> Self {
        let port = free_port().unwrap();
        Self::start_on(
            directory.path(),
            port,
            &["--port", &port.to_string()],
            arguments,
        )
    }

    fn start_on(directory: &Path, port: u16, first: &[&str], arguments: &[&str]) -> Self {
        let child = Command::new(RedisServer::find_binary().expect("redis-server is installed"))
            .args(first)
            .args(["--bind", "127.0.0.1"])
            .arg("--dir")
            .arg(directory)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn store(url: &str) -> RedisStore {
    RedisStore::new(config(url)).unwrap()
}

async fn works(store: &RedisStore) {
    eventually("the store answers", async || store.ping().await.is_ok()).await;
    for n in 0..20 {
        let key = format!("mcp:session:v1:{n}");
        store.put(&key, vec![n], HOUR).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), Some(vec![n]));
        store.delete(&key).await.unwrap();
        assert_eq!(store.get(&key).await.unwrap(), None);
    }
    let (channel, mut told) = ("mcp:forgotten:v1", store.listen("mcp:forgotten:v1"));
    // Told again until it is heard: what was told before the channel was open is lost.
    let heard = async {
        loop {
            store.publish(channel, vec![7]).await.unwrap();
            match timeout(Duration::from_millis(20), told.next()).await {
                Ok(Some(Heard::Listening)) | Err(_) => {}
                Ok(heard) => return heard,
            }
        }
    };
    let heard = timeout(Duration::from_secs(10), heard).await;
    assert_eq!(heard.unwrap(), Some(Heard::Message(vec![7])));
    facts::one_wins(Arc::new(store.clone())).await;
    facts::no_more_is_spent_than_there_is(Arc::new(store.clone())).await;
    for n in 0..20 {
        let key = format!("mcp:fact:v1:{n}");
        let budget = format!("{key}b");
        let spent = store.spend(&budget, Rate::new(4, HOUR), 1, 2).await;
        assert_eq!(spent.unwrap().granted, 2);
        store
            .insert(&format!("{key}s"), vec![n], HOUR)
            .await
            .unwrap();
        let members = store.members(&format!("{key}s")).await.unwrap();
        assert_eq!(members[0].0, [n]);
        store.remove(&format!("{key}s"), &[n]).await.unwrap();
    }
}

#[tokio::test]
async fn a_password_and_a_database() {
    let directory = TempDir::new().unwrap();
    let server = Server::start(
        &directory,
        &[
            "--save",
            "",
            "--user",
            "mcp",
            "on",
            ">p@ss",
            "~mcp:*",
            "&mcp:*",
            "+get",
            "+set",
            "+del",
            "+ping",
            "+publish",
            "+subscribe",
            "+select",
            "+eval",
            "+pexpireat",
            "+time",
            "+zadd",
            "+zscore",
            "+zrem",
            "+zscan",
            "+zrevrange",
            "+zremrangebyscore",
        ],
    );
    works(&store(&format!(
        "redis://mcp:p%40ss@127.0.0.1:{}/2",
        server.port
    )))
    .await;

    let wrong = store(&format!("redis://mcp:wrong@127.0.0.1:{}", server.port));
    let error = wrong.ping().await.unwrap_err();
    assert!(
        matches!(error, StoreError::Refused(_) | StoreError::Unreachable(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn tls_with_a_private_ca() {
    install_tls_provider();
    let directory = TempDir::new().unwrap();
    let ca = certificates(directory.path());
    let port = free_port().unwrap();
    let _server = Server::start_on(
        directory.path(),
        port,
        &["--port", "0", "--tls-port", &port.to_string()],
        &[
            "--save",
            "",
            "--tls-cert-file",
            "server.pem",
            "--tls-key-file",
            "server.key",
            "--tls-ca-cert-file",
            "ca.pem",
            "--tls-auth-clients",
            "no",
        ],
    );
    let url = format!("rediss://127.0.0.1:{port}");
    works(&RedisStore::new(config(&url).ca_pem(ca.clone())).unwrap()).await;

    let untrusted = store(&url);
    untrusted.ping().await.unwrap_err();
    let plain = config("redis://127.0.0.1").ca_pem(ca);
    assert_eq!(
        RedisStore::new(plain).unwrap_err(),
        RedisConfigError::CaWithoutTls
    );
    let garbage = config(&url).ca_pem("not a certificate");
    assert_eq!(RedisStore::new(garbage).unwrap_err(), RedisConfigError::Ca);
}

/// Writes `ca.pem`, `server.pem` and `server.key`; returns the CA certificate.
fn certificates(directory: &Path) -> String {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let ca_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned()];
    let server = CertificateParams::new(names)
        .unwrap()
        .signed_by(&key, &issuer)
        .unwrap();
    std::fs::write(directory.join("ca.pem"), &ca).unwrap();
    std::fs::write(directory.join("server.pem"), server.pem()).unwrap();
    std::fs::write(directory.join("server.key"), key.serialize_pem()).unwrap();
    ca
}

#[tokio::test]
async fn sentinel_names_the_master_and_the_next_one_after_a_failover() {
    let directories: Vec<_> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    let master = Server::start(&directories[0], &["--save", ""]);
    let of = master.port.to_string();
    let replica = Server::start(
        &directories[1],
        &[
            "--save",
            "",
            "--replicaof",
            "127.0.0.1",
            &of,
            "--repl-diskless-sync-delay",
            "0",
        ],
    );
    let sentinel_port = free_port().unwrap();
    let file = directories[2].path().join("sentinel.conf");
    let settings = format!(
        "port {sentinel_port}\nbind 127.0.0.1\ndir {}\n\
         sentinel monitor main 127.0.0.1 {of} 1\n\
         sentinel down-after-milliseconds main 300\n\
         sentinel failover-timeout main 2000\n",
        directories[2].path().display(),
    );
    std::fs::write(&file, settings).unwrap();
    let file = file.display().to_string();
    let _sentinel = Server::start_on(
        directories[2].path(),
        sentinel_port,
        &[&file, "--sentinel"],
        &[],
    );

    // The first Sentinel of the list is down: the second one is asked.
    let gone = free_port().unwrap();
    let url = format!("redis+sentinel://127.0.0.1:{gone},127.0.0.1:{sentinel_port}/main");
    let store = store(&url);
    works(&store).await;

    let on_replica = self::store(&format!("redis://127.0.0.1:{}", replica.port));
    store
        .put("mcp:session:v1:kept", vec![7], HOUR)
        .await
        .unwrap();
    eventually("replicated", async || {
        matches!(on_replica.get("mcp:session:v1:kept").await, Ok(Some(_)))
    })
    .await;
    eventually("the Sentinel knows the replica", async || {
        sentinel_knows_replica(sentinel_port).await
    })
    .await;
    drop(master);
    eventually_in(
        Duration::from_secs(30),
        "the replica takes over",
        async || store.put("mcp:session:v1:new", vec![8], HOUR).await.is_ok(),
    )
    .await;
    assert_eq!(
        store.get("mcp:session:v1:kept").await.unwrap(),
        Some(vec![7])
    );
}

async fn sentinel_knows_replica(port: u16) -> bool {
    let answer = ask(port, "SENTINEL REPLICAS main\r\n").await;
    answer.contains("master-link-status") && answer.contains("ok\r\n")
}

#[tokio::test]
async fn a_cluster_is_found_through_any_node() {
    let directories: Vec<_> = (0..3).map(|_| TempDir::new().unwrap()).collect();
    // The bus port is chosen too: by default it is 10,000 above, which may be no port at all.
    let nodes: Vec<_> = directories
        .iter()
        .map(|directory| {
            let bus = free_port().unwrap();
            let cluster = [
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus.to_string(),
            ];
            (
                Server::start(directory, &[&["--save", ""], &cluster[..]].concat()),
                bus,
            )
        })
        .collect();
    form_cluster(&nodes).await;
    let url = format!(
        "redis+cluster://127.0.0.1:{},127.0.0.1:{}",
        nodes[1].0.port, nodes[2].0.port
    );
    works(&store(&url)).await;

    let single = store(&format!("redis://127.0.0.1:{}", nodes[0].0.port));
    let mut refused = 0;
    for n in 0..20 {
        match single.get(&format!("k{n}")).await {
            Err(StoreError::Refused(code)) if code == "MOVED" => refused += 1,
            _ => {}
        }
    }
    assert!(
        refused > 0,
        "a cluster under a single-server URL says MOVED"
    );
}

async fn form_cluster(nodes: &[(Server, u16)]) {
    let (first, first_bus) = &nodes[0];
    let invitation = format!("CLUSTER MEET 127.0.0.1 {} {first_bus}\r\n", first.port);
    for ((node, _), slots) in nodes.iter().zip(["0 5460", "5461 10922", "10923 16383"]) {
        eventually("the node answers", async || {
            ask(node.port, "PING\r\n").await.contains("PONG")
        })
        .await;
        let added = ask(node.port, &format!("CLUSTER ADDSLOTSRANGE {slots}\r\n")).await;
        assert!(added.contains("OK"), "{added}");
        let met = ask(node.port, &invitation).await;
        assert!(met.contains("OK"), "{met}");
    }
    for (node, _) in nodes {
        eventually_in(
            Duration::from_secs(30),
            "the cluster is complete",
            async || {
                let info = ask(node.port, "CLUSTER INFO\r\n").await;
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            },
        )
        .await;
    }
}

/// Sends one inline command and returns what comes back first.
async fn ask(port: u16, command: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let Ok(mut connection) = tokio::net::TcpStream::connect(("127.0.0.1", port)).await else {
        return String::new();
    };
    connection.write_all(command.as_bytes()).await.unwrap();
    let mut answer = vec![0; 16 * 1_024];
    let length = connection.read(&mut answer).await.unwrap_or_default();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn eventually_in(limit: Duration, what: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(
        tokio::time::timeout(limit, waiting).await.is_ok(),
        "never happened: {what}"
    );
}
