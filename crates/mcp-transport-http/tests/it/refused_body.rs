//! A refused client gets its answer, not a broken connection, however its body arrives.

use std::{error::Error, sync::Arc, time::Duration};

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_transport_http::{HttpConfig, HttpServer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

#[derive(Clone)]
struct NoTools;

impl rmcp::ServerHandler for NoTools {}

/// A connection to a server that serves until the runtime of the test ends.
async fn connected() -> Result<TcpStream, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let config = HttpConfig::new(&format!("http://{address}"), ["https://auth.test"])?;
    let issuer = IssuerConfig::new("https://auth.test", [&config.resource]);
    let client = mcp_auth::http_client()?;
    let verifier = TokenVerifier::new(vec![issuer], client, VerifierConfig::default())?;
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
    let server = HttpServer::new(config, sessions, NoTools, |_, _| ());
    tokio::spawn(server.serve(listener, std::future::pending()));
    Ok(TcpStream::connect(address).await?)
}

fn head(more: &str) -> String {
    format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{more}\r\n")
}

async fn answer(mut connection: TcpStream) -> Result<String, Box<dyn Error>> {
    let mut answer = String::new();
    timeout(
        Duration::from_secs(10),
        connection.read_to_string(&mut answer),
    )
    .await??;
    Ok(answer)
}

#[tokio::test]
async fn a_refused_client_may_finish_sending_and_then_reads_the_challenge() {
    let mut connection = connected().await.unwrap();
    let body = vec![b' '; 500_000];
    let head = head(&format!(
        "Connection: close\r\nContent-Length: {}\r\n",
        body.len()
    ));
    connection.write_all(head.as_bytes()).await.unwrap();
    for piece in body.chunks(1000) {
        connection.write_all(piece).await.unwrap();
    }
    let answer = answer(connection).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(
        answer
            .to_ascii_lowercase()
            .contains("\r\nwww-authenticate: bearer "),
        "{answer}"
    );
}

#[tokio::test]
async fn a_client_that_asks_first_is_not_told_to_send() {
    let mut connection = connected().await.unwrap();
    let head = head("Connection: close\r\nContent-Length: 9\r\nExpect: 100-continue\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    let answer = answer(connection).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for_long() {
    let mut connection = connected().await.unwrap();
    let head = head("Connection: close\r\nContent-Length: 9\r\n");
    connection.write_all(head.as_bytes()).await.unwrap();
    let answer = answer(connection).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
