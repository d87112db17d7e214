//! `cargo xtask conformance`: the official suite of the protocol, by `lab conformance`.
//! What is run, and how to read it: docs/conformance.md.

use std::{ffi::OsString, process::Command};

use anyhow::bail;
use lexopt::prelude::{Long, Short, ValueExt as _};

use crate::{node, shell};

const HELP: &str = "\
Run the official MCP conformance suite.

Two targets: a fixture with the suite's own tools on our transport, and the server itself. Both are
behind real tokens; a proxy adds them, as the suite cannot. What may fail, and why, stands in
crates/mcp-lab/conformance. The suite and a Node.js for it are installed from npm below
the target directory; its reports go to target/conformance/reports.

Usage: cargo xtask conformance [options]

  --only <target>  only 'fixture' or 'product'
";

/// The suite's version, and the reviewed lists.
const SOURCE: &str = "crates/mcp-lab/conformance";

const MISSING: &str = "conformance needs npm: install Node.js with your package manager";

pub(crate) fn run(flags: lexopt::Parser) -> anyhow::Result<()> {
    let Some(passed_on) = parse(flags)? else {
        print!("{HELP}");
        return Ok(());
    };
    if !node::npm_answers() {
        bail!(MISSING);
    }
    conformance(&passed_on)
}

/// The step of `cargo xtask ci`: skipped where it cannot run, except in the continuous integration.
pub(crate) fn step() -> anyhow::Result<()> {
    if node::npm_answers() {
        return conformance(&[]);
    }
    if shell::in_ci() {
        bail!(MISSING);
    }
    eprintln!("SKIPPED: {MISSING}");
    Ok(())
}

/// The flags for the program that does it; none when help was asked for.
fn parse(mut flags: lexopt::Parser) -> anyhow::Result<Option<Vec<OsString>>> {
    let mut passed_on = Vec::new();
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => return Ok(None),
            Long("only") => {
                let target = flags.value()?.string()?;
                if !["fixture", "product"].contains(&target.as_str()) {
                    bail!("--only takes 'fixture' or 'product', not '{target}'");
                }
                passed_on.extend(["--only".into(), target.into()]);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(passed_on))
}

fn conformance(passed_on: &[OsString]) -> anyhow::Result<()> {
    let dir = node::install(SOURCE, "conformance")?;
    build()?;
    let mut program = Command::new(shell::built("lab")?);
    program
        .arg("conformance")
        .arg("--server")
        .arg(shell::built("braingrid-mcp")?)
        .arg("--fixture")
        .arg(shell::built("examples/conformance_fixture")?)
        .arg("--suite")
        .arg(&dir)
        .arg("--baselines")
        .arg(shell::root().join(SOURCE))
        .arg("--reports")
        .arg(dir.join("reports"))
        .args(passed_on);
    shell::run(&mut program)
}

/// In one go with what `dev` builds: cargo then compiles each dependency once, for all of them.
fn build() -> anyhow::Result<()> {
    shell::run(&mut shell::cargo([
        "build",
        "--profile=ci",
        "--package=braingrid-mcp",
        "--bin=braingrid-mcp",
        "--package=mcp-lab",
        "--bin=lab",
        "--package=mcp-transport-http",
        "--example=conformance_fixture",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_targets_are_passed_on() {
        let parse = |flags: &[&str]| parse(lexopt::Parser::from_args(flags));
        let passed_on = parse(&["--only", "product"]).unwrap().unwrap();
        assert_eq!(passed_on, ["--only", "product"]);
        assert!(parse(&["--help"]).unwrap().is_none());
        assert!(parse(&["--only", "everything"]).is_err());
        assert!(parse(&["--all"]).is_err());
    }
}
