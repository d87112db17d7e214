//! Everything that takes part, and what happens to it.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use mcp_test_support::{
    Algorithm, Api, Issuer,
    client::{Generation, RawHttp},
    free_port, lock,
};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Config,
    nodes::Cluster,
    report::{Node, Report},
};
use crate::{
    chaos::fleet::{Fleet, INSTANCES, Signal},
    revocations::{
        callers::{Answered, Callers, work},
        operators::Operators,
    },
};

/// Clients that fill the cluster.
const FILLING: usize = 200;
const CALLERS: usize = 3;
/// Users whose tokens are kept, to call with them again.
const KNOWN: usize = 300;
const LIMIT: Duration = Duration::from_mins(1);

pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) cluster: Cluster,
    pub(super) operators: Operators,
    pub(super) callers: Arc<Callers>,
    pub(super) tokens: Tokens,
    pub(super) report: Report,
    api: Api,
    workers: JoinSet<()>,
    sessions: usize,
    begun: Instant,
    verbose: bool,
    /// The file of the operators' tokens.
    _folder: tempfile::TempDir,
}

/// Tokens with claims of the usual length.
#[derive(Clone)]
pub(super) struct Tokens {
    pub(super) issuer: Issuer,
    tenants: usize,
}

impl Tokens {
    /// The token of a user, as it is minted now. ES256: those of an RSA key would take minutes to make.
    pub(super) fn of(&self, user: usize) -> String {
        let token = self.issuer.token();
        token
            .signed_by(self.issuer.key(Algorithm::Es256))
            .subject(&format!("user_01JZ7Q3V5W8X9Y0Z1A2B{user:07}"))
            .organization(&format!(
                "org_01JZ7Q3V5W8X9Y0Z1A2B{:06}",
                user % self.tenants
            ))
            .claim("client_id", "client_01JZ7Q3V5W8X9Y0Z1A2B3C4D5E")
            .expires_in(24 * 3_600)
            .mint()
    }
}

impl World {
    pub(super) async fn start(config: &Config) -> anyhow::Result<Self> {
        let cluster = Cluster::start().await?;
        let public_url = format!("http://127.0.0.1:{}", free_port()?);
        let resource = format!("{public_url}/mcp");
        let issuer = Issuer::start().await.context("cannot start the issuer")?;
        issuer.set_audience([resource.as_str()]);
        let api = Api::start().await.context("cannot start the API")?;
        let folder = tempfile::tempdir()?;
        let operators = Operators::new(folder.path(), INSTANCES)?;
        let started = [
            &public_url,
            &resource,
            &issuer.url(),
            &api.url(),
            &cluster.url(),
        ];
        let fleet = fleet(&config.server, &operators, started).await?;
        let tokens = Tokens {
            issuer,
            tenants: config.tenants,
        };
        let known = (0..KNOWN.min(config.sessions)).map(|user| tokens.of(user));
        let callers = Callers::new(clients(&fleet), known.collect());
        Ok(Self {
            fleet,
            cluster,
            operators,
            callers: Arc::new(callers),
            tokens,
            report: Report {
                tokens: config.sessions,
                tenants: config.tenants,
                ..Report::default()
            },
            api,
            workers: JoinSet::new(),
            sessions: config.sessions,
            begun: Instant::now(),
            verbose: config.verbose,
            _folder: folder,
        })
    }

    /// Shows each token once.
    pub(super) async fn fill(&mut self) -> anyhow::Result<()> {
        let empty = self.used_by_masters().await?;
        let begun = Instant::now();
        let next = Arc::new(AtomicUsize::new(0));
        let mut filling = JoinSet::new();
        for _ in 0..FILLING {
            let (next, tokens, count) = (Arc::clone(&next), self.tokens.clone(), self.sessions);
            let (clients, callers) = (clients(&self.fleet), Arc::clone(&self.callers));
            filling.spawn(async move { show(&next, count, &tokens, &clients, &callers).await });
        }
        while let Some(shown) = filling.join_next().await {
            shown.context("a client panicked")??;
        }
        self.wait_for_sessions(self.sessions).await?;
        self.cluster.wait_replicated().await?;
        self.report.filled_in = begun.elapsed().as_secs_f64();
        self.report.sessions = self.cluster.keys("mcp:session:").await?;
        let used = self.used_by_masters().await?.saturating_sub(empty);
        self.report.bytes_per_session = used / self.report.sessions.max(1);
        let nodes = self.cluster.sizes().await?.into_iter();
        let nodes = nodes.map(|(is_master, keys, bytes)| Node {
            is_master,
            keys,
            bytes,
        });
        self.report.nodes = nodes.collect();
        let (shown, there) = (self.sessions, self.report.sessions);
        self.say(&format!("{shown} tokens shown, {there} sessions there"));
        Ok(())
    }

