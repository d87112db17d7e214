//! `cargo xtask deploy` with the platforms' real tools, which talk to recording stand-ins.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests"
)]

mod cloud_run;
mod cluster;
mod google;
mod http;
mod kubernetes;

use std::process::{Command, Output};

/// Whether a tool is on this machine; says so if it is not.
fn there(tool: &str, version: &[&str]) -> bool {
    let answer = Command::new(tool).args(version).output();
    let there = answer.is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("SKIPPED: {tool} is not installed");
    }
    there
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn succeeded(output: Output) -> String {
    assert!(
        output.status.success(),
        "{}\n{}",
        stdout(&output),
        stderr(&output)
    );
    stdout(&output)
}
