//! What a user types to start this program.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::config::Surroundings;

static COMMAND: OnceLock<String> = OnceLock::new();

/// Looks once where the shell of this user finds this program.
pub(crate) fn find(around: &Surroundings) {
    let path = around.variable("PATH").unwrap_or_default();
    let found = std::env::current_exe().map(|program| command(&program, path));
    if let Ok(found) = found {
        let found = COMMAND.get_or_init(|| found);
        #[cfg(feature = "login")]
        mcp_login::set_program(found);
        #[cfg(not(feature = "login"))]
        let _ = found;
    }
}

/// This program with these arguments, for a shell: its name where `PATH` leads to it, else its
/// full path. The one place that decides this.
pub(crate) fn run(arguments: &str) -> String {
    let program = COMMAND.get().map_or(env!("CARGO_PKG_NAME"), String::as_str);
    format!("{program} {arguments}")
}

fn command(program: &Path, path: &str) -> String {
    let name = program.file_stem().filter(|_| leads_to(program, path));
    match name {
        Some(name) => quoted(&name.to_string_lossy()),
        None => quoted(&program.to_string_lossy()),
    }
}

/// Whether the first file of this name on `PATH` is this program.
pub(crate) fn leads_to(program: &Path, path: &str) -> bool {
    let first = program.file_name().and_then(|name| {
        let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
        let mut files = folders.map(|folder| folder.join(name));
        files.find(|file| file.is_file())
    });
    let real = |path: PathBuf| path.canonicalize().ok();
    match (first.and_then(real), program.canonicalize()) {
        (Some(first), Ok(program)) => first == program,
        _ => false,
    }
}

/// A word as a shell takes it for one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/\\:._-+,@%=".contains(c);
    if cfg!(windows) {
        let plain = word.chars().all(plain);
        return if plain {
            word.to_owned()
        } else {
            format!("\"{word}\"")
        };
    }
    if word.chars().all(|c| plain(c) && c != '\\') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_enough_where_the_path_leads_here_first() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name).join("braingrid-mcp");
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let (ours, other) = (file("o'ur bin"), file("other"));
        let path = |folders: &[&Path]| {
            let folders = folders.iter().map(|file| file.parent().unwrap());
            std::env::join_paths(folders)
                .unwrap()
                .into_string()
                .unwrap()
        };
        assert_eq!(command(&ours, &path(&[&ours, &other])), "braingrid-mcp");
        let full = format!("'{}'", ours.display().to_string().replace('\'', r"'\''"));
        assert_eq!(command(&ours, &path(&[&other, &ours])), full);
        assert_eq!(command(&ours, ""), full);
        assert_eq!(command(&other, "relative"), other.display().to_string());
    }
}
