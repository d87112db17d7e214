//! How long a local client waits for its server: from the start of the process to the first answer
//! over stdio, and the processor time the process took until then. Prints medians, asserts nothing.
//!
//! `cargo bench -p braingrid-mcp --bench start --profile ci`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a measurement stops where something is not as it should be"
)]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const RUNS: usize = 101;

const DISCOVER: &str = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"}}}}"#;
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;

fn main() {
    for (name, message) in [("server/discover", DISCOVER), ("initialize", INITIALIZE)] {
        let (mut waited, mut worked): (Vec<_>, Vec<_>) = (0..RUNS).map(|_| start(message)).unzip();
        println!(
            "{name}: answered after {:?}, processor time {:?} (medians of {RUNS} starts)",
            median(&mut waited),
            median(&mut worked)
        );
    }
}

/// One start: the time to the first answer, and the processor time until then.
fn start(message: &str) -> (Duration, Duration) {
    let started = Instant::now();
    let mut server = Command::new(env!("CARGO_BIN_EXE_braingrid-mcp"))
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = server.stdin.take().unwrap();
    writeln!(input, "{message}").unwrap();
    let mut answer = String::new();
    let mut output = BufReader::new(server.stdout.take().unwrap());
    output.read_line(&mut answer).unwrap();
    let waited = started.elapsed();
    let worked = processor_time(server.id());
    assert!(answer.contains("\"result\""), "{answer}");
    drop(input);
    assert!(server.wait().unwrap().success());
    (waited, worked)
}

/// What all threads of the process took so far (Linux only).
fn processor_time(process: u32) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let text = fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        let first = text.split(' ').next().unwrap();
        first.parse::<u64>().unwrap()
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn median(all: &mut [Duration]) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}
