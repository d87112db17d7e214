//! Routes of the host's own on the server's listener, over real sockets.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_test_support::{Gate, http_client};
use mcp_transport_http::{
    AnsweredRequest, ClientAddress, HttpConfig, HttpServer, MountedRoutes, Phase,
};
use tokio::{net::TcpListener, sync::watch, task::JoinHandle};

#[derive(Clone)]
struct NoTools;

impl rmcp::ServerHandler for NoTools {}

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// What an observer was told: method, route, status.
type Told = Arc<Mutex<Vec<(&'static str, &'static str, u16)>>>;

struct World {
    url: String,
    told: Told,
    stop: watch::Sender<Phase>,
    serving: JoinHandle<()>,
}

/// A server below `prefix`, and where it is to listen.
async fn build(prefix: &str) -> Result<(HttpServer<NoTools>, TcpListener, Told)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}{prefix}", listener.local_addr()?);
    let mut config = HttpConfig::new(&url, ["https://auth.test"])?;
    config.body_timeout = Duration::from_secs(1);
    let issuer = IssuerConfig::new("https://auth.test", [&config.resource]);
    let verifier = TokenVerifier::new(vec![issuer], http_client(), VerifierConfig::default())?;
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
    let told = Told::default();
    let telling = Arc::clone(&told);
    let observer = Arc::new(move |it: &AnsweredRequest<'_>| {
        let mut told = telling.lock().unwrap_or_else(PoisonError::into_inner);
        told.push((it.http_method, it.route, it.status));
    });
    let server = HttpServer::new(config, sessions, NoTools, |_, _| ()).with_observer(observer);
    Ok((server, listener, told))
}

/// It serves these routes.
async fn serve(prefix: &str, routes: MountedRoutes) -> Result<World> {
    let (server, listener, told) = build(prefix).await?;
    let server = server.with_routes(routes)?;
    let url = format!("http://{}", listener.local_addr()?);
    let (stop, phases) = watch::channel(Phase::Serving);
    let serving = tokio::spawn(async move {
        let ended = server.serve_in_phases(listener, phases).await;
        ended.unwrap_or_default();
    });
    Ok(World {
        url,
        told,
        stop,
        serving,
    })
}

impl World {
    fn told(&self) -> Vec<(&'static str, &'static str, u16)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone()
    }
}

/// Says what it was asked.
async fn echo(request: Request<Bytes>) -> Response<Bytes> {
    let address = ClientAddress::of(request.extensions()).map(|it| it.ip().to_string());
    let text = format!(
        "{} {} {:?} from {}",
        request.method(),
        request.uri(),
        request.body(),
        address.unwrap_or_default()
    );
    let mut response = Response::new(text.into());
    *response.status_mut() = StatusCode::IM_A_TEAPOT;
    response
}

async fn get(url: String) -> Result<reqwest::Response> {
    Ok(http_client().get(url).send().await?)
}

fn echoing() -> MountedRoutes {
    MountedRoutes::new(echo).path("/token", "token")
}

#[tokio::test]
async fn a_route_is_given_the_whole_request_and_its_answer_what_all_have() -> Result {
    let world = serve("", echoing()).await?;
    let client = http_client();
    let asked = client.post(format!("{}/token?a=1", world.url));
    let answer = asked.header("origin", "https://elsewhere.test").body("x=y");
    let answer = answer.send().await?;
    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert!(answer.headers().contains_key("x-request-id"));
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
    let text = answer.text().await?;
    assert_eq!(text, "POST /token?a=1 b\"x=y\" from 127.0.0.1");
    assert_eq!(world.told(), [("POST", "token", 418)]);
    Ok(())
}

#[tokio::test]
async fn a_head_is_answered_as_a_get_without_its_body() -> Result {
    let world = serve("", echoing()).await?;
    let url = format!("{}/token", world.url);
    let client = http_client();
    let (get, head) = (
        client.get(&url).send().await?,
        client.head(&url).send().await?,
    );
    assert_eq!(head.status(), 418);
    assert_eq!(
        head.headers()["content-length"],
        get.headers()["content-length"]
    );
    assert_eq!(head.text().await?, "");
    assert_eq!(get.text().await?, "GET /token b\"\" from 127.0.0.1");
    assert_eq!(
        world.told(),
        [("GET", "token", 418), ("HEAD", "token", 418)]
    );
    Ok(())
}

