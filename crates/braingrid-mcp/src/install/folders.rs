//! The folders that clients' files are in, on each system.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The systems that differ in where settings are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    Linux,
    MacOs,
    Windows,
}

impl System {
    /// The one this program runs on.
    pub(crate) fn here() -> Self {
        if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "macos") {
            Self::MacOs
        } else {
            Self::Linux
        }
    }
}

/// The folders that a process can name.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) system: System,
    /// The variables of [`Folders::VARIABLES`] that are set.
    pub(crate) variables: BTreeMap<&'static str, PathBuf>,
    /// The working directory.
    pub(crate) directory: PathBuf,
}

impl Folders {
    /// Every variable that is looked at.
    pub(crate) const VARIABLES: &[&'static str] = &[
        "HOME",
        "USERPROFILE",
        "APPDATA",
        "XDG_CONFIG_HOME",
        "CLAUDE_CONFIG_DIR",
        "VSCODE_PORTABLE",
        "VSCODE_APPDATA",
        "CODEX_HOME",
        "GEMINI_CLI_HOME",
    ];

    fn variable(&self, name: &str) -> Option<&Path> {
        self.variables.get(name).map(PathBuf::as_path)
    }

    fn home(&self) -> Option<&Path> {
        let windows = self.system == System::Windows;
        self.variable(if windows { "USERPROFILE" } else { "HOME" })
    }

    /// Where Claude Code keeps what it knows.
    pub(super) fn claude_home(&self) -> Option<PathBuf> {
        let chosen = self.variable("CLAUDE_CONFIG_DIR").map(Path::to_path_buf);
        chosen.or_else(|| Some(self.home()?.join(".claude")))
    }

    /// The folder, where it can be named.
    pub(super) fn base(&self, base: Base) -> Option<PathBuf> {
        let variable = |name| self.variable(name).map(Path::to_path_buf);
        let in_home = |folder: &str| Some(self.home()?.join(folder));
        match (base, self.system) {
            (Base::Variable(name), _) => variable(name),
            (Base::Home, _) => self.home().map(Path::to_path_buf),
            (Base::Settings, System::MacOs) => in_home("Library/Application Support"),
            (Base::Settings, System::Windows) => {
                variable("APPDATA").or_else(|| in_home("AppData/Roaming"))
            }
            // The specification has relative paths ignored.
            (Base::Settings, System::Linux) => variable("XDG_CONFIG_HOME")
                .filter(|folder| folder.is_absolute())
                .or_else(|| in_home(".config")),
        }
    }
}

/// A folder that paths begin at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Base {
    /// The one that a variable names.
    Variable(&'static str),
    Home,
    /// Where the system keeps programs' settings.
    Settings,
}
