//! What came of it: rows of figures, what they mean beside each other, a table for the terminal.

use std::{collections::BTreeMap, fmt};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{drive::Driven, machine::Machine};

/// A whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// When, in RFC 3339.
    pub at: String,
    /// Where.
    pub machine: Machine,
    /// Cargo's profile of the servers that were started.
    pub profile: String,
    /// One part for each scenario.
    pub sections: Vec<Section>,
    /// Requests at the API in which things of two tenants met.
    pub mixed_up_at_the_api: u64,
    /// The first things that were wrong, in words.
    pub complaints: Vec<String>,
}

/// What one scenario showed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Section {
    /// Its name on the command line.
    pub scenario: String,
    /// What was done.
    pub about: String,
    /// Load by load.
    pub rows: Vec<Row>,
    /// Single figures.
    pub figures: Vec<Figure>,
    /// Our server beside another one.
    pub ratios: Vec<Ratio>,
}

/// One load on one server: medians of the rounds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// Which server.
    pub server: String,
    /// What was sent: revision and connections, or a step of the scenario.
    pub load: String,
    /// Calls in all rounds.
    pub calls: u64,
    /// Good answers per second.
    pub calls_per_second: f64,
    /// Latency by percentile, milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p90: f64,
    /// Milliseconds.
    pub p99: f64,
    /// Milliseconds.
    pub p999: f64,
    /// Milliseconds.
    pub max: f64,
    /// Calls that were not answered well, by kind.
    pub errors: BTreeMap<String, u64>,
    /// Calls by where the session was known from, as the access log has it.
    pub tiers: BTreeMap<String, u64>,
    /// Processor time of the server, in seconds per 1,000 calls (the same number in milliseconds
    /// is that of one call).
    pub cpu_per_1000: Option<f64>,
    /// Resident memory after the load, MiB.
    pub rss: Option<f64>,
    /// Commands that Redis executed, per call: scripts, and the commands within them too.
    pub redis_per_call: Option<f64>,
}

/// One figure with its name.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Which server.
    pub server: String,
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// A figure of ours beside that of another server.
#[derive(Clone, Debug, Serialize)]
pub struct Ratio {
    /// What was sent.
    pub load: String,
    /// The other server.
    pub to: String,
    /// Which figure.
    pub figure: &'static str,
    /// Ours divided by theirs.
    pub ratio: f64,
    /// What we aim for, in words.
    pub goal: Option<&'static str>,
    /// Whether it is reached.
    pub reached: Option<bool>,
}

impl Ratio {
    /// Where nothing is aimed for.
    pub(super) fn without_goal(self) -> Self {
        Self {
            goal: None,
            reached: None,
            ..self
        }
    }
}

impl Row {
    pub(super) fn of(server: &str, load: &str, driven: &Driven) -> Self {
        let good = driven.latency.len();
        let at = |quantile| milliseconds(&driven.latency, quantile);
        Self {
            server: server.to_owned(),
            load: load.to_owned(),
            calls: driven.calls(),
            calls_per_second: per(count(good), driven.seconds),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
            errors: driven.complaints.by_kind.clone(),
            ..Self::default()
        }
    }

    /// The median of each figure; what was counted is added up.
    pub(super) fn median(rounds: &[Self]) -> Self {
        let Some(first) = rounds.first() else {
            return Self::default();
        };
        let of = |figure: fn(&Self) -> f64| median(rounds.iter().map(figure).collect());
        let known = |figure: fn(&Self) -> Option<f64>| {
            let all: Vec<_> = rounds.iter().filter_map(figure).collect();
            (!all.is_empty()).then(|| median(all))
        };
        let sum = |counts: fn(&Self) -> &BTreeMap<String, u64>| {
            let mut all = BTreeMap::new();
            for (name, count) in rounds.iter().flat_map(counts) {
                *all.entry(name.clone()).or_default() += count;
            }
            all
        };
        Self {
            server: first.server.clone(),
            load: first.load.clone(),
            calls: rounds.iter().map(|row| row.calls).sum(),
            calls_per_second: of(|row| row.calls_per_second),
            p50: of(|row| row.p50),
            p90: of(|row| row.p90),
            p99: of(|row| row.p99),
            p999: of(|row| row.p999),
            max: of(|row| row.max),
            errors: sum(|row| &row.errors),
            tiers: sum(|row| &row.tiers),
            cpu_per_1000: known(|row| row.cpu_per_1000),
            rss: known(|row| row.rss),
            redis_per_call: known(|row| row.redis_per_call),
        }
    }
}

