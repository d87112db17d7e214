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

use std::{ffi::OsString, process::ExitCode};

use anyhow::bail;
use lexopt::prelude::{Long, Short, Value};

mod build;
mod check;
mod ci;
mod clients;
mod debian;
mod deploy;
mod docs;
mod elf;
mod grace;
mod image;
mod interop;
mod keychain;
mod lab;
mod layers;
mod manifests;
mod map;
mod node;
mod package;
mod pages;
mod python;
mod redis;
mod shell;
mod test;

const HELP: &str = "\
The project's commands.

Usage: cargo xtask <command> [options]

Work on it
  dev          build and start everything on this machine, with a demonstration
  test         run all tests, with a real Redis
  interop      real clients, a certified authorization server, the real server
  pages        the pages of a login, in a real Chromium
  chaos        everything around a fleet of servers fails, and nobody notices
  storm        writes are sent again while that happens, and none is done twice
  revocations  users are revoked while the news are cut off, and none is served after
  cluster      a million sessions in a cluster of Redis that is lost, and nobody logs in
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
            "dev" => lab::dev(&words(flags)?)?,
            "test" => test::run(flags)?,
            "ci" => ci::run(flags)?,
            "interop" => interop::run(flags)?,
            "pages" => pages::run(flags)?,
            "conformance" => lab::conformance(&words(flags)?)?,
            "build" => build::run(flags)?,
            "package" => package::run(flags)?,
            "load-test" => lab::load_test(&words(flags)?)?,
            "chaos" => lab::chaos(&words(flags)?)?,
            "storm" => lab::storm(&words(flags)?)?,
            "revocations" => lab::revocations(&words(flags)?)?,
            "cluster" => lab::cluster(&words(flags)?)?,
            "deploy" => deploy::run(flags)?,
            "check" => check::run(flags)?,
            "help" => print!("{HELP}"),
            other => bail!("there is no command '{other}'; see cargo xtask --help"),
        },
        Some(other) => return Err(other.unexpected().into()),
    }
    Ok(())
}

/// Flags that another program reads.
fn words(mut flags: lexopt::Parser) -> anyhow::Result<Vec<OsString>> {
    Ok(flags.raw_args()?.collect())
}
