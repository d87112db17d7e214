//! How much callers may do: one budget for all instances, and no question to the store about a call.
//!
//! A budget fills up by itself (GCRA, on the store's clock). An instance lets calls through on what it
//! heard of the budget last, and tells the store afterwards, off the request's path: the later, the more
//! is left. What all instances together have not told yet is at most a twentieth of what is left, so it
//! is what budgets may be exceeded by. Where that is not one whole call, the store is asked before. While
//! it is away, each instance has its share: the limit by the number of instances that was known last.

mod budget;
mod instances;
mod stats;

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{
    FutureExt as _,
    future::{BoxFuture, join_all},
};
use mcp_session::{FactStore, Keyring, Rate};
use moka::sync::Cache;
use tokio::time::{Instant, timeout};

pub use self::stats::LimitStats;
use self::{
    budget::{Budget, Spend, View},
    instances::Instances,
};

/// What a limit is for.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::IntoStaticStr,
    strum::VariantArray,
    strum::Display,
)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Scope {
    /// All calls of an organization, or of a user who has none.
    Tenant,
    /// All calls of a user.
    User,
    /// A user's calls that change nothing.
    Read,
    /// A user's calls that change something.
    Write,
    /// A user's calls that take minutes.
    Expensive,
    /// Requests of nobody known, by their address.
    Address,
    /// What the far end takes of all callers together.
    Upstream,
}

/// One of the budgets that a call is counted in.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    /// What it is for.
    pub scope: Scope,
    /// Whose it is, in as many parts as that takes.
    pub of: &'a [&'a str],
    /// The organization whose settings say how large it is.
    pub organization: Option<&'a str>,
}

/// A limit was reached, and nothing was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Which.
    pub scope: Scope,
    /// The limit.
    pub rate: Rate,
    /// When there is room for one more.
    pub retry_after: Duration,
}

impl fmt::Display for Limited {
    /// For a model: what happened, and when to come again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.scope {
            Scope::Tenant => "calls of one organization",
            Scope::User => "calls of one user",
            Scope::Read => "calls of one user that change nothing",
            Scope::Write => "calls of one user that change something",
            Scope::Expensive => "calls of one user that take minutes",
            Scope::Address => "requests of one address without a login",
            Scope::Upstream => "calls of all users together",
        };
        let (limit, seconds) = (self.rate.limit(), self.seconds());
        let window = self.rate.window().as_secs().max(1);
        write!(
            f,
            "Limit reached: {whose} may be {limit} in {window} s. Nothing was done. Try again in \
             {seconds} s."
        )
    }
}

impl Limited {
    /// [`Limited::retry_after`] in whole seconds, at least one.
    pub fn seconds(&self) -> u64 {
        let seconds = self.retry_after.as_millis().div_ceil(1_000);
        u64::try_from(seconds).unwrap_or(u64::MAX).max(1)
    }
}

