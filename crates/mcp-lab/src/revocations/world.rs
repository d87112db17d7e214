//! Everything that takes part, and what happens to it.

use std::{
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use futures::{StreamExt as _, future::join_all, stream};
use mcp_test_support::{Api, Issuer, free_port, lock};
use tokio::task::JoinSet;

use super::{
    Config,
    callers::{Answered, Callers, work},
    operators::Operators,
    report::{Delay, Report},
    store::{Cut, Store},
    victim::{Victim, bystander},
};
use crate::chaos::fleet::{Fleet, INSTANCES, Signal};

const BYSTANDERS: usize = 30;
const CALLERS: usize = 4;
/// Revocations under way at once.
const AT_ONCE: usize = 3;
/// Of so many, one is said to the instance that is cut off.
const AT_THE_CUT: usize = 10;
/// Users who call each instance once in a round, to count commands.
const WARM: usize = 60;
/// At most, until one took no command.
const ROUNDS: usize = 8;
/// Longer than it may take until instances look by themselves. Nothing is waited for as long.
const LIMIT: Duration = Duration::from_secs(100);

/// How Redis is emptied.
pub(super) struct Emptied {
    pub(super) patient: bool,
}

pub(super) struct World {
    fleet: Fleet,
    store: Store,
    issuer: Issuer,
    api: Api,
    operators: Operators,
    callers: Arc<Callers>,
    workers: JoinSet<()>,
    /// All who are denied.
    denied: Vec<Victim>,
    /// How long each took, and where.
    delays: Mutex<Vec<(Duration, String)>>,
    report: Report,
    begun: Instant,
    verbose: bool,
    /// The file of the operators' tokens.
    _folder: tempfile::TempDir,
}

impl World {
    pub(super) async fn start(config: &Config) -> anyhow::Result<Self> {
        let public_url = format!("http://127.0.0.1:{}", free_port()?);
        let resource = format!("{public_url}/mcp");
        let issuer = Issuer::start().await.context("cannot start the issuer")?;
        issuer.set_audience([resource.as_str()]);
        let api = Api::start().await.context("cannot start the API")?;
        let store = Store::start(INSTANCES).await?;
        let folder = tempfile::tempdir()?;
        let operators = Operators::new(folder.path(), INSTANCES)?;
        let next = AtomicUsize::new(0);
        let fleet = Fleet::start(&config.server, |command| {
            let instance = next.fetch_add(1, Relaxed);
            let command = operators.known_to(instance, command);
            command
                .env("MCP_HOST", &public_url)
                .env("OAUTH_ISSUER", issuer.url())
                .env("UPSTREAM_AUDIENCE", &resource)
                .env("BRAINGRID_API_URL", api.url())
                .env("REDIS_URL", store.url(instance))
                // All come from one here, those who are denied too.
                .env("LIMIT_ADDRESS", "off")
        })
        .await?;
        let bystanders = (0..BYSTANDERS).map(|number| bystander("bystander", number, &issuer));
        let clients = (0..INSTANCES).map(|instance| fleet.direct(instance));
        let callers = Arc::new(Callers::new(clients.collect(), bystanders.collect()));
        let mut workers = JoinSet::new();
        for number in 0..CALLERS {
            workers.spawn(work(number, Arc::clone(&callers)));
        }
        Ok(Self {
            fleet,
            store,
            issuer,
            api,
            operators,
            callers,
            workers,
            denied: Vec::new(),
            delays: Mutex::default(),
            report: Report::default(),
            begun: Instant::now(),
            verbose: config.verbose,
            _folder: folder,
        })
    }

    /// Revokes these, while one instance is cut off; gives it back what it had, and looks at all who were
    /// ever revoked.
    pub(super) async fn revoke(
        &mut self,
        numbers: Range<usize>,
        cut: Option<(usize, Cut)>,
    ) -> anyhow::Result<()> {
        self.say(&format!(
            "{} to {}; cut off: {cut:?}",
            numbers.start, numbers.end
        ));
        if let Some((instance, how)) = cut {
            self.store.cut(instance, how).await?;
        }
        let cut = cut.map(|(instance, _)| instance);
        let victims: Vec<_> = numbers
            .map(|number| Victim::new(number, &self.issuer))
            .collect();
        let world = &*self;
        let revoked = stream::iter(victims.iter().enumerate())
            .map(|(number, victim)| world.revoke_one(number, victim, cut))
            .buffer_unordered(AT_ONCE);
        let served = revoked.collect::<Vec<_>>().await;
        for served in served {
            self.report.served_while_cut_off += served?;
        }
        self.denied.extend(victims);
        if let Some(instance) = cut {
            self.store.give_back(instance).await?;
        }
        let healed = Instant::now();
        self.all_know().await?;
        if cut.is_some() {
            self.report.healed_in.push(healed.elapsed());
        }
        self.report.served_after_heal += self.served_though_denied(0..INSTANCES).await;
        // Nobody asks for these.
        drop(self.api.requests().take());
        Ok(())
    }

    /// Revokes one: how often the instance that is cut off served it.
    async fn revoke_one(
        &self,
        number: usize,
        victim: &Victim,
        cut: Option<usize>,
    ) -> anyhow::Result<usize> {
        for instance in 0..INSTANCES {
            for token in [&victim.token, &victim.neighbour] {
                let who = "somebody who is not denied yet";
                self.callers.call_of_neighbour(instance, token, who).await;
            }
        }
        let healthy: Vec<_> = (0..INSTANCES).filter(|it| cut != Some(*it)).collect();
        let at = match cut {
            Some(cut) if number.is_multiple_of(AT_THE_CUT) => cut,
            _ => healthy[number % healthy.len()],
        };
        let said_at = Instant::now();
        let (path, body) = victim.revocation();
        self.operators.say(at, path, &body).await?;
        // What is said where nobody hears it, others need not know yet.
        let told = if cut == Some(at) { vec![at] } else { healthy };
        let refused = told.iter().map(|it| self.until_refused(*it, victim));
        for (instance, refused) in told.iter().zip(join_all(refused).await) {
            let delay = refused?.duration_since(said_at);
            if cut != Some(at) {
                let since = said_at.duration_since(self.begun).as_secs_f64();
                let what =
                    format!("said to {at} at {since:.1} s, heard by {instance}, cut off: {cut:?}");
                lock(&self.delays).push((delay, what));
            }
        }
        let mut served = 0;
        for instance in 0..INSTANCES {
            let who = "the neighbour of somebody who is denied";
            let token = &victim.neighbour;
            self.callers.call_of_neighbour(instance, token, who).await;
            if !told.contains(&instance) {
                let answered = self.callers.call(instance, &victim.token).await;
                served += usize::from(answered == Answered::Served);
            }
        }
        Ok(served)
    }

    async fn until_refused(&self, instance: usize, victim: &Victim) -> anyhow::Result<Instant> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if self.callers.call(instance, &victim.token).await == Answered::Refused {
                self.callers.was_refused(instance, &victim.token);
                return Ok(Instant::now());
            }
        }
        bail!(
            "instance {instance} goes on serving {:?}",
            victim.revocation()
        )
    }

    /// Waits until every instance knows as many denials as were said.
    async fn all_know(&self) -> anyhow::Result<()> {
        for instance in 0..INSTANCES {
            let (begun, said) = (Instant::now(), self.denied.len());
            while self.operators.known(instance).await? < said {
                ensure!(
                    begun.elapsed() < LIMIT,
                    "instance {instance} never heard of all {said} denials"
                );
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// How many of those who are denied are served by these instances.
    async fn served_though_denied(&self, instances: Range<usize>) -> usize {
        let all = instances.flat_map(|it| self.denied.iter().map(move |victim| (it, victim)));
        let answers = stream::iter(all)
            .map(|(instance, victim)| self.callers.call(instance, &victim.token))
            .buffer_unordered(AT_ONCE);
        let served = answers.filter(|answered| std::future::ready(*answered == Answered::Served));
        served.count().await
    }

    /// Redis loses everything; then one instance is replaced.
    pub(super) async fn empty_the_store(&mut self, how: Emptied) -> anyhow::Result<()> {
        self.say("Redis loses everything");
        self.store.empty().await?;
        let begun = Instant::now();
        self.report.served_after_flush += self.served_though_denied(0..INSTANCES).await;
        if !how.patient {
            self.store.break_subscriptions().await?;
        }
        while self.store.denials().await? < self.denied.len() {
            ensure!(begun.elapsed() < LIMIT, "denials are never written back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.report.written_back_in = begun.elapsed();
        let new = INSTANCES - 1;
        self.say("written back; one instance is new");
        self.callers.is_away(new);
        self.fleet.restart(new, Signal::Kill).await?;
        self.callers.is_new(new, self.fleet.direct(new));
        self.report.served_after_flush += self.served_though_denied(new..INSTANCES).await;
        Ok(())
    }

    /// Counts the commands of calls with known tokens, stops everything, and says what came of it.
    pub(super) async fn finish(mut self, begun: Instant) -> anyhow::Result<Report> {
        self.callers.over.store(true, Relaxed);
        while let Some(ended) = self.workers.join_next().await {
            ended.context("a caller panicked")?;
        }
        self.say("counting commands");
        self.report.warm_commands = self.commands_of_warm_calls().await?;
        self.report.warm_calls = WARM * INSTANCES;
        let panics = self.fleet.panics();
        ensure!(panics.is_empty(), "an instance panicked: {panics:?}");
        self.fleet.stop().await;
        let counts = &self.callers.counts;
        let mut report = self.report;
        report.revocations = self.denied.len();
        report.delay = Delay::of(std::mem::take(&mut *lock(&self.delays)));
        report.calls = counts.calls.load(Relaxed);
        report.wrongly_refused = counts.wrongly_refused.load(Relaxed);
        report.served_again = counts.served_again.load(Relaxed);
        report.otherwise = counts.otherwise.load(Relaxed);
        report.complaints = std::mem::take(&mut *lock(&counts.complaints));
        report.seconds = begun.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Of the round that took the fewest: now and then an instance reads the denials, counts who shares a limit, or
    /// tells what was spent of one, and no call waits for that. What a call costs, it costs in each round.
    async fn commands_of_warm_calls(&self) -> anyhow::Result<u64> {
        let users = (0..WARM).map(|number| bystander("warm", number, &self.issuer));
        let users: Vec<_> = users.collect();
        let mut fewest = u64::MAX;
        // The first round makes everybody known everywhere.
        for round in 0..=ROUNDS {
            self.store.commands().await?;
            for instance in 0..INSTANCES {
                for token in &users {
                    let who = "a bystander";
                    self.callers.call_of_neighbour(instance, token, who).await;
                }
            }
            let commands = self.store.commands().await?;
            if round > 0 {
                fewest = fewest.min(commands);
            }
            if fewest == 0 {
                break;
            }
        }
        Ok(fewest)
    }

    #[expect(
        clippy::print_stderr,
        reason = "progress, for whoever waits for the report"
    )]
    fn say(&self, what: &str) {
        if self.verbose {
            eprintln!("{:5.1} s  {what}", self.begun.elapsed().as_secs_f64());
        }
    }
}
