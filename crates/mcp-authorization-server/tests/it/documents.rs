//! Clients whose ids, and whose documents, lead to what only this network can reach (server-side request
//! forgery).

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode, header};
use mcp_authorization_server::AuthorizationServer;
use mcp_outbound::{GuardedClient, Reach, SystemRoots};
use mcp_test_support::http::{Answer, HttpServer, json as answer, listen};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use serde_json::{Value, json};

use crate::{
    client::{App, Browser},
    world::{APP, RESOURCE, World, assert_stays, post},
};

/// What listens on this machine, and who came.
struct Host {
    port: u16,
    asked: Arc<AtomicUsize>,
    _server: HttpServer,
}

impl Host {
    async fn start(says: impl Fn() -> Answer + Clone + Send + Sync + 'static) -> Self {
        let (listener, port) = listen(0).await.unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        let server = HttpServer::start(listener, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            let answer = says();
            async move { Ok(answer) }
        });
        Self {
            port,
            asked,
            _server: server,
        }
    }

    /// Has the document of the client with this path below `origin`, and more in it.
    async fn describing(origin: &'static str, more: Value) -> (Self, String) {
        let id = Arc::new(Mutex::new(String::new()));
        let says = Arc::clone(&id);
        let host = Self::start(move || {
            let mut document = json!({
                "client_id": *says.lock().unwrap(),
                "client_name": "An app",
                "redirect_uris": [APP],
            });
            let more = more.as_object().unwrap().clone();
            document.as_object_mut().unwrap().extend(more);
            answer(StatusCode::OK, &document)
        })
        .await;
        let client_id = format!("{origin}:{}/client.json", host.port);
        client_id.clone_into(&mut id.lock().unwrap());
        (host, client_id)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// A world whose instances fetch documents from so far, with names as `names` has them.
async fn world(reach: Reach, names: Option<Names>) -> World {
    let mut world = World::new().await;
    world.change = Box::new(move |config| {
        let tls = SystemRoots::new().tls_config().unwrap();
        let client = match names.clone() {
            Some(names) => GuardedClient::resolving_with(tls, "test", reach, Arc::new(names)),
            None => GuardedClient::new(tls, "test", reach),
        };
        config.client_documents = Some(client.unwrap());
    });
    world
}

/// What a browser sees that comes with the link of this client.
async fn open(server: &AuthorizationServer, client_id: &str) -> Response<Bytes> {
    let app = App {
        id: client_id.to_owned(),
        redirect_uri: APP.to_owned(),
        resource: RESOURCE.to_owned(),
    };
    let mut browser = Browser::default();
    browser.get(server, &app.link(&[]), SystemTime::now()).await
}

#[tokio::test]
async fn no_client_has_its_document_inside_of_our_network() {
    let inside = Host::start(|| answer(StatusCode::OK, &json!({}))).await;
    let world = world(Reach::Public, None).await;
    let server = world.server();
    let here = inside.port;
    for client_id in [
        &*format!("https://127.0.0.1:{here}/client.json"),
        &format!("https://localhost:{here}/client.json"),
        &format!("https://[::1]:{here}/client.json"),
        &format!("https://[::ffff:7f00:1]:{here}/client.json"),
        &format!("http://127.0.0.1:{here}/client.json"),
        // Private networks, and where clouds have their metadata, in every spelling.
        "https://10.0.0.1/client.json",
        "https://172.16.0.1/client.json",
        "https://192.168.0.1/client.json",
        "https://100.100.100.200/latest/meta-data",
        "https://169.254.169.254/latest/meta-data",
        "https://[::ffff:a9fe:a9fe]/latest/meta-data",
        "https://[64:ff9b::a9fe:a9fe]/latest/meta-data",
        "https://[fd00:ec2::254]/latest/meta-data",
        "https://[fe80::1]/client.json",
        "https://[fc00::1]/client.json",
    ] {
        // An address that was asked in vain would be 503: it may be there a moment later.
        let page = open(&server, client_id).await;
        assert_stays(&page, StatusCode::BAD_REQUEST, client_id);
        for path in ["/token", "/revoke"] {
            let pairs = [("client_id", client_id), ("grant_type", "refresh_token")];
            let (status, answer) = post(&server, path, &pairs, SystemTime::now()).await;
            assert_ne!(status, StatusCode::OK, "{answer}");
        }
    }
    assert_eq!(inside.asked(), 0);
}

/// Names that mean another address with each question.
#[derive(Clone)]
struct Names {
    answers: &'static [&'static str],
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn of(answers: &'static [&'static str]) -> Self {
        let asked = Arc::default();
        Self { answers, asked }
    }
}

