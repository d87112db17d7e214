//! The one address the browser comes back to: a free port of the loopback address, for one answer
//! (RFC 8252 section 7.3).

use std::convert::Infallible;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::error::LoginError;

const PATH: &str = "/callback";

/// Listens until it is dropped.
pub(crate) struct Callback {
    uri: String,
    redirects: mpsc::Receiver<Redirect>,
    server: tokio::task::JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

/// The issuer's answer, brought by the browser, which waits for a page.
pub(crate) struct Redirect {
    pub(crate) state: String,
    pub(crate) code: Option<SecretString>,
    pub(crate) issuer: Option<String>,
    pub(crate) error: Option<String>,
    page: oneshot::Sender<Page>,
}

/// What the browser shows at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Page {
    LoggedIn,
    NotLoggedIn,
    /// Not an answer to this login.
    Unknown,
}

impl Callback {
    /// Listens for the answer with this state; others are turned away.
    pub(crate) async fn listen(state: &str) -> Result<Self, LoginError> {
        let local = |_| LoginError::Local("no port of 127.0.0.1 can be listened on".to_owned());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(local)?;
        let port = listener.local_addr().map_err(local)?.port();
        let (redirects, received) = mpsc::channel(1);
        let (stop, stopped) = oneshot::channel();
        let server = serve(listener, redirects, state.to_owned(), stopped);
        Ok(Self {
            uri: format!("http://127.0.0.1:{port}{PATH}"),
            redirects: received,
            server: tokio::spawn(server),
            stop: Some(stop),
        })
    }

    /// The redirect URI.
    pub(crate) fn uri(&self) -> &str {
        &self.uri
    }

    /// The answer.
    pub(crate) async fn redirect(&mut self) -> Result<Redirect, LoginError> {
        let gone = || LoginError::Local("the login was stopped".to_owned());
        self.redirects.recv().await.ok_or_else(gone)
    }

    /// Listens no more; pages on their way are finished.
    pub(crate) async fn close(mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.server).await;
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Redirect {
    /// Shows the user how it ended.
    pub(crate) fn answer(self, page: Page) {
        let _ = self.page.send(page);
    }
}

async fn serve(
    listener: TcpListener,
    redirects: mpsc::Sender<Redirect>,
    state: String,
    mut stopped: oneshot::Receiver<()>,
) {
    // Browsers open connections ahead of time that never carry a request: none waits for another.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(_) => continue,
            },
        };
        let (redirects, state) = (redirects.clone(), state.clone());
        let service = service_fn(move |request| answer(request, redirects.clone(), state.clone()));
        let connection = http1::Builder::new()
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { connection.await.unwrap_or_default() });
    }
    // The page is a few bytes on the loopback address.
    let finished = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(std::time::Duration::from_millis(500), finished).await;
}

async fn answer(
    request: Request<Incoming>,
    redirects: mpsc::Sender<Redirect>,
    state: String,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let known = request.method() == Method::GET && request.uri().path() == PATH;
    let (page, shown) = oneshot::channel();
    let redirect = read(request.uri().query().unwrap_or_default(), page);
    // Another page on this machine can call here, but does not know the state.
    if !known || redirect.state != state || redirects.try_send(redirect).is_err() {
        return Ok(response(Page::Unknown));
    }
    Ok(response(shown.await.unwrap_or(Page::NotLoggedIn)))
}

fn read(query: &str, page: oneshot::Sender<Page>) -> Redirect {
    let mut redirect = Redirect {
        state: String::new(),
        code: None,
        issuer: None,
        error: None,
        page,
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "state" => redirect.state = value.into_owned(),
            "code" => redirect.code = Some(SecretString::from(value.into_owned())),
            "iss" => redirect.issuer = Some(value.into_owned()),
            "error" => redirect.error = Some(value.into_owned()),
            _ => {}
        }
    }
    redirect
}

fn response(page: Page) -> Response<Full<Bytes>> {
    let (status, title, text) = match page {
        Page::LoggedIn => (
            StatusCode::OK,
            "You are logged in",
            "Close this window and go back to the terminal.",
        ),
        Page::NotLoggedIn => (
            StatusCode::BAD_REQUEST,
            "You are not logged in",
            "The terminal says why.",
        ),
        Page::Unknown => (
            StatusCode::NOT_FOUND,
            "Nothing is here",
            "No login waits for this page.",
        ),
    };
    let html = format!(
        "<!doctype html><meta charset=utf-8><title>BrainGrid</title>\
         <body style=\"font-family:system-ui;margin:4rem\"><h1>{title}</h1><p>{text}</p>\n"
    );
    let mut response = Response::new(Full::new(Bytes::from(html)));
    *response.status_mut() = status;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // The address of this page holds the code.
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    ];
    for (name, value) in headers {
        let value = header::HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
