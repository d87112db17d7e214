//! The clients' own command lines read what `braingrid-mcp install` wrote: the last part of
//! `cargo xtask interop`. What is run and checked stands in
//! `crates/mcp-lab/interop/clients`.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{node, shell};

const SOURCE: &str = "crates/mcp-lab/interop/clients";

/// Installs the clients; the folder that they are in.
pub(crate) fn install(node: &Path) -> anyhow::Result<PathBuf> {
    let dir = node::install_without_scripts(SOURCE, "interop-clients")?;
    // Of the scripts that were not run, the one that puts Claude Code's program in its place.
    let claude = dir.join("node_modules/@anthropic-ai/claude-code");
    if !shell::answers(Command::new(claude.join("bin/claude.exe")).arg("--version")) {
        let mut place = Command::new(node);
        shell::run(node::to_stderr(
            place.arg("install.cjs").current_dir(&claude),
        ))?;
    }
    Ok(dir)
}

/// Lets each client list the server, start it and lose it again.
pub(crate) fn run(node: &Path, dir: &Path) -> anyhow::Result<()> {
    let mut clients = Command::new(node);
    clients
        .arg(dir.join("run.mjs"))
        .arg("--server")
        .arg(shell::built("braingrid-mcp")?)
        .arg("--stand-ins")
        .arg(shell::built("lab")?);
    if shell::in_ci() {
        clients.arg("--strict");
    }
    shell::run(&mut clients)
}
