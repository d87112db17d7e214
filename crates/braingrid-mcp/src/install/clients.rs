//! The clients: where each keeps its servers, and what an entry looks like there.

use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;

use super::entry::{Entry, Value};
use super::folders::{Base, Folders};
use super::format::Format;
use super::json::Dialect;

/// A client that can be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    Vscode,
    Codex,
    Gemini,
}

/// The server that an entry names.
#[derive(Debug, Clone)]
pub(crate) enum Server {
    /// A program the client starts.
    Local { command: String, args: Vec<String> },
    /// A hosted server.
    Remote { url: String },
}

/// Where an entry counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    /// In all projects of this user
    User,
    /// In the project in the working directory, for all who have it
    Project,
}

/// What is known of a client.
pub(crate) struct Description {
    /// Its name as people write it.
    pub(crate) title: &'static str,
    /// How its file is written.
    pub(crate) format: Format,
    /// The key of its list of servers.
    pub(crate) container: &'static str,
    /// The file of a user: the first whose folder can be named.
    user: &'static [(Base, &'static str)],
    /// The file of a project, from the working directory.
    project: Option<&'static str>,
    /// What is to be done after a change.
    pub(crate) then: &'static str,
    /// The same after a hosted server was named, who asks for a login.
    pub(crate) login: &'static str,
}

impl Client {
    pub(crate) fn about(self) -> &'static Description {
        match self {
            Self::ClaudeCode => &CLAUDE_CODE,
            Self::ClaudeDesktop => &CLAUDE_DESKTOP,
            Self::Cursor => &CURSOR,
            Self::Vscode => &VSCODE,
            Self::Codex => &CODEX,
            Self::Gemini => &GEMINI,
        }
    }

    /// What it is called on the command line.
    pub(crate) fn word(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The file in which it keeps its servers.
    pub(crate) fn file(self, scope: Scope, folders: &Folders) -> Result<PathBuf, NoFile> {
        let about = self.about();
        if scope == Scope::Project {
            let file = about.project.ok_or(NoFile::NoProjects(about.title))?;
            return Ok(folders.directory.join(file));
        }
        if self == Self::ClaudeCode {
            // Where an early version left this file, it is still the one that counts.
            let early = folders.claude_home().map(|home| home.join(".config.json"));
            if let Some(early) = early.filter(|file| file.is_file()) {
                return Ok(early);
            }
        }
        let named = about
            .user
            .iter()
            .find_map(|(base, file)| Some(folders.base(*base)?.join(file)));
        named.ok_or(NoFile::NoHome)
    }

    /// The entry for a server; `None` where this client cannot have it in a file.
    pub(crate) fn entry(self, server: &Server) -> Option<Entry> {
        let mut fields = Vec::new();
        let mut defaults = Vec::new();
        match server {
            Server::Local { command, args } => {
                if matches!(self, Self::ClaudeCode | Self::Cursor | Self::Vscode) {
                    fields.push(("type", Value::text("stdio")));
                }
                fields.push(("command", Value::text(command)));
                fields.push(("args", Value::List(args.clone())));
                if self == Self::Codex {
                    // It hides all but a few variables from the programs it starts.
                    let names = PASSED_BY_NAME.iter().copied().map(str::to_owned).collect();
                    defaults.push(("env_vars", Value::List(names)));
                }
            }
            Server::Remote { .. } if self == Self::ClaudeDesktop => return None,
            Server::Remote { url } => {
                if matches!(self, Self::ClaudeCode | Self::Vscode | Self::Gemini) {
                    fields.push(("type", Value::text("http")));
                }
                fields.push(("url", Value::text(url)));
            }
        }
        Some(Entry { fields, defaults })
    }
}

/// Variables that a local server may need: the token, and how its system keeps one.
const PASSED_BY_NAME: &[&str] = &[
    "BRAINGRID_API_TOKEN",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
];

