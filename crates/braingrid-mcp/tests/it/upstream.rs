//! How the built binary talks to the API: over TLS it negotiates HTTP/2 and keeps its connection.

use futures::future::join_all;
use mcp_test_support::client::{Generation, RawHttp};
use serde_json::json;

use crate::world::{LIMIT, World};

#[tokio::test]
async fn over_tls_it_speaks_http2_and_asks_for_gzip() {
    let world = World::small().await;
    let door = world.api.tls_door().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, &door.ca_pem).unwrap();
    let command = world
        .command()
        .env("BRAINGRID_API_URL", &door.url)
        .env("SSL_CERT_FILE", authority.display().to_string());
    let server = command.spawn().unwrap();
    server.wait_ready(LIMIT).await.unwrap();
    let token = world.token("user_ada", "org_ada");
    let http = RawHttp::new(server.mcp_url());
    let calls = (0..8).map(|_| {
        let call = http.call(Generation::Modern, "list_projects", &json!({}));
        call.bearer(&token).send()
    });
    for answer in join_all(calls).await {
        let answer = answer.unwrap();
        assert!(answer.structured().is_some(), "{}", answer.body);
    }
    let sent = world.api.requests().entries();
    assert_eq!(sent.len(), 8);
    for request in sent {
        assert_eq!(format!("{:?}", request.version), "HTTP/2.0");
        let packed = request.headers.get("accept-encoding").unwrap();
        assert!(packed.to_str().unwrap().contains("gzip"));
    }
}