/// A figure that servers are compared by.
struct Compared {
    name: &'static str,
    of: fn(&Row) -> f64,
    goal: &'static str,
    is_reached: fn(f64) -> bool,
}

const COMPARED: &[Compared] = &[
    Compared {
        name: "calls/s",
        of: |row| row.calls_per_second,
        goal: "≥ 0.90",
        is_reached: |ratio| ratio >= 0.9,
    },
    Compared {
        name: "CPU",
        of: |row| row.cpu_per_1000.unwrap_or_default(),
        goal: "≤ 1.12",
        is_reached: |ratio| ratio <= 1.12,
    },
    Compared {
        name: "p99",
        of: |row| row.p99,
        goal: "≤ 1.20",
        is_reached: |ratio| ratio <= 1.2,
    },
];

/// Ours beside theirs, for the figures that both have: the median of what each round says. The two
/// halves of a round are seconds apart, so what the machine does to one it mostly does to both.
pub(super) fn ratios(ours: &[Row], theirs: &[Row]) -> Vec<Ratio> {
    let compare = |compared: &Compared| {
        let rounds = ours.iter().zip(theirs);
        let pairs = rounds.map(|(ours, theirs)| ((compared.of)(ours), (compared.of)(theirs)));
        let known = pairs.filter(|(ours, theirs)| *ours > 0.0 && *theirs > 0.0);
        let all: Vec<_> = known.map(|(ours, theirs)| per(ours, theirs)).collect();
        let (first, other) = ours.first().zip(theirs.first())?;
        let ratio = (!all.is_empty()).then(|| median(all))?;
        Some(Ratio {
            load: first.load.clone(),
            to: other.server.clone(),
            figure: compared.name,
            ratio,
            goal: Some(compared.goal),
            reached: Some((compared.is_reached)(ratio)),
        })
    };
    COMPARED.iter().filter_map(compare).collect()
}

impl Report {
    /// Calls, and those that were not answered well.
    pub fn calls_and_errors(&self) -> (u64, u64) {
        let rows = || self.sections.iter().flat_map(|section| &section.rows);
        let errors = rows().flat_map(|row| row.errors.values()).sum();
        (rows().map(|row| row.calls).sum(), errors)
    }

    /// Whether every answer was right. How fast they came is not judged.
    ///
    /// # Errors
    /// Says what was wrong.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let (calls, errors) = self.calls_and_errors();
        if errors > 0 {
            anyhow::bail!("{errors} of {calls} calls were not answered as they should be");
        }
        if self.mixed_up_at_the_api > 0 {
            let count = self.mixed_up_at_the_api;
            anyhow::bail!("{count} requests at the API mixed up two tenants");
        }
        let figures = self.sections.iter().map(|section| section.figures.len());
        anyhow::ensure!(
            calls > 0 || figures.sum::<usize>() > 0,
            "nothing was called"
        );
        Ok(())
    }
}

fn milliseconds(latency: &Histogram<u64>, quantile: f64) -> f64 {
    if latency.is_empty() {
        return 0.0;
    }
    count(latency.value_at_quantile(quantile)) / 1e6
}

pub(super) fn median(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a run are far below 2^52"
)]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}

