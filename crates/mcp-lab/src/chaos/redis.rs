//! Redis as it is run for real: a master, a replica, and a Sentinel that swaps them.

use std::{
    collections::HashSet,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use tokio::time::Instant;

use mcp_test_support::{
    RedisServer, free_port,
    resp::{Reply, Resp},
};

const LIMIT: Duration = Duration::from_secs(30);
/// How long Sentinel waits before it takes a silent master for dead, in milliseconds. Impatient
/// only when a failover is wanted: a busy machine must not cause one that is not in the schedule.
const IMPATIENT: &str = "500";
const PATIENT: &str = "600000";

/// Two servers and their Sentinel; all killed on drop.
pub(super) struct RedisPair {
    nodes: [RedisServer; 2],
    /// Which of the two is the master.
    master: usize,
    sentinel: Sentinel,
}

struct Sentinel {
    port: u16,
    child: Child,
    /// Holds its configuration file.
    _directory: tempfile::TempDir,
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl RedisPair {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let nodes = [RedisServer::start().await?, RedisServer::start().await?];
        follow(&nodes[1], &nodes[0]).await?;
        let sentinel = start_sentinel(nodes[0].port())?;
        let pair = Self {
            nodes,
            master: 0,
            sentinel,
        };
        wait("Sentinel to know the replica", async || {
            let replicas = pair.ask_sentinel(&["SENTINEL", "REPLICAS", "main"]).await;
            let text = format!("{:?}", replicas.map(texts));
            text.contains("master-link-status, ok")
        })
        .await?;
        Ok(pair)
    }

    /// The address for `REDIS_URL`.
    pub(super) fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.sentinel.port)
    }

    pub(super) fn master(&self) -> &RedisServer {
        &self.nodes[self.master]
    }

    /// Kills the master; the replica takes over, and the old master comes back as its replica.
    pub(super) async fn kill_and_replace(&mut self) -> anyhow::Result<()> {
        self.nodes[self.master].kill();
        self.set_patience(IMPATIENT).await?;
        let old = self.wait_for_new_master().await?;
        self.nodes[old].restart().await?;
        self.replicate().await
    }

    /// The same with a master that hangs, and that wakes up as if nothing had happened.
    pub(super) async fn hang_and_replace(&mut self, lasts: Duration) -> anyhow::Result<()> {
        self.nodes[self.master].pause()?;
        self.set_patience(IMPATIENT).await?;
        let old = self.wait_for_new_master().await?;
        tokio::time::sleep(lasts).await;
        self.nodes[old].resume()?;
        self.replicate().await
    }

    /// Swaps master and replica as an operator does.
    pub(super) async fn fail_over(&mut self) -> anyhow::Result<()> {
        wait("Sentinel to begin the failover", async || {
            let begun = self.ask_sentinel(&["SENTINEL", "FAILOVER", "main"]).await;
            matches!(begun, Ok(Reply::Bytes(_)))
        })
        .await?;
        self.wait_for_new_master().await?;
        self.replicate().await
    }

    /// Stops the master; Sentinel waits.
    pub(super) fn hang(&self) -> anyhow::Result<()> {
        Ok(self.master().pause()?)
    }

    pub(super) async fn go_on(&self) -> anyhow::Result<()> {
        self.master().resume()?;
        wait("the master to answer", async || {
            self.master().command(&["PING"]).await.is_ok()
        })
        .await
    }

    /// The master dies and is back at once, empty; Sentinel does not notice, the replica follows.
    pub(super) async fn restart_empty(&mut self) -> anyhow::Result<()> {
        self.nodes[self.master].restart().await?;
        self.replicate().await
    }

    /// Loses everything it has, and goes on.
    pub(super) async fn empty(&self) -> anyhow::Result<()> {
        self.master().command(&["FLUSHALL"]).await.map(drop)
    }

    /// Closes every connection of a client.
    pub(super) async fn reset_connections(&self) -> anyhow::Result<()> {
        let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
        self.master().command(&kill).await.map(drop)
    }

    /// Sessions asked for, written and deleted since the counters were last reset.
    pub(super) async fn session_commands(&self) -> anyhow::Result<u64> {
        let stats = self.master().commandstats().await?;
        let ours = ["get", "set", "del", "mget", "unlink"];
        Ok(ours.iter().filter_map(|name| stats.get(*name)).sum())
    }

    /// The names of all sessions.
    pub(super) async fn sessions(&self) -> anyhow::Result<HashSet<String>> {
        let names = self.master().keys_and_values().await?.into_iter();
        let names = names.map(|(name, _)| name);
        Ok(names
            .filter(|name| name.starts_with("mcp:session:"))
            .collect())
    }

    /// Sessions written since the counters were last reset.
    pub(super) async fn writes(&self) -> anyhow::Result<u64> {
        Ok(self
            .master()
            .commandstats()
            .await?
            .get("set")
            .copied()
            .unwrap_or_default())
    }

    /// Makes the other node a replica of the master, and waits until it is.
    async fn replicate(&self) -> anyhow::Result<()> {
        follow(&self.nodes[1 - self.master], self.master()).await
    }

    /// Waits until Sentinel names the other node and that has taken over. Gives the old master.
    async fn wait_for_new_master(&mut self) -> anyhow::Result<usize> {
        let (old, new) = (self.master, 1 - self.master);
        let port = self.nodes[new].port().to_string();
        wait("the replica to take over", async || {
            let named = self
                .ask_sentinel(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main"])
                .await;
            let named = named.map(texts).unwrap_or_default();
            let role = self.nodes[new].command(&["ROLE"]).await;
            let role = role.map(texts).unwrap_or_default();
            named.contains(&port) && role.starts_with("[master")
        })
        .await?;
        self.master = new;
        self.set_patience(PATIENT).await?;
        Ok(old)
    }

    async fn set_patience(&self, milliseconds: &str) -> anyhow::Result<()> {
        let set = [
            "SENTINEL",
            "SET",
            "main",
            "down-after-milliseconds",
            milliseconds,
        ];
        match self.ask_sentinel(&set).await? {
            Reply::Error(error) => bail!("Sentinel refused: {error}"),
            _ => Ok(()),
        }
    }

    async fn ask_sentinel(&self, command: &[&str]) -> anyhow::Result<Reply> {
        let command: Vec<_> = command.iter().map(|word| word.as_bytes()).collect();
        let mut connection = Resp::connect(self.sentinel.port).await?;
        Ok(connection.command(&command).await?)
    }
}

