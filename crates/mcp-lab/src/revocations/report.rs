//! What came of it.

use std::{fmt, time::Duration};

use anyhow::bail;
use serde::Serialize;

/// What came of the revocations.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// How many there were.
    pub revocations: usize,
    /// How long it took.
    pub seconds: f64,
    /// Calls of everybody.
    pub calls: usize,
    /// From the operator's request to the refusal, on each instance that was not cut off.
    pub delay: Delay,
    /// Calls with a denied token that an instance served while it could not hear of that.
    pub served_while_cut_off: usize,
    /// From the end of each cut until all instances knew all.
    pub healed_in: Vec<Duration>,
    /// Denied, and served when all knew.
    pub served_after_heal: usize,
    /// Denied, and served after Redis was emptied: by the instances, and by a new one.
    pub served_after_flush: usize,
    /// From then until the instances had written back all denials.
    pub written_back_in: Duration,
    /// Refused by an instance, and then served by it.
    pub served_again: usize,
    /// Refused, and not denied.
    pub wrongly_refused: usize,
    /// Neither served nor refused.
    pub otherwise: usize,
    /// Calls with a known token, to count commands.
    pub warm_calls: usize,
    /// Commands that they cost.
    pub warm_commands: u64,
    /// The first things that must not have happened, in words.
    pub complaints: Vec<String>,
}

/// How long it took, in milliseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Delay {
    /// How many were measured.
    pub count: usize,
    /// Half took no longer.
    pub median: f64,
    /// Of a hundred, 99 took no longer.
    pub p99: f64,
    /// The longest.
    pub longest: f64,
    /// The longest ones, in words.
    pub slow: Vec<String>,
}

impl Delay {
    pub(super) fn of(mut all: Vec<(Duration, String)>) -> Self {
        all.sort_unstable();
        let milliseconds = |it: &Duration| it.as_secs_f64() * 1_000.0;
        let at = |percent: usize| {
            let index = (all.len() * percent).div_ceil(100).saturating_sub(1);
            all.get(index).map_or(0.0, |(it, _)| milliseconds(it))
        };
        Self {
            count: all.len(),
            median: at(50),
            p99: at(99),
            longest: at(100),
            slow: all
                .iter()
                .rev()
                .take(3)
                .map(|(it, what)| format!("{:.0} ms: {what}", milliseconds(it)))
                .collect(),
        }
    }
}

impl Report {
    /// Fails when somebody was served who should not be, or refused who should be served, or when a call
    /// with a known token cost a command.
    ///
    /// # Errors
    ///
    /// What it was.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let wrong = [
            (
                "served after all knew of the denial",
                self.served_after_heal,
            ),
            ("served after Redis was emptied", self.served_after_flush),
            ("served after they were refused", self.served_again),
            ("refused though not denied", self.wrongly_refused),
            ("neither served nor refused", self.otherwise),
        ];
        let wrong: Vec<_> = wrong.iter().filter(|(_, count)| *count > 0).collect();
        if !wrong.is_empty() {
            bail!("{wrong:?}");
        }
        if self.warm_commands > 0 {
            let commands = self.warm_commands;
            bail!(
                "{} calls with known tokens cost {commands} commands",
                self.warm_calls
            );
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delay {
            count,
            median,
            p99,
            longest,
            slow,
        } = &self.delay;
        writeln!(
            f,
            "{} revocations in {:.0} s, {} calls",
            self.revocations, self.seconds, self.calls
        )?;
        writeln!(
            f,
            "from event to refusal, {count} times on an instance that was not cut off: \
             median {median:.0} ms, p99 {p99:.0} ms, longest {longest:.0} ms"
        )?;
        for slow in slow {
            writeln!(f, "  {slow}")?;
        }
        let healed = self
            .healed_in
            .iter()
            .map(|it| format!("{:.1} s", it.as_secs_f64()));
        let healed = healed.collect::<Vec<_>>().join(", ");
        writeln!(
            f,
            "cut off: served {} calls; all knew all after {healed}",
            self.served_while_cut_off
        )?;
        writeln!(
            f,
            "Redis emptied: written back after {:.1} s",
            self.written_back_in.as_secs_f64()
        )?;
        writeln!(f, "served after heal: {}", self.served_after_heal)?;
        writeln!(
            f,
            "served after Redis was emptied: {}",
            self.served_after_flush
        )?;
        writeln!(f, "served after they were refused: {}", self.served_again)?;
        writeln!(f, "wrongly refused: {}", self.wrongly_refused)?;
        writeln!(f, "neither served nor refused: {}", self.otherwise)?;
        writeln!(
            f,
            "store commands of {} calls with known tokens: {}",
            self.warm_calls, self.warm_commands
        )?;
        for complaint in &self.complaints {
            writeln!(f, "  {complaint}")?;
        }
        Ok(())
    }
}