static CLAUDE_CODE: Description = Description {
    title: "Claude Code",
    format: Format::Json(Dialect::Strict),
    container: "mcpServers",
    user: &[
        (Base::Variable("CLAUDE_CONFIG_DIR"), ".claude.json"),
        (Base::Home, ".claude.json"),
    ],
    project: Some(".mcp.json"),
    then: "start a new session of Claude Code",
    login: "start a new session of Claude Code and log in with /mcp",
};

static CLAUDE_DESKTOP: Description = Description {
    title: "Claude Desktop",
    format: Format::Json(Dialect::Strict),
    container: "mcpServers",
    user: &[(Base::Settings, "Claude/claude_desktop_config.json")],
    project: None,
    then: "quit Claude Desktop and start it again",
    login: "",
};

static CURSOR: Description = Description {
    title: "Cursor",
    format: Format::Json(Dialect::CommentsAndCommas),
    container: "mcpServers",
    user: &[(Base::Home, ".cursor/mcp.json")],
    project: Some(".cursor/mcp.json"),
    then: "switch the server on in Cursor's settings, under MCP",
    login: "switch the server on in Cursor's settings, under MCP, and log in there",
};

static VSCODE: Description = Description {
    title: "VS Code",
    format: Format::Json(Dialect::CommentsAndCommas),
    container: "servers",
    user: &[
        (Base::Variable("VSCODE_PORTABLE"), "user-data/User/mcp.json"),
        (Base::Variable("VSCODE_APPDATA"), "Code/User/mcp.json"),
        (Base::Settings, "Code/User/mcp.json"),
    ],
    project: Some(".vscode/mcp.json"),
    then: "start the server in VS Code with the command MCP: List Servers",
    login: "start the server in VS Code with the command MCP: List Servers, and log in there",
};

static CODEX: Description = Description {
    title: "Codex",
    format: Format::Toml,
    container: "mcp_servers",
    user: &[
        (Base::Variable("CODEX_HOME"), "config.toml"),
        (Base::Home, ".codex/config.toml"),
    ],
    project: Some(".codex/config.toml"),
    then: "start a new session of Codex",
    login: "log in with `codex mcp login NAME`",
};

static GEMINI: Description = Description {
    title: "Gemini CLI",
    format: Format::Json(Dialect::Comments),
    container: "mcpServers",
    user: &[
        (Base::Variable("GEMINI_CLI_HOME"), ".gemini/settings.json"),
        (Base::Home, ".gemini/settings.json"),
    ],
    project: Some(".gemini/settings.json"),
    then: "start a new session of Gemini CLI",
    login: "start Gemini CLI and log in with /mcp auth NAME",
};

/// Why there is no file to speak of.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoFile {
    NoProjects(&'static str),
    NoHome,
}

