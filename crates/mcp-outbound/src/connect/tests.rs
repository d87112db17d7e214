//! Against the API stand-in behind TLS, by way of a proxy that can go silent.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, StatusCode, Version, header};
use http_body_util::Full;
use hyper_util::client::proxy::matcher::Matcher;
use mcp_test_support::{Api, api::TlsDoor};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy, sink},
    net::TcpListener,
    sync::watch,
};

use super::*;
use crate::{FetchError, PooledClient};

const LIMIT: Duration = Duration::from_secs(20);
const TOKEN: &str = "Bearer 8a1f-credential";

/// Passes connections on to where a `CONNECT` asks for.
struct Proxy {
    address: String,
    /// What each connection was sent by the client.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    silence: watch::Sender<()>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap().to_string(),
            heard: Arc::default(),
            silence: watch::Sender::new(()),
        };
        let (heard, silence) = (proxy.heard.clone(), proxy.silence.clone());
        tokio::spawn(async move {
            while let Ok((outer, _)) = listener.accept().await {
                tokio::spawn(pass_on(outer, heard.clone(), silence.subscribe()));
            }
        });
        proxy
    }

    fn heard(&self) -> Vec<Vec<u8>> {
        self.heard.lock().unwrap().clone()
    }
}

async fn pass_on(
    mut outer: TcpStream,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    mut silence: watch::Receiver<()>,
) {
    let mut opening = Vec::new();
    while !opening.ends_with(b"\r\n\r\n") {
        assert_ne!(outer.read_buf(&mut opening).await.unwrap(), 0);
    }
    let text = String::from_utf8(opening.clone()).unwrap();
    let mut line = text.split(' ');
    assert_eq!(line.next(), Some("CONNECT"));
    let inside = line.next().unwrap().to_owned();
    outer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    let number = {
        let mut heard = heard.lock().unwrap();
        heard.push(opening);
        heard.len() - 1
    };
    let inner = TcpStream::connect(inside).await.unwrap();
    let (mut from_inner, mut to_inner) = inner.into_split();
    let (mut from_outer, mut to_outer) = outer.into_split();
    let inwards = async {
        let mut bytes = Vec::new();
        while from_outer
            .read_buf(&mut bytes)
            .await
            .is_ok_and(|read| read > 0)
        {
            heard.lock().unwrap()[number].extend_from_slice(&bytes);
            if to_inner.write_all(&bytes).await.is_err() {
                return;
            }
            bytes.clear();
        }
    };
    tokio::select! {
        biased;
        _ = silence.changed() => {}
        () = inwards => return,
        _ = copy(&mut from_inner, &mut to_outer) => return,
    }
    // Nothing is answered and nothing is closed, until the client gives up.
    let _ = copy(&mut from_outer, &mut sink()).await;
    tokio::time::resume();
}

fn trusting(door: &TlsDoor) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(door.ca_pem.as_bytes()).unwrap();
    roots.add(authority).unwrap();
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn api() -> (Api, TlsDoor) {
    let api = Api::start().await.unwrap();
    let door = api.tls_door().await.unwrap();
    (api, door)
}

fn client(base: &str, door: &TlsDoor, proxies: Matcher) -> Result<PooledClient, ProxyError> {
    let (base, proxies) = (base.parse().unwrap(), Proxies::of(proxies));
    PooledClient::new(&base, trusting(door), &proxies, LIMIT, "tests", 10_000)
}

/// Asks for something that is not there, with a credential.
async fn ask(http: &PooledClient, base: &str, limit: Duration) -> Result<StatusCode, FetchError> {
    let request = Request::get(format!("{base}/api/v1/nothing"))
        .header(header::AUTHORIZATION, TOKEN)
        .body(Full::new(Bytes::new()))
        .unwrap();
    Ok(http.fetch(request, limit, false, None).await?.status)
}

#[tokio::test]
async fn proxy_is_told_where_to_connect_and_sees_no_credential() {
    let (api, door) = api().await;
    let proxy = Proxy::start().await;
    let name = format!("http://user:secret@{}", proxy.address);
    for proxies in [
        Matcher::builder().https(name.clone()).build(),
        Matcher::builder().all(name).build(),
    ] {
        let http = client(&door.url, &door, proxies).unwrap();
        for _ in 0..2 {
            let answer = ask(&http, &door.url, LIMIT).await;
            assert_eq!(answer, Ok(StatusCode::NOT_FOUND));
        }
    }
    let asked = api.requests().entries();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|it| it.headers["authorization"] == TOKEN));
    let heard = proxy.heard();
    assert_eq!(heard.len(), 2);
    let place = door.url.strip_prefix("https://").unwrap();
    for heard in heard {
        let heard = String::from_utf8_lossy(&heard);
        assert!(heard.starts_with(&format!("CONNECT {place} HTTP/1.1\r\n")));
        assert!(heard.contains("\r\nProxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n"));
        assert!(!heard.to_ascii_lowercase().contains("\r\nauthorization:"));
        assert!(!heard.contains("8a1f-credential"));
    }
}

#[tokio::test]
async fn plain_http_and_hosts_of_no_proxy_go_straight() {
    let (api, door) = api().await;
    let proxy = Proxy::start().await;
    let all = || Matcher::builder().all(format!("http://{}", proxy.address));
    for (base, proxies) in [
        (api.url(), all().build()),
        (door.url.clone(), all().no("127.0.0.1").build()),
    ] {
        let http = client(&base, &door, proxies).unwrap();
        let answer = ask(&http, &base, LIMIT).await;
        assert_eq!(answer, Ok(StatusCode::NOT_FOUND));
    }
    assert!(proxy.heard().is_empty());
}

#[tokio::test]
async fn other_proxies_are_refused_at_the_start() {
    let (_api, door) = api().await;
    for name in ["https://127.0.0.1:3128", "socks5://127.0.0.1:1080"] {
        let proxies = Matcher::builder().all(name).build();
        let refused = client(&door.url, &door, proxies).err().unwrap();
        let refused = refused.to_string();
        assert!(refused.contains("HTTPS_PROXY or ALL_PROXY"), "{refused}");
    }
}

#[tokio::test]
async fn dead_connection_is_noticed_and_not_used_again() {
    let (api, door) = api().await;
    let proxy = Proxy::start().await;
    let proxies = Matcher::builder().all(proxy.address.clone()).build();
    let http = client(&door.url, &door, proxies).unwrap();
    let found = Ok(StatusCode::NOT_FOUND);
    assert_eq!(ask(&http, &door.url, LIMIT).await, found);
    proxy.silence.send_replace(());
    // Time goes by on its own until the client gives the connection up.
    tokio::time::pause();
    let answer = ask(&http, &door.url, Duration::from_mins(5)).await;
    assert_eq!(answer, Err(FetchError::Broken));
    assert_eq!(ask(&http, &door.url, LIMIT).await, found);
    assert_eq!(proxy.heard().len(), 2);
    let arrived = api.requests().entries();
    assert!(arrived.iter().all(|it| it.version == Version::HTTP_2));
}
