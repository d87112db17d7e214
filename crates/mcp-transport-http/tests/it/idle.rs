//! No client keeps a connection without using it: there is a limited number of them.

use std::{error::Error, sync::Arc, time::Duration};

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_transport_http::{HttpConfig, HttpServer, MemoryBudget};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

#[derive(Clone)]
struct NoTools;

impl rmcp::ServerHandler for NoTools {}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_hours(1);
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// An empty SETTINGS frame (RFC 9113 section 6.5).
const HTTP2_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

/// A connection to a server that gives this much time to the first and to the next request.
async fn connected(first: Duration, next: Duration) -> Result<TcpStream, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut config = HttpConfig::new(&format!("http://{address}"), ["https://auth.test"])?;
    config.header_timeout = first;
    config.idle_timeout = next;
    config.max_connections = 1;
    let issuer = IssuerConfig::new("https://auth.test", [&config.resource]);
    let client = mcp_auth::http_client()?;
    let verifier = TokenVerifier::new(vec![issuer], client, VerifierConfig::default())?;
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
    let server = HttpServer::new(config, sessions, NoTools, |_, _| ());
    tokio::spawn(server.serve(listener, std::future::pending()));
    Ok(TcpStream::connect(address).await?)
}

/// What the server sent until it closed the connection.
async fn until_closed(connection: &mut TcpStream) -> Result<String, Box<dyn Error>> {
    let mut received = Vec::new();
    let reading = connection.read_to_end(&mut received);
    // A reset closes too.
    let _ = timeout(Duration::from_secs(10), reading).await?;
    Ok(String::from_utf8_lossy(&received).into_owned())
}

#[tokio::test]
async fn a_client_that_does_not_ask_is_sent_away() {
    let nothing: &[u8] = b"";
    let half_a_head = b"GET /health HTTP/1.1\r\nHost: 12";
    let half_a_preface = &HTTP2_PREFACE[..9];
    let no_stream = [HTTP2_PREFACE, HTTP2_SETTINGS].concat();
    for sent in [nothing, half_a_head, half_a_preface, &no_stream] {
        let mut connection = connected(SHORT, LONG).await.unwrap();
        connection.write_all(sent).await.unwrap();
        let received = until_closed(&mut connection).await;
        assert!(
            received.is_ok(),
            "{:?} keeps its place",
            String::from_utf8_lossy(sent)
        );
    }
}

#[tokio::test]
async fn the_place_of_an_idle_connection_is_free_for_another_client() {
    let idle = connected(SHORT, LONG).await.unwrap();
    let mut next = TcpStream::connect(idle.peer_addr().unwrap()).await.unwrap();
    next.write_all(HEALTH).await.unwrap();
    let mut answer = [0; 12];
    timeout(Duration::from_secs(10), next.read_exact(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_client_that_asked_once_may_not_stay_for_ever() {
    let mut connection = connected(LONG, SHORT).await.unwrap();
    connection.write_all(HEALTH).await.unwrap();
    // The larger of both limits is the library's own: only the rule for idle ones can end this.
    let received = until_closed(&mut connection).await.unwrap();
    assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
}

#[tokio::test]
async fn a_connection_in_use_is_kept_beyond_the_time_for_its_first_request() {
    let mut connection = connected(SHORT, LONG).await.unwrap();
    for _ in 0..3 {
        connection.write_all(HEALTH).await.unwrap();
        let mut answer = [0; 2048];
        let read = connection.read(&mut answer).await.unwrap();
        assert!(answer[..read].starts_with(b"HTTP/1.1 200 "));
        // The time itself is what is tested.
        tokio::time::sleep(SHORT).await;
    }
}

#[tokio::test]
async fn an_answer_that_nobody_reads_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut config = HttpConfig::new(&format!("http://{address}"), ["https://auth.test"]).unwrap();
    config.answer_timeout = SHORT;
    config.memory = MemoryBudget::new(1 << 30);
    // More than the system takes off the server's hands for the client.
    let size = 32 << 20;
    config.resource_name = Some("x".repeat(size));
    let issuer = IssuerConfig::new("https://auth.test", [&config.resource]);
    let client = mcp_auth::http_client().unwrap();
    let verifier = TokenVerifier::new(vec![issuer], client, VerifierConfig::default()).unwrap();
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
    let server = HttpServer::new(config, sessions, NoTools, |_, _| ());
    let status = server.status();
    tokio::spawn(server.serve(listener, std::future::pending()));
    let mut connection = TcpStream::connect(address).await.unwrap();
    let request = b"GET /.well-known/oauth-protected-resource HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    connection.write_all(request).await.unwrap();
    // Its first bytes say that it is there.
    connection.peek(&mut [0]).await.unwrap();
    let given_up = async {
        while status.memory().used > 0 {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    timeout(Duration::from_secs(10), given_up).await.unwrap();
    let received = until_closed(&mut connection).await.unwrap();
    assert!(received.len() < size, "{}", received.len());
}
