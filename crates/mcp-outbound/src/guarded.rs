//! [`GuardedClient`]: fetches documents that strangers name, and so must not be led to what only this
//! network can reach (server-side request forgery).
//!
//! Addresses are judged where the connection is made: a name that resolves to something else a moment
//! after a check cannot win. It uses no proxy, whatever the environment says: a proxy would resolve the
//! name itself, in a network of its own, and nothing here would be checked.

mod names;
mod public;

use std::{error::Error, fmt, net::SocketAddr, sync::Arc, time::Duration};

use reqwest::{
    Client, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{self, HeaderMap},
    redirect,
};
use rustls::ClientConfig;
use url::{Host, Url};

use self::names::{Busy, System};
pub use self::public::is_public;
use crate::{
    address::{is_loopback, is_loopback_name},
    document::{chain, read_body},
    pooled::FetchError,
    roots::TlsError,
};

/// In all: to resolve, to connect, and to read to the end.
const LIMIT: Duration = Duration::from_secs(5);

/// Longest document, in bytes. What clients publish about themselves is below 5 KiB.
const MAX_BODY: usize = 16 * 1024;

/// Where a [`GuardedClient`] may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// To public addresses, with `https`.
    Public,
    /// To this machine too, by a loopback address or `localhost`, and there with `http` as well. For
    /// development: everything that listens on this machine can be asked then.
    PublicAndThisMachine,
}

/// Fetches JSON documents from public hosts: no redirects, no proxy, at most 16 KiB, within 5 s. Cheap to
/// clone.
#[derive(Debug, Clone)]
pub struct GuardedClient {
    client: Client,
    /// The same, which looks names up apart from it.
    apart: Client,
    reach: Reach,
}

/// A document, as its host sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedDocument {
    /// At most 16 KiB that call themselves JSON; nobody has parsed them.
    pub body: Vec<u8>,
    /// For how long it may be kept, where its host says so (RFC 9111 sections 4.2 and 5.2); none for
    /// `no-store` and `no-cache`.
    pub fresh_for: Option<Duration>,
}

/// Why there is no document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GuardedError {
    /// The URL is none that may be asked: another scheme, credentials in it, a port below 1,024 that is
    /// not the scheme's.
    #[error("the address is not one that may be asked")]
    Url,
    /// Its host has an address that is not public.
    #[error("the host is not public")]
    NotPublic,
    /// Too many names are being looked up; what is asked for is as it was.
    #[error("too many are asked for at the moment")]
    Busy,
    /// Another status than 200; redirects are not followed.
    #[error("status {0}")]
    Status(u16),
    /// It says that it is something else.
    #[error("not a JSON document")]
    NotJson,
    /// No answer, or too long a one.
    #[error("{0}")]
    Fetch(#[from] FetchError),
}

impl GuardedClient {
    /// A client with this TLS.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(tls: ClientConfig, user_agent: &str, reach: Reach) -> Result<Self, TlsError> {
        let client = |tls| client(tls, user_agent, reach, Arc::new(System::new()));
        Ok(Self {
            client: client(tls.clone())?,
            apart: client(tls)?,
            reach,
        })
    }

    /// The same, with names as `names` has them, in place of the operating system. What they resolve to is
    /// judged all the same.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn resolving_with(
        tls: ClientConfig,
        user_agent: &str,
        reach: Reach,
        names: Arc<dyn Resolve>,
    ) -> Result<Self, TlsError> {
        let client = client(tls, user_agent, reach, names)?;
        let apart = client.clone();
        Ok(Self {
            client,
            apart,
            reach,
        })
    }

    /// The same, which is not held up by how many names this one looks up: for those who are known.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self {
            client: self.apart.clone(),
            ..self.clone()
        }
    }

    /// Where it may go.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// GETs one document.
    ///
    /// # Errors
    /// [`GuardedError`], which shows nothing of what the far end sent.
    pub async fn json(&self, url: &Url) -> Result<GuardedDocument, GuardedError> {
        check(url, self.reach)?;
        let request = self.client.get(url.clone()).header(header::ACCEPT, JSON);
        let response = request.send().await.map_err(reason)?;
        if response.status() != StatusCode::OK {
            return Err(GuardedError::Status(response.status().as_u16()));
        }
        if !is_json(response.headers()) {
            return Err(GuardedError::NotJson);
        }
        read(response).await
    }
}

