//! `cargo xtask chaos`: everything around a fleet of servers fails, again and again. What is done
//! and counted stands in `crates/mcp-lab/src/chaos.rs`.

use std::{ffi::OsString, process::Command};

use lexopt::prelude::{Long, Short, ValueExt as _};

use crate::{dev, redis, shell};

const HELP: &str = "\
Let everything around a fleet of servers fail, and count who noticed.

Three instances, 50 tenants who read and write all the time, a Redis with replica and Sentinel, an
issuer with a clock of its own. Restarts, kills, hangs, failovers, outages, key rotations and wrong
clocks come in an order that the seed decides. Fails when a good token is refused, a call fails on
two instances, or anybody meets somebody else's data.

`cargo xtask test` runs a short form of it.

Usage: cargo xtask chaos [options]

  --seed <n>     decides the schedule (default 1)
  --seconds <n>  how long, at least one round of all outages (default 600)
  --short        every outage once, and briefly, as in the tests
  --json         print the report as JSON
";

pub(crate) fn run(flags: lexopt::Parser) -> anyhow::Result<()> {
    let Some(passed_on) = parse(flags)? else {
        print!("{HELP}");
        return Ok(());
    };
    let redis = redis::find_or_install()?;
    dev::build()?;
    let mut program = Command::new(shell::built("lab")?);
    program
        .arg("chaos")
        .arg("--server")
        .arg(shell::built("braingrid-mcp")?)
        .args(passed_on);
    redis.tell(&mut program);
    shell::become_program(&mut program)
}

/// Flags that the suite reads itself; none when help was asked for.
fn parse(mut flags: lexopt::Parser) -> anyhow::Result<Option<Vec<OsString>>> {
    let mut passed_on = Vec::new();
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => return Ok(None),
            Long("short") => passed_on.push("--short".into()),
            Long("json") => passed_on.push("--json".into()),
            Long("seed") => pass_number("--seed", &mut flags, &mut passed_on)?,
            Long("seconds") => pass_number("--seconds", &mut flags, &mut passed_on)?,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(passed_on))
}

fn pass_number(
    name: &str,
    flags: &mut lexopt::Parser,
    passed_on: &mut Vec<OsString>,
) -> anyhow::Result<()> {
    let number: u64 = flags.value()?.parse()?;
    passed_on.extend([name.into(), number.to_string().into()]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> anyhow::Result<Option<Vec<OsString>>> {
        parse(lexopt::Parser::from_args(flags))
    }

    #[test]
    fn flags_are_passed_on_as_they_were_meant() {
        let flags = parsed(&["--seed=7", "--seconds", "900", "--json"]).unwrap();
        assert_eq!(
            flags.unwrap(),
            ["--seed", "7", "--seconds", "900", "--json"]
        );
    }

    #[test]
    fn help_starts_nothing_and_what_is_no_number_is_an_error() {
        assert!(parsed(&["--help"]).unwrap().is_none());
        assert!(parsed(&["--seed", "lucky"]).is_err());
    }
}
