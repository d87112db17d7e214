//! Asks the server on this machine whether it is ready, for containers that have no `curl`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The first bytes of an answer that says yes.
const READY: &[u8] = b"HTTP/1.1 200";

/// Whether the server that listens on `listen` answers `GET /ready` with 200.
pub(crate) async fn is_ready(listen: SocketAddr) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, ask(reachable(listen))).await {
        Ok(Ok(status)) if status == READY => Ok(()),
        Ok(Ok(_)) => Err("it is not ready".to_owned()),
        Ok(Err(error)) => Err(format!("it does not answer: {}", error.kind())),
        Err(_) => Err(format!("no answer within {} seconds", PATIENCE.as_secs())),
    }
}

/// An address that reaches a server listening on every interface.
pub(crate) fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

/// The start of the status line.
async fn ask(server: SocketAddr) -> std::io::Result<[u8; READY.len()]> {
    let mut stream = TcpStream::connect(server).await?;
    let request = format!("GET /ready HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; READY.len()];
    stream.read_exact(&mut status).await?;
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A server that answers one request.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1_024];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"GET /ready HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn only_200_is_ready() {
        let ready = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), ready.port());
        assert_eq!(is_ready(everywhere).await, Ok(()));
        let draining = server("HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
        assert!(is_ready(draining).await.is_err());
    }

    #[tokio::test]
    async fn nobody_listening_is_not_ready() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        assert!(is_ready(address).await.is_err());
    }
}
