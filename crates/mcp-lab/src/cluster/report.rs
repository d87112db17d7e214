//! What came of it.

use std::{collections::BTreeMap, fmt};

use anyhow::bail;
use serde::Serialize;

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Tokens that were shown.
    pub tokens: usize,
    /// Of how many organizations.
    pub tenants: usize,
    /// Sessions that the cluster had then.
    pub sessions: usize,
    /// How long the whole took.
    pub seconds: f64,
    /// How long it took to fill the cluster.
    pub filled_in: f64,
    /// What masters use beyond what they use empty, by sessions.
    pub bytes_per_session: usize,
    /// The nodes when they were full.
    pub nodes: Vec<Node>,
    /// What kinds of calls cost.
    pub kinds: Vec<Kind>,
    /// Until the replica of the master that was killed had its place, in seconds.
    pub taken_over_in: f64,
    /// Calls from then on.
    pub calls: usize,
    /// Good tokens that were refused.
    pub signed_out: usize,
    /// Neither served nor refused.
    pub otherwise: usize,
    /// Tokens whose sessions a new instance needed of the cluster, as the issuer was away.
    pub asked_of_the_cluster: usize,
    /// Of these, not served.
    pub missing: usize,
    /// Tokens that were shown to a new instance once the cluster was empty.
    pub shown_again: usize,
    /// Sessions that were written for them.
    pub written_again: usize,
    /// The first things that must not have happened, in words.
    pub complaints: Vec<String>,
}

/// A node when it was full.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// Or a replica.
    pub is_master: bool,
    /// How many keys it had.
    pub keys: usize,
    /// Bytes that it used (`used_memory`).
    pub bytes: usize,
}

/// What one kind of call costs.
#[derive(Clone, Debug, Serialize)]
pub struct Kind {
    /// Which.
    pub name: &'static str,
    /// How many were made.
    pub calls: usize,
    /// Commands of all of them, by name.
    pub commands: BTreeMap<String, u64>,
}

impl Kind {
    /// Commands of all of them.
    pub fn sum(&self) -> u64 {
        self.commands.values().sum()
    }
}

impl Report {
    /// Fails when a good token was refused, a call not answered, a session missing, or when a call with a
    /// known token cost a command.
    ///
    /// # Errors
    ///
    /// What it was.
    pub fn verdict(&self) -> anyhow::Result<()> {
        let wrong = [
            ("good tokens refused", self.signed_out),
            ("calls not answered", self.otherwise),
            ("sessions that the cluster should have", self.missing),
        ];
        let wrong: Vec<_> = wrong.iter().filter(|(_, count)| *count > 0).collect();
        if !wrong.is_empty() {
            bail!("{wrong:?}");
        }
        let warm = self.kinds.first().map_or(0, Kind::sum);
        if warm > 0 {
            bail!("calls with known tokens cost {warm} commands");
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tokens,
            tenants,
            sessions,
            ..
        } = self;
        writeln!(
            f,
            "{tokens} tokens of {tenants} organizations, {sessions} sessions, {:.0} s",
            self.seconds
        )?;
        writeln!(
            f,
            "filled in {:.0} s; {} bytes a session on its master",
            self.filled_in, self.bytes_per_session
        )?;
        for node in &self.nodes {
            let role = if node.is_master { "master" } else { "replica" };
            let mib = node.bytes / (1024 * 1024);
            writeln!(f, "  {role:<8} {:>8} keys {mib:>6} MiB", node.keys)?;
        }
        writeln!(f, "commands")?;
        for kind in &self.kinds {
            writeln!(
                f,
                "  {:<44} {:>4} calls {:>5}  {:?}",
                kind.name,
                kind.calls,
                kind.sum(),
                kind.commands
            )?;
        }
        writeln!(
            f,
            "a master killed: its replica had its place after {:.1} s",
            self.taken_over_in
        )?;
        writeln!(
            f,
            "the issuer away: a new instance needed {} sessions of the cluster, {} missing",
            self.asked_of_the_cluster, self.missing
        )?;
        writeln!(
            f,
            "emptied: {} tokens shown to a new instance, {} sessions written again",
            self.shown_again, self.written_again
        )?;
        writeln!(
            f,
            "calls meanwhile: {}; signed out: {}; not answered: {}",
            self.calls, self.signed_out, self.otherwise
        )?;
        for complaint in &self.complaints {
            writeln!(f, "  {complaint}")?;
        }
        Ok(())
    }
}