async fn follow(replica: &RedisServer, master: &RedisServer) -> anyhow::Result<()> {
    let port = master.port().to_string();
    wait("the replica to follow", async || {
        let told = replica.command(&["REPLICAOF", "127.0.0.1", &port]).await;
        let info = replica.command(&["INFO", "replication"]).await;
        told.is_ok() && info.is_ok_and(|info| info.into_text().contains("master_link_status:up"))
    })
    .await
}

async fn wait(what: &str, condition: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !condition().await {
        if Instant::now() > deadline {
            bail!("waited {LIMIT:?} in vain for {what}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn start_sentinel(master: u16) -> anyhow::Result<Sentinel> {
    let directory = tempfile::tempdir()?;
    let port = free_port()?;
    let file = directory.path().join("sentinel.conf");
    let settings = format!(
        "port {port}\nbind 127.0.0.1\ndir {}\n\
         sentinel monitor main 127.0.0.1 {master} 1\n\
         sentinel down-after-milliseconds main {PATIENT}\n\
         sentinel failover-timeout main 2000\n",
        directory.path().display(),
    );
    std::fs::write(&file, settings)?;
    let binary = RedisServer::find_binary().context("no redis-server found")?;
    let child = Command::new(binary)
        .arg(&file)
        .arg("--sentinel")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the Sentinel")?;
    Ok(Sentinel {
        port,
        child,
        _directory: directory,
    })
}

/// The strings of a reply, lists and all.
fn texts(reply: Reply) -> String {
    match reply {
        Reply::List(items) => {
            let items: Vec<_> = items.into_iter().map(texts).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.into_text(),
    }
}
