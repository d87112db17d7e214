use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use mcp_test_support::http::{HttpServer, listen, with_type};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::oneshot,
};

use super::*;
use crate::SystemRoots;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn client(reach: Reach) -> GuardedClient {
    let tls = SystemRoots::new().tls_config().unwrap();
    GuardedClient::new(tls, "test", reach).unwrap()
}

async fn fetch(reach: Reach, url: &str) -> Result<GuardedDocument, GuardedError> {
    client(reach).json(&url.parse().unwrap()).await
}

/// Names that resolve to what the test says, one answer after the other; the last one stays.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<VecDeque<Vec<IpAddr>>>>, Arc<AtomicUsize>);

impl Names {
    fn client(&self, reach: Reach) -> GuardedClient {
        let tls = SystemRoots::new().tls_config().unwrap();
        GuardedClient::resolving_with(tls, "test", reach, Arc::new(self.clone())).unwrap()
    }

    fn of<const N: usize>(answers: [&[&str]; N]) -> Self {
        let parse = |answer: &&[&str]| answer.iter().map(|ip| ip.parse().unwrap()).collect();
        let answers = answers.iter().map(parse).collect();
        Self(Arc::new(Mutex::new(answers)), Arc::default())
    }

    fn asked(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        self.1.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.0.lock().unwrap();
        let answer = if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        };
        let addresses = answer.unwrap_or_default().into_iter();
        let addresses = addresses.map(|ip| SocketAddr::new(ip, 0));
        Box::pin(std::future::ready(Ok(Box::new(addresses) as Addrs)))
    }
}

/// A server that counts who connects, and answers everybody the same.
async fn server(answer: String) -> (u16, Arc<AtomicUsize>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&seen);
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (port, seen, task)
}

fn answer(head: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{head}\r\n\r\n{body}")
}

#[tokio::test]
async fn a_document_comes_with_the_time_it_stays_fresh() {
    let head =
        "content-type: application/json; charset=utf-8\r\ncache-control: public, max-age=300";
    let (port, ..) = server(answer(head, "{}")).await;
    let got = fetch(
        Reach::PublicAndThisMachine,
        &format!("http://127.0.0.1:{port}/a"),
    )
    .await;
    let expected = GuardedDocument {
        body: b"{}".to_vec(),
        fresh_for: Some(Duration::from_mins(5)),
    };
    assert_eq!(got, Ok(expected));
}

#[tokio::test]
async fn this_machine_is_asked_in_development_alone() {
    let (port, seen, _server) = server(answer("content-type: application/json", "{}")).await;
    for (url, expected) in [
        (format!("http://127.0.0.1:{port}/"), GuardedError::Url),
        (format!("http://localhost:{port}/"), GuardedError::Url),
        (
            format!("https://127.0.0.1:{port}/"),
            GuardedError::NotPublic,
        ),
        (
            format!("https://2130706433:{port}/"),
            GuardedError::NotPublic,
        ),
        (format!("https://0x7f.1:{port}/"), GuardedError::NotPublic),
        (format!("https://[::1]:{port}/"), GuardedError::NotPublic),
        (
            format!("https://[::ffff:7f00:1]:{port}/"),
            GuardedError::NotPublic,
        ),
        (
            format!("https://localhost:{port}/"),
            GuardedError::NotPublic,
        ),
    ] {
        assert_eq!(fetch(Reach::Public, &url).await, Err(expected), "{url}");
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0);
    let url = format!("http://localhost:{port}/");
    assert!(fetch(Reach::PublicAndThisMachine, &url).await.is_ok());
}

#[tokio::test]
async fn development_opens_this_machine_and_nothing_else() {
    for url in [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fe80::1]/",
        "https://0.0.0.0/",
    ] {
        let got = fetch(Reach::PublicAndThisMachine, url).await;
        assert_eq!(got, Err(GuardedError::NotPublic), "{url}");
    }
}

#[tokio::test]
async fn urls_that_are_not_asked() {
    for url in [
        "http://a.test/",
        "ftp://a.test/",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https://user@a.test/",
        "https://:password@a.test/",
        "https://a.test:25/",
        "https://a.test:1023/",
    ] {
        for reach in [Reach::Public, Reach::PublicAndThisMachine] {
            assert_eq!(fetch(reach, url).await, Err(GuardedError::Url), "{url}");
        }
    }
}

