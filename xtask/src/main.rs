//! The project's commands: `cargo xtask --help`.
//!
//! Thin on purpose: it starts cargo and the binaries that cargo built, and depends on none of the
//! product's crates, so that it compiles in seconds. One file per command; each holds its own help
//! text and its own flags.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to the terminal"
)]

use std::process::ExitCode;

use anyhow::bail;
use lexopt::prelude::{Long, Short, Value};

mod build;
mod chaos;
mod check;
mod ci;
mod clients;
mod conformance;
mod debian;
mod deploy;
mod dev;
mod docs;
mod elf;
mod image;
mod interop;
mod keychain;
mod layers;
mod load_test;
mod manifests;
mod node;
mod package;
mod python;
mod redis;
mod sbom;
mod shell;
mod test;
mod yaml;

const HELP: &str = "\
The project's commands.

Usage: cargo xtask <command> [options]

Work on it
  dev          build and start everything on this machine, with a demonstration
  test         run all tests, with a real Redis
  interop      real clients, a certified authorization server, the real server
  chaos        everything around a fleet of servers fails, and nobody notices
  load-test    how fast it is, beside the bare SDK, with every answer checked
  conformance  the official suite of the protocol against the real server

Ship it
  build        the binary that deployments use, and an image around it
  package      what a release consists of, with server.json for the MCP registry
  deploy       the server, to Cloud Run, Kubernetes or Vercel

Keep it right
  ci           everything the continuous integration runs, in its order
  check        the repository's own rules: layers, docs, manifests

`cargo xtask <command> --help` says more about one command.
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            error
                .downcast_ref::<shell::Failed>()
                .map_or(ExitCode::FAILURE, shell::Failed::exit_code)
        }
    }
}

fn dispatch() -> anyhow::Result<()> {
    let mut flags = lexopt::Parser::from_env();
    match flags.next()? {
        None | Some(Short('h') | Long("help")) => print!("{HELP}"),
        Some(Value(command)) => match command.to_string_lossy().as_ref() {
            "dev" => dev::run(flags)?,
            "test" => test::run(flags)?,
            "ci" => ci::run(flags)?,
            "interop" => interop::run(flags)?,
            "conformance" => conformance::run(flags)?,
            "build" => build::run(flags)?,
            "package" => package::run(flags)?,
            "load-test" => load_test::run(flags)?,
            "chaos" => chaos::run(flags)?,
            "deploy" => deploy::run(flags)?,
            "check" => check::run(flags)?,
            "help" => print!("{HELP}"),
            other => bail!("there is no command '{other}'; see cargo xtask --help"),
        },
        Some(other) => return Err(other.unexpected().into()),
    }
    Ok(())
}
