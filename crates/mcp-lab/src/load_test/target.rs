//! What is measured: our server, the bare one, or any other, as processes or at a URL.

use std::{
    fs,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use super::{
    call::Endpoint,
    connection::Connection,
    machine::{ServerCore, processor_seconds, resident_mib},
};
use mcp_test_support::{ServerCommand, free_port, signal};

const START_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How to start one of the servers that are compared.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// In tables.
    pub(super) name: String,
    pub(super) program: Program,
    pub(super) environment: Vec<(String, String)>,
    pub(super) core: Option<ServerCore>,
    /// What starts it, such as valgrind with its options.
    pub(super) wrapper: Vec<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Program {
    /// A binary that listens on `PORT`.
    Binary(PathBuf),
    /// A line for the shell that does so.
    Line(String),
    /// Runs already.
    Url(String),
}

/// Instances of one server.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) endpoints: Vec<Endpoint>,
    processes: Vec<Process>,
}

struct Process {
    child: Child,
    id: u32,
    log: PathBuf,
    /// Holds the log.
    _directory: tempfile::TempDir,
}

impl Recipe {
    /// Starts so many instances and waits until each answers.
    pub(super) async fn start(&self, instances: usize) -> anyhow::Result<Target> {
        let mut target = Target {
            name: self.name.clone(),
            endpoints: Vec::new(),
            processes: Vec::new(),
        };
        if let Program::Url(url) = &self.program {
            target.endpoints.push(Endpoint::parse(url)?);
            return Ok(target);
        }
        for _ in 0..instances {
            let port = free_port()?;
            let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/mcp"))?;
            let mut process = self.spawn(port)?;
            process.wait_for(&endpoint).await?;
            target.processes.push(process);
            target.endpoints.push(endpoint);
        }
        Ok(target)
    }

    fn spawn(&self, port: u16) -> anyhow::Result<Process> {
        let mut words: Vec<std::ffi::OsString> = Vec::new();
        if let Some(ServerCore(core)) = self.core {
            words.extend(["taskset", "-c", &core.to_string()].map(Into::into));
        }
        words.extend(self.wrapper.iter().map(Into::into));
        match &self.program {
            Program::Binary(path) => words.push(path.into()),
            Program::Line(line) => {
                words.extend(["sh", "-c", &format!("exec {line}")].map(Into::into));
            }
            Program::Url(url) => bail!("{url} runs already"),
        }
        let mut words = words.into_iter();
        let program = words.next().context("a program")?;
        let command = words.fold(ServerCommand::http(program, port), ServerCommand::arg);
        let command = self
            .environment
            .iter()
            .fold(command, |command, (name, value)| command.env(name, value));
        // In memory where there is such a place: a disk would be part of the measurement.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
        let log = directory.path().join("log");
        let output = fs::File::options().create(true).append(true).open(&log)?;
        let mut command: Command = command.own_process_group().command();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.name))?;
        let id = child.id().context("the child has no process id")?;
        Ok(Process {
            child,
            id,
            log,
            _directory: directory,
        })
    }
}

impl Process {
    /// Waits until `/health` gets any HTTP answer. It asks without a pause, for a start is
    /// measured with it.
    async fn wait_for(&mut self, endpoint: &Endpoint) -> anyhow::Result<()> {
        let mut connection = Connection::new(endpoint.clone());
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if connection.call(endpoint.get("/health")).await.is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}: {}", self.written());
            }
            tokio::task::yield_now().await;
        }
        bail!(
            "it does not answer after {START_LIMIT:?}: {}",
            self.written()
        )
    }

    fn written(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Target {
    /// Processor time of all instances so far.
    pub(super) fn processor_seconds(&self) -> Option<f64> {
        let each = self
            .processes
            .iter()
            .map(|process| processor_seconds(process.id));
        each.collect::<Option<Vec<_>>>()
            .filter(|all| !all.is_empty())
            .map(|all| all.iter().sum())
    }

    /// Resident memory of the largest instance.
    pub(super) fn resident_mib(&self) -> Option<f64> {
        let each = self
            .processes
            .iter()
            .filter_map(|process| resident_mib(process.id));
        each.reduce(f64::max)
    }

    /// What the instances wrote since the last look; it is forgotten.
    pub(super) fn take_log(&self) -> String {
        let taken = self.processes.iter().map(|process| {
            let text = process.written();
            // It is appended to: the next line goes to the new end.
            let emptied = fs::File::options().write(true).open(&process.log);
            let _ = emptied.and_then(|file| file.set_len(0));
            text
        });
        taken.collect()
    }

    /// Asks all instances to end, and waits.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            signal(process.id, Signal::SIGTERM)?;
        }
        for process in &mut self.processes {
            let ended = tokio::time::timeout(STOP_LIMIT, process.child.wait()).await;
            if ended.is_err() {
                bail!(
                    "{} still runs {STOP_LIMIT:?} after it was asked to end",
                    self.name
                );
            }
        }
        Ok(())
    }
}
