//! Routes of somebody else on the server's listener: what an authorization server answers, for one.
//! The server reads their bodies, counts and logs them; what they answer is their own.

use std::{fmt::Display, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response, StatusCode, Uri, uri::PathAndQuery};
use http_body::Body;

use crate::{
    access_log::AccessLine,
    body::{self, BodyError, BoxedBody},
    call::{draining, forbidden_origin},
    challenge::unavailable,
    client_address::{AddressBucket, ClientAddress},
    memory::{MemoryUser, RETRY_AFTER},
    refusal::refusal,
    router::{Route, spelled},
    sent,
    server::Inner,
    stop::{Phase, unless_over},
};

/// Largest body that such a route may have, in bytes. Forms and registrations are below 10 KiB.
const MAX_BODY: usize = 64 * 1024;

type Handler = dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Bytes>> + Send + Sync;

/// Paths that lead to a handler of the host's, for [`HttpServer::with_routes`].
///
/// The handler is given whole requests: the body was read, within 64 KiB and the server's
/// [`body_timeout`](crate::HttpConfig::body_timeout), the path is the one that was mounted, however
/// the client spelled it, `HEAD` is a `GET`, and a [`ClientAddress`] is among the extensions where
/// it is known. It decides which pages may read its answers: the endpoint's rule for origins does
/// not hold for them. That for host names does, as do the limits for connections. A 404 without a
/// body stands for the server's own.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use mcp_transport_http::MountedRoutes;
///
/// async fn answer(request: Request<Bytes>) -> Response<Bytes> {
///     let text = format!("{} {}", request.method(), request.uri().path());
///     Response::new(text.into())
/// }
///
/// let routes = MountedRoutes::new(answer)
///     .path("/token", "token")
///     .path("/.well-known/oauth-authorization-server", "authorization_metadata");
/// # fn mount<H>(server: mcp_transport_http::HttpServer<H>, routes: MountedRoutes) -> Result<(), Box<dyn std::error::Error>>
/// # where H: rmcp::ServerHandler + Clone + Sync + Send + 'static {
/// let server = server.with_routes(routes)?;
/// # Ok(()) }
/// ```
///
/// [`HttpServer::with_routes`]: crate::HttpServer::with_routes
pub struct MountedRoutes {
    handler: Arc<Handler>,
    paths: Vec<(String, &'static str)>,
}

/// A path that cannot be mounted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MountError {
    /// It leads somewhere already.
    #[error("the path {0} leads somewhere already")]
    Taken(String),
    /// It is not spelled as paths are compared: without a slash at the end, an escape or a query.
    #[error("{0:?} is no plain path such as /token")]
    Path(String),
}

/// One path that was mounted.
pub(crate) struct Mounted {
    path: String,
    handler: Arc<Handler>,
}

impl MountedRoutes {
    /// A handler without paths.
    pub fn new<F>(handler: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Bytes>> + Send + 'static,
    {
        Self {
            handler: Arc::new(move |request| handler(request).boxed()),
            paths: Vec::new(),
        }
    }

    /// The handler answers this path, too: exactly this one, below the public URL's path where that
    /// has one. `label` is its route in the access log and in metrics.
    #[must_use]
    pub fn path(mut self, path: impl Into<String>, label: &'static str) -> Self {
        self.paths.push((path.into(), label));
        self
    }

    /// Adds them to the routes there are.
    pub(crate) fn mount(
        self,
        prefix: &str,
        routes: &mut Vec<(String, Route)>,
        mounted: &mut Vec<Mounted>,
    ) -> Result<(), MountError> {
        for (path, label) in self.paths {
            let plain = PathAndQuery::try_from(path.as_str()).is_ok_and(|it| it.path() == path);
            if !plain || spelled(&path) != path {
                return Err(MountError::Path(path));
            }
            let route = Route::Mounted(mounted.len(), label);
            for form in forms(prefix, &path) {
                if routes.iter().any(|(it, _)| it.eq_ignore_ascii_case(&form)) {
                    return Err(MountError::Taken(form));
                }
                routes.push((form, route));
            }
            mounted.push(Mounted {
                path,
                handler: Arc::clone(&self.handler),
            });
        }
        Ok(())
    }
}

/// A path as it may arrive where the public URL has a path of its own: a proxy in front hands that on,
/// or takes it off. Well-known names go before it (RFC 8414 section 3.1).
fn forms(prefix: &str, path: &str) -> Vec<String> {
    let mut forms = vec![path.to_owned()];
    if prefix.is_empty() {
        return forms;
    }
    forms.push(format!("{prefix}{path}"));
    if let Some(rest) = path.strip_prefix(WELL_KNOWN) {
        let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        forms.push(format!("{WELL_KNOWN}{name}{prefix}{rest}"));
    }
    forms
}

const WELL_KNOWN: &str = "/.well-known/";

impl<H> Inner<H> {
    /// Whether this path of the host's leads to one.
    pub(crate) fn has_mounted(&self, path: &str) -> bool {
        self.mounted.iter().any(|it| it.path == path)
    }

