//! A stdio client that sends and reads single lines, so that a test sees every byte of them.

use std::{process::ExitStatus, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin},
};

use super::Generation;
use crate::{
    journal::Journal,
    process::{Captured, ServerCommand, Source, capture, signal},
};

/// A server started over stdio; killed on drop.
#[derive(Debug)]
pub struct RawStdio {
    child: Child,
    input: Option<ChildStdin>,
    output: Arc<Journal<Captured>>,
    next_id: u64,
}

impl RawStdio {
    /// Starts the server.
    pub fn start(command: &ServerCommand) -> anyhow::Result<Self> {
        let mut child = command
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let output = Arc::new(Journal::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        stdout.map(|pipe| capture(pipe, Source::Stdout, Arc::clone(&output)));
        stderr.map(|pipe| capture(pipe, Source::Stderr, Arc::clone(&output)));
        let input = child.stdin.take();
        Ok(Self {
            child,
            input,
            output,
            next_id: 1,
        })
    }

    /// Sends one line as it is.
    pub async fn send_line(&mut self, line: &str) -> anyhow::Result<()> {
        let input = self.input.as_mut().context("standard input is closed")?;
        input.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(input.flush().await?)
    }

    /// Sends a request and gives its answer (result or error), whole.
    pub async fn request(
        &mut self,
        generation: Generation,
        method: &str,
        params: Value,
    ) -> anyhow::Result<Value> {
        let id = self.next_id;
        self.next_id += 1;
        self.send_line(&generation.message(id, method, params).to_string())
            .await?;
        self.answer(id, Duration::from_secs(20)).await
    }

    /// The handshake of a 2025-11-25 client; gives the answer to `initialize`.
    pub async fn initialize(&mut self) -> anyhow::Result<Value> {
        let answer = self.request(
            Generation::Legacy,
            "initialize",
            json!({
                "protocolVersion": Generation::Legacy.version(),
                "capabilities": {},
                "clientInfo": super::client_info(),
            }),
        );
        let answer = answer.await?;
        self.send_line(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await?;
        Ok(answer)
    }

    /// Waits for the answer to the request with this id.
    pub async fn answer(&self, id: u64, limit: Duration) -> anyhow::Result<Value> {
        let answers = |line: &Captured| {
            let message: Value = serde_json::from_str(&line.text).ok()?;
            let fits = line.source == Source::Stdout && message.get("id")? == id;
            fits.then_some(message)
        };
        self.output
            .wait_until(|lines| lines.iter().any(|it| answers(it).is_some()), limit)
            .await;
        match self.output.entries().iter().find_map(answers) {
            Some(answer) => Ok(answer),
            None => bail!(
                "no answer to request {id} after {limit:?}: {:?}",
                self.output.entries()
            ),
        }
    }

    /// Everything written so far to standard output and standard error.
    #[must_use]
    pub fn output(&self) -> &Journal<Captured> {
        &self.output
    }

    /// Closes standard input and waits for the process to end.
    pub async fn close(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        self.end_input();
        self.wait(limit).await
    }

    /// Closes standard input.
    pub fn end_input(&mut self) {
        drop(self.input.take());
    }

    /// SIGTERM: asks it to finish.
    pub fn terminate(&self) -> std::io::Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// SIGINT, as a terminal sends it and some clients do.
    pub fn interrupt(&self) -> std::io::Result<()> {
        self.signal(Signal::SIGINT)
    }

    fn signal(&self, sent: Signal) -> std::io::Result<()> {
        let pid = self.child.id().ok_or(std::io::ErrorKind::NotFound)?;
        signal(pid, sent)
    }

    /// Waits for its end.
    pub async fn wait(&mut self, limit: Duration) -> anyhow::Result<ExitStatus> {
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(_) => bail!("the server still runs after {limit:?}"),
        }
    }
}
