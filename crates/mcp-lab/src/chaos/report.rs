//! What came of it: as a table for people, as JSON for scripts.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::bail;
use serde::Serialize;

use super::{
    Config, Mode,
    bars::{Bars, Compared},
    client::Logins,
    fleet::INSTANCES,
    record::{Phase, Recorder},
    schedule::Step,
};

/// What the tenants saw.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Where tokens came from.
    pub mode: Mode,
    /// Decided the schedule.
    pub seed: u64,
    /// How long it took.
    pub seconds: f64,
    /// How many tenants called.
    pub tenants: usize,
    /// How many instances there were.
    pub instances: usize,
    /// What happened, in order.
    pub schedule: Vec<Step>,
    /// What was seen, by what was happening.
    pub phases: Vec<PhaseReport>,
    /// The sum of all phases.
    pub total: PhaseReport,
    /// What was measured with every outage over, where an issuer gave the tokens.
    pub at_rest: Option<AtRest>,
    /// What came of the logins, where tenants had some.
    pub logins: Option<Logins>,
    /// The first things that must not have happened, in words.
    pub complaints: Vec<String>,
}

/// What calls cost when nothing else happens.
#[derive(Clone, Debug, Serialize)]
pub struct AtRest {
    /// Calls whose session was in memory.
    pub warm_calls: u64,
    /// Redis commands that those calls caused.
    pub redis_commands: u64,
    /// What a hung Redis costs.
    pub bars: Bars,
}

/// Calls during one kind of event.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PhaseReport {
    /// Which.
    pub name: &'static str,
    /// Calls that tenants made.
    pub calls: u64,
    /// Repetitions on another instance.
    pub retried: u64,
    /// Failed on both; an attempt that a kill or a reset cut off is not counted as one.
    pub failed: u64,
    /// Writes that a kill or a reset cut off, and whose outcome was told to be unknown.
    pub unknown: u64,
    /// A good token was refused.
    pub good_tokens_refused: u64,
    /// Refused, and rightly: the issuer had withdrawn the token's key.
    pub withdrawn_tokens_refused: u64,
    /// Answers to, and requests for, somebody else.
    pub wrong_user: u64,
    /// Median, in milliseconds, a repetition included.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
}

impl Report {
    pub(super) fn new(config: &Config, schedule: Vec<Step>, recorder: &Recorder) -> Self {
        let mut report = Self {
            mode: config.mode,
            seed: config.seed,
            seconds: 0.0,
            tenants: config.mode.tenants(),
            instances: INSTANCES,
            schedule,
            phases: Vec::new(),
            total: PhaseReport::default(),
            at_rest: None,
            logins: None,
            complaints: Vec::new(),
        };
        report.see(recorder, Duration::ZERO);
        report
    }

    /// Takes down what was seen so far.
    pub(super) fn see(&mut self, recorder: &Recorder, took: Duration) {
        self.seconds = took.as_secs_f64();
        self.phases = recorder.phases().iter().map(PhaseReport::of).collect();
        self.total = PhaseReport::sum(&self.phases, recorder);
        self.complaints = recorder.complaints();
    }

    /// Whether nobody was signed out, lost a call or met somebody else.
    ///
    /// # Errors
    ///
    /// Names what must be 0 and is not.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let commands = self.at_rest.as_ref().map_or(0, |it| it.redis_commands);
        let logins = self.logins.clone().unwrap_or_default();
        let must_be_zero = [
            ("good tokens refused", self.total.good_tokens_refused),
            ("calls failed after one retry", self.total.failed),
            (
                "answers or requests of the wrong user",
                self.total.wrong_user,
            ),
            ("Redis commands of warm calls", commands),
            ("refreshes refused", logins.ended),
            ("new logins", logins.new),
        ];
        for (what, count) in must_be_zero {
            if count > 0 {
                bail!("{what}: {count}, and must be 0");
            }
        }
        Ok(())
    }
}

impl PhaseReport {
    fn of(phase: &Phase) -> Self {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            name: phase.name,
            calls: of(&phase.calls),
            retried: of(&phase.retried),
            failed: of(&phase.failed),
            unknown: of(&phase.unknown),
            good_tokens_refused: of(&phase.refused),
            withdrawn_tokens_refused: of(&phase.withdrawn),
            wrong_user: of(&phase.misplaced),
            p50_ms: phase.percentile(0.5),
            p99_ms: phase.percentile(0.99),
        }
    }

    fn sum(phases: &[Self], recorder: &Recorder) -> Self {
        let of = |count: fn(&Self) -> u64| phases.iter().map(count).sum();
        Self {
            name: "total",
            calls: of(|phase| phase.calls),
            retried: of(|phase| phase.retried),
            failed: of(|phase| phase.failed),
            unknown: of(|phase| phase.unknown),
            good_tokens_refused: of(|phase| phase.good_tokens_refused),
            withdrawn_tokens_refused: of(|phase| phase.withdrawn_tokens_refused),
            wrong_user: of(|phase| phase.wrong_user),
            p50_ms: recorder.percentile(0.5),
            p99_ms: recorder.percentile(0.99),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} instances, {} tenants, {:.0} s, seed {}\n",
            self.instances, self.tenants, self.seconds, self.seed
        )?;
        writeln!(
            f,
            "{:<24} {:>7} {:>7} {:>6} {:>7} {:>5} {:>9} {:>6} {:>8} {:>8}",
            "",
            "calls",
            "retried",
            "failed",
            "unknown",
            "401",
            "withdrawn",
            "wrong",
            "p50 ms",
            "p99 ms"
        )?;
        for phase in self.phases.iter().chain([&self.total]) {
            writeln!(f, "{phase}")?;
        }
        if let Some(AtRest {
            warm_calls,
            redis_commands,
            bars,
        }) = &self.at_rest
        {
            let of = format!("{warm_calls} warm calls");
            writeln!(f, "\nRedis commands of {of}: {redis_commands}\n\n{bars}")?;
        }
        if let Some(logins) = &self.logins {
            writeln!(f, "\n{logins}")?;
        }
        self.complaints
            .iter()
            .try_for_each(|complaint| writeln!(f, "! {complaint}"))
    }
}

impl fmt::Display for PhaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<24} {:>7} {:>7} {:>6} {:>7} {:>5} {:>9} {:>6} {:>8.1} {:>8.1}",
            self.name,
            self.calls,
            self.retried,
            self.failed,
            self.unknown,
            self.good_tokens_refused,
            self.withdrawn_tokens_refused,
            self.wrong_user,
            self.p50_ms,
            self.p99_ms
        )
    }
}

impl fmt::Display for Logins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            new,
            ended,
            refreshes,
            lost_answers,
            put_off,
        } = self;
        writeln!(
            f,
            "refreshes: {refreshes}, refused: {ended}, new logins: {new}\n\
             answers that clients lost: {lost_answers}, attempts while something was away: {put_off}"
        )
    }
}

impl fmt::Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<24} {:>7} {:>19} {:>19}",
            "", "calls", "Redis well, p50/p99", "hung, p50/p99"
        )?;
        let rows = [
            ("known token", self.warm),
            ("new token", self.new_token),
            ("new token, circuit open", self.new_token_circuit_open),
        ];
        for (
            name,
            Compared {
                calls,
                healthy_p50,
                healthy_p99,
                hung_p50,
                hung_p99,
            },
        ) in rows
        {
            writeln!(
                f,
                "{name:<24} {calls:>7} {healthy_p50:>9.2}/{healthy_p99:>9.2} {hung_p50:>9.2}/{hung_p99:>9.2}"
            )?;
        }
        Ok(())
    }
}
