//! How the built binary talks to the API: over TLS it negotiates HTTP/2 and keeps its connection.

use futures::future::join_all;
use mcp_test_support::client::{Generation, RawHttp};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

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

#[tokio::test]
async fn the_environment_names_the_proxy_to_the_api() {
    let world = World::small().await;
    let door = world.api.tls_door().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(connection.read_buf(&mut head).await.unwrap(), 0);
        }
        let refusal = b"HTTP/1.1 403 Forbidden\r\n\r\n";
        connection.write_all(refusal).await.unwrap();
        String::from_utf8(head).unwrap()
    });
    let command = world.command().env("BRAINGRID_API_URL", &door.url);
    let server = command.env("HTTPS_PROXY", &proxy).spawn().unwrap();
    server.wait_ready(LIMIT).await.unwrap();
    let http = RawHttp::new(server.mcp_url());
    let call = http.call(Generation::Modern, "list_projects", &json!({}));
    let token = world.token("user_ada", "org_ada");
    call.bearer(&token).send().await.unwrap();
    let head = asked.await.unwrap();
    let place = door.url.strip_prefix("https://").unwrap();
    assert!(head.starts_with(&format!("CONNECT {place} HTTP/1.1\r\n")));
    assert!(!head.contains(&token), "{head}");
    assert!(world.api.requests().entries().is_empty());
}
