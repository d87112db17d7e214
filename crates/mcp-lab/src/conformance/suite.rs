//! The suite as a program: where it is, and what it leaves.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::process::Command;

use super::{
    Listed, Options, Target,
    report::{Outcome, Scenarios},
    report_folder,
};

/// One set against one target.
#[derive(Clone, Copy)]
pub(super) struct Set<'a> {
    pub(super) options: &'a Options,
    pub(super) target: Target,
    pub(super) revision: &'static str,
    pub(super) listed: &'a Listed,
}

impl Set<'_> {
    /// An empty folder for everything that the suite says.
    pub(super) fn folder(&self) -> anyhow::Result<PathBuf> {
        let folder = report_folder(self.options, self.target).join(self.revision);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// What came of a run that left its results in `folder`.
    pub(super) fn outcome(
        &self,
        folder: &Path,
        success: bool,
        log: &str,
        all: &Scenarios,
    ) -> anyhow::Result<Outcome> {
        std::fs::write(folder.join("suite.log"), log)?;
        let (target, revision) = (self.target.name(), self.revision);
        if !success {
            println!("{target} {revision}:\n{}", verdict(log));
        }
        let listed = self.listed.entries();
        Outcome::read(target, revision, success, folder, all, &listed)
    }
}

/// It, to be told what to do.
pub(super) fn program(options: &Options) -> Command {
    let mut program = Command::new(options.suite.join("node_modules/node/bin/node"));
    program
        .arg(package(options).join("dist/index.js"))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    program
}

/// The folder that npm installed it into.
pub(super) fn package(options: &Options) -> PathBuf {
    let modules = options.suite.join("node_modules");
    modules.join("@modelcontextprotocol/conformance")
}

/// The end of its log: what it expected and what it found.
fn verdict(log: &str) -> &str {
    log.rfind("Total:")
        .map_or(log, |at| log.get(at..).unwrap_or_default())
}
