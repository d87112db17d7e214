//! Six nodes of Redis: three masters that share the slots, and a replica of each.

use std::{
    collections::BTreeMap,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use mcp_test_support::{
    RedisServer, free_port,
    resp::{Reply, Resp},
};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_mins(1);
/// How long a node is silent before the others take it for dead, in milliseconds.
const PATIENCE: &str = "2000";
const SLOTS: [[&str; 2]; 3] = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]];

/// All of it; killed on drop.
pub(super) struct Cluster {
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    /// Chosen too: by default it is 10,000 above, which may be no port at all.
    bus: u16,
    child: Child,
    /// Holds what the cluster writes down about itself.
    _directory: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Cluster {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let nodes = (0..2 * SLOTS.len()).map(|_| Node::start());
        let cluster = Self {
            nodes: nodes.collect::<Result<_, _>>()?,
        };
        let (masters, replicas) = cluster.nodes.split_at(SLOTS.len());
        let first = masters.first().context("there are masters")?;
        let (port, bus) = (first.port.to_string(), first.bus.to_string());
        for node in &cluster.nodes {
            wait("a node to answer", async || {
                node.ask(&["PING"]).await.is_ok()
            })
            .await?;
            node.ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus])
                .await?;
        }
        for (master, [from, to]) in masters.iter().zip(SLOTS) {
            master.ask(&["CLUSTER", "ADDSLOTSRANGE", from, to]).await?;
        }
        for (master, replica) in masters.iter().zip(replicas) {
            let id = master.ask(&["CLUSTER", "MYID"]).await?.into_text();
            wait("a replica to know its master", async || {
                replica.ask(&["CLUSTER", "REPLICATE", &id]).await.is_ok()
            })
            .await?;
        }
        cluster.wait_complete().await?;
        Ok(cluster)
    }

    /// The address for `REDIS_URL`.
    pub(super) fn url(&self) -> String {
        let nodes = self
            .nodes
            .iter()
            .map(|node| format!("127.0.0.1:{}", node.port));
        format!("redis+cluster://{}", nodes.collect::<Vec<_>>().join(","))
    }

    /// Waits until every replica has what its master has.
    pub(super) async fn wait_replicated(&self) -> anyhow::Result<()> {
        for master in self.masters().await {
            // Writes of an instance are off its calls' path: one after the other, not at once.
            master.ask(&["WAIT", "1", "10000"]).await?;
        }
        Ok(())
    }

    /// Kills a master, and waits until its replica has its place.
    pub(super) async fn kill_a_master(&mut self) -> anyhow::Result<()> {
        drop(self.nodes.remove(0));
        let heir = self.nodes.get(SLOTS.len() - 1).context("a replica")?;
        wait("the replica to take over", async || heir.is_master().await).await?;
        self.wait_complete().await
    }

    /// All masters lose all they have; replicas follow.
    pub(super) async fn empty(&self) -> anyhow::Result<()> {
        for master in self.masters().await {
            master.ask(&["FLUSHALL"]).await?;
        }
        Ok(())
    }

    /// How many keys there are whose names begin so.
    pub(super) async fn keys(&self, prefix: &str) -> anyhow::Result<usize> {
        let (mut count, pattern) = (0, format!("{prefix}*"));
        for master in self.masters().await {
            let mut cursor = "0".to_owned();
            loop {
                let scan = ["SCAN", &cursor, "MATCH", &pattern, "COUNT", "10000"];
                let mut reply = master.ask(&scan).await?.into_list().into_iter();
                cursor = reply.next().context("SCAN without a cursor")?.into_text();
                count += reply.next().map_or(0, |keys| keys.into_list().len());
                if cursor == "0" {
                    break;
                }
            }
        }
        Ok(count)
    }

    /// Of each node: whether it is a master, its keys, and the bytes that it uses.
    pub(super) async fn sizes(&self) -> anyhow::Result<Vec<(bool, usize, usize)>> {
        let mut sizes = Vec::new();
        for node in &self.nodes {
            let memory = node.ask(&["INFO", "memory"]).await?.into_text();
            let bytes = field(&memory, "used_memory:").context("a number of bytes")?;
            let Reply::Integer(keys) = node.ask(&["DBSIZE"]).await? else {
                bail!("DBSIZE is no number");
            };
            sizes.push((
                node.is_master().await,
                usize::try_from(keys)?,
                bytes.parse()?,
            ));
        }
        Ok(sizes)
    }

    /// Commands of masters since the last look, by name. Those with which connections begin, and are kept up, are
    /// left out, as are ours.
    pub(super) async fn commands(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut all = BTreeMap::new();
        for master in self.masters().await {
            let stats = master.ask(&["INFO", "commandstats"]).await?.into_text();
            master.ask(&["CONFIG", "RESETSTAT"]).await?;
            for line in stats.lines() {
                let Some((name, fields)) = line
                    .strip_prefix("cmdstat_")
                    .and_then(|line| line.split_once(':'))
                else {
                    continue;
                };
                let ours = ["get", "set", "del", "eval", "evalsha", "publish"];
                if ours.contains(&name) {
                    let calls = fields
                        .split(',')
                        .next()
                        .and_then(|it| it.strip_prefix("calls="));
                    *all.entry(name.to_owned()).or_default() +=
                        calls.context("a number of calls")?.parse::<u64>()?;
                }
            }
        }
        Ok(all)
    }

    async fn masters(&self) -> Vec<&Node> {
        let mut masters = Vec::new();
        for node in &self.nodes {
            if node.is_master().await {
                masters.push(node);
            }
        }
        masters
    }

    /// Every node says that all slots are served, and every replica follows.
    async fn wait_complete(&self) -> anyhow::Result<()> {
        let known = format!("cluster_known_nodes:{}", 2 * SLOTS.len());
        for node in &self.nodes {
            wait("the cluster to be complete", async || {
                let info = node.text(&["CLUSTER", "INFO"]).await;
                let role = node.text(&["INFO", "replication"]).await;
                let follows = role.contains("role:master") || role.contains("link_status:up");
                info.contains("cluster_state:ok") && info.contains(&known) && follows
            })
            .await?;
        }
        Ok(())
    }
}

