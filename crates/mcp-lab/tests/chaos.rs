//! The short chaos run: every outage once, with the built binary. The long one is
//! `cargo xtask chaos`.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use mcp_lab::chaos::{self, Config, Length};

/// Fixed: a test that fails today fails tomorrow.
const SEED: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_signed_out_and_no_call_is_lost_whatever_fails() {
    let config = Config {
        server: server().unwrap(),
        seed: SEED,
        length: Length::Short,
        verbose: true,
    };
    let report = chaos::run(&config).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    assert!(report.total.calls > 1_000, "too little was tried");
}

/// The server's binary, beside this test's: whoever builds all tests has built it. Another crate's
/// program, so cargo neither names it here nor builds it for this test alone.
fn server() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test>
    let built = test.ancestors().nth(2).context("no target directory")?;
    let server = built.join(format!("braingrid-mcp{}", std::env::consts::EXE_SUFFIX));
    ensure!(
        server.is_file(),
        "there is no {}: run the tests of the whole workspace, or build it first",
        server.display()
    );
    Ok(server)
}
