//! Metrics over OTLP: what a collector receives, at the latest when the server stops.

use mcp_test_support::{
    Collector,
    client::Generation,
    collector::{MetricPoint, PointValue},
};
use serde_json::json;

use crate::world::{LIMIT, World, client_of};

#[tokio::test]
async fn what_the_sessions_count_reaches_a_collector() {
    let world = World::small().await;
    let collector = Collector::start().await.unwrap();
    let command = world
        .command()
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url());
    let mut server = world.start(&command).await;
    let token = world.token("user_ada_secret", "org_ada_secret");
    for generation in Generation::BOTH {
        let request = client_of(&server).call(generation, "list_projects", &json!({}));
        assert_eq!(request.bearer(&token).send().await.unwrap().status, 200);
    }
    assert!(server.stop(LIMIT).await.unwrap().success());

    for (name, expected) in [("memory.hits", 1.0), ("verifications", 1.0)] {
        let points = collector.metric(&format!("mcp.server.session.{name}"));
        let [MetricPoint { value, .. }] = points.as_slice() else {
            panic!("{name}: {points:?}");
        };
        let counted = PointValue::Sum {
            value: expected,
            monotonic: true,
        };
        assert_eq!(*value, counted, "{name}");
    }
    assert!(!collector.spans().entries().is_empty(), "spans too");
}