impl Resolve for Names {
    fn resolve(&self, _: Name) -> Resolving {
        let question = self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self.answers[question % self.answers.len()];
        let address = SocketAddr::new(answer.parse().unwrap(), 0);
        Box::pin(async move { Ok(Box::new([address].into_iter()) as Addrs) })
    }
}

/// Between a check and its use a name could come to mean something else (DNS rebinding): the address that
/// is judged is the one that is connected to, and judged with every question.
#[tokio::test]
async fn a_client_whose_name_comes_to_mean_an_inner_address_is_refused() {
    let (host, client_id) = Host::describing("http://app.localhost", json!({})).await;
    let names = Names::of(&["127.0.0.1", "10.0.0.1", "169.254.169.254"]);
    let questions = Arc::clone(&names.asked);
    let world = world(Reach::PublicAndThisMachine, Some(names)).await;
    // Each instance asks for itself.
    let page = open(&world.server(), &client_id).await;
    assert_eq!(page.status(), StatusCode::OK);
    for _ in 0..2 {
        let page = open(&world.server(), &client_id).await;
        assert_stays(&page, StatusCode::BAD_REQUEST, "an inner address");
    }
    assert_eq!(
        questions.load(Ordering::SeqCst),
        3,
        "one for each connection"
    );
    assert_eq!(host.asked(), 1);
}

#[tokio::test]
async fn a_document_that_moved_is_not_followed() {
    let inside = Host::start(|| answer(StatusCode::OK, &json!({}))).await;
    let to = format!("http://127.0.0.1:{}/client.json", inside.port);
    let host = Host::start(move || {
        let mut moved = answer(StatusCode::FOUND, &json!({}));
        let to = to.parse().unwrap();
        moved.headers_mut().insert(header::LOCATION, to);
        moved
    });
    let host = host.await;
    let world = world(Reach::PublicAndThisMachine, None).await;
    let client_id = format!("http://127.0.0.1:{}/client.json", host.port);
    let page = open(&world.server(), &client_id).await;
    assert_stays(&page, StatusCode::BAD_REQUEST, "moved");
    assert_eq!((host.asked(), inside.asked()), (1, 0));
}

#[tokio::test]
async fn no_client_has_its_keys_inside_of_our_network() {
    for jwks_uri in [
        "https://10.0.0.1/keys",
        "https://169.254.169.254/keys",
        "https://[::ffff:a00:1]/keys",
    ] {
        let keys = json!({
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": jwks_uri,
        });
        let (host, client_id) = Host::describing("http://127.0.0.1", keys).await;
        let world = world(Reach::PublicAndThisMachine, None).await;
        let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let claims = json!({"iss": client_id, "sub": client_id});
        let assertion = [part(json!({"alg": "ES256"})), part(claims), "AA".to_owned()];
        let assertion = assertion.join(".");
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_assertion", assertion.as_str()),
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
        ];
        let (status, answer) = post(&world.server(), "/token", &pairs, SystemTime::now()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let why = answer["error_description"].as_str().unwrap();
        assert!(why.contains("the host is not public"), "{answer}");
        assert_eq!(host.asked(), 1, "for the document alone");
    }
}
