//! The way to a protected server for a client that cannot send a token: a proxy that adds it.
//!
//! Nothing else changes, byte for byte: `Host`, `Origin`, the case of header names and the blanks
//! around their values are part of what is tested. Each connection carries one request, so there
//! is one place to add the header.

use std::{io, net::SocketAddr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// More than any request of a well-meaning client.
const MAX_HEAD: usize = 64 * 1024;
const END_OF_HEAD: &[u8] = b"\r\n\r\n";

/// A running proxy; it ends when dropped.
pub(super) struct TokenProxy {
    accepting: JoinHandle<()>,
}

impl Drop for TokenProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl TokenProxy {
    pub(super) fn start(listener: TcpListener, server: SocketAddr, token: String) -> Self {
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    Some(_) = connections.join_next() => {}
                    accepted = listener.accept() => if let Ok((client, _)) = accepted {
                        let token = token.clone();
                        // A client that goes away is its own business.
                        connections.spawn(async move { pass(client, server, &token).await });
                    },
                }
            }
        });
        Self { accepting }
    }
}

/// One request there, its answer back.
async fn pass(mut client: TcpStream, server: SocketAddr, token: &str) -> io::Result<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = end_of_head(&request) {
            break end;
        }
        if request.len() > MAX_HEAD || client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let (head, body) = request.split_at(end);
    let mut server = TcpStream::connect(server).await?;
    server.write_all(&with_token(head, token)).await?;
    server.write_all(body).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

fn end_of_head(request: &[u8]) -> Option<usize> {
    let at = request
        .windows(END_OF_HEAD.len())
        .position(|window| window == END_OF_HEAD)?;
    Some(at + END_OF_HEAD.len())
}

/// The head with the token in it, and with the wish to end the connection instead of whatever the
/// client wished.
fn with_token(head: &[u8], token: &str) -> Vec<u8> {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let mut rewritten = lines.next().unwrap_or_default().to_vec();
    let added = format!("Authorization: Bearer {token}\r\nConnection: close\r\n");
    rewritten.extend_from_slice(added.as_bytes());
    for line in lines.filter(|line| !is_connection(line)) {
        rewritten.extend_from_slice(line);
    }
    rewritten
}

fn is_connection(line: &[u8]) -> bool {
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    name.eq_ignore_ascii_case(b"connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_everything_but_its_connection_header() {
        let head = b"POST /mcp HTTP/1.1\r\nhOsT: evil.test\r\nConnection: keep-alive\r\nMcp-Method:   x  \r\n\r\n";
        let rewritten = with_token(head, "abc");
        assert_eq!(
            String::from_utf8(rewritten).unwrap(),
            "POST /mcp HTTP/1.1\r\nAuthorization: Bearer abc\r\nConnection: close\r\nhOsT: evil.test\r\nMcp-Method:   x  \r\n\r\n"
        );
    }

    #[tokio::test]
    async fn body_and_answer_pass_through() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = server.local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let entrance = listener.local_addr().unwrap();
        let _proxy = TokenProxy::start(listener, address, "abc".to_owned());

        let mut client = TcpStream::connect(entrance).await.unwrap();
        client
            .write_all(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbo")
            .await
            .unwrap();
        let (mut peer, _) = server.accept().await.unwrap();
        client.write_all(b"dy").await.unwrap();
        client.shutdown().await.unwrap();
        let mut seen = String::new();
        peer.read_to_string(&mut seen).await.unwrap();
        assert!(seen.contains("Authorization: Bearer abc\r\n"), "{seen}");
        assert!(seen.ends_with("\r\n\r\nbody"), "{seen}");

        peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .await
            .unwrap();
        drop(peer);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "HTTP/1.1 204 No Content\r\n\r\n");
    }
}
