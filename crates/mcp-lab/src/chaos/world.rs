//! Everything that takes part, and what is asked of it outside the events.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::{
    Config, Mode,
    call::{Callers, number_of, owners, work},
    client::{self, Clients},
    door::Door,
    fleet::{Fleet, INSTANCES},
    identity::Identity,
    record::{Recorder, count},
    redis::RedisPair,
    tenant::{Login, Tenant},
};
use mcp_test_support::{Api, ExchangeClient, Issuer, client::Generation, payload_of, random_hex};

/// What the issuer calls the API, and the client that may exchange tokens.
pub(super) const API: &str = "https://api.chaos.example";
const CLIENT: &str = "chaos";
/// Between events: the fleet gets back on its feet.
const CALM: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

pub(super) struct World {
    pub(super) callers: Arc<Callers>,
    pub(super) tenants: Vec<Arc<Tenant>>,
    pub(super) fleet: Fleet,
    pub(super) redis: RedisPair,
    /// The tenants, where they are clients of the server's own authorization server.
    pub(super) clients: Option<Clients>,
    pub(super) issuer_keys_changed: Option<Instant>,
    api: Api,
    /// What the instances are configured with.
    _settings: TempDir,
    workers: JoinSet<()>,
    verbose: bool,
}

impl World {
    /// Starts everything, and the tenants' work.
    pub(super) async fn start(config: &Config, recorder: Arc<Recorder>) -> anyhow::Result<Self> {
        // What the public URL leads to is needed for logins alone.
        let entrance = TcpListener::bind(("127.0.0.1", 0)).await?;
        let public_url = format!("http://{}", entrance.local_addr()?);
        let resource = format!("{public_url}/mcp");
        let settings = tempfile::tempdir()?;
        let (identity, file) = match config.mode {
            Mode::Exchanged => issuer(&settings, &resource).await?,
            Mode::Granted => client::provider(&settings, &public_url).await?,
        };
        let api = Api::start().await.context("cannot start the API")?;
        let redis = RedisPair::start().await?;
        let fleet = Fleet::start(&config.server, |command| {
            command
                .env("MCP_HOST", &public_url)
                .arg("--config")
                .arg(&file)
                .env("BRAINGRID_API_URL", api.url())
                .env("REDIS_URL", redis.url())
        })
        .await?;
        let login = Login::new(identity);
        let _entrance = Door::before(entrance, fleet.addresses())?;
        let (clients, tenants) = match &login.identity {
            Identity::Issuer(_) => {
                let tenants =
                    (0..config.mode.tenants()).filter_map(|number| Tenant::new(number, &login));
                (None, tenants.map(Arc::new).collect())
            }
            Identity::Provider(provider) => {
                let provider = provider.clone();
                let urls = fleet.urls();
                let recorder = Arc::clone(&recorder);
                let tenants = config.mode.tenants();
                let logged_in = Clients::log_in(provider, tenants, &resource, &urls, recorder);
                let (clients, tenants) = logged_in.await?;
                (Some(clients), tenants)
            }
        };
        let callers = Arc::new(Callers {
            instances: fleet.clients(),
            cuts: fleet.cuts(),
            login,
            recorder,
            turn: AtomicUsize::new(0),
            at_work: watch::Sender::new(true),
            under_way: watch::Sender::new(0),
            over: AtomicBool::new(false),
        });
        let mut world = Self {
            tenants,
            callers,
            fleet,
            redis,
            clients,
            issuer_keys_changed: None,
            api,
            _settings: settings,
            workers: JoinSet::new(),
            verbose: config.verbose,
        };
        for tenant in &world.tenants {
            world
                .workers
                .spawn(work(Arc::clone(tenant), Arc::clone(&world.callers)));
        }
        Ok(world)
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress, for whoever waits for the report"
    )]
    pub(super) fn say(&self, what: &str) {
        if self.verbose {
            eprintln!("{what}");
        }
    }

    /// Nothing special for a moment.
    pub(super) async fn calm(&mut self) -> anyhow::Result<()> {
        tokio::time::sleep(CALM).await;
        self.look_at_the_api();
        let panics = self.fleet.panics();
        if !panics.is_empty() {
            bail!("an instance panicked: {panics:?}");
        }
        Ok(())
    }

    /// Whoever the API was asked for: token, organization and content belong to one tenant, and the
    /// token is none that a client has.
    fn look_at_the_api(&self) {
        let recorder = &self.callers.recorder;
        for asked in self.api.requests().take() {
            let Some(subject) = &asked.subject else {
                recorder.complain(&format!("the API was asked without a token: {asked:?}"));
                continue;
            };
            let owner = number_of(subject);
            let audience = asked.token().and_then(payload_of);
            if audience.is_none_or(|claims| claims.get("aud") != Some(&API.into())) {
                count(&recorder.phase().misplaced);
                recorder.complain(&format!("a token that is not for the API: {asked:?}"));
            }
            let body = asked
                .body
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let named = asked.organization.as_deref().map_or(owner, number_of);
            if named != owner || owners(&body).any(|of| of != owner) {
                count(&recorder.phase().misplaced);
                recorder.complain(&format!("a request of somebody else: {asked:?}"));
            }
        }
        // Nobody asks for these.
        self.api.writes().clear();
        self.api.performed().clear();
    }

    /// Stops the tenants' work and waits until no call is under way.
    pub(super) async fn rest(&self) {
        self.callers.at_work.send_replace(false);
        let mut calls = self.callers.under_way.subscribe();
        // The sender lives in `self`: this ends with the last call.
        let _ = calls.wait_for(|calls| *calls == 0).await;
    }

    pub(super) fn go_on(&self) {
        self.callers.at_work.send_replace(true);
    }

    /// Lets every tenant call every instance with a token that nobody has seen, until all those
    /// sessions are in Redis.
    pub(super) async fn log_in_everywhere(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            let before = self.written().await?;
            self.tenants
                .iter()
                .for_each(|tenant| tenant.log_in(&self.callers.login));
            self.call_everywhere().await;
            if self.written().await?.difference(&before).count() >= self.tenants.len() {
                return Ok(());
            }
        }
        bail!("sessions are not written to Redis")
    }

    /// The sessions in Redis, when no more are written.
    async fn written(&self) -> anyhow::Result<HashSet<String>> {
        let mut before = self.redis.sessions().await?;
        loop {
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = self.redis.sessions().await?;
            if now == before {
                return Ok(now);
            }
            before = now;
        }
    }

    /// Every tenant calls every instance, in both generations.
    async fn call_everywhere(&self) {
        for tenant in &self.tenants {
            for (instance, generation) in each_instance() {
                // Reads, which are decided by this number.
                self.callers.call_on(instance, tenant, generation, 5).await;
            }
        }
    }

    /// Redis commands per call that finds its session in memory.
    pub(super) async fn commands_of_warm_calls(&self) -> anyhow::Result<(u64, u64)> {
        self.log_in_everywhere().await?;
        let calls = u64::try_from(self.tenants.len() * each_instance().count())?;
        self.redis.master().reset_stats().await?;
        self.call_everywhere().await;
        Ok((calls, self.redis.session_commands().await?))
    }

    /// Stops everything.
    pub(super) async fn stop(mut self) {
        self.callers.over.store(true, Ordering::Relaxed);
        self.go_on();
        while self.workers.join_next().await.is_some() {}
        if let Some(clients) = self.clients.take() {
            clients.stop().await;
        }
        self.fleet.stop().await;
    }
}

/// The issuer gives tokens for the API; those of clients are for this server.
async fn issuer(folder: &TempDir, resource: &str) -> anyhow::Result<(Identity, PathBuf)> {
    let issuer = Issuer::start().await.context("cannot start the issuer")?;
    issuer.set_audience([resource]);
    let secret = random_hex(16);
    issuer.let_exchange(CLIENT, ExchangeClient::Basic(secret.clone()));
    let file = folder.path().join("settings.toml");
    let text = format!(
        "[[issuers]]\nissuer = \"{}\"\n\n[issuers.upstream]\nmode = \"exchange\"\n\
         audience = \"{API}\"\nclient_id = \"{CLIENT}\"\nclient_secret = \"{secret}\"\n",
        issuer.url()
    );
    std::fs::write(&file, text)?;
    Ok((Identity::Issuer(issuer), file))
}

fn each_instance() -> impl Iterator<Item = (usize, Generation)> {
    (0..INSTANCES).flat_map(|instance| Generation::BOTH.map(|generation| (instance, generation)))
}
