//! The short storm of writes, with the built binary. The long one is `cargo xtask storm`.

use mcp_lab::storm::{self, Config};

/// Fixed: the same writes meet the same faults.
const SEED: u64 = 4;
const WRITES: usize = 600;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_write_is_doubled_or_lost_whatever_fails() {
    let config = Config {
        server: super::server().unwrap(),
        seed: SEED,
        writes: WRITES,
        verbose: true,
    };
    let report = storm::run(&config).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    let sum = |count: fn(&storm::Part) -> usize| report.parts.iter().map(count).sum::<usize>();
    assert_eq!(sum(|part| part.writes), WRITES);
    assert!(
        sum(|part| part.replayed) > 0 && sum(|part| part.read_back) > 0,
        "nothing went wrong"
    );
}
