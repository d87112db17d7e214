//! A small listener for operators, apart from the one that users reach.
//!
//! Who may do what is decided by whoever answers. What is kept out here is a web page of elsewhere in
//! an operator's browser, which reaches loopback addresses too: pages are known by `Origin`, and names
//! that were rebound to this machine by `Host`.

mod places;

use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{HOST, ORIGIN},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};

use self::places::{Places, Seat};

use crate::{
    body::{self, BoxedBody},
    client_address::PeerAddress,
    config::LOOPBACK,
    origin::OriginRule,
};

/// Largest body of a request, in bytes.
const MAX_BODY: usize = 16 * 1_024;
/// For a request's head, for its body, and between two requests of a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last: scrapers open the next one.
const LONGEST: Duration = Duration::from_mins(10);

/// Serves operators.
pub struct AdminServer<A> {
    allowed_hosts: Arc<[String]>,
    answer: A,
}

impl<A, F> AdminServer<A>
where
    A: Fn(Request<Bytes>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    /// A server that lets `answer` answer, with the [`PeerAddress`] among the request's extensions.
    /// `Host` may be a loopback name, the address a connection came in on, or one of `allowed_hosts`;
    /// without a port these stand for every port. `Origin` may be that of the listener's own pages.
    pub fn new(allowed_hosts: impl IntoIterator<Item = String>, answer: A) -> Self {
        Self {
            allowed_hosts: allowed_hosts.into_iter().collect(),
            answer,
        }
    }

    /// Serves until it is dropped. What goes wrong with one connection is that connection's end.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        let places = Arc::new(Places::default());
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let Some(place) = places.take(peer.ip()) else {
                continue;
            };
            let connection = self.connection(stream, PeerAddress(peer), place.seat());
            tokio::spawn(async move {
                // However it ends, there is nobody to tell.
                tokio::select! {
                    _ = timeout(LONGEST, connection) => {}
                    () = place.is_taken() => {}
                }
            });
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: PeerAddress,
        seat: Arc<Seat>,
    ) -> impl Future<Output = ()> + Send + use<A, F> {
        let own = stream.local_addr().ok().map(host_of);
        let hosts = LOOPBACK.into_iter().map(str::to_owned).chain(own);
        let hosts = hosts.chain(self.allowed_hosts.iter().cloned()).collect();
        let rule = Arc::new(OriginRule::new(Vec::new(), hosts));
        let answer = self.answer.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            let (rule, seat) = (Arc::clone(&rule), Arc::clone(&seat));
            let answer = answer.clone();
            let answer = move |request| async move { seat.at_work(answer(request)).await };
            async move { Ok::<_, Infallible>(answered(&rule, request, answer).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), service);
        async move {
            let _ = connection.await;
        }
    }
}

async fn answered<F: Future<Output = Response<Bytes>>>(
    rule: &OriginRule,
    request: Request<Incoming>,
    answer: impl FnOnce(Request<Bytes>) -> F,
) -> Response<BoxedBody> {
    if rule.check_host(&request).is_err() || !is_own_page(request.headers()) {
        let refusal = json!({"error": "this listener is for operators: use its address, or allow the host name"});
        return body::json(StatusCode::FORBIDDEN, &refusal);
    }
    let (parts, body) = request.into_parts();
    let Ok((bytes, _)) = body::read(body, MAX_BODY, PATIENCE, None).await else {
        return body::empty(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let response = answer(Request::from_parts(parts, bytes)).await;
    response.map(body::full)
}

/// Whether no page asks, or one that came from here: its origin is the name it asks for. A proxy in
/// front may speak TLS where this listener does not.
fn is_own_page(headers: &HeaderMap) -> bool {
    let mut origins = headers.get_all(ORIGIN).iter();
    let (Some(origin), more) = (origins.next(), origins.next()) else {
        return true;
    };
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let (origin, host) = (text(origin), headers.get(HOST).and_then(text));
    let (Some(origin), Some(host), None) = (origin, host, more) else {
        return false;
    };
    let named = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    named == Some(host.as_str())
}

/// The address as a `Host` names it.
fn host_of(address: SocketAddr) -> String {
    match address.ip().to_canonical() {
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pages_of_this_listener_ask() {
        let asks = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "127.0.0.1:9464".parse().unwrap());
            for value in values {
                headers.append(ORIGIN, value.parse().unwrap());
            }
            is_own_page(&headers)
        };
        assert!(asks(&[]) && asks(&["http://127.0.0.1:9464"]) && asks(&["https://127.0.0.1:9464"]));
        for foreign in [
            "null",
            "http://127.0.0.1",
            "http://127.0.0.1:3000",
            "http://127.0.0.1:9464.evil.test",
            "ftp://127.0.0.1:9464",
        ] {
            assert!(!asks(&[foreign]), "{foreign}");
        }
        assert!(!asks(&["http://127.0.0.1:9464", "http://127.0.0.1:9464"]));
    }

    #[test]
    fn an_address_is_named_as_a_host_names_it() {
        let host = |address: &str| host_of(address.parse().unwrap());
        assert_eq!(host("10.1.2.3:9464"), "10.1.2.3");
        assert_eq!(host("[::ffff:10.1.2.3]:9464"), "10.1.2.3");
        assert_eq!(host("[fd00::1]:9464"), "[fd00::1]");
    }
}
