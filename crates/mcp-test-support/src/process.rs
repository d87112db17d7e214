//! The server under test as a child process: with a cleared environment, its output captured,
//! and the signals an operator would send.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    net::TcpListener,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::Instant,
};

use crate::journal::Journal;

/// A port that was free a moment ago, for a process that is told its port.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// How to start the server. Its environment holds `PATH`, `HOME` and what is set here.
#[derive(Clone, Debug)]
#[must_use]
pub struct ServerCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: BTreeMap<String, OsString>,
    port: Option<u16>,
    own_group: bool,
}

impl ServerCommand {
    /// The program without arguments.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        let mut environment = BTreeMap::new();
        for name in ["PATH", "HOME"] {
            #[expect(
                clippy::disallowed_methods,
                reason = "the two a child cannot do without"
            )]
            let value = std::env::var_os(name);
            environment.extend(value.map(|value| (name.to_owned(), value)));
        }
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment,
            port: None,
            own_group: false,
        }
    }

    /// The program as an HTTP server on this port of the loopback address, with JSON logs:
    /// `MCP_TRANSPORT`, `PORT`, `MCP_HOST` and `LOG_FORMAT` are set.
    pub fn http(program: impl Into<PathBuf>, port: u16) -> Self {
        let mut command = Self::new(program)
            .env("MCP_TRANSPORT", "http")
            .env("PORT", port.to_string())
            .env("MCP_HOST", format!("http://127.0.0.1:{port}"))
            .env("LOG_FORMAT", "json");
        command.port = Some(port);
        command
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Runs this shell text first, in the same process: for limits that a process has to give itself.
    pub fn after(mut self, script: &str) -> Self {
        let program = std::mem::replace(&mut self.program, "/bin/sh".into());
        let text = format!("{script} && exec \"$0\" \"$@\"");
        let shell = ["-c".into(), text.into(), program.into()];
        self.arguments.splice(0..0, shell);
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a variable away.
    pub fn without_env(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Keeps a Ctrl-C at the terminal from reaching it, so that whoever started it stops it.
    pub fn own_process_group(mut self) -> Self {
        self.own_group = true;
        self
    }

    /// The command for whoever wants to start it otherwise, for example as an stdio server.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .kill_on_drop(true);
        if self.own_group {
            command.process_group(0);
        }
        command
    }

    /// Starts it, without standard input.
    pub fn spawn(&self) -> anyhow::Result<ServerProcess> {
        let mut child = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let output = Arc::new(Journal::new());
        let readers = [
            child
                .stdout
                .take()
                .map(|pipe| capture(pipe, Source::Stdout, Arc::clone(&output))),
            child
                .stderr
                .take()
                .map(|pipe| capture(pipe, Source::Stderr, Arc::clone(&output))),
        ];
        let pid = child.id().context("the child has no process id")?;
        Ok(ServerProcess {
            child,
            pid,
            port: self.port,
            output,
            readers: readers.into_iter().flatten().collect(),
        })
    }
}

/// A line the process wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// Where to.
    pub source: Source,
    /// Without the line end.
    pub text: String,
}

/// Where a line was written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A running server; killed on drop.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    pid: u32,
    port: Option<u16>,
    output: Arc<Journal<Captured>>,
    readers: Vec<JoinHandle<()>>,
}

impl ServerProcess {
    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// `http://127.0.0.1:PORT`, for a command made with [`ServerCommand::http`].
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.unwrap_or_default())
    }

    /// The MCP endpoint.
    #[must_use]
    pub fn mcp_url(&self) -> String {
        format!("{}/mcp", self.base_url())
    }

    /// Waits until `/health` answers 200.
    ///
    /// # Errors
    ///
    /// When the process ends or the limit passes first; with what it wrote.
    pub async fn wait_ready(&self, limit: Duration) -> anyhow::Result<()> {
        let client = crate::http_client();
        let url = format!("{}/health", self.base_url());
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let asked = client
                .get(&url)
                .timeout(Duration::from_secs(1))
                .send()
                .await;
            if asked.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if self.readers.iter().all(JoinHandle::is_finished) {
                bail!("the server ended before it was ready:\n{}", self.text());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the server is not ready after {limit:?}:\n{}", self.text())
    }

    /// Everything it wrote so far, line by line; also what to wait on.
    #[must_use]
    pub fn output(&self) -> &Journal<Captured> {
        &self.output
    }

    /// The same, for whoever reads on while the process is waited for.
    #[must_use]
    pub fn shared_output(&self) -> Arc<Journal<Captured>> {
        Arc::clone(&self.output)
    }

    /// Everything it wrote so far, as one text.
    #[must_use]
    pub fn text(&self) -> String {
        let lines = self.output.entries().into_iter().map(|line| line.text);
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Waits until it wrote this, in one line; false once the limit passes first.
    pub async fn said(&self, text: &str, limit: Duration) -> bool {
        let says = |lines: &[Captured]| lines.iter().any(|line| line.text.contains(text));
        self.output.wait_until(says, limit).await
    }

    /// The access log so far: the JSON lines with target `access`, their fields at the top level.
    #[must_use]
    pub fn access_log(&self) -> Vec<Value> {
        self.output
            .entries()
            .iter()
            .filter_map(access_line)
            .collect()
    }

    /// Waits until there are `lines` access log lines, and gives them all; fewer when the limit
    /// passed first.
    pub async fn wait_access_log(&self, lines: usize, limit: Duration) -> Vec<Value> {
        let enough = |output: &[Captured]| output.iter().filter_map(access_line).count() >= lines;
        self.output.wait_until(enough, limit).await;
        self.access_log()
    }

    /// SIGTERM: asks it to finish.
    pub fn terminate(&self) -> io::Result<()> {
        signal(self.pid, Signal::SIGTERM)
    }

    /// SIGSTOP: it stops working, its sockets stay open.
    pub fn pause(&self) -> io::Result<()> {
        signal(self.pid, Signal::SIGSTOP)
    }

    /// SIGCONT after [`ServerProcess::pause`].
    pub fn resume(&self) -> io::Result<()> {
        signal(self.pid, Signal::SIGCONT)
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.kill().await
    }

    /// Waits for its end, and until all it wrote is captured.
    ///
    /// # Errors
    ///
    /// When the limit passes first; with what it wrote.
    pub async fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        let Ok(status) = tokio::time::timeout(limit, self.child.wait()).await else {
            bail!("the server still runs after {limit:?}:\n{}", self.text());
        };
        for reader in self.readers.drain(..) {
            let _ = reader.await;
        }
        Ok(status?)
    }

    /// SIGTERM, then [`ServerProcess::wait`].
    pub async fn stop(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.terminate()?;
        self.wait(limit).await
    }
}

/// Sends a signal to a child that has not been waited for, so its id is still its own.
pub fn signal(pid: u32, signal: Signal) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    nix::sys::signal::kill(Pid::from_raw(pid), signal).map_err(io::Error::from)
}

pub(crate) fn capture(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    source: Source,
    output: Arc<Journal<Captured>>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(text)) = lines.next_line().await {
            output.push(Captured { source, text });
        }
    })
}

/// The fields of an access log line, wherever the JSON layer put them.
fn access_line(line: &Captured) -> Option<Value> {
    let mut line: Value = serde_json::from_str(&line.text).ok()?;
    if line.get("target")?.as_str()? != "access" {
        return None;
    }
    if let Some(Value::Object(fields)) = line.get_mut("fields").map(Value::take) {
        line.as_object_mut()?.extend(fields);
    }
    Some(line)
}
