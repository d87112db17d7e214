//! `install` and `uninstall` on files as the clients write them, in a home of their own.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use mcp_test_support::OnTerminal;

use crate::world::BINARY;

/// A user's home, with a project in it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::create_dir(home.path("shop")).unwrap();
        home
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    /// The binary, run in the project.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.0.path())
            .current_dir(self.path("shop"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs it and expects success; gives what it printed.
    fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        text(&output.stdout)
    }

    /// What was left beside the files the test knows.
    fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut open = vec![self.0.path().to_path_buf()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    open.push(path);
                } else {
                    let path = path.strip_prefix(self.0.path()).unwrap();
                    found.push(path.display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The text with the path of this test's binary replaced.
fn portable(text: &str) -> String {
    text.replace(BINARY, "[binary]")
}

/// A client, its file, and how it looks on the machine of somebody who uses it.
struct Case {
    client: &'static str,
    file: &'static str,
    used: &'static str,
}

const CASES: &[Case] = &[
    Case {
        client: "claude-code",
        file: ".claude.json",
        used: r#"{
  "numStartups": 12,
  "userID": "9ba0458d",
  "mcpServers": {
    "github": {
      "type": "http",
      "url": "https://api.githubcopilot.com/mcp/"
    }
  },
  "projects": {
    "/home/ada/shop": {
      "allowedTools": [],
      "mcpServers": {},
      "hasTrustDialogAccepted": true
    }
  }
}"#,
    },
    Case {
        client: "claude-desktop",
        file: CLAUDE_DESKTOP,
        used: "{\n\t\"globalShortcut\": \"\",\n\t\"mcpServers\": {}\n}\n",
    },
    Case {
        client: "cursor",
        file: ".cursor/mcp.json",
        used: "{\r\n  \"mcpServers\": {\r\n    \"db\": { \"command\": \"npx\", \"args\": [\"-y\", \"db-mcp\"], \
               \"env\": { \"DB_PASSWORD\": \"hunter2\" } }\r\n  }\r\n}\r\n",
    },
    Case {
        client: "vscode",
        file: VSCODE,
        used: r#"{
    // shared with the team, see the wiki
    "inputs": [
        { "type": "promptString", "id": "key", "description": "API key", "password": true },
    ],
    "servers": {
        "playwright": {
            "command": "npx", /* pinned below */
            "args": ["@playwright/mcp@1.2.3"],
        }, // last one
    },
}
"#,
    },
    Case {
        client: "codex",
        file: ".codex/config.toml",
        used: r#"# chosen in July
model = "gpt-5"   # the large one

[mcp_servers.docs]
command = "npx"
args = ["-y", "docs-mcp"] # pinned

[projects."/home/ada/shop"]
trust_level = "trusted"

# the end
"#,
    },
    Case {
        client: "gemini",
        file: ".gemini/settings.json",
        used: r#"{
  "security": { "auth": { "selectedType": "oauth-personal" } },
  // nothing else yet
  "ui": { "theme": "GitHub" }
}
"#,
    },
];

#[cfg(target_os = "macos")]
const CLAUDE_DESKTOP: &str = "Library/Application Support/Claude/claude_desktop_config.json";
#[cfg(not(target_os = "macos"))]
const CLAUDE_DESKTOP: &str = ".config/Claude/claude_desktop_config.json";
#[cfg(target_os = "macos")]
const VSCODE: &str = "Library/Application Support/Code/User/mcp.json";
#[cfg(not(target_os = "macos"))]
const VSCODE: &str = ".config/Code/User/mcp.json";

#[test]
fn a_used_file_gets_one_entry_and_loses_it_again() {
    for &Case { client, file, used } in CASES {
        let home = Home::new();
        home.write(file, used);
        home.ok(&["install", client, "--yes"]);
        let installed = home.read(file);
        insta::assert_snapshot!(format!("install_{client}"), portable(&installed));
        let again = home.ok(&["install", client, "--yes"]);
        assert!(again.contains("set up already"), "{again}");
        assert_eq!(
            home.read(file),
            installed,
            "{client}: a second time changes nothing"
        );
        home.ok(&["uninstall", client, "--yes"]);
        assert_eq!(home.read(file), used, "{client}: as it was, byte for byte");
        assert_eq!(home.files(), [file], "{client}: nothing is left over");
        let again = home.ok(&["uninstall", client, "--yes"]);
        assert!(again.contains("has no braingrid"), "{again}");
    }
}

