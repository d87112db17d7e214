//! `cargo xtask load-test`: builds the servers and the generator and starts it. What is sent and
//! counted stands in `crates/mcp-lab/src/load_test.rs`.

use std::{ffi::OsString, path::PathBuf, process::Command};

use anyhow::bail;

use crate::{debian, dev, redis, shell};

const HELP: &str = "\
Measure the server under the load of many tenants, beside the bare SDK.

Starts a stand-in issuer, an API that answers at once, a real Redis and the servers, and sends calls
of many tenants in both protocol generations. Every answer is checked: whole, for this call, and for
nobody else. Servers take turns with a core of their own; ratios to the bare SDK (the same tool on
rmcp alone, without authentication, sessions and telemetry) end every run. Takes about half a minute.

Exit code 0: every answer was right, however slow. 1: one was not, or something did not start.

Usage: cargo xtask load-test [options]

What is measured
  --scenario <name>     repeatable, or `all` (default steady)
      steady     known tokens: a closed loop, and an open loop at half its rate
      cold       from the start of the process to the first answer to a token
      ramp       from 1 user to 1,000
      new-token  a token that nobody has seen with each call
      replicas   every call of a tenant goes to the next instance
      redis      Redis hangs, is gone, comes back
      rotation   the issuer signs with a new key
      upstream   the API takes 20 ms
      mix        what a million mixed calls cost
      telemetry  exporters on, beside off
      soak       a steady rate for long
  --revision <date>     2025-11-25, 2026-07-28 or both (default)
  --connections <n>     of the closed loop, repeatable (default 16)
  --rate <n>            calls per second of the open loop and the soak
  --seconds <s>         of one measurement (default 1)
  --soak-seconds <s>    of the soak (default 60)
  --rounds <n>          medians of so many (default 3)
  --users <n>           tenants (default 100)
  --replicas <n>        instances of the scenario (default 2)
  --env NAME=VALUE      a variable for our server, repeatable

Against what
  --baseline bare|none  the bare SDK (default), or nothing
  --compare <server>    another MCP server, repeatable: its URL, or a command that listens on $PORT
                        and reads OAUTH_ISSUER, BRAINGRID_API_URL and REDIS_URL
  --tool <name>         another tool than create_requirement, with --arguments <json>
  --url <url>           measure a server that runs already (scenarios steady and soak), with
                        --token-file <file>, one token a line; calls auth_status unless --tool

How
  --release             the profile that is shipped, instead of ci, which links faster
  --unpinned            no core of their own for the servers
  --json                the report as JSON on stdout
  --json-file <file>    and to a file
  --html <file>         and as a page with charts

`cargo xtask load-test instructions` counts the processor instructions of a warm call instead, with
callgrind, and fails when they are over their budget (load_test/instructions.rs): the alarm of the
continuous integration, which does not depend on how busy the machine is. --json, --baseline none,
--profiles <folder>; --exporting and --env NAME=VALUE for our server.
";

pub(crate) fn run(mut flags: lexopt::Parser) -> anyhow::Result<()> {
    let words: Vec<OsString> = flags.raw_args()?.collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return Ok(());
    }
    if words.first().is_some_and(|word| word == "instructions") {
        return instructions(words.get(1..).unwrap_or_default());
    }
    let (release, passed_on): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| word == "--release");
    let profile = if release.is_empty() { "ci" } else { "release" };
    let redis = redis::find_or_install()?;
    let built = build(profile)?;
    let mut program = Command::new(built.generator);
    program
        .arg("load-test")
        .args(["--profile", profile])
        .args(passed_on);
    program.arg("--server").arg(built.server);
    program.arg("--bare").arg(built.bare);
    redis.tell(&mut program);
    shell::become_program(&mut program)
}

/// Counts instructions, ours and those of the bare SDK.
fn instructions(words: &[OsString]) -> anyhow::Result<()> {
    if !find_or_install_valgrind()? {
        bail!("valgrind is needed: install it with your package manager");
    }
    let without_bare = words.windows(2).any(|pair| pair == ["--baseline", "none"]);
    let mut words = words.iter().peekable();
    let mut passed_on = Vec::new();
    while let Some(word) = words.next() {
        if word == "--baseline" {
            words.next();
        } else {
            passed_on.push(word);
        }
    }
    let redis = redis::find_or_install()?;
    let built = build("ci")?;
    let mut program = Command::new(built.generator);
    program.arg("instructions").args(passed_on);
    program.arg("--server").arg(built.server);
    if !without_bare {
        program.arg("--bare").arg(built.bare);
    }
    redis.tell(&mut program);
    shell::run(&mut program)
}

/// The step of `ci`: ours alone.
pub(crate) fn step() -> anyhow::Result<()> {
    if !find_or_install_valgrind()? {
        if shell::in_ci() {
            bail!("there is no valgrind, and no way to install it");
        }
        eprintln!("left out: there is no valgrind, and no way to install it");
        return Ok(());
    }
    instructions(&["--baseline".into(), "none".into()])
}

fn find_or_install_valgrind() -> anyhow::Result<bool> {
    let is_there = || shell::answers(Command::new("valgrind").arg("--version"));
    if is_there() {
        return Ok(true);
    }
    let Some(mut install) = debian::install(&["valgrind"]) else {
        return Ok(false);
    };
    shell::run(&mut install)?;
    Ok(is_there())
}

/// What a run needs.
pub(crate) struct Built {
    pub(crate) generator: PathBuf,
    pub(crate) server: PathBuf,
    pub(crate) bare: PathBuf,
}

/// Builds all three with the same dependencies and settings: otherwise ratios mean nothing.
fn build(profile: &str) -> anyhow::Result<Built> {
    let mut cargo = dev::build_command(profile);
    shell::run(cargo.arg("--example=bare-rmcp"))?;
    let dir = shell::target_dir()?.join(profile);
    let built = Built {
        generator: dir.join("lab"),
        server: dir.join("braingrid-mcp"),
        bare: dir.join("examples/bare-rmcp"),
    };
    if !built.bare.is_file() {
        bail!("cargo did not put the bare server where it was expected");
    }
    Ok(built)
}
