//! A connection to a server: HTTP/1.1 by hyper, which costs the generator least; reqwest behind
//! TLS, for a deployed server.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::call::{CallResponse, Endpoint};

/// Nothing may take longer.
const LIMIT: Duration = Duration::from_secs(20);

/// A connection, made when it is first used and made again after an error.
pub(super) struct Connection {
    pub(super) to: Endpoint,
    way: Way,
}

enum Way {
    Closed,
    Open(SendRequest<Full<Bytes>>),
    Tls(reqwest::Client),
}

impl Connection {
    pub(super) fn new(to: Endpoint) -> Self {
        let way = if to.url.scheme() == "https" {
            Way::Tls(mcp_test_support::http_client())
        } else {
            Way::Closed
        };
        Self { to, way }
    }

    pub(super) async fn call(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> anyhow::Result<CallResponse> {
        let answered = tokio::time::timeout(LIMIT, self.exchange(request)).await;
        let answered = answered.unwrap_or_else(|_| bail!("no answer in {LIMIT:?}"));
        if answered.is_err() && !matches!(self.way, Way::Tls(_)) {
            self.way = Way::Closed;
        }
        answered
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<CallResponse> {
        if matches!(&self.way, Way::Open(sender) if sender.is_closed()) {
            self.way = Way::Closed;
        }
        if matches!(self.way, Way::Closed) {
            self.way = Way::Open(open(&self.to.authority).await?);
        }
        match &mut self.way {
            Way::Open(sender) => {
                sender.ready().await.context("the connection broke")?;
                let answer = sender.send_request(request).await.context("no answer")?;
                let (head, body) = answer.into_parts();
                let body = body.collect().await.context("the answer broke off")?;
                Ok(CallResponse {
                    status: head.status,
                    headers: head.headers,
                    body: body.to_bytes(),
                })
            }
            Way::Tls(client) => {
                let (head, body) = request.into_parts();
                let body = body.collect().await?.to_bytes();
                let mut headers = head.headers;
                headers.remove(http::header::HOST);
                let request = client.post(self.to.url.clone()).headers(headers).body(body);
                let answer = request.send().await.context("no answer")?;
                Ok(CallResponse {
                    status: answer.status(),
                    headers: answer.headers().clone(),
                    body: answer.bytes().await.context("the answer broke off")?,
                })
            }
            Way::Closed => bail!("the connection is closed"),
        }
    }
}

async fn open(authority: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(authority)
        .await
        .context("cannot connect")?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.context("no HTTP")?;
    tokio::spawn(async move {
        // Its end is seen by whoever sends on it.
        let _ = connection.await;
    });
    Ok(sender)
}
