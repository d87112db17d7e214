//! Programs from `PyPI`, each in its own folder below `target/tools`.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context as _;

use crate::{node, shell};

/// What was installed, to see whether it still fits.
const STAMP: &str = ".installed";

/// Installs pinned packages below `target/tools/<name>`, unless they are there, and gives that
/// folder. Its programs are in `bin`, its modules need it as `PYTHONPATH`.
pub(crate) fn install(name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let dir = shell::target_dir()?.join("tools").join(name);
    let wanted = packages.join("\n");
    let stamp = dir.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(dir);
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--upgrade"]);
    pip.args(["--disable-pip-version-check", "--root-user-action=ignore"]);
    pip.args(["--only-binary=:all:", "--target"]).arg(&dir);
    shell::run(node::to_stderr(pip.args(packages)))?;
    fs::write(&stamp, wanted).context("cannot note what was installed")?;
    Ok(dir)
}
