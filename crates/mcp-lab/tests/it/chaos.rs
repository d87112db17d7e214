//! The short chaos runs: every outage once, with the built binary. The long ones are
//! `cargo xtask chaos`.

use mcp_lab::chaos::{self, Config, Length, Mode, Report};

/// Fixed: a test that fails today fails tomorrow.
const SEED: u64 = 4;

async fn run(mode: Mode) -> anyhow::Result<Report> {
    let config = Config {
        server: super::server()?,
        seed: SEED,
        length: Length::Short,
        mode,
        verbose: true,
    };
    chaos::run(&config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_signed_out_and_no_call_is_lost_whatever_fails() {
    let report = run(Mode::Exchanged).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    assert!(report.total.calls > 1_000, "too little was tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_logs_in_twice_with_our_own_authorization_server_whatever_fails() {
    let report = run(Mode::Granted).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    assert!(report.total.calls > 1_000, "too little was tried");
    let logins = report.logins.unwrap();
    assert!(logins.refreshes > 500, "too little was refreshed");
    assert!(logins.lost_answers > 100, "too little was lost");
}
