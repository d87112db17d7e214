//! The instances, and how they are replaced.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};

use super::door::Door;
use mcp_test_support::{ServerCommand, ServerProcess, client::RawHttp, free_port, random_hex};

/// How many instances there are.
pub(crate) const INSTANCES: usize = 3;

const START_LIMIT: Duration = Duration::from_secs(20);
/// How long an instance has to be ready before the next one is replaced. Without it, a call that
/// met the end of one instance could meet that of the next when it is repeated.
const READY: Duration = Duration::from_millis(500);
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// Three instances that share a public URL and everything behind it.
pub(crate) struct Fleet {
    instances: Vec<Instance>,
    keys: Keys,
    cuts: Arc<Cuts>,
}

/// How often the calls under way on each instance were cut off, by a kill or a reset.
#[derive(Default)]
pub(crate) struct Cuts([AtomicU64; INSTANCES]);

impl Cuts {
    pub(crate) fn of(&self, instance: usize) -> u64 {
        self.0[instance].load(Ordering::SeqCst)
    }

    fn add(&self, instance: usize) {
        self.0[instance].fetch_add(1, Ordering::SeqCst);
    }
}

struct Instance {
    port: u16,
    command: ServerCommand,
    process: ServerProcess,
    door: Door,
}

/// The encryption keys of the next instance that starts.
struct Keys {
    current: String,
    previous: Vec<String>,
}

/// How an instance is stopped.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    Term,
    Kill,
}

impl Fleet {
    /// Starts all; `settings` adds what they share.
    pub(crate) async fn start(
        server: &Path,
        settings: impl Fn(ServerCommand) -> ServerCommand,
    ) -> anyhow::Result<Self> {
        let keys = Keys {
            current: random_hex(32),
            previous: Vec::new(),
        };
        let mut instances = Vec::new();
        for _ in 0..INSTANCES {
            let port = free_port()?;
            let command = ServerCommand::http(server, port)
                .own_process_group()
                .env("LOG_LEVEL", "info");
            // Few users stand for many here, and come as fast as they can.
            let command = ["TENANT", "USER", "WRITES", "EXPENSIVE", "ADDRESS"]
                .iter()
                .fold(command, |command, of| {
                    command.env(&format!("LIMIT_{of}"), "off")
                });
            let command = settings(command);
            let process = spawn(&keys.given_to(&command)).await?;
            let door = Door::open(([127, 0, 0, 1], port).into()).await?;
            instances.push(Instance {
                port,
                command,
                process,
                door,
            });
        }
        let cuts = Arc::default();
        Ok(Self {
            instances,
            keys,
            cuts,
        })
    }

    /// A client of each instance.
    pub(crate) fn clients(&self) -> Vec<RawHttp> {
        let clients = self.instances.iter();
        clients
            .map(|instance| RawHttp::new(instance.door.mcp_url()))
            .collect()
    }

    /// The addresses of all, past their doors.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        let ports = self.instances.iter().map(|instance| instance.port);
        ports.map(|port| ([127, 0, 0, 1], port).into()).collect()
    }

    /// The URLs of all.
    pub(crate) fn urls(&self) -> Vec<String> {
        let doors = self.instances.iter().map(|instance| &instance.door);
        doors.map(Door::url).collect()
    }

    pub(crate) fn cuts(&self) -> Arc<Cuts> {
        Arc::clone(&self.cuts)
    }

    /// Stops one and starts it again, with the keys of now.
    pub(crate) async fn restart(&mut self, number: usize, signal: Signal) -> anyhow::Result<()> {
        let command = self.keys.given_to(&self.instances[number].command);
        let instance = &mut self.instances[number];
        match signal {
            Signal::Kill => {
                self.cuts.add(number);
                instance.process.kill().await?;
            }
            Signal::Term => {
                let status = instance.process.stop(STOP_LIMIT).await?;
                if !status.success() {
                    bail!(
                        "instance {number} ended with {status}:\n{}",
                        instance.process.text()
                    );
                }
            }
        }
        instance.process = spawn(&command).await?;
        Ok(())
    }

    /// Replaces one after the other.
    pub(crate) async fn roll(&mut self, signal: Signal) -> anyhow::Result<()> {
        for number in 0..INSTANCES {
            self.restart(number, signal).await?;
            tokio::time::sleep(READY).await;
        }
        Ok(())
    }

    /// A new encryption key, in two deploys: every instance can open what the next one seals
    /// before any instance seals with it. Old keys stay: clients that registered hold what they sealed.
    pub(crate) async fn rotate_encryption_key(&mut self) -> anyhow::Result<()> {
        let new = random_hex(32);
        self.keys.previous.push(new.clone());
        self.roll(Signal::Term).await?;
        self.keys.previous.pop();
        let old = std::mem::replace(&mut self.keys.current, new);
        self.keys.previous.push(old);
        self.roll(Signal::Term).await
    }

    pub(crate) fn reset_connections(&self, number: usize) {
        self.cuts.add(number);
        self.instances[number].door.reset();
    }

    /// The URL of one instance, past its door.
    pub(crate) fn direct(&self, number: usize) -> RawHttp {
        RawHttp::new(self.instances[number].process.mcp_url())
    }

    /// Panics in what the instances wrote since they were started.
    pub(crate) fn panics(&self) -> Vec<String> {
        let lines = self
            .instances
            .iter()
            .flat_map(|instance| instance.process.output().entries());
        lines
            .map(|line| line.text)
            .filter(|text| text.contains("panicked at"))
            .collect()
    }

    pub(crate) async fn stop(mut self) {
        for instance in &mut self.instances {
            // The report is made; whatever is left is killed on drop.
            let _ = instance.process.stop(STOP_LIMIT).await;
        }
    }
}

impl Keys {
    fn given_to(&self, command: &ServerCommand) -> ServerCommand {
        let command = command.clone().env("ENCRYPTION_KEY", &self.current);
        command.env("ENCRYPTION_KEYS_PREVIOUS", self.previous.join(","))
    }
}

/// Once more if it did not start: while an instance is away, the system may lend its port to a
/// connection.
async fn spawn(command: &ServerCommand) -> anyhow::Result<ServerProcess> {
    let mut last = None;
    for _ in 0..5 {
        let process = command.spawn()?;
        match process.wait_ready(START_LIMIT).await {
            Ok(()) => return Ok(process),
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let error = last.context("never tried")?;
    Err(error.context("an instance does not start"))
}
