//! Everything that takes part in one part of the storm, and its events.

use std::{
    sync::{Arc, Mutex, atomic::AtomicUsize},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{sync::watch, task::JoinSet};

use super::{
    Config,
    client::{Shared, work},
    faults::{Event, plan},
    report::Part,
};
use crate::chaos::{
    door::Door,
    fleet::{Fleet, INSTANCES, Signal},
};
use mcp_test_support::{Api, Issuer, RedisServer, free_port, lock};

const CLIENTS: usize = 20;
/// Less than a command may take, and more than the circuit needs to open.
const BRIEFLY: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(3);
/// Between two resets of the connections to the API, which end what hangs there.
const API_RESETS: Duration = Duration::from_secs(3);

/// What instances do while Redis is away: the setting `WRITES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Without {
    Refuse,
    PerInstance,
}

impl Without {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::PerInstance => "per-instance",
        }
    }
}

struct World {
    fleet: Fleet,
    redis: RedisServer,
    begun: Instant,
    verbose: bool,
}

/// Lets clients write so many writes while everything fails, and says what came of them.
pub(super) async fn storm(
    config: &Config,
    without: Without,
    writes: usize,
) -> anyhow::Result<Part> {
    let (mut world, shared, api_door) = start(config, without, writes).await?;
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(work(client, Arc::clone(&shared)));
    }
    let resets = tokio::spawn(async move {
        loop {
            tokio::time::sleep(API_RESETS).await;
            api_door.reset();
        }
    });
    let events = plan(config.seed, without, writes);
    let mut over = shared.over.subscribe();
    for (number, (event, instance)) in events.iter().enumerate() {
        // Spread over the writes, the last one included.
        let due = writes * (number + 1) / (events.len() + 2);
        over.wait_for(|over| *over >= due).await?;
        world.say(without, &format!("{due} writes; {event:?}, {instance}"));
        world.perform(*event, *instance).await?;
    }
    while let Some(ended) = clients.join_next().await {
        ended.context("a client panicked")?;
    }
    world.say(without, "all writes are over");
    let panics = world.fleet.panics();
    if !panics.is_empty() {
        bail!("an instance panicked: {panics:?}");
    }
    // What is still under way is finished or given up before it is counted.
    world.fleet.stop().await;
    resets.abort();
    let fates = std::mem::take(&mut *lock(&shared.fates));
    let performed = shared.api.performed().take();
    Ok(Part::new(without.name(), &fates, &performed, events.len()))
}

async fn start(
    config: &Config,
    without: Without,
    writes: usize,
) -> anyhow::Result<(World, Arc<Shared>, Door)> {
    let public_url = format!("http://127.0.0.1:{}", free_port()?);
    let resource = format!("{public_url}/mcp");
    let issuer = Issuer::start().await.context("cannot start the issuer")?;
    issuer.set_audience([resource.as_str()]);
    let api = Api::start().await.context("cannot start the API")?;
    let api_url = url::Url::parse(&api.url())?;
    let port = api_url.port().context("the API has a port")?;
    let api_door = Door::open(([127, 0, 0, 1], port).into()).await?;
    let redis = RedisServer::start_durable().await?;
    let fleet = Fleet::start(&config.server, |command| {
        command
            .env("MCP_HOST", &public_url)
            .env("OAUTH_ISSUER", issuer.url())
            .env("UPSTREAM_AUDIENCE", &resource)
            .env("BRAINGRID_API_URL", api_door.url())
            .env("REDIS_URL", redis.url())
            .env("WRITES", without.name())
    })
    .await?;
    let shared = Arc::new(Shared {
        seed: config.seed,
        without,
        writes,
        next: AtomicUsize::new(0),
        over: watch::Sender::new(0),
        instances: fleet.clients(),
        issuer,
        api,
        fates: Mutex::default(),
    });
    let world = World {
        fleet,
        redis,
        begun: Instant::now(),
        verbose: config.verbose,
    };
    Ok((world, shared, api_door))
}

impl World {
    async fn perform(&mut self, event: Event, instance: usize) -> anyhow::Result<()> {
        match event {
            Event::InstanceKilled => self.fleet.restart(instance, Signal::Kill).await?,
            Event::InstanceKilledWhileRedisHangs => {
                self.redis.pause()?;
                let restarted = self.fleet.restart(instance, Signal::Kill).await;
                self.redis.resume()?;
                restarted?;
            }
            Event::ClientsReset => {
                (0..INSTANCES).for_each(|number| self.fleet.reset_connections(number));
            }
            Event::RedisHangsBriefly => self.hang(BRIEFLY).await?,
            Event::RedisHangs => self.hang(LONG).await?,
            Event::RedisConnectionsReset => {
                for _ in 0..5 {
                    let kill = ["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"];
                    self.redis.command(&kill).await?;
                    tokio::time::sleep(BRIEFLY).await;
                }
            }
            Event::RedisKilled => {
                self.redis.kill();
                tokio::time::sleep(LONG / 3).await;
                self.redis.restart().await?;
            }
        }
        Ok(())
    }

    async fn hang(&self, lasts: Duration) -> anyhow::Result<()> {
        self.redis.pause()?;
        tokio::time::sleep(lasts).await;
        Ok(self.redis.resume()?)
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress, for whoever waits for the report"
    )]
    fn say(&self, without: Without, what: &str) {
        if self.verbose {
            let seconds = self.begun.elapsed().as_secs_f64();
            eprintln!("{:>12} {seconds:5.1} s  {what}", without.name());
        }
    }
}
