//! Everything that takes part, and one measurement.

use std::{
    collections::BTreeMap,
    io::{IsTerminal as _, Write as _},
    sync::Mutex,
    time::Duration,
};

use anyhow::Context;

use super::{
    Config,
    call::Tool,
    drive::{Driver, Length, Load, Numbers, Pace, numbers},
    report::{Ratio, Row, count, per, ratios},
    stub::Stub,
    target::{Program, Recipe, Target},
    tenants::{self, Complaints, Tenant},
};
use mcp_test_support::{Issuer, RedisServer, client::Generation, free_port, lock, random_hex};

/// How long a server has to write the log lines of what it has answered.
const SETTLE: Duration = Duration::from_millis(150);

/// More calls than any run makes.
const MANY: &str = "100000000/1m";

pub(super) struct World {
    pub(super) config: Config,
    pub(super) issuer: Issuer,
    pub(super) stub: Stub,
    pub(super) redis: Option<RedisServer>,
    /// A scenario stopped or killed it: it cannot be asked.
    pub(super) redis_is_away: bool,
    /// Tenants whose tokens are known after the warm-up.
    pub(super) tenants: Vec<Tenant>,
    pub(super) ours: Recipe,
    pub(super) others: Vec<Recipe>,
    fresh: usize,
    numbers: Numbers,
    complaints: Mutex<Complaints>,
}

impl World {
    pub(super) async fn start(config: &Config) -> anyhow::Result<Self> {
        let issuer = Issuer::start().await.context("cannot start the issuer")?;
        let stub = Stub::start().await.context("cannot start the API")?;
        let redis = match config.url {
            Some(_) => None,
            None => Some(RedisServer::start().await?),
        };
        // All instances have this name; the port is nobody's.
        let public_url = format!("http://127.0.0.1:{}", free_port()?);
        let resource = format!("{public_url}/mcp");
        issuer.set_audience([resource.as_str()]);
        let shared = [
            ("MCP_HOST", public_url),
            ("OAUTH_ISSUER", issuer.url()),
            ("UPSTREAM_AUDIENCE", resource),
            ("BRAINGRID_API_URL", stub.url()),
            (
                "REDIS_URL",
                redis.as_ref().map(RedisServer::url).unwrap_or_default(),
            ),
            ("ENCRYPTION_KEY", random_hex(32)),
        ];
        // Calls are counted as they always are, and none is held back: a few users are many here.
        let limits = [
            "LIMIT_TENANT",
            "LIMIT_USER",
            "LIMIT_WRITES",
            "LIMIT_EXPENSIVE",
        ];
        let limits = limits.map(|name| (name, MANY.to_owned()));
        let shared = shared.into_iter().chain(limits);
        let shared: Vec<_> = shared
            .chain([("LIMIT_ADDRESS", "off".to_owned())])
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let recipe = |name: &str, program| Recipe {
            name: name.to_owned(),
            program,
            environment: shared.clone(),
            core: config.core,
            wrapper: Vec::new(),
        };
        let mut ours = match &config.url {
            Some(url) => recipe("the server", Program::Url(url.clone())),
            None => recipe("braingrid-mcp", Program::Binary(config.server.clone())),
        };
        ours.environment.extend(config.environment.iter().cloned());
        let bare = config.bare.clone();
        let bare = bare.map(|path| recipe("bare rmcp", Program::Binary(path)));
        let compared = config.compare.iter().map(|other| {
            if other.starts_with("http://") || other.starts_with("https://") {
                recipe(other, Program::Url(other.clone()))
            } else {
                recipe(other, Program::Line(other.clone()))
            }
        });
        let tenants = if config.tokens.is_empty() {
            tenants::many(&issuer, config.users)
        } else {
            config
                .tokens
                .iter()
                .map(|token| Tenant::of(token))
                .collect()
        };
        Ok(Self {
            others: bare.into_iter().chain(compared).collect(),
            fresh: tenants.len(),
            config: config.clone(),
            issuer,
            stub,
            redis,
            redis_is_away: false,
            tenants,
            ours,
            numbers: numbers(),
            complaints: Mutex::default(),
        })
    }

    /// Tenants with tokens that nobody has seen.
    pub(super) fn fresh_tenants(&mut self, number: usize) -> Vec<Tenant> {
        let first = self.fresh;
        self.fresh += number;
        // Four digits name a tenant.
        (first..self.fresh)
            .map(|number| Tenant::fresh(&self.issuer, number % 10_000))
            .collect()
    }

