//! How many instructions a warm call takes, by callgrind: the figure that does not depend on what
//! else the machine does. Two runs, of so many calls and of three times as many; what they share,
//! starting and stopping, cancels out.

use std::{fmt, fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use serde::Serialize;

use super::{
    Config, Scenario,
    drive::{Driver, Length, numbers},
    report::count,
    target::Recipe,
    world::World,
};
use mcp_test_support::client::Generation;

/// What a call may take, by revision, profile `ci`: as it is served, and without the write journal, which
/// is most of what a write takes beside the call itself. The call is `create_requirement`.
///
/// The rule: what was measured when it was last set, and a twentieth more. A change that needs more
/// says why in its commit, and raises it; one that saves more than a twentieth lowers it.
pub const BUDGET: [(Generation, Budget); 2] = [
    (
        Generation::Legacy,
        Budget {
            remembered: 303_000,
            alone: 229_000,
        },
    ),
    (
        Generation::Modern,
        Budget {
            remembered: 323_000,
            alone: 250_500,
        },
    ),
];

/// How many instructions a call may take.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// With its write remembered.
    pub remembered: u64,
    /// Without.
    pub alone: u64,
}

const CALLS: u64 = 300;

/// Which of the two it is.
type May = fn(Budget) -> u64;

/// What was counted.
#[derive(Clone, Debug, Serialize)]
pub struct Instructions {
    /// Which server.
    pub server: String,
    /// Of which revision the calls were.
    pub revision: &'static str,
    /// Per call.
    pub per_call: f64,
    /// How many it may be; none for a server that is only compared with.
    pub budget: Option<u64>,
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (revision, server, per_call) = (self.revision, &self.server, self.per_call);
        write!(
            f,
            "{revision}  {server:<25} {per_call:>9.0} instructions a call"
        )?;
        match self.budget {
            Some(budget) => write!(f, "   budget {budget}"),
            None => Ok(()),
        }
    }
}

/// Counts for our server, and for the bare one where it is given. `exporting`: ours sends spans and
/// metrics to a collector, which no budget is for.
///
/// # Errors
/// When valgrind is not there, or something does not start.
pub async fn count_instructions(
    config: Config,
    exporting: bool,
    profile: Option<PathBuf>,
) -> anyhow::Result<Vec<Instructions>> {
    let config = Config {
        scenarios: vec![Scenario::Steady],
        users: 1,
        rounds: 1,
        length: Duration::from_secs(1),
        ..config
    };
    let mut world = World::start(&config).await?;
    if exporting {
        world.ours.name += ", exporting";
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), world.stub.url());
        world.ours.environment.push(endpoint);
    }
    let mut alone = world.ours.clone();
    alone.name += ", no journal";
    alone
        .environment
        .push(("WRITE_JOURNAL_WINDOW".to_owned(), "0".to_owned()));
    let remembered: May = |budget| budget.remembered;
    let ours = [(&world.ours, remembered), (&alone, |budget| budget.alone)];
    let ours = ours.map(|(recipe, may)| (recipe, Some(may)));
    let others = world.others.iter().map(|recipe| (recipe, None));
    let mut counted = Vec::new();
    for (at, (recipe, may)) in ours.into_iter().chain(others).enumerate() {
        for (generation, budget) in BUDGET {
            // Only ours, as it is served, is looked into.
            let keep = profile.as_ref().filter(|_| at == 0);
            let keep =
                keep.map(|folder| folder.join(format!("callgrind.{}", generation.version())));
            let few = total(&world, recipe, generation, CALLS, None).await?;
            let many = total(&world, recipe, generation, 3 * CALLS, keep).await?;
            counted.push(Instructions {
                server: recipe.name.clone(),
                revision: generation.version(),
                per_call: (count(many) - count(few)) / count(2 * CALLS),
                budget: may.filter(|_| !exporting).map(|may| may(budget)),
            });
        }
    }
    Ok(counted)
}

/// Instructions of a whole life with so many calls. `keep`: where to leave the profile.
async fn total(
    world: &World,
    recipe: &Recipe,
    generation: Generation,
    calls: u64,
    keep: Option<PathBuf>,
) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let file = keep.unwrap_or_else(|| folder.path().join("callgrind.out"));
    let mut recipe = recipe.clone();
    recipe.wrapper = ["valgrind", "--tool=callgrind", "--callgrind-out-file"]
        .map(str::to_owned)
        .to_vec();
    if let Some(last) = recipe.wrapper.last_mut() {
        *last = format!("{last}={}", file.display());
    }
    // Sessions in memory: what Redis does is not part of a warm call.
    recipe.environment.retain(|(name, _)| name != "REDIS_URL");
    world.say(&format!(
        "{calls} calls of {}: {}",
        generation.version(),
        recipe.name
    ));
    let target = recipe.start(1).await?;
    let mut load = world.closed(generation, 1);
    load.length = Length::Calls(calls);
    let mut generator = Driver::new(load, &target.endpoints, &world.tenants, &numbers())?;
    generator.warm_up().await?;
    let driven = generator.run().await?;
    if driven.complaints.count() > 0 {
        bail!(
            "not every answer was right: {:?}",
            driven.complaints.samples
        );
    }
    target.stop().await?;
    let profile = fs::read_to_string(&file).context("callgrind wrote no profile")?;
    let totals = profile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals:"));
    let totals = totals.context("the profile has no total")?;
    Ok(totals.trim().parse()?)
}
