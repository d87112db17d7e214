//! Starting other programs: cargo, and what cargo built.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use anyhow::{Context as _, bail};
use serde_json::Value;

/// What `cargo run` told *us* about ourselves. A cargo that we start must not inherit it: build
/// scripts that watch these variables would run again after every change of the way in.
const OURS: &[&str] = &[
    "CARGO_BIN_NAME",
    "CARGO_CRATE_NAME",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_NAME",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
    "OUT_DIR",
];

/// A program ended with another status than success.
#[derive(Debug)]
pub(crate) struct Failed {
    line: String,
    status: ExitStatus,
}

impl Failed {
    /// The program's own exit code, so that scripts see it through us.
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = self.status.code().and_then(|code| u8::try_from(code).ok());
        code.map_or(ExitCode::FAILURE, ExitCode::from)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with {}", self.line, self.status)
    }
}

impl std::error::Error for Failed {}

/// The repository.
pub(crate) fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// `cargo` in the repository's root.
pub(crate) fn cargo<I: IntoIterator<Item: AsRef<OsStr>>>(arguments: I) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root()).args(arguments);
    for name in OURS {
        command.env_remove(name);
    }
    command
}

/// Shows the command line on stderr, runs it, and turns a bad status into [`Failed`].
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = line(command);
    eprintln!("$ {line}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!(Failed { line, status });
    }
    Ok(())
}

/// Replaces this process where the system can: signals and the exit code are then the program's.
pub(crate) fn become_program(command: &mut Command) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        let error = command.exec();
        Err(error).with_context(|| format!("cannot start `{}`", line(command)))
    }
    #[cfg(not(unix))]
    run(command)
}

/// What a program prints on stdout; its stderr is passed through.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let line = line(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!(Failed {
            line,
            status: output.status
        });
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed no UTF-8"))
}

/// Whether the program can be started and says success. Prints nothing.
pub(crate) fn answers(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// `cargo metadata` of the workspace, without its dependencies' own.
pub(crate) fn metadata() -> anyhow::Result<Value> {
    let json = output(&mut cargo([
        "metadata",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    serde_json::from_str(&json).context("cargo metadata printed no JSON")
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let metadata = metadata()?;
    let dir = metadata.get("target_directory").and_then(Value::as_str);
    dir.map(PathBuf::from)
        .context("cargo metadata names no target directory")
}

/// A program that cargo built in profile `ci`.
pub(crate) fn built(name: &str) -> anyhow::Result<PathBuf> {
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    Ok(target_dir()?.join("ci").join(file))
}

/// Whether this is the continuous integration: nothing may be skipped there.
#[expect(
    clippy::disallowed_methods,
    reason = "a tool for developers, not the server's configuration"
)]
pub(crate) fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

/// `PATH`, with this folder before it.
#[expect(
    clippy::disallowed_methods,
    reason = "a tool for developers, not the server's configuration"
)]
pub(crate) fn path_with(dir: &Path) -> anyhow::Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(dir.to_path_buf()).chain(std::env::split_paths(&path));
    std::env::join_paths(dirs).context("PATH cannot hold this folder")
}

/// The commit that is checked out; with `-dirty` when files differ from it.
pub(crate) fn revision() -> String {
    let mut git = Command::new("git");
    git.current_dir(root()).args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=12",
        "--exclude=*",
    ]);
    output(&mut git).map_or_else(|_| "unknown".to_owned(), |line| line.trim().to_owned())
}

#[cfg(unix)]
pub(crate) fn make_executable(program: &Path) -> io::Result<()> {
    use std::{fs, os::unix::fs::PermissionsExt as _};
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
pub(crate) fn make_executable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Reads a file of the repository.
pub(crate) fn read(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| format!("cannot read {path}"))
}

/// Every file of the repository that is not a build product, relative to its root, with `/`.
pub(crate) fn files() -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut open = vec![root().to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if ["target", ".git", "node_modules"]
                .iter()
                .any(|skipped| name == **skipped)
            {
                continue;
            }
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if let Ok(path) = entry.path().strip_prefix(root()) {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| quoted(&word.to_string_lossy())).collect();
    words.join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_can_be_pasted_into_a_shell() {
        let mut command = Command::new("cargo");
        command.args(["nextest", "run", "-E", "test(it's)"]);
        assert_eq!(line(&command), r"cargo nextest run -E 'test(it'\''s)'");
    }

    #[test]
    fn the_repository_lists_this_file() {
        let files = files().unwrap();
        assert!(
            files.iter().any(|file| file == "xtask/src/shell.rs"),
            "{files:?}"
        );
    }
}
