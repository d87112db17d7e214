//! `cargo xtask interop`: real clients log in at a certified authorization server and work with the
//! real server. What is run and checked stands in `crates/mcp-lab/interop`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};
use lexopt::prelude::{Long, Short, ValueExt as _};

use crate::{clients, lab, node, shell};

const HELP: &str = "\
Let real clients log in at a certified authorization server and work with the real server.

The clients are the official ones for TypeScript and Python, and the Inspector's command line, over
HTTP and stdio; the authorization server is oidc-provider. Nobody here wrote them. They and a Node.js
for them are installed from npm and PyPI below the target directory. The BrainGrid API is a stand-in.
The command lines of Claude Code, Codex and mcp-remote log in at a server that has an authorization
server of its own. At the end, those of Claude Code, Codex and Gemini read what `install` wrote, and
start it.

Usage: cargo xtask interop [options]

  --only <words>  only flows with these words, such as 'Inspector' or 'opaque'
  --json          print the results as JSON
";

/// Where the clients and the authorization server are set up.
const SOURCE: &str = "crates/mcp-lab/interop";

/// What the command was asked for.
#[derive(Debug, Default, PartialEq)]
struct Options {
    only: Option<String>,
    json: bool,
}

pub(crate) fn run(flags: lexopt::Parser) -> anyhow::Result<()> {
    let Some(options) = parse(flags)? else {
        print!("{HELP}");
        return Ok(());
    };
    if let Some(missing) = missing() {
        bail!("{missing}");
    }
    interop(&options)
}

/// The step of `cargo xtask ci`: skipped where it cannot run, except in the continuous integration.
pub(crate) fn step() -> anyhow::Result<()> {
    match missing() {
        Some(missing) if shell::in_ci() => bail!("{missing}"),
        Some(missing) => {
            eprintln!("SKIPPED: {missing}");
            Ok(())
        }
        None => interop(&Options::default()),
    }
}

/// None when help was asked for.
fn parse(mut flags: lexopt::Parser) -> anyhow::Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(flag) = flags.next()? {
        match flag {
            Short('h') | Long("help") => return Ok(None),
            Long("only") => options.only = Some(flags.value()?.string()?),
            Long("json") => options.json = true,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

fn interop(options: &Options) -> anyhow::Result<()> {
    let dir = node::install(SOURCE, "interop")?;
    let python = python(&dir)?;
    let node = node::program(&dir);
    let clients = clients::install(&node)?;
    lab::build()?;
    let mut suite = Command::new(&node);
    suite
        .arg(dir.join("run.mjs"))
        .arg("--server")
        .arg(shell::built("braingrid-mcp")?)
        .arg("--stand-ins")
        .arg(shell::built("lab")?)
        .arg("--python")
        .arg(python)
        .arg("--clients")
        .arg(&clients)
        .arg("--logs")
        .arg(dir.join("logs"));
    if let Some(only) = &options.only {
        suite.arg("--only").arg(only);
    }
    if options.json {
        suite.arg("--json");
    }
    shell::run(&mut suite)?;
    match options.only {
        None => clients::run(&node, &clients),
        Some(_) => Ok(()),
    }
}

/// What this machine lacks.
fn missing() -> Option<&'static str> {
    if !node::npm_answers() {
        return Some("interop needs npm: install Node.js with your package manager");
    }
    let venv = ["-c", "import venv, ensurepip"];
    if !shell::answers(Command::new("python3").args(venv)) {
        return Some("interop needs Python 3 with venv: install python3 and python3-venv");
    }
    None
}

/// The Python of a virtual environment that holds the client.
fn python(dir: &Path) -> anyhow::Result<PathBuf> {
    let venv = dir.join("python");
    let program = venv.join("bin/python");
    let wanted = shell::read(&format!("{SOURCE}/requirements.txt"))?;
    let stamp = venv.join(".installed");
    let installed = fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted);
    if !installed || !shell::answers(Command::new(&program).args(["-c", "import mcp"])) {
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(&venv);
        shell::run(node::to_stderr(&mut make))?;
        let mut pip = Command::new(&program);
        pip.args(["-m", "pip", "install", "--quiet"]);
        pip.args(["--disable-pip-version-check", "--requirement"])
            .arg(dir.join("requirements.txt"));
        shell::run(node::to_stderr(&mut pip))?;
        fs::write(&stamp, wanted).context("cannot note what was installed")?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_to_run() {
        let parse = |flags: &[&str]| parse(lexopt::Parser::from_args(flags));
        let options = parse(&["--only", "Python", "--json"]).unwrap().unwrap();
        assert_eq!(
            options,
            Options {
                only: Some("Python".to_owned()),
                json: true
            }
        );
        assert!(parse(&["--help"]).unwrap().is_none());
        assert!(parse(&["--all"]).is_err());
    }
}
