//! A few revocations under load, with the built binary. A thousand are `cargo xtask revocations`.

use mcp_lab::revocations::{self, Config};

const REVOCATIONS: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_revoked_is_refused_everywhere_though_news_are_cut_off() {
    let config = Config {
        server: super::server().unwrap(),
        revocations: REVOCATIONS,
        patient: false,
        verbose: true,
    };
    let report = revocations::run(&config).await.unwrap();
    println!("{report}");
    report.verdict().unwrap();
    assert_eq!(report.revocations, REVOCATIONS);
    assert!(report.served_while_cut_off > 0, "nobody was cut off");
}