#[tokio::test]
async fn a_path_is_the_one_that_was_mounted_wherever_it_was_found() -> Result {
    let routes = echoing().path("/.well-known/oauth-authorization-server/mcp", "metadata_2");
    let world = serve("/x", routes).await?;
    for (path, mounted) in [
        ("/token", "/token"),
        ("/x/token", "/token"),
        ("/x/token/", "/token"),
        ("//x/%74oken?q=%20", "/token?q=%20"),
        (
            "/.well-known/oauth-authorization-server/x/mcp",
            "/.well-known/oauth-authorization-server/mcp",
        ),
    ] {
        let answer = get(format!("{}{path}", world.url)).await?;
        let text = answer.text().await?;
        assert_eq!(
            text,
            format!("GET {mounted} b\"\" from 127.0.0.1"),
            "{path}"
        );
    }
    for path in ["/tokens", "/x/token/x", "/y/token"] {
        let answer = get(format!("{}{path}", world.url)).await?;
        assert_eq!(answer.status(), 404, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_not_the_servers_is_kept_out() -> Result {
    let world = serve("", echoing()).await?;
    let asked = http_client().get(format!("{}/token", world.url));
    let answer = asked.header("host", "rebound.test").send().await?;
    assert_eq!(answer.status(), 403);
    assert_eq!(world.told(), [("GET", "token", 403)]);
    Ok(())
}

#[tokio::test]
async fn a_body_has_a_size_and_a_time() -> Result {
    let world = serve("", echoing()).await?;
    let url = format!("{}/token", world.url);
    let client = http_client();
    let post = async |body: reqwest::Body| client.post(&url).body(body).send().await;
    let whole = vec![b'a'; 64 * 1024];
    assert_eq!(post(whole.clone().into()).await?.status(), 418);
    let answer = post([&whole[..], b"a"].concat().into()).await?;
    assert_eq!(answer.status(), 413);
    let error: serde_json::Value = answer.json().await?;
    assert_eq!(error["error"], "invalid_request");
    let silent = futures::stream::pending::<std::io::Result<Bytes>>();
    let slow = post(reqwest::Body::wrap_stream(silent)).await?;
    assert_eq!(slow.status(), 408);
    Ok(())
}

#[tokio::test]
async fn a_handler_that_panics_is_answered_for() -> Result {
    let panics = MountedRoutes::new(async |_| Response::new(broken())).path("/token", "token");
    let world = serve("", panics).await?;
    let answer = get(format!("{}/token", world.url)).await?;
    assert_eq!(answer.status(), 500);
    let error: serde_json::Value = answer.json().await?;
    assert_eq!(error["error"], "server_error");
    assert!(error["request_id"].is_string());
    Ok(())
}

fn broken() -> Bytes {
    panic!("on request")
}

#[tokio::test]
async fn a_stop_answers_what_is_under_way_and_begins_nothing() -> Result {
    let (begun, gate) = (Gate::closed(), Gate::closed());
    let (beginning, held) = (begun.clone(), gate.clone());
    let holds = MountedRoutes::new(move |_| {
        let (beginning, held) = (beginning.clone(), held.clone());
        async move {
            beginning.open();
            held.passed().await;
            Response::new("late".into())
        }
    });
    let world = serve("", holds.path("/token", "token")).await?;
    let url = format!("{}/token", world.url);
    let asked = tokio::spawn(http_client().get(&url).send());
    begun.passed().await;
    world.stop.send_replace(Phase::Answering);
    let answer = asked.await??;
    assert_eq!(answer.status(), 503, "it never ended");
    world.serving.await?;
    assert!(http_client().get(url).send().await.is_err());
    gate.open();
    Ok(())
}

#[tokio::test]
async fn where_a_route_has_nothing_the_server_says_so() -> Result {
    let nothing = MountedRoutes::new(async |_| {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::NOT_FOUND;
        response
    });
    let world = serve(
        "",
        nothing.path("/.well-known/openid-configuration", "none"),
    )
    .await?;
    let answer = get(format!("{}/.well-known/openid-configuration", world.url)).await?;
    assert_eq!(answer.status(), 404);
    let error: serde_json::Value = answer.json().await?;
    let text = error["error_description"].as_str().unwrap_or_default();
    assert!(text.contains("no authorization server"), "{error}");
    assert!(error["request_id"].is_string(), "{error}");
    Ok(())
}

#[tokio::test]
async fn two_hosts_of_routes_share_a_server_and_no_path() -> Result {
    let (server, _listener, _told) = build("").await?;
    let server = server.with_routes(echoing())?;
    let other = MountedRoutes::new(echo).path("/revoke", "revoke");
    let server = server.with_routes(other)?;
    let taken = server.with_routes(echoing()).err();
    assert_eq!(
        taken.map(|it| it.to_string()).as_deref(),
        Some("the path /token leads somewhere already")
    );
    Ok(())
}