/// What came of counting a call.
#[must_use]
pub enum Spending {
    /// It is known already.
    Known(Result<(), Limited>),
    /// The store was asked, for little is left. It is not waited for long.
    Asked(BoxFuture<'static, Result<(), Limited>>),
}

impl Spending {
    /// The answer.
    pub async fn done(self) -> Result<(), Limited> {
        match self {
            Self::Known(known) => known,
            Self::Asked(asked) => asked.await,
        }
    }
}

/// Says how large a budget is; `None` for no limit. The organization's settings may say so.
pub type Rates = dyn Fn(Scope, Option<&str>) -> Option<Rate> + Send + Sync;

/// Longest wait for the store, with a call that it has to decide. It gives up by itself before that.
const PATIENCE: Duration = Duration::from_millis(500);

/// For how long the store is left alone after it failed.
const AWAY: Duration = Duration::from_secs(1);

/// Budgets of callers that are known here; others have to be heard of first.
const CALLERS: u64 = 100_000;

/// The same for addresses, of which anybody may have many: they take no room of the callers'.
const ADDRESSES: u64 = 20_000;

/// What nobody spends from for so long is forgotten: longer than any window takes to pass.
const IDLE: Duration = Rate::LONGEST;

/// The limits of a deployment. Cheap to clone.
#[derive(Clone)]
pub struct Limits {
    inner: Arc<Inner>,
}

struct Inner {
    rates: Box<Rates>,
    callers: Cache<u64, Arc<Budget>>,
    addresses: Cache<u64, Arc<Budget>>,
    names: RandomState,
    keyring: Arc<Keyring>,
    /// Nothing for a single instance, which knows all by itself.
    shared: Option<Shared>,
    stats: Arc<LimitStats>,
    begun: Instant,
}

struct Shared {
    facts: Arc<dyn FactStore>,
    instances: Instances,
    /// Milliseconds from `begun`, until which the store is left alone.
    away_until: AtomicU64,
}

impl Limits {
    /// Limits that all instances share. `rates` is asked with each call.
    pub fn shared(
        facts: Arc<dyn FactStore>,
        keyring: Arc<Keyring>,
        rates: impl Fn(Scope, Option<&str>) -> Option<Rate> + Send + Sync + 'static,
    ) -> Self {
        let shared = Shared {
            instances: Instances::new(&keyring),
            facts,
            away_until: AtomicU64::new(0),
        };
        Self::build(keyring, Some(shared), Box::new(rates))
    }

    /// Limits of a single instance, which a restart forgets.
    pub fn in_process(
        rates: impl Fn(Scope, Option<&str>) -> Option<Rate> + Send + Sync + 'static,
    ) -> Self {
        Self::build(Arc::new(Keyring::random()), None, Box::new(rates))
    }

    fn build(keyring: Arc<Keyring>, shared: Option<Shared>, rates: Box<Rates>) -> Self {
        let cache = |most| {
            Cache::builder()
                .max_capacity(most)
                .time_to_idle(IDLE)
                .build()
        };
        Self {
            inner: Arc::new(Inner {
                rates,
                callers: cache(CALLERS),
                addresses: cache(ADDRESSES),
                names: RandomState::new(),
                keyring,
                shared,
                stats: Arc::default(),
                begun: Instant::now(),
            }),
        }
    }