/// A quotient; nothing of nothing is nothing.
pub(super) fn per(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{}, {} cores, {}",
            machine.processor, machine.cores, machine.system
        )?;
        let pinned = machine.pinned.as_deref().unwrap_or("nothing is pinned");
        let load = machine.load_before.unwrap_or_default();
        writeln!(
            f,
            "profile {}; {pinned}; load before {load:.2}",
            self.profile
        )?;
        for section in &self.sections {
            write!(f, "\n{section}")?;
        }
        let (calls, errors) = self.calls_and_errors();
        writeln!(
            f,
            "\n{calls} calls, {errors} not answered as they should be"
        )?;
        self.complaints
            .iter()
            .try_for_each(|words| writeln!(f, "! {words}"))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.scenario, self.about)?;
        if !self.rows.is_empty() {
            writeln!(
                f,
                "  {:<34} {:<20} {:>8} {:>7} {:>7} {:>7} {:>7} {:>8} {:>7} {:>6} {:>7}",
                "load",
                "server",
                "calls/s",
                "p50 ms",
                "p90",
                "p99",
                "p99.9",
                "CPU s/1k",
                "RSS MiB",
                "Redis",
                "errors"
            )?;
        }
        self.rows
            .iter()
            .try_for_each(|row| writeln!(f, "  {row}"))?;
        for figure in &self.figures {
            let Figure {
                server,
                name,
                value,
                unit,
            } = figure;
            writeln!(f, "  {name:<34} {server:<20} {value:>8.2} {unit}")?;
        }
        for ratio in &self.ratios {
            let Ratio {
                load,
                to,
                figure,
                ratio,
                goal,
                reached,
            } = ratio;
            let goal = goal.map_or_else(String::new, |goal| format!("   goal {goal}"));
            let mark = reached.map_or("", |it| if it { " reached" } else { " MISSED" });
            writeln!(
                f,
                "  {load:<34} {:<20} {ratio:>8.2}{goal}{mark}",
                format!("{figure} ÷ {to}")
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let optional = |value: Option<f64>, digits: usize| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
        };
        let errors: u64 = self.errors.values().sum();
        write!(
            f,
            "{:<34} {:<20} {:>8.0} {:>7.3} {:>7.3} {:>7.3} {:>7.3} {:>8} {:>7} {:>6} {errors:>7}",
            self.load,
            self.server,
            self.calls_per_second,
            self.p50,
            self.p90,
            self.p99,
            self.p999,
            optional(self.cpu_per_1000, 4),
            optional(self.rss, 1),
            optional(self.redis_per_call, 3),
        )?;
        let listed = |all: &BTreeMap<String, u64>| {
            let all: Vec<_> = all
                .iter()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            all.join(", ")
        };
        if !self.tiers.is_empty() {
            write!(f, "  tiers: {}", listed(&self.tiers))?;
        }
        if errors > 0 {
            write!(f, "  errors: {}", listed(&self.errors))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(calls_per_second: f64, errors: u64) -> Row {
        Row {
            calls: 10,
            calls_per_second,
            errors: BTreeMap::from([("status 401".to_owned(), errors)]),
            cpu_per_1000: Some(calls_per_second / 1000.0),
            ..Row::default()
        }
    }

    #[test]
    fn rounds_give_their_median_and_all_their_errors() {
        let median = Row::median(&[row(3.0, 1), row(1.0, 0), row(2.0, 1)]);
        assert!((median.calls_per_second - 2.0).abs() < 1e-9);
        assert_eq!(median.errors["status 401"], 2);
        assert_eq!(median.calls, 30);
    }

    #[test]
    fn ratios_are_ours_by_theirs_and_judged() {
        let found = ratios(&[row(8.0, 0)], &[row(10.0, 0)]);
        let figures: Vec<_> = found.iter().map(|it| (it.figure, it.reached)).collect();
        assert_eq!(figures, [("calls/s", Some(false)), ("CPU", Some(true))]);
    }

    #[test]
    fn a_slow_time_of_the_machine_changes_no_ratio() {
        // Medians of each server would be 9 and 5.
        let ours = [row(9.0, 0), row(4.0, 0), row(9.5, 0)];
        let theirs = [row(10.0, 0), row(4.5, 0), row(5.0, 0)];
        let found = ratios(&ours, &theirs);
        assert!((found[0].ratio - 0.9).abs() < 1e-9, "{}", found[0].ratio);
    }
}
