//! The short chaos run: every outage once, with the built binary. The long one is
//! `cargo xtask chaos`.

use mcp_lab::chaos::{self, Config, Length};

/// Fixed: a test that fails today fails tomorrow.
const SEED: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_signed_out_and_no_call_is_lost_whatever_fails() {
    let config = Config {
        server: super::server().unwrap(),
        seed: SEED,
        length: Length::Short,
        verbose: true,
    };
    let report = chaos::run(&config).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    assert!(report.total.calls > 1_000, "too little was tried");
}