#[tokio::test]
async fn a_name_is_judged_by_every_address_it_has() {
    let (port, seen, _server) = server(answer("content-type: application/json", "{}")).await;
    for addresses in [
        ["127.0.0.1"].as_slice(),
        &["10.1.2.3"],
        &["::ffff:127.0.0.1"],
        &["fd00::1"],
        &["127.0.0.1", "1.1.1.1"],
        &["1.1.1.1", "127.0.0.1"],
    ] {
        for reach in [Reach::Public, Reach::PublicAndThisMachine] {
            let names = Names::of([addresses]);
            let url = format!("https://a.test:{port}/").parse().unwrap();
            let got = names.client(reach).json(&url).await;
            assert_eq!(got, Err(GuardedError::NotPublic), "{addresses:?}");
            assert_eq!(names.asked(), 1, "what is judged is what is connected to");
        }
    }
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

/// Each request resolves once more, and nothing is kept that an earlier answer allowed.
#[tokio::test]
async fn a_name_that_changes_is_judged_again() {
    let (port, seen, _server) = server(answer("content-type: application/json", "{}")).await;
    let names = Names::of([["127.0.0.1"].as_slice(), &["10.0.0.1"], &["127.0.0.1"]]);
    let client = names.client(Reach::PublicAndThisMachine);
    let url = format!("http://dev.localhost:{port}/").parse().unwrap();
    assert!(client.json(&url).await.is_ok());
    assert_eq!(client.json(&url).await, Err(GuardedError::NotPublic));
    assert!(client.json(&url).await.is_ok());
    assert_eq!((names.asked(), seen.load(Ordering::SeqCst)), (3, 2));
}

#[tokio::test]
async fn a_redirect_is_a_refusal() {
    let (target, seen, _target) = server(answer("content-type: application/json", "{}")).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{target}/\r\ncontent-length: 0\r\n\r\n"
    );
    let (port, ..) = server(moved).await;
    let got = fetch(
        Reach::PublicAndThisMachine,
        &format!("http://127.0.0.1:{port}/"),
    )
    .await;
    assert_eq!(got, Err(GuardedError::Status(302)));
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_is_not_json_is_no_document() {
    for (content_type, is_document) in [
        ("application/json", true),
        ("Application/JSON;charset=UTF-8", true),
        ("application/oauth-client+json", true),
        ("text/html", false),
        ("text/json", false),
        ("image/svg+json", false),
        ("application/jsonx", false),
        ("", false),
    ] {
        let (listener, port) = listen(0).await.unwrap();
        let _server = HttpServer::start(listener, move |_| async move {
            Ok(with_type(StatusCode::OK, content_type, "{}".to_owned()))
        });
        let url = format!("http://127.0.0.1:{port}/");
        let got = fetch(Reach::PublicAndThisMachine, &url)
            .await
            .map(|it| it.body);
        let expected = if is_document {
            Ok(b"{}".to_vec())
        } else {
            Err(GuardedError::NotJson)
        };
        assert_eq!(got, expected, "{content_type:?}");
    }
}

#[tokio::test]
async fn a_huge_document_is_not_read_to_its_end() {
    let json = "content-type: application/json";
    let announced = format!("HTTP/1.1 200 OK\r\n{json}\r\ncontent-length: 16385\r\n\r\n");
    let streamed = format!("HTTP/1.1 200 OK\r\n{json}\r\n\r\n{}", "x".repeat(1 << 20));
    for huge in [announced, streamed] {
        let (port, ..) = server(huge).await;
        let got = fetch(
            Reach::PublicAndThisMachine,
            &format!("http://127.0.0.1:{port}/"),
        )
        .await;
        assert_eq!(got, Err(GuardedError::Fetch(FetchError::TooLarge)));
    }
    let (port, ..) = server(answer(json, &"x".repeat(MAX_BODY))).await;
    let got = fetch(
        Reach::PublicAndThisMachine,
        &format!("http://127.0.0.1:{port}/"),
    )
    .await;
    assert_eq!(got.map(|it| it.body.len()), Ok(MAX_BODY));
}

/// The head has come, and of the body all but the end: the time is for the whole of it.
#[tokio::test]
async fn a_slow_document_is_given_up() {
    let listener = TcpListener::bind((HERE, 0)).await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (sent, began) = oneshot::channel();
    let _server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let head =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
        stream.write_all(head).await.unwrap();
        sent.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    let fetching = tokio::spawn(async move { fetch(Reach::PublicAndThisMachine, &url).await });
    began.await.unwrap();
    tokio::time::pause();
    tokio::time::advance(LIMIT).await;
    let got = fetching.await.unwrap();
    assert_eq!(got, Err(GuardedError::Fetch(FetchError::Timeout)));
}

#[test]
fn the_time_to_keep_it_is_read_from_its_headers() {
    let of = |pairs: &[(&'static str, &'static str)]| {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        fresh_for(&headers).map(|it| it.as_secs())
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[("cache-control", "public")]), None);
    assert_eq!(of(&[("cache-control", "Max-Age=60")]), Some(60));
    assert_eq!(
        of(&[("cache-control", "s-maxage=5, max-age=\"60\"")]),
        Some(60)
    );
    assert_eq!(of(&[("cache-control", "max-age=-1")]), None);
    assert_eq!(of(&[("cache-control", "max-age=60, no-store")]), Some(0));
    assert_eq!(
        of(&[
            ("cache-control", "no-cache"),
            ("cache-control", "max-age=9")
        ]),
        Some(0)
    );
    assert_eq!(
        of(&[("cache-control", "max-age=60"), ("age", "20")]),
        Some(40)
    );
    assert_eq!(
        of(&[("cache-control", "max-age=60"), ("age", "90")]),
        Some(0)
    );
    assert_eq!(of(&[("age", "90")]), None);
}
