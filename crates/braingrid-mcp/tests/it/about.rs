//! What the program says about itself: its version, and its completions for shells.

use std::process::{Command, Output};

use mcp_test_support::client::{Generation, RawStdio};
use serde_json::{Value, json};

use crate::world::{BINARY, World};

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_version_names_the_build_and_the_revisions_it_speaks() {
    let line = format!("braingrid-mcp {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(printed(&["--version"]), line);
    assert_eq!(printed(&["-V"]), line);
    let version: Value = serde_json::from_str(&printed(&["--version", "--json"])).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
    let target = version["target"].as_str().unwrap();
    assert!(target.contains(std::env::consts::ARCH), "{target}");
    let profile = if cfg!(debug_assertions) {
        "debug"
    } else {
        "release"
    };
    assert_eq!(version["profile"], profile);
    assert!(version["features"].is_array() && version.get("commit").is_some());
    assert_eq!(run(&["--json"]).status.code(), Some(64));

    let world = World::small().await;
    let mut stdio = RawStdio::start(&world.stdio_command()).unwrap();
    let discovered = stdio
        .request(Generation::Modern, "server/discover", json!({}))
        .await
        .unwrap();
    assert_eq!(
        version["mcp_revisions"],
        discovered["result"]["supportedVersions"]
    );
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = printed(&["completions", shell]);
        for word in ["install", "doctor", "read-only"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
    }
    assert_eq!(run(&["completions", "cmd"]).status.code(), Some(64));
}

#[test]
fn bash_completes_a_command_and_a_client() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("braingrid-mcp.bash");
    std::fs::write(&script, printed(&["completions", "bash"])).unwrap();
    let complete = |words: &str, word: usize| {
        let ask = format!(
            "source '{}'; COMP_WORDS=({words}); COMP_CWORD={word}; \
             f=$(complete -p braingrid-mcp); f=${{f##*-F }}; \
             ${{f%% *}} braingrid-mcp \"${{COMP_WORDS[{word}]}}\" \"\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["-c", &ask]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(complete("braingrid-mcp inst", 1), "install\n");
    assert_eq!(
        complete("braingrid-mcp install clau", 2),
        "claude-code claude-desktop\n"
    );
}