    /// Counts a call in each of these budgets, or in none of them. In a tokio runtime.
    pub fn spend(&self, counted: &[Counted<'_>]) -> Spending {
        let inner = &self.inner;
        let now = Instant::now();
        let view = self.view(now);
        let mut spent = Vec::with_capacity(counted.len());
        let mut asked = Vec::new();
        for counted in counted {
            let Some(rate) = (inner.rates)(counted.scope, counted.organization) else {
                continue;
            };
            let budget = self.budget(counted);
            match budget.spend(rate, view, now) {
                Spend::Done { tell } => {
                    if tell {
                        self.tell(&budget, rate);
                    }
                    spent.push((budget, rate));
                }
                Spend::Over { wait, tell } => {
                    if tell {
                        self.tell(&budget, rate);
                    }
                    give_back(spent);
                    return Spending::Known(Err(self.limited(counted.scope, rate, wait)));
                }
                Spend::Ask { answer, tell } => {
                    if tell {
                        self.tell(&budget, rate);
                    }
                    asked.push((counted.scope, rate, budget, answer));
                }
            }
        }
        if asked.is_empty() {
            return Spending::Known(Ok(()));
        }
        Spending::Asked(self.clone().answered(spent, asked).boxed())
    }

    /// The counters.
    pub fn stats(&self) -> Arc<LimitStats> {
        Arc::clone(&self.inner.stats)
    }

    /// How many instances share the budgets, as far as is known.
    pub fn instances(&self) -> Option<u64> {
        let shared = self.inner.shared.as_ref();
        shared.map_or(Some(1), |shared| shared.instances.known())
    }

    /// What the store says, or what follows where it does not say it in time.
    async fn answered(
        self,
        mut spent: Vec<(Arc<Budget>, Rate)>,
        asked: Vec<Asked>,
    ) -> Result<(), Limited> {
        let answers = asked
            .into_iter()
            .map(async |(scope, rate, budget, answer)| {
                let answer = match timeout(PATIENCE, answer).await {
                    Ok(Ok(answer)) => answer,
                    // It is late, or away.
                    _ => {
                        self.inner.stats.alone.fetch_add(1, Ordering::Relaxed);
                        budget.spend_alone(rate, Instant::now())
                    }
                };
                (scope, rate, budget, answer)
            });
        let mut refused = None;
        for (scope, rate, budget, answer) in join_all(answers).await {
            match answer {
                Ok(()) => spent.push((budget, rate)),
                Err(retry_after) => refused = refused.or(Some((scope, rate, retry_after))),
            }
        }
        let Some((scope, rate, retry_after)) = refused else {
            return Ok(());
        };
        give_back(spent);
        Err(self.limited(scope, rate, retry_after))
    }

    fn limited(&self, scope: Scope, rate: Rate, retry_after: Duration) -> Limited {
        self.inner.stats.limited(scope);
        Limited {
            scope,
            rate,
            retry_after,
        }
    }

    fn budget(&self, counted: &Counted<'_>) -> Arc<Budget> {
        let inner = &self.inner;
        let cache = match counted.scope {
            Scope::Address => &inner.addresses,
            _ => &inner.callers,
        };
        // As good as always another number for another budget, and nobody can choose which.
        let number = inner.names.hash_one((counted.scope, counted.of));
        cache.get_with(number, || {
            let scope: &'static str = counted.scope.into();
            let parts = std::iter::once(scope).chain(counted.of.iter().copied());
            let parts: Vec<_> = parts.map(str::as_bytes).collect();
            let names = inner.keyring.names("limit", &parts);
            let name = names.into_iter().next().unwrap_or_default();
            // Full from the beginning on: that is before any call.
            Arc::new(Budget::new(name, inner.begun))
        })
    }

    fn view(&self, now: Instant) -> View {
        let Some(shared) = &self.inner.shared else {
            return View::ALONE;
        };
        let is_away = self.millis(now) < shared.away_until.load(Ordering::Relaxed);
        if is_away {
            self.inner.stats.alone.fetch_add(1, Ordering::Relaxed);
        } else {
            let begun = self.inner.begun;
            shared
                .instances
                .keep_known(&shared.facts, now.duration_since(begun));
        }
        View {
            instances: shared.instances.known(),
            is_away,
        }
    }

    /// Tells the store what was spent, and asks for those who wait, until there is nothing to say.
    fn tell(&self, budget: &Arc<Budget>, rate: Rate) {
        let (this, budget) = (self.clone(), Arc::clone(budget));
        tokio::spawn(async move {
            let Some(shared) = &this.inner.shared else {
                return;
            };
            while let Some(told) = budget.to_tell(rate, Instant::now()) {
                this.inner.stats.told.fetch_add(1, Ordering::Relaxed);
                let name = budget.name();
                match shared.facts.spend(name, rate, told.owed, told.wanted).await {
                    Ok(spent) => budget.heard(rate, told, spent, Instant::now()),
                    Err(error) => {
                        tracing::debug!(%error, "a budget is kept without the store");
                        let until = this.millis(Instant::now() + AWAY);
                        shared.away_until.fetch_max(until, Ordering::Relaxed);
                        // Who waits decides for itself.
                        budget.unheard(rate, told);
                        return;
                    }
                }
            }
        });
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.inner.begun);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A budget about which the store is asked.
type Asked = (Scope, Rate, Arc<Budget>, budget::Answer);

fn give_back(spent: Vec<(Arc<Budget>, Rate)>) {
    for (budget, rate) in spent {
        budget.give_back(rate);
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("instances", &self.instances())
            .finish_non_exhaustive()
    }
}