    /// A closed loop over this many connections, as long as the configuration says.
    pub(super) fn closed(&self, generation: Generation, connections: usize) -> Load {
        let tool = self.config.tool.clone();
        Load {
            generation,
            connections,
            pace: Pace::Closed,
            length: Length::For(self.config.length),
            tools: vec![tool.map_or(Tool::Create, |(name, arguments)| {
                Tool::Named(name, arguments)
            })],
        }
    }

    /// Measures one load on one server. Known tokens are made known first.
    pub(super) async fn measure(
        &self,
        target: &Target,
        load: &Load,
        label: &str,
        tenants: &[Tenant],
        known: bool,
    ) -> anyhow::Result<Row> {
        self.say(&format!("{label}: {}", target.name));
        let mut generator = Driver::new(load.clone(), &target.endpoints, tenants, &self.numbers)?;
        if known {
            generator
                .warm_up()
                .await
                .with_context(|| format!("{label}: {}", target.name))?;
        }
        tokio::time::sleep(SETTLE).await;
        target.take_log();
        self.reset_redis().await?;
        let before = target.processor_seconds();
        let driven = generator.run().await?;
        let after = target.processor_seconds();
        let redis_commands = self.redis_commands().await?;
        tokio::time::sleep(SETTLE).await;
        let mut row = Row::of(&target.name, label, &driven);
        let calls = count(driven.calls());
        row.tiers = tiers(&target.take_log());
        row.cpu_per_1000 = after
            .zip(before)
            .map(|(after, before)| per(1000.0 * (after - before), calls));
        row.rss = target.resident_mib();
        let is_ours = target.name.starts_with(&self.ours.name);
        row.redis_per_call = redis_commands
            .filter(|_| is_ours)
            .map(|commands| per(count(commands), calls));
        lock(&self.complaints).merge(driven.complaints);
        Ok(row)
    }

    /// The same load on several servers in turn: the medians, in their order, and the first one
    /// beside each of the others.
    pub(super) async fn alternate(
        &self,
        targets: &[&Target],
        load: &Load,
        label: &str,
    ) -> anyhow::Result<(Vec<Row>, Vec<Ratio>)> {
        let mut rounds = vec![Vec::new(); targets.len()];
        for round in 0..self.config.rounds {
            // Every other round backwards, so that nobody is always the first.
            let mut order: Vec<_> = (0..targets.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for at in order {
                let row = self
                    .measure(targets[at], load, label, &self.tenants, true)
                    .await?;
                rounds[at].push(row);
            }
        }
        let rows = rounds.iter().map(|rounds| Row::median(rounds)).collect();
        let (ours, others) = rounds.split_first().context("nobody to measure")?;
        let ratios = others.iter().flat_map(|theirs| ratios(ours, theirs));
        Ok((rows, ratios.collect()))
    }

    /// Ours and everything it is compared with.
    pub(super) async fn start_all(&self) -> anyhow::Result<Vec<Target>> {
        let mut all = Vec::new();
        for recipe in std::iter::once(&self.ours).chain(&self.others) {
            all.push(recipe.start(1).await?);
        }
        Ok(all)
    }

    async fn reset_redis(&self) -> anyhow::Result<()> {
        match &self.redis {
            Some(redis) if !self.redis_is_away => redis.reset_stats().await,
            _ => Ok(()),
        }
    }

    /// Commands since the reset, whatever they were.
    async fn redis_commands(&self) -> anyhow::Result<Option<u64>> {
        match &self.redis {
            Some(redis) if !self.redis_is_away => {
                Ok(Some(redis.commandstats().await?.values().sum()))
            }
            _ => Ok(None),
        }
    }

    /// The first things that were wrong.
    pub(super) fn complaints(&self) -> Vec<String> {
        lock(&self.complaints).samples.clone()
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress, for whoever waits for the report"
    )]
    pub(super) fn say(&self, what: &str) {
        if !self.config.progress {
            return;
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r\x1b[2K{what}");
            let _ = std::io::stderr().flush();
        } else {
            eprintln!("{what}");
        }
    }
}

/// Calls by tier, from the access log.
fn tiers(log: &str) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    for tier in ["memory", "store", "verification"] {
        let lines = log.matches(&format!("\"tier\":\"{tier}\"")).count();
        if lines > 0 {
            found.insert(tier.to_owned(), u64::try_from(lines).unwrap_or(u64::MAX));
        }
    }
    found
}
