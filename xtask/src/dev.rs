//! `cargo xtask dev`: builds the server and the stand-ins, and starts the stand-ins' program, which
//! does the rest (`lab dev`).

use std::{ffi::OsString, process::Command};

use lexopt::prelude::{Long, Short, ValueExt as _};

use crate::{redis, shell};

const HELP: &str = "\
Build and start everything on this machine, with a demonstration.

The issuer and the BrainGrid API are stand-ins from crates/mcp-test-support; the server is the real
binary, over HTTP. A real MCP client makes one call; then the set-ups for your own client are
printed, and everything stays up until Ctrl-C.

Usage: cargo xtask dev [options]

  --once          stop after the demonstration; exit code 0 if it worked
  --json          when ready, print one line of JSON on stdout, for scripts
  --redis         keep sessions in a real Redis, found or installed first
  --replicas <n>  start n servers (default 1)
  --port <port>   port of the first server (default: a free one)
";

/// What to start.
#[derive(Default)]
struct Options {
    redis: bool,
    /// Flags that the stand-ins' program reads itself.
    passed_on: Vec<OsString>,
}

pub(crate) fn run(flags: lexopt::Parser) -> anyhow::Result<()> {
    let Some(options) = parse(flags)? else {
        print!("{HELP}");
        return Ok(());
    };
    let redis = if options.redis {
        redis::find_or_install()?
    } else {
        redis::Server::InPath
    };
    build()?;
    let mut program = Command::new(shell::built("lab")?);
    program
        .arg("dev")
        .arg("--server")
        .arg(shell::built("braingrid-mcp")?);
    program.args(options.passed_on);
    redis.tell(&mut program);
    shell::become_program(&mut program)
}

/// None when help was asked for.
fn parse(mut flags: lexopt::Parser) -> anyhow::Result<Option<Options>> {
    let mut options = Options::default();
    while let Some(flag) = flags.next()? {
        let mut pass_on = |word: &str| options.passed_on.push(word.into());
        match flag {
            Short('h') | Long("help") => return Ok(None),
            Long("once") => pass_on("--once"),
            Long("json") => pass_on("--json"),
            Long("redis") => {
                pass_on("--redis");
                options.redis = true;
            }
            Long("replicas") => {
                let count: u16 = flags.value()?.parse()?;
                pass_on("--replicas");
                pass_on(&count.to_string());
            }
            Long("port") => {
                let port: u16 = flags.value()?.parse()?;
                pass_on("--port");
                pass_on(&port.to_string());
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(Some(options))
}

/// Builds the server and the stand-ins in one go: apart, they would compile their dependencies with
/// different features, twice.
pub(crate) fn build() -> anyhow::Result<()> {
    shell::run(&mut build_command("ci"))
}

/// The command for it, with one of Cargo's profiles.
pub(crate) fn build_command(profile: &str) -> Command {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn options(flags: &[&str]) -> anyhow::Result<Option<Options>> {
        parse(lexopt::Parser::from_args(flags))
    }

    #[test]
    fn flags_are_passed_on_as_they_were_meant() {
        let parsed = options(&["--once", "--redis", "--replicas=2"])
            .unwrap()
            .unwrap();
        assert!(parsed.redis);
        assert_eq!(parsed.passed_on, ["--once", "--redis", "--replicas", "2"]);
    }

    #[test]
    fn help_starts_nothing_and_an_unknown_flag_is_an_error() {
        assert!(options(&["--help"]).unwrap().is_none());
        assert!(options(&["--twice"]).is_err());
        assert!(options(&["--port", "many"]).is_err());
    }
}
