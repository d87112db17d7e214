//! `cargo xtask pages`: the pages of a login, and those for operators, in a real Chromium. What is looked at and checked stands in
//! `crates/mcp-lab/interop/pages`.

use std::{fs, process::Command};

use anyhow::{Context as _, bail};
use lexopt::prelude::{Long, Short};

use crate::{debian, node, python, shell};

const HELP: &str = "\
Show the pages of the authorization server and those for operators to a real Chromium.

In light and dark, wide and narrow: that they fit, that the keyboard reaches everything, that axe finds no
fault, that nothing is fetched, and that a decision leads where it should; operators work without scripts.
The OpenAPI document of their listener is validated by openapi-spec-validator, which is installed from PyPI.
Chromium is taken from PATH or installed from Debian's packages, what drives it from npm. The screenshots are
in target/pages/screenshots.

Usage: cargo xtask pages
";

/// Where the checks are.
const SOURCE: &str = "crates/mcp-lab/interop/pages";

/// By the rules and the JSON Schema of `OpenAPI` 3.1.
const VALIDATOR: [&str; 1] = ["openapi-spec-validator==0.9.0"];

const NO_CHROMIUM: &str = "pages needs Chromium: install it with your package manager";
const NO_NPM: &str = "pages needs npm: install Node.js with your package manager";
const NO_PIP: &str = "pages needs Python 3 with pip: install it with your package manager";

pub(crate) fn run(mut flags: lexopt::Parser) -> anyhow::Result<()> {
    match flags.next()? {
        None => match missing()? {
            Some(missing) => bail!("{missing}"),
            None => pages(),
        },
        Some(Short('h') | Long("help")) => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => Err(other.unexpected().into()),
    }
}

/// The step of `cargo xtask ci`: skipped where it cannot run, except in the continuous integration.
pub(crate) fn step() -> anyhow::Result<()> {
    match missing()? {
        Some(missing) if shell::in_ci() => bail!("{missing}"),
        Some(missing) => {
            eprintln!("SKIPPED: {missing}");
            Ok(())
        }
        None => pages(),
    }
}

fn pages() -> anyhow::Result<()> {
    let dir = node::install(SOURCE, "pages")?;
    // The whole workspace, so that dependencies have the features that they have in its tests.
    let build = [
        "build",
        "--workspace",
        "--bins",
        "--example=pages",
        "--profile=ci",
    ];
    shell::run(&mut shell::cargo(build))?;
    let document = dir.join("openapi.json");
    let screenshots = dir.join("screenshots");
    fs::create_dir_all(&screenshots).context("cannot make the folder of screenshots")?;
    let chromium = shell::output(Command::new("sh").args(["-c", "command -v chromium"]))?;
    let mut checks = Command::new(node::program(&dir));
    checks
        .arg(dir.join("run.mjs"))
        .args(["--chromium", chromium.trim(), "--pages"])
        .arg(shell::built("examples/pages")?)
        .arg("--lab")
        .arg(shell::built("lab")?)
        .arg("--server")
        .arg(shell::built("braingrid-mcp")?)
        .arg("--screenshots")
        .arg(screenshots)
        .arg("--document")
        .arg(&document);
    shell::run(&mut checks)?;
    // The server is there already: its description for programs is judged as well.
    let tools = python::install("openapi", &VALIDATOR)?;
    let mut validate = Command::new("python3");
    validate.env("PYTHONPATH", &tools);
    shell::run(
        validate
            .args(["-m", "openapi_spec_validator"])
            .arg(&document),
    )
}

/// What this machine lacks and cannot be given.
fn missing() -> anyhow::Result<Option<&'static str>> {
    if !node::npm_answers() {
        return Ok(Some(NO_NPM));
    }
    if !shell::answers(Command::new("python3").args(["-m", "pip", "--version"])) {
        return Ok(Some(NO_PIP));
    }
    let is_there = || shell::answers(Command::new("chromium").arg("--version"));
    if !is_there()
        && let Some(mut install) = debian::install(&["chromium"])
    {
        eprintln!("no chromium in PATH: installing Debian's package");
        shell::run(&mut install)?;
    }
    Ok((!is_there()).then_some(NO_CHROMIUM))
}