fn client(
    tls: ClientConfig,
    user_agent: &str,
    reach: Reach,
    names: Arc<dyn Resolve>,
) -> Result<Client, TlsError> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(Checked { names, reach }))
        .no_proxy()
        .redirect(redirect::Policy::none())
        .https_only(reach == Reach::Public)
        .referer(false)
        // A stranger's connection is of no use to anybody else.
        .pool_max_idle_per_host(0)
        .timeout(LIMIT)
        .user_agent(user_agent)
        .build()
        .map_err(|error| TlsError(chain(&error)))
}

const JSON: &str = "application/json, application/*+json;q=0.9";

async fn read(response: Response) -> Result<GuardedDocument, GuardedError> {
    let fresh_for = fresh_for(response.headers());
    let announced = response.content_length().unwrap_or(0);
    if announced > MAX_BODY as u64 {
        return Err(FetchError::TooLarge.into());
    }
    let body = read_body(response, MAX_BODY).await?;
    Ok(GuardedDocument {
        body: body.to_vec(),
        fresh_for,
    })
}

/// What can be told before anybody is asked. An address in the URL is judged here, because it is never
/// resolved.
fn check(url: &Url, reach: Reach) -> Result<(), GuardedError> {
    let here = reach == Reach::PublicAndThisMachine && is_loopback(url);
    let scheme = url.scheme() == "https" || (here && url.scheme() == "http");
    let bare = url.username().is_empty() && url.password().is_none();
    // What listens below is a service of another protocol, as that of mail.
    let port = url.port().is_none_or(|port| port >= 1024);
    if !(scheme && bare && port && url.has_host()) {
        return Err(GuardedError::Url);
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        _ => None,
    };
    if address.is_some_and(|address| !is_public(address) && !here) {
        return Err(GuardedError::NotPublic);
    }
    Ok(())
}

/// Gives only addresses that may be connected to. One that may not spoils all: no public host has a
/// private address beside its public ones.
struct Checked {
    names: Arc<dyn Resolve>,
    reach: Reach,
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let here = self.reach == Reach::PublicAndThisMachine && is_loopback_name(name.as_str());
        let resolving = self.names.resolve(name);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = resolving.await?.collect();
            let may = |address: &SocketAddr| {
                is_public(address.ip()) || (here && address.ip().is_loopback())
            };
            if !addresses.iter().all(may) {
                return Err(NotPublic.into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[derive(Debug)]
struct NotPublic;

impl fmt::Display for NotPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has an address that is not public")
    }
}

impl Error for NotPublic {}

fn reason(error: reqwest::Error) -> GuardedError {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.is::<NotPublic>() {
            return GuardedError::NotPublic;
        }
        if error.is::<Busy>() {
            return GuardedError::Busy;
        }
        cause = error.source();
    }
    GuardedError::Fetch(error.into())
}

/// `application/json`, or a type of its kind (RFC 6839 section 3.1), with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = value.split(';').next().unwrap_or("").trim();
    let essence = essence.to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// `max-age` of `Cache-Control`, less the time that the answer was kept on its way (`Age`).
fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let mut seconds = None;
    for directive in values.flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => return Some(Duration::ZERO),
            "max-age" => {
                let value = value.trim().trim_matches('"').parse::<u64>();
                seconds = value.ok().or(seconds);
            }
            _ => {}
        }
    }
    let age = headers.get(header::AGE).and_then(|age| age.to_str().ok());
    let age = age.and_then(|age| age.trim().parse::<u64>().ok());
    seconds.map(|seconds| Duration::from_secs(seconds.saturating_sub(age.unwrap_or(0))))
}

#[cfg(test)]
mod tests;