#[test]
fn a_new_file_is_made_and_goes_again() {
    for &Case { client, file, .. } in CASES {
        let home = Home::new();
        home.ok(&["install", client, "--yes"]);
        insta::assert_snapshot!(format!("install_new_{client}"), portable(&home.read(file)));
        home.ok(&["uninstall", client, "--yes"]);
        assert_eq!(home.files(), [""; 0], "{client}");
    }
}

#[test]
fn a_hosted_server_is_a_url_and_nothing_else() {
    let home = Home::new();
    for &Case { client, file, .. } in CASES {
        let arguments = [
            "install",
            client,
            "--remote",
            "https://mcp.example.com",
            "--yes",
        ];
        let output = home.run(&arguments);
        if client == "claude-desktop" {
            assert_eq!(output.status.code(), Some(64));
            let hint = text(&output.stderr);
            assert!(hint.contains("Connectors") && hint.contains("https://mcp.example.com/mcp"));
            assert!(!home.path(file).exists());
            continue;
        }
        assert!(output.status.success(), "{output:?}");
        insta::assert_snapshot!(format!("install_remote_{client}"), home.read(file));
    }
}

#[test]
fn a_project_has_its_own_file() {
    let home = Home::new();
    for (client, file) in [
        ("claude-code", "shop/.mcp.json"),
        ("cursor", "shop/.cursor/mcp.json"),
        ("vscode", "shop/.vscode/mcp.json"),
        ("codex", "shop/.codex/config.toml"),
        ("gemini", "shop/.gemini/settings.json"),
    ] {
        home.ok(&["install", client, "--scope", "project", "--yes"]);
        assert!(home.read(file).contains("\"braingrid-mcp\""), "{client}");
        home.ok(&["uninstall", client, "--scope", "project", "--yes"]);
    }
    assert_eq!(home.files(), [""; 0]);
    let output = home.run(&["install", "claude-desktop", "--scope", "project", "--yes"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn what_others_wrote_since_stays() {
    let home = Home::new();
    let file = ".cursor/mcp.json";
    home.write(file, "{\n  \"mcpServers\": {}\n}\n");
    home.ok(&["install", "cursor", "--yes"]);
    // The user adds a variable, another program a server.
    let edited = home
        .read(file)
        .replace(
            "\"args\": []",
            "\"args\": [],\n      \"env\": { \"LOG_LEVEL\": \"debug\" }",
        )
        .replace(
            "\"mcpServers\": {",
            "\"mcpServers\": {\n    \"other\": { \"command\": \"x\" },",
        );
    home.write(file, &edited);
    home.ok(&["install", "cursor", "--read-only", "--yes"]);
    let updated = home.read(file);
    assert!(
        updated.contains("--read-only") && updated.contains("LOG_LEVEL"),
        "{updated}"
    );
    home.ok(&["uninstall", "cursor", "--yes"]);
    let rest: serde_json::Value = serde_json::from_str(&home.read(file)).unwrap();
    let wanted = serde_json::json!({ "mcpServers": { "other": { "command": "x" } } });
    assert_eq!(rest, wanted);
    assert_eq!(home.read(&format!("{file}.braingrid-backup")), updated);
}

#[test]
fn a_change_of_mind_between_local_and_hosted_leaves_nothing_behind() {
    for (client, file) in [("vscode", VSCODE), ("codex", ".codex/config.toml")] {
        let home = Home::new();
        home.ok(&["install", client, "--yes"]);
        home.ok(&[
            "install",
            client,
            "--remote",
            "https://mcp.example.com/mcp",
            "--yes",
        ]);
        let text = home.read(file);
        assert!(
            !text.contains("command") && !text.contains("args"),
            "{text}"
        );
        home.ok(&["install", client, "--yes"]);
        assert!(!home.read(file).contains("url"), "{client}");
        home.ok(&["uninstall", client, "--yes"]);
        assert_eq!(home.files(), [""; 0], "{client}");
    }
}

#[test]
fn a_file_that_its_client_cannot_read_is_left_alone() {
    for (client, file, broken) in [
        // Claude Code throws its whole file away when a comment is in it.
        (
            "claude-code",
            ".claude.json",
            "// mine\n{ \"secret\": \"hunter2\" }",
        ),
        ("claude-code", ".claude.json", "{ \"mcpServers\": [] }"),
        (
            "claude-code",
            ".claude.json",
            "{ \"mcpServers\": {}, \"mcpServers\": {} }",
        ),
        (
            "gemini",
            ".gemini/settings.json",
            "{ \"secret\": \"hunter2\", }",
        ),
        ("cursor", ".cursor/mcp.json", "[]"),
        (
            "vscode",
            VSCODE,
            "{ \"servers\": { \"secret\": \"hunter2\" ",
        ),
        (
            "codex",
            ".codex/config.toml",
            "model = gpt\nsecret = \"hunter2\"",
        ),
        ("codex", ".codex/config.toml", "mcp_servers = 7"),
    ] {
        let home = Home::new();
        home.write(file, broken);
        for command in ["install", "uninstall"] {
            let output = home.run(&[command, client, "--yes"]);
            if output.status.success() {
                // To take nothing out of a file without servers is no failure.
                assert_eq!((command, broken), ("uninstall", "[]"), "{client}");
                continue;
            }
            assert_eq!(
                output.status.code(),
                Some(65),
                "{command} {broken}: {output:?}"
            );
            let complaint = text(&output.stderr);
            assert!(
                complaint.contains(file) && complaint.contains("left as it is"),
                "{complaint}"
            );
            assert!(!complaint.contains("hunter2"), "{complaint}");
        }
        assert_eq!(home.read(file), broken);
        assert_eq!(home.files(), [file]);
    }
}

#[cfg(unix)]
#[test]
fn a_link_stays_a_link_and_permissions_stay() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let home = Home::new();
    home.write("dotfiles/claude.json", "{}\n");
    let mode = |file: &str| fs::metadata(home.path(file)).unwrap().permissions().mode() & 0o777;
    for kept in [0o600, 0o640] {
        let _ = fs::remove_file(home.path(".claude.json"));
        symlink("dotfiles/claude.json", home.path(".claude.json")).unwrap();
        let permissions = fs::Permissions::from_mode(kept);
        fs::set_permissions(home.path("dotfiles/claude.json"), permissions).unwrap();
        home.ok(&["install", "claude-code", "--yes"]);
        assert!(
            fs::symlink_metadata(home.path(".claude.json"))
                .unwrap()
                .is_symlink()
        );
        assert!(home.read("dotfiles/claude.json").contains(BINARY));
        assert_eq!(mode("dotfiles/claude.json"), kept);
        assert_eq!(mode("dotfiles/claude.json.braingrid-backup"), kept);
        home.ok(&["uninstall", "claude-code", "--yes"]);
        assert_eq!(home.read("dotfiles/claude.json"), "{}\n");
        assert_eq!(mode("dotfiles/claude.json"), kept);
    }
    home.ok(&["install", "cursor", "--yes"]);
    assert_eq!(
        mode(".cursor/mcp.json"),
        0o600,
        "a new file is the user's own"
    );
    symlink("nowhere", home.path("loose")).unwrap();
    fs::remove_file(home.path(".claude.json")).unwrap();
    symlink("loose", home.path(".claude.json")).unwrap();
    let output = home.run(&["install", "claude-code", "--yes"]);
    assert_eq!(output.status.code(), Some(65), "{output:?}");
}

#[test]
fn print_prints_what_can_be_pasted_and_changes_nothing() {
    let home = Home::new();
    let printed = home.ok(&["install", "cursor", "--print"]);
    let snippet: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(snippet["mcpServers"]["braingrid"]["command"], BINARY);
    let printed = home.ok(&["install", "codex", "--print", "--name", "mine"]);
    assert!(printed.contains("[mcp_servers.mine]"), "{printed}");
    // Also where the file is beyond repair.
    home.write(".cursor/mcp.json", "{");
    home.ok(&["install", "cursor", "--print"]);
    assert_eq!(home.files(), [".cursor/mcp.json"]);
}

#[test]
fn nothing_is_written_without_a_yes() {
    let home = Home::new();
    let output = home.run(&["install", "cursor"]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(text(&output.stderr).contains("--yes"), "{output:?}");
    assert_eq!(home.files(), [""; 0]);

    for (answer, code) in [("n", 1), ("", 1), ("y", 0)] {
        let mut asked = OnTerminal::spawn(home.command(&["install", "cursor"])).unwrap();
        asked.wait_for("[y/N]").unwrap();
        assert_eq!(home.files(), [""; 0], "it waits for the answer");
        asked.enter(answer).unwrap();
        let output = asked.child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{answer:?}");
        assert!(
            text(&output.stdout).contains("+  \"mcpServers\": {"),
            "the diff is shown"
        );
        assert_eq!(home.path(".cursor/mcp.json").exists(), code == 0);
    }
}

#[test]
fn a_file_that_changes_while_we_ask_is_left_alone() {
    let home = Home::new();
    home.write(".cursor/mcp.json", "{}");
    let mut asked = OnTerminal::spawn(home.command(&["install", "cursor"])).unwrap();
    asked.wait_for("[y/N]").unwrap();
    home.write(".cursor/mcp.json", "{ \"mcpServers\": { \"new\": {} } }");
    asked.enter("y").unwrap();
    let told = asked.wait_for("try again").unwrap();
    assert!(told.contains("another program changed it"), "{told}");
    assert_eq!(asked.child.wait().unwrap().code(), Some(65));
    assert!(!home.read(".cursor/mcp.json").contains("braingrid"));
}

#[test]
fn a_token_in_the_environment_stays_there() {
    let home = Home::new();
    for &Case { client, file, .. } in CASES {
        let mut command = home.command(&["install", client, "--yes"]);
        let output = command
            .env("BRAINGRID_API_TOKEN", "hunter2")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(!format!("{output:?}").contains("hunter2"));
        assert!(!home.read(file).contains("hunter2"), "{client}");
    }
}

#[test]
fn flags_for_the_server_are_kept_in_the_entry() {
    let home = Home::new();
    home.write("shop/mine.toml", "");
    let arguments = [
        "install",
        "cursor",
        "--config",
        "mine.toml",
        "--read-only",
        "--yes",
    ];
    home.ok(&arguments);
    let file: serde_json::Value = serde_json::from_str(&home.read(".cursor/mcp.json")).unwrap();
    let config = fs::canonicalize(home.path("shop"))
        .unwrap()
        .join("mine.toml");
    let wanted = serde_json::json!(["--config", config, "--read-only"]);
    assert_eq!(file["mcpServers"]["braingrid"]["args"], wanted);
    for wrong in [["--port", "9000"], ["--remote", "https://mcp.example.com"]] {
        let output = home.run(&[&arguments[..], &wrong[..]].concat());
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
    let output = home.run(&[
        "install",
        "cursor",
        "--remote",
        "https://a:hunter2@b.c",
        "--yes",
    ]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn the_folder_that_a_client_was_told_to_use_is_used() {
    let home = Home::new();
    for (client, variable, file) in [
        ("claude-code", "CLAUDE_CONFIG_DIR", ".claude.json"),
        ("codex", "CODEX_HOME", "config.toml"),
        ("gemini", "GEMINI_CLI_HOME", ".gemini/settings.json"),
    ] {
        let folder = home.path(client);
        let mut command = home.command(&["install", client, "--yes"]);
        let output = command.env(variable, &folder).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(is_set_up(&folder.join(file)), "{client}");
    }
    // Left by an early version of Claude Code, and still what it reads.
    home.write(".claude/.config.json", "{}");
    home.ok(&["install", "claude-code", "--yes"]);
    assert!(is_set_up(&home.path(".claude/.config.json")));
    assert!(!home.path(".claude.json").exists());
}

fn is_set_up(file: &Path) -> bool {
    fs::read_to_string(file).unwrap().contains(BINARY)
}
