//! A real Redis (or Valkey) server as a child process: without persistence unless that is asked for,
//! on a free port, with the ways it can go away, and with a look at everything it holds.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::{
    process::{free_port, signal},
    resp::{Reply, Resp},
};

const START_LIMIT: Duration = Duration::from_secs(10);

/// A running server; killed on drop.
#[derive(Debug)]
pub struct RedisServer {
    binary: PathBuf,
    port: u16,
    directory: tempfile::TempDir,
    keeps: Keeps,
    child: Child,
}

/// What is left after it was killed.
#[derive(Clone, Copy, Debug)]
enum Keeps {
    Nothing,
    /// `appendfsync always`.
    WhatItAcknowledged,
}

impl RedisServer {
    /// The server's binary: `REDIS_SERVER_BIN`, else `redis-server` or `valkey-server` in `PATH`.
    #[must_use]
    pub fn find_binary() -> Option<PathBuf> {
        #[expect(
            clippy::disallowed_methods,
            reason = "no configuration: which binary a test uses"
        )]
        let (named, path) = (
            std::env::var_os("REDIS_SERVER_BIN"),
            std::env::var_os("PATH"),
        );
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            return Some(PathBuf::from(named));
        }
        let path = path?;
        let candidates = ["redis-server", "valkey-server"];
        let mut files = std::env::split_paths(&path)
            .flat_map(|directory| candidates.map(|name| directory.join(name)));
        files.find(|file| file.is_file())
    }

    /// Starts the server that [`RedisServer::find_binary`] finds.
    pub async fn start() -> anyhow::Result<Self> {
        let binary = Self::find_binary().context(
            "no redis-server found: install it (Debian: apt-get install redis-server), or put \
             valkey-server into PATH, or name one in REDIS_SERVER_BIN",
        )?;
        Self::start_binary(&binary).await
    }

    /// The same, with a file to which it appends what it is about to acknowledge: a restart loses
    /// nothing of that.
    pub async fn start_durable() -> anyhow::Result<Self> {
        let binary = Self::find_binary().context("no redis-server found")?;
        Self::start_keeping(&binary, Keeps::WhatItAcknowledged).await
    }

    /// Starts this binary.
    pub async fn start_binary(binary: &Path) -> anyhow::Result<Self> {
        Self::start_keeping(binary, Keeps::Nothing).await
    }

    async fn start_keeping(binary: &Path, keeps: Keeps) -> anyhow::Result<Self> {
        // Another process may take the free port first; then the child ends and we try another.
        for _ in 0..5 {
            let port = free_port()?;
            let directory = tempfile::tempdir()?;
            let child = launch(binary, port, directory.path(), keeps)?;
            let mut server = Self {
                binary: binary.to_owned(),
                port,
                directory,
                keeps,
                child,
            };
            if server.wait_ready().await? {
                return Ok(server);
            }
        }
        bail!("{} does not start", binary.display())
    }

    /// `redis://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The port it listens on, also while it is down.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: connections break, new ones are refused; the data is gone, unless it is kept.
    pub fn kill(&mut self) {
        // It may have ended before; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self) -> io::Result<()> {
        signal(self.child.id(), Signal::SIGSTOP)
    }

    /// SIGCONT after [`RedisServer::pause`].
    pub fn resume(&self) -> io::Result<()> {
        signal(self.child.id(), Signal::SIGCONT)
    }

    /// Kills it if it runs, and starts it on the same port: empty, or with what it kept.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            self.child = launch(&self.binary, self.port, self.directory.path(), self.keeps)?;
            if self.wait_ready().await? {
                return Ok(());
            }
        }
        bail!("redis did not come back on port {}", self.port)
    }

    /// Calls per command since the start or [`RedisServer::reset_stats`]. Left out are the commands of
    /// this look itself (`info`, `config|resetstat`, `scan`), and those with which a connection begins
    /// (`hello`, `client|setinfo`, `subscribe`): it may be made at any time.
    pub async fn commandstats(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let info = self.command(&["INFO", "commandstats"]).await?.into_text();
        let calls = info.lines().filter_map(|line| {
            let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = fields
                .split(',')
                .find_map(|field| field.strip_prefix("calls="))?;
            Some((name.to_owned(), calls.parse().ok()?))
        });
        let ours = [
            "info",
            "config|resetstat",
            "scan",
            "hello",
            "client|setinfo",
            "subscribe",
        ];
        Ok(calls
            .filter(|(name, _)| !ours.contains(&name.as_str()))
            .collect())
    }

    /// Sets all of [`RedisServer::commandstats`] to nothing.
    pub async fn reset_stats(&self) -> anyhow::Result<()> {
        self.command(&["CONFIG", "RESETSTAT"]).await.map(drop)
    }

    /// Everything it holds: keys and values (`DUMP` of what is no string).
    pub async fn keys_and_values(&self) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
        let mut connection = Resp::connect(self.port).await?;
        let mut cursor = b"0".to_vec();
        let mut found = BTreeMap::new();
        loop {
            let reply = connection
                .command(&[b"SCAN", &cursor, b"COUNT", b"1000"])
                .await?;
            let mut parts = reply.into_list().into_iter();
            cursor = parts
                .next()
                .and_then(Reply::into_bytes)
                .context("SCAN without a cursor")?;
            for key in parts.next().map(Reply::into_list).unwrap_or_default() {
                let key = key.into_bytes().context("a key is a string")?;
                let value = match connection.command(&[b"GET", &key]).await? {
                    Reply::Error(_) => connection.command(&[b"DUMP", &key]).await?,
                    value => value,
                };
                // It may have expired in between.
                if let Some(value) = value.into_bytes() {
                    found.insert(String::from_utf8_lossy(&key).into_owned(), value);
                }
            }
            if cursor == b"0" {
                return Ok(found.into_iter().collect());
            }
        }
    }

    /// Overwrites a key, for example with a record that does not open.
    pub async fn set(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        let mut connection = Resp::connect(self.port).await?;
        connection
            .command(&[b"SET", key.as_bytes(), value, b"KEEPTTL"])
            .await
            .map(drop)?;
        Ok(())
    }

    /// Seconds a key has left to live; negative if it has no end or does not exist.
    pub async fn ttl(&self, key: &str) -> anyhow::Result<i64> {
        match self.command(&["TTL", key]).await? {
            Reply::Integer(seconds) => Ok(seconds),
            other => bail!("TTL answered {other:?}"),
        }
    }

    /// Deletes everything.
    pub async fn flush(&self) -> anyhow::Result<()> {
        self.command(&["FLUSHALL"]).await.map(drop)
    }

    /// One command, with text as its arguments.
    pub async fn command(&self, arguments: &[&str]) -> anyhow::Result<Reply> {
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| argument.as_bytes())
            .collect();
        Ok(Resp::connect(self.port).await?.command(&arguments).await?)
    }

    /// Waits for `PONG`; `false` when the process ended instead, as it does when its port is taken.
    async fn wait_ready(&mut self) -> anyhow::Result<bool> {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(false);
            }
            if let Ok(Reply::Bytes(_)) = ping(self.port).await {
                // The statistics are for what the server under test does.
                self.reset_stats().await?;
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!(
            "redis on port {} is not ready after {START_LIMIT:?}",
            self.port
        )
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn ping(port: u16) -> io::Result<Reply> {
    Resp::connect(port).await?.command(&[b"PING"]).await
}

fn launch(binary: &Path, port: u16, directory: &Path, keeps: Keeps) -> anyhow::Result<Child> {
    let appends = match keeps {
        Keeps::Nothing => "no",
        Keeps::WhatItAcknowledged => "yes",
    };
    Command::new(binary)
        .args(["--bind", "127.0.0.1", "--port", &port.to_string()])
        .args([
            "--save",
            "",
            "--appendonly",
            appends,
            "--appendfsync",
            "always",
            "--daemonize",
            "no",
            "--dir",
        ])
        .arg(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", binary.display()))
}