impl Node {
    fn start() -> anyhow::Result<Self> {
        let (port, bus) = (free_port()?, free_port()?);
        let directory = tempfile::tempdir()?;
        let binary = RedisServer::find_binary().context("no redis-server found")?;
        let child = Command::new(binary)
            .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
            .args([
                "--cluster-enabled",
                "yes",
                "--cluster-port",
                &bus.to_string(),
            ])
            .args([
                "--cluster-node-timeout",
                PATIENCE,
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .args([
                "--repl-diskless-sync",
                "yes",
                "--repl-diskless-sync-delay",
                "0",
            ])
            .args([
                "--repl-diskless-load",
                "on-empty-db",
                "--maxmemory-policy",
                "noeviction",
            ])
            .arg("--dir")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start a node")?;
        Ok(Self {
            port,
            bus,
            child,
            _directory: directory,
        })
    }

    async fn ask(&self, command: &[&str]) -> anyhow::Result<Reply> {
        let words: Vec<_> = command.iter().map(|word| word.as_bytes()).collect();
        let reply = Resp::connect(self.port).await?.command(&words).await?;
        if let Reply::Error(error) = &reply {
            bail!("a node refused {command:?}: {error}");
        }
        Ok(reply)
    }

    async fn text(&self, command: &[&str]) -> String {
        let answer = self.ask(command).await;
        answer.map(Reply::into_text).unwrap_or_default()
    }

    async fn is_master(&self) -> bool {
        self.text(&["INFO", "replication"])
            .await
            .contains("role:master")
    }
}

fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name))
}

async fn wait(what: &str, condition: impl AsyncFn() -> bool) -> anyhow::Result<()> {
    let deadline = Instant::now() + LIMIT;
    while !condition().await {
        ensure!(
            Instant::now() < deadline,
            "waited {LIMIT:?} in vain for {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
