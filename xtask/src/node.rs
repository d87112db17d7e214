//! Programs from npm: a folder of pinned packages, among them the Node.js that runs them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::Context as _;

use crate::shell;

/// What was installed, to see whether it still fits.
const STAMP: &str = ".installed";

/// Whether npm is there to install anything.
pub(crate) fn npm_answers() -> bool {
    shell::answers(Command::new("npm").arg("--version"))
}

/// Copies a folder with `package.json` and `package-lock.json` below the target directory and
/// installs what they name there, unless it is there already. Gives the new folder.
pub(crate) fn install(source: &str, name: &str) -> anyhow::Result<PathBuf> {
    let dir = shell::target_dir()?.join(name);
    copy(&shell::root().join(source), &dir)?;
    let wanted = shell::read(&format!("{source}/package-lock.json"))?;
    let stamp = dir.join(STAMP);
    let installed = fs::read_to_string(&stamp).is_ok_and(|lock| lock == wanted);
    if !installed || !shell::answers(Command::new(program(&dir)).arg("--version")) {
        // The scripts fetch the platform's Node.js, which is a package of its own.
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts=false"]);
        shell::run(to_stderr(npm.current_dir(&dir)))?;
        fs::write(&stamp, wanted).context("cannot note what was installed")?;
    }
    Ok(dir)
}

/// The same for a folder without `package-lock.json`: only what it names itself is pinned. For
/// programs whose packages for other platforms are not in every registry, so that no lock file fits.
pub(crate) fn install_unlocked(source: &str, name: &str) -> anyhow::Result<PathBuf> {
    let runs = |dir: &Path| shell::answers(Command::new(program(dir)).arg("--version"));
    unlocked(source, name, "--ignore-scripts=false", runs)
}

/// The same without a Node.js and without running what packages bring to be run.
pub(crate) fn install_without_scripts(source: &str, name: &str) -> anyhow::Result<PathBuf> {
    unlocked(source, name, "--ignore-scripts", |_| true)
}

fn unlocked(
    source: &str,
    name: &str,
    scripts: &str,
    usable: impl Fn(&Path) -> bool,
) -> anyhow::Result<PathBuf> {
    let dir = shell::target_dir()?.join(name);
    copy(&shell::root().join(source), &dir)?;
    let wanted = shell::read(&format!("{source}/package.json"))?;
    let stamp = dir.join(STAMP);
    let installed = fs::read_to_string(&stamp).is_ok_and(|pinned| pinned == wanted);
    if !installed || !usable(&dir) {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock"]);
        shell::run(to_stderr(npm.arg(scripts).current_dir(&dir)))?;
        fs::write(&stamp, wanted).context("cannot note what was installed")?;
    }
    Ok(dir)
}

/// The Node.js of an installed folder.
pub(crate) fn program(dir: &Path) -> PathBuf {
    dir.join("node_modules/node/bin/node")
}

/// What an installer prints is no result.
pub(crate) fn to_stderr(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::from(io::stderr()))
}

/// The files of one folder, not of those below.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))
                .with_context(|| format!("cannot copy {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_files_of_the_folder_are_copied() {
        let dir = std::env::temp_dir().join(format!("xtask-node-{}", std::process::id()));
        copy(&shell::root().join("xtask"), &dir).unwrap();
        assert!(dir.join("Cargo.toml").is_file() && !dir.join("src").exists());
        fs::remove_dir_all(dir).unwrap();
    }
}
