//! Connections to a far end: TCP, TLS, and a tunnel where the environment names a proxy.

use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{HttpConnector, proxy::Tunnel},
    rt::TokioIo,
};
use rustls::ClientConfig;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::proxies::{Proxies, ProxyError};

type BoxError = Box<dyn Error + Send + Sync>;

/// Makes connections, TLS included, within a time.
#[derive(Clone)]
pub(crate) struct Connector {
    way: Way,
    limit: Duration,
}

#[derive(Clone)]
enum Way {
    Straight(HttpsConnector<HttpConnector>),
    Tunnel(HttpsConnector<Tunnel<HttpConnector>>),
}

impl Connector {
    /// To `base`, by the proxy that `proxies` name for it.
    pub(crate) fn new(
        base: &Uri,
        mut tls: ClientConfig,
        proxies: &Proxies,
        limit: Duration,
    ) -> Result<Self, ProxyError> {
        let tcp = tcp(limit);
        // Added below again, in the order the connector wants.
        tls.alpn_protocols.clear();
        let secure = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions();
        let proxy = proxies.to(base);
        let way = match proxy {
            None => Way::Straight(secure.wrap_connector(tcp)),
            Some(proxy) if proxy.uri().scheme_str() == Some("http") => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                if let Some(credentials) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                Way::Tunnel(secure.wrap_connector(tunnel))
            }
            Some(_) => return Err(ProxyError),
        };
        Ok(Self { way, limit })
    }
}

/// TCP that notices when the far end is gone without a word. Otherwise its connection would be
/// handed to call after call, until the kernel gives up after a quarter of an hour.
fn tcp(limit: Duration) -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    // Shared out among the addresses of a host: one that is silent leaves time for the next.
    tcp.set_connect_timeout(Some(limit));
    // Where nothing is said, as while a call takes minutes: asked after 30 s, given up 45 s later.
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp.set_keepalive_interval(Some(Duration::from_secs(15)));
    tcp.set_keepalive_retries(Some(3));
    // Where something was said: probes are not sent while it waits to be acknowledged.
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    tcp.set_tcp_user_timeout(Some(Duration::from_secs(30)));
    tcp
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.way {
            Way::Straight(way) => way.poll_ready(context),
            Way::Tunnel(way) => way.poll_ready(context),
        }
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let limit = self.limit;
        match &mut self.way {
            Way::Straight(way) => Box::pin(within(limit, way.call(uri))),
            Way::Tunnel(way) => Box::pin(within(limit, way.call(uri))),
        }
    }
}

async fn within<T>(
    limit: Duration,
    connecting: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    tokio::time::timeout(limit, connecting).await?
}

#[cfg(test)]
mod tests;
