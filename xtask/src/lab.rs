//! The commands that the program `lab` does: `dev`, `load-test`, `chaos`, `storm`, `revocations`,
//! `cluster`, `conformance`. It is
//! built, told where the other programs are, and gets the flags as they were given: it alone knows
//! them, and their help.

use std::{ffi::OsString, path::Path, process::Command};

use anyhow::{Context as _, bail};

use crate::{debian, node, redis, shell};

/// The suite of `conformance`: its version, and the reviewed lists.
const SUITE: &str = "crates/mcp-lab/conformance";

const NO_NPM: &str = "conformance needs npm: install Node.js with your package manager";

/// The demonstration, until Ctrl-C.
pub(crate) fn dev(flags: &[OsString]) -> anyhow::Result<()> {
    if asks_for_help(flags) {
        return help("dev", flags);
    }
    let redis = if has(flags, "--redis") {
        redis::find_or_install()?
    } else {
        redis::Server::InPath
    };
    build()?;
    let mut lab = lab("dev", "ci")?;
    lab.arg("--state").arg(shell::target_dir()?.join("dev"));
    redis.tell(&mut lab);
    shell::become_program(lab.args(flags))
}

pub(crate) fn chaos(flags: &[OsString]) -> anyhow::Result<()> {
    with_redis("chaos", flags)
}

pub(crate) fn storm(flags: &[OsString]) -> anyhow::Result<()> {
    with_redis("storm", flags)
}

pub(crate) fn revocations(flags: &[OsString]) -> anyhow::Result<()> {
    with_redis("revocations", flags)
}

pub(crate) fn cluster(flags: &[OsString]) -> anyhow::Result<()> {
    with_redis("cluster", flags)
}

/// One of the commands that take the server and a Redis, and nothing else.
fn with_redis(command: &str, flags: &[OsString]) -> anyhow::Result<()> {
    if asks_for_help(flags) {
        return help(command, flags);
    }
    let redis = redis::find_or_install()?;
    build()?;
    let mut lab = lab(command, "ci")?;
    redis.tell(&mut lab);
    shell::become_program(lab.args(flags))
}

/// The only flag that is read here is `--release`, which decides what is built.
pub(crate) fn load_test(flags: &[OsString]) -> anyhow::Result<()> {
    if asks_for_help(flags) {
        return help("load-test", flags);
    }
    if flags.first().is_some_and(|word| word == "instructions") {
        return instructions(flags.get(1..).unwrap_or_default());
    }
    let (release, flags): (Vec<_>, Vec<_>) = flags.iter().partition(|word| *word == "--release");
    let profile = if release.is_empty() { "ci" } else { "release" };
    let redis = redis::find_or_install()?;
    let mut lab = beside_bare("load-test", profile)?;
    lab.args(["--profile", profile]).args(flags);
    redis.tell(&mut lab);
    shell::become_program(&mut lab)
}

/// Counts instructions, ours and those of the bare SDK.
fn instructions(flags: &[OsString]) -> anyhow::Result<()> {
    if !find_or_install_valgrind()? {
        bail!("valgrind is needed: install it with your package manager");
    }
    let redis = redis::find_or_install()?;
    let mut lab = beside_bare("instructions", "ci")?;
    redis.tell(&mut lab);
    shell::run(lab.args(flags))
}

/// The step of `ci`: ours alone.
pub(crate) fn instructions_step() -> anyhow::Result<()> {
    if !find_or_install_valgrind()? {
        if shell::in_ci() {
            bail!("there is no valgrind, and no way to install it");
        }
        eprintln!("left out: there is no valgrind, and no way to install it");
        return Ok(());
    }
    instructions(&["--baseline".into(), "none".into()])
}

pub(crate) fn conformance(flags: &[OsString]) -> anyhow::Result<()> {
    if asks_for_help(flags) {
        return help("conformance", flags);
    }
    if !node::npm_answers() {
        bail!(NO_NPM);
    }
    let dir = node::install(SUITE, "conformance")?;
    // In one go with what `dev` builds: cargo then compiles each dependency once, for all of them.
    shell::run(build_command("ci").args([
        "--package=mcp-transport-http",
        "--example=conformance_fixture",
    ]))?;
    let mut lab = lab("conformance", "ci")?;
    lab.arg("--fixture")
        .arg(shell::built("examples/conformance_fixture")?)
        .arg("--suite")
        .arg(&dir)
        .arg("--baselines")
        .arg(shell::root().join(SUITE))
        .arg("--reports")
        .arg(dir.join("reports"));
    shell::run(lab.args(flags))
}

/// The step of `ci`: skipped where it cannot run, except in the continuous integration.
pub(crate) fn conformance_step() -> anyhow::Result<()> {
    if node::npm_answers() {
        return conformance(&[]);
    }
    if shell::in_ci() {
        bail!(NO_NPM);
    }
    eprintln!("SKIPPED: {NO_NPM}");
    Ok(())
}

/// Builds the server and the lab in one go: apart, they would compile their dependencies with
/// different features, twice.
pub(crate) fn build() -> anyhow::Result<()> {
    shell::run(&mut build_command("ci"))
}

/// The command for it, with one of Cargo's profiles.
fn build_command(profile: &str) -> Command {
    eprintln!("building; the first time takes some minutes");
    let mut build = shell::cargo([
        "build",
        "--package=braingrid-mcp",
        "--bin=braingrid-mcp",
        "--package=mcp-lab",
        "--bin=lab",
    ]);
    build.args(["--profile", profile]);
    build
}

/// One of the lab's commands, told where the server is.
fn lab(command: &str, profile: &str) -> anyhow::Result<Command> {
    let dir = shell::target_dir()?.join(profile);
    let mut lab = Command::new(program(&dir, "lab"));
    lab.arg(command)
        .arg("--server")
        .arg(program(&dir, "braingrid-mcp"));
    Ok(lab)
}

/// A command that compares with the bare server, and the three programs it needs: with the same
/// dependencies and settings, otherwise ratios mean nothing.
fn beside_bare(command: &str, profile: &str) -> anyhow::Result<Command> {
    shell::run(build_command(profile).arg("--example=bare-rmcp"))?;
    let mut lab = lab(command, profile)?;
    let dir = shell::target_dir()?.join(profile).join("examples");
    let bare = program(&dir, "bare-rmcp");
    if !bare.is_file() {
        bail!("cargo did not put the bare server where it was expected");
    }
    lab.arg("--bare").arg(bare);
    Ok(lab)
}

fn program(dir: &Path, name: &str) -> std::path::PathBuf {
    dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// The lab's own help, which needs the lab.
fn help(command: &str, flags: &[OsString]) -> anyhow::Result<()> {
    shell::run(&mut build_command("ci"))?;
    let command = match flags.first() {
        Some(word) if word == "instructions" => "instructions",
        _ => command,
    };
    let lab = program(&shell::target_dir()?.join("ci"), "lab");
    shell::become_program(Command::new(lab).args([command, "--help"]))
        .context("the help is the lab's")
}

fn asks_for_help(flags: &[OsString]) -> bool {
    has(flags, "--help") || has(flags, "-h")
}

fn has(flags: &[OsString], wanted: &str) -> bool {
    flags.iter().any(|word| word == wanted)
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