impl fmt::Display for NoFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProjects(title) => {
                write!(
                    f,
                    "{title} keeps servers for the user only: leave --scope out"
                )
            }
            Self::NoHome => f.write_str("no variable names the home directory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::folders::System;
    use super::*;

    fn folders(system: System, variables: &[(&'static str, &str)]) -> Folders {
        let variables = variables
            .iter()
            .map(|(name, value)| (*name, PathBuf::from(value)));
        Folders {
            system,
            variables: variables.collect(),
            directory: PathBuf::from("/src/shop"),
        }
    }

    fn user_file(client: Client, folders: &Folders) -> String {
        let file = client.file(Scope::User, folders).unwrap();
        file.display().to_string()
    }

    #[test]
    fn every_system_has_its_places() {
        let linux = folders(System::Linux, &[("HOME", "/home/ada")]);
        let mac = folders(System::MacOs, &[("HOME", "/Users/ada")]);
        let windows = folders(
            System::Windows,
            &[
                ("USERPROFILE", "C:/Users/ada"),
                ("APPDATA", "C:/Users/ada/AppData/Roaming"),
            ],
        );
        let table = [
            (Client::ClaudeCode, [".claude.json"; 3]),
            (
                Client::ClaudeDesktop,
                [
                    ".config/Claude/claude_desktop_config.json",
                    "Library/Application Support/Claude/claude_desktop_config.json",
                    "AppData/Roaming/Claude/claude_desktop_config.json",
                ],
            ),
            (Client::Cursor, [".cursor/mcp.json"; 3]),
            (
                Client::Vscode,
                [
                    ".config/Code/User/mcp.json",
                    "Library/Application Support/Code/User/mcp.json",
                    "AppData/Roaming/Code/User/mcp.json",
                ],
            ),
            (Client::Codex, [".codex/config.toml"; 3]),
            (Client::Gemini, [".gemini/settings.json"; 3]),
        ];
        for (client, [on_linux, on_mac, on_windows]) in table {
            assert_eq!(user_file(client, &linux), format!("/home/ada/{on_linux}"));
            assert_eq!(user_file(client, &mac), format!("/Users/ada/{on_mac}"));
            assert_eq!(
                user_file(client, &windows),
                format!("C:/Users/ada/{on_windows}")
            );
        }
    }

    #[test]
    fn the_variables_that_clients_honour_move_their_files() {
        for (client, variable, file) in [
            (Client::ClaudeCode, "CLAUDE_CONFIG_DIR", "/x/.claude.json"),
            (
                Client::ClaudeDesktop,
                "XDG_CONFIG_HOME",
                "/x/Claude/claude_desktop_config.json",
            ),
            (Client::Vscode, "XDG_CONFIG_HOME", "/x/Code/User/mcp.json"),
            (Client::Vscode, "VSCODE_APPDATA", "/x/Code/User/mcp.json"),
            (
                Client::Vscode,
                "VSCODE_PORTABLE",
                "/x/user-data/User/mcp.json",
            ),
            (Client::Codex, "CODEX_HOME", "/x/config.toml"),
            (
                Client::Gemini,
                "GEMINI_CLI_HOME",
                "/x/.gemini/settings.json",
            ),
        ] {
            let moved = folders(System::Linux, &[("HOME", "/home/ada"), (variable, "/x")]);
            assert_eq!(user_file(client, &moved), file);
            assert!(Folders::VARIABLES.contains(&variable));
        }
    }

    #[test]
    fn a_project_has_its_own_file_where_the_client_has_projects() {
        let here = folders(System::Linux, &[]);
        let file = |client: Client| client.file(Scope::Project, &here);
        assert_eq!(
            file(Client::ClaudeCode),
            Ok(PathBuf::from("/src/shop/.mcp.json"))
        );
        assert_eq!(
            file(Client::Vscode),
            Ok(PathBuf::from("/src/shop/.vscode/mcp.json"))
        );
        assert_eq!(
            file(Client::ClaudeDesktop),
            Err(NoFile::NoProjects("Claude Desktop"))
        );
        assert_eq!(Client::Codex.file(Scope::User, &here), Err(NoFile::NoHome));
    }

    #[test]
    fn no_entry_holds_more_than_how_to_reach_the_server() {
        let local = Server::Local {
            command: "/opt/braingrid-mcp".to_owned(),
            args: Vec::new(),
        };
        let remote = Server::Remote {
            url: "https://mcp.example.com/mcp".to_owned(),
        };
        for client in Client::value_variants() {
            for entry in [client.entry(&local), client.entry(&remote)]
                .into_iter()
                .flatten()
            {
                let keys: Vec<_> = entry.fields.iter().map(|(key, _)| *key).collect();
                let known = ["type", "command", "args", "url"];
                assert!(
                    keys.iter().all(|key| known.contains(key)),
                    "{client:?}: {keys:?}"
                );
                let names: Vec<_> = entry.defaults.iter().map(|(key, _)| *key).collect();
                assert!(
                    names.iter().all(|key| *key == "env_vars"),
                    "{client:?}: {names:?}"
                );
            }
        }
        assert!(Client::ClaudeDesktop.entry(&remote).is_none());
    }
}