    /// Waits until so many are written, or no more are: an instance that is behind may leave some out.
    async fn wait_for_sessions(&self, wanted: usize) -> anyhow::Result<()> {
        let mut before = 0;
        loop {
            let now = self.cluster.keys("mcp:session:").await?;
            if now >= wanted || now == before {
                return Ok(());
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn used_by_masters(&self) -> anyhow::Result<usize> {
        let sizes = self.cluster.sizes().await?.into_iter();
        Ok(sizes.filter(|it| it.0).map(|(_, _, bytes)| bytes).sum())
    }

    /// From now on callers call.
    pub(super) fn begin_calls(&mut self) {
        self.callers.counts.calls.store(0, Relaxed);
        for number in 0..CALLERS {
            self.workers.spawn(work(number, Arc::clone(&self.callers)));
        }
    }

    /// Kills a master; its replica takes over.
    pub(super) async fn lose_a_shard(&mut self) -> anyhow::Result<()> {
        self.say("a master is killed");
        let begun = Instant::now();
        let killed = async {
            self.cluster.kill_a_master().await?;
            anyhow::Ok(begun.elapsed())
        };
        self.report.taken_over_in = killed.await?.as_secs_f64();
        // New tokens are good as well.
        for user in 0..KNOWN {
            let token = self.tokens.of(self.sessions + user);
            let instance = user % INSTANCES;
            self.callers
                .call_of_neighbour(instance, &token, "a new token")
                .await;
        }
        Ok(())
    }

    /// A new instance has no keys of the issuer and nothing in memory: whom it serves, it knows of the cluster.
    pub(super) async fn lose_the_issuer(&mut self) -> anyhow::Result<()> {
        self.say("the issuer is away, an instance is new");
        let new = INSTANCES - 1;
        self.callers.is_away(new);
        self.tokens.issuer.stop().await;
        self.fleet.restart(new, Signal::Kill).await?;
        let client = self.fleet.direct(new);
        for token in self.callers.bystanders.iter().take(KNOWN) {
            let call = client.call(Generation::Modern, "list_projects", &json!({}));
            let answer = call.bearer(token).send().await?;
            self.report.asked_of_the_cluster += 1;
            match answer.status.as_u16() {
                200 => {}
                401 | 403 => self.report.signed_out += 1,
                _ => self.report.missing += 1,
            }
        }
        self.tokens.issuer.come_back().await?;
        self.callers.is_new(new, client);
        Ok(())
    }

    /// All masters lose all they have; an instance that is new then writes sessions again.
    pub(super) async fn lose_everything(&mut self) -> anyhow::Result<()> {
        self.say("the cluster loses everything");
        self.cluster.empty().await?;
        let new = INSTANCES - 1;
        self.callers.is_away(new);
        self.fleet.restart(new, Signal::Kill).await?;
        self.callers.is_new(new, self.fleet.direct(new));
        for token in &self.callers.bystanders {
            self.callers
                .call_of_neighbour(new, token, "a known user")
                .await;
        }
        self.report.shown_again = self.callers.bystanders.len();
        self.wait_for_sessions(self.report.shown_again).await?;
        self.report.written_again = self.cluster.keys("mcp:session:").await?;
        Ok(())
    }

    /// Stops everything, and says what came of it.
    pub(super) async fn finish(mut self, begun: Instant) -> anyhow::Result<Report> {
        self.callers.over.store(true, Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.context("a caller panicked")?;
        }
        let panics = self.fleet.panics();
        ensure!(panics.is_empty(), "an instance panicked: {panics:?}");
        self.fleet.stop().await;
        drop(self.api.requests().take());
        let (counts, mut report) = (&self.callers.counts, self.report);
        report.calls = counts.calls.load(Relaxed);
        report.signed_out += counts.wrongly_refused.load(Relaxed);
        report.otherwise = counts.otherwise.load(Relaxed);
        report.complaints = std::mem::take(&mut *lock(&counts.complaints));
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress, for whoever waits for the report"
    )]
    pub(super) fn say(&self, what: &str) {
        if self.verbose {
            eprintln!("{:5.1} s  {what}", self.begun.elapsed().as_secs_f64());
        }
    }

    /// What the API was asked so far.
    pub(super) async fn performed(&self, count: usize) -> bool {
        let performed = self.api.performed();
        performed.wait_until(|all| all.len() >= count, LIMIT).await
    }
}

async fn fleet(
    server: &Path,
    operators: &Operators,
    [public_url, resource, issuer, api, redis]: [&String; 5],
) -> anyhow::Result<Fleet> {
    let next = AtomicUsize::new(0);
    Fleet::start(server, |command| {
        let instance = next.fetch_add(1, Relaxed);
        let command = operators.known_to(instance, command);
        command
            .env("MCP_HOST", public_url)
            .env("OAUTH_ISSUER", issuer)
            .env("UPSTREAM_AUDIENCE", resource)
            .env("BRAINGRID_API_URL", api)
            .env("REDIS_URL", redis)
            // The log of a million calls would fill the memory of this process.
            .env("LOG_LEVEL", "error")
    })
    .await
}

fn clients(fleet: &Fleet) -> Vec<RawHttp> {
    (0..INSTANCES)
        .map(|instance| fleet.direct(instance))
        .collect()
}

/// Shows tokens until all were; the first ones are those that are known.
async fn show(
    next: &AtomicUsize,
    count: usize,
    tokens: &Tokens,
    clients: &[RawHttp],
    callers: &Callers,
) -> anyhow::Result<()> {
    loop {
        let user = next.fetch_add(1, Relaxed);
        if user >= count {
            return Ok(());
        }
        let known = callers.bystanders.get(user).cloned();
        let token = known.unwrap_or_else(|| tokens.of(user));
        // Nothing is asked for: by then the token was looked at, and its session is on its way.
        let request = clients[user % INSTANCES].request(Generation::Modern, "ping", json!({}));
        let answer = request.bearer(&token).body("").send().await?;
        ensure!(answer.status == 400, "{} {}", answer.status, answer.body);
        if user.is_multiple_of(50_000) {
            tell(user);
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "progress, for whoever waits for the report"
)]
fn tell(user: usize) {
    eprintln!("         {user} tokens shown");
}

impl World {
    /// Calls an instance with a token that is good.
    pub(super) async fn call(&self, instance: usize, token: &str) -> Answered {
        self.callers.call(instance, token).await
    }
}