    /// The answer of a mounted route.
    pub(crate) async fn answer_mounted<B>(
        &self,
        index: usize,
        request: Request<B>,
        line: &mut AccessLine,
    ) -> Response<BoxedBody>
    where
        B: Body<Data: Send> + Send + 'static,
        B::Error: Display + Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        let in_flight = self.drain.enter();
        let refused = match (self.origin_rule.check_host(&head), &in_flight) {
            // A page whose name leads to this machine is kept out, as from the endpoint.
            (Err(refused), _) => Some(("host", forbidden_origin(refused))),
            (Ok(()), None) => Some(("draining", draining())),
            (Ok(()), Some(_)) => None,
        };
        let refused = match refused {
            None => {
                let over = self.stranger_over_limit(bucket(&head)).await;
                over.map(|refused| ("limited", refused))
            }
            refused => refused,
        };
        if let Some((reason, refused)) = refused {
            line.refuse(reason);
            body::discard(head.headers(), body, MAX_BODY).await;
            return refused;
        }
        let stranger = self.stranger(&head);
        let (version, memory) = (head.version(), Some((&self.config.memory, stranger)));
        let waiting = line.place.as_ref().map(|place| place.activity.reading());
        let reading = body::read(body, MAX_BODY, self.config.body_timeout, memory);
        let read = unless_over(reading, self.drain.reached(Phase::Answering)).await;
        drop(waiting);
        // What was charged is held until the handler is done.
        let (bytes, _charge) = match read {
            Some(Ok(read)) => read,
            Some(Err(reason)) => return unreadable(reason, line),
            None => {
                line.refuse("draining");
                return draining();
            }
        };
        let answer = self.handled(index, head.map(|()| bytes), line).await;
        line.outcome_by(answer.status());
        let answer = sent::owed_to(stranger, version, answer);
        match in_flight {
            Some(in_flight) => in_flight.until_sent(answer),
            None => answer,
        }
    }

    async fn handled(
        &self,
        index: usize,
        request: Request<Bytes>,
        line: &AccessLine,
    ) -> Response<BoxedBody> {
        let Some(mounted) = self.mounted.get(index) else {
            return body::empty(StatusCode::NOT_FOUND);
        };
        let (mut parts, bytes) = request.into_parts();
        parts.uri = at(parts.uri, &mounted.path);
        if parts.method == Method::HEAD {
            parts.method = Method::GET;
        }
        line.attach(&mut parts);
        let request = Request::from_parts(parts, bytes);
        let answering = AssertUnwindSafe(async { (mounted.handler)(request).await });
        let answering = answering.catch_unwind();
        // It knows of no stop, and is given no time to answer for itself.
        match unless_over(answering, self.drain.reached(Phase::Answering)).await {
            Some(Ok(answer)) => answer.map(body::full),
            Some(Err(_)) => refusal(
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "something went wrong here: whoever runs this server finds it by the request id",
            ),
            None => draining(),
        }
    }

    /// Whose part of the memory a request counts to that is nobody's: its address's.
    fn stranger(&self, head: &Request<()>) -> MemoryUser {
        let address = bucket(head).map(|bucket| bucket.to_string());
        self.config
            .memory
            .user("", &address.unwrap_or_default(), None)
    }
}

fn bucket(head: &Request<()>) -> Option<AddressBucket> {
    ClientAddress::of(head.extensions()).and_then(|it| it.bucket())
}

/// The same address with this path.
fn at(uri: Uri, path: &str) -> Uri {
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.into_parts();
    // Both are what was a path and a query before.
    parts.path_and_query = PathAndQuery::try_from(text).ok();
    Uri::from_parts(parts).unwrap_or_default()
}

fn unreadable(reason: BodyError, line: &mut AccessLine) -> Response<BoxedBody> {
    line.outcome = "body";
    let (status, text) = match reason {
        BodyError::TooLarge => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request body is too large",
        ),
        BodyError::TooSlow => (
            StatusCode::REQUEST_TIMEOUT,
            "the request body did not arrive in time",
        ),
        BodyError::Broken => (StatusCode::BAD_REQUEST, "the request body broke off"),
        BodyError::NoRoom => {
            line.refuse("memory");
            return unavailable(
                "the server is busy with other requests: try again",
                RETRY_AFTER,
            );
        }
    };
    refusal(status, "invalid_request", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::routes;

    fn mount(prefix: &str, path: &str) -> Result<Vec<String>, MountError> {
        let mut routes = routes(prefix);
        let before = routes.len();
        let mine = MountedRoutes::new(async |_| Response::default()).path(path, "mine");
        mine.mount(prefix, &mut routes, &mut Vec::new())?;
        let added = routes.split_off(before);
        Ok(added.into_iter().map(|(path, _)| path).collect())
    }

    #[test]
    fn a_path_is_found_below_the_public_urls_and_without_it() {
        assert_eq!(mount("", "/token").unwrap(), ["/token"]);
        assert_eq!(
            mount("/x", "/token").unwrap(),
            ["/token", "/x/token"].map(str::to_owned)
        );
        assert_eq!(
            mount("/x", "/.well-known/a/mcp").unwrap(),
            [
                "/.well-known/a/mcp",
                "/x/.well-known/a/mcp",
                "/.well-known/a/x/mcp"
            ]
            .map(str::to_owned)
        );
    }

    #[test]
    fn nothing_of_the_servers_own_is_shadowed() {
        for path in [
            "/mcp",
            "/MCP",
            "/health",
            "/ready",
            "/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource/mcp",
        ] {
            let taken = mount("", path).unwrap_err();
            assert_eq!(taken, MountError::Taken(path.to_owned()));
        }
        for path in ["/x/mcp", "/.well-known/oauth-protected-resource/x"] {
            assert!(mount("/x", path).is_err(), "{path}");
        }
    }

    #[test]
    fn a_path_has_the_one_spelling_that_is_compared() {
        for path in [
            "", "token", "/token/", "//token", "/a?b", "/%74oken", "/a b", "/a#b", "/",
        ] {
            let refused = mount("", path).unwrap_err();
            assert_eq!(refused, MountError::Path(path.to_owned()));
        }
    }
}
