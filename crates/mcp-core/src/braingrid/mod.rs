//! BrainGrid's HTTP API and how it is called.

mod base_url;
mod call;
mod client;
mod decode;
mod error_body;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod json;
pub(crate) mod model;
mod pace;
mod policy;
mod reply;
mod routes;
mod send;
mod short_ids;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, Method};
use mcp_outbound::{Proxies, ProxyError, TlsError};
use url::Url;

use self::routes::Class;
pub use self::{
    client::BrainGridClient,
    model::Profile,
    pace::{OutgoingLimit, TakeOne},
};
pub(crate) use self::{
    client::{Paging, SendGate},
    decode::Page,
};

/// Adds headers to every request to BrainGrid, for example the trace context.
pub type HeaderHook = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// Is told about every request that is over, for metrics.
pub type ApiRequestObserver = Arc<dyn Fn(&FinishedApiRequest) + Send + Sync>;

/// A request to BrainGrid that is over, retries included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FinishedApiRequest {
    /// What was asked for, such as `list_projects`.
    pub operation: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// `ok`, or the kind of the error: `not_found`, `rate_limited`, `outcome_unknown`, …
    pub outcome: &'static str,
    /// The HTTP status that came last, if any came.
    pub status: Option<u16>,
    /// How often it was sent or tried to be sent.
    pub attempts: u32,
    /// From the first attempt to the end, waiting for a free place included.
    pub duration: Duration,
}

/// How it stands with the way to BrainGrid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ApiStatus {
    /// Nothing is sent for anybody at the moment.
    pub is_circuit_open: bool,
    /// Tenants for whom alone nothing is sent.
    pub tenants_held_back: usize,
    /// Calls under way.
    pub in_flight: usize,
    /// Calls that wait for a place or for their turn.
    pub waiting: usize,
}

/// How BrainGrid is called.
#[derive(Clone)]
#[non_exhaustive]
pub struct BrainGridConfig {
    /// Where BrainGrid is. A path that ends with a version (`/api/v2`) is the API's whole prefix;
    /// else `/api/v1` follows.
    pub base_url: Url,
    /// How long the operations may take.
    pub timeouts: Timeouts,
    /// Larger answers are refused.
    pub max_response_bytes: usize,
    /// Calls in flight at once. A tenant has half of them at most, so that others find one.
    pub max_concurrent: usize,
    /// The same of those that take minutes.
    pub max_concurrent_slow: usize,
    /// How fast requests may leave, for all callers together.
    pub limit: Option<OutgoingLimit>,
    /// After so many outages in a row a tenant's circuit opens, and that of all when BrainGrid is not
    /// reached or so many tenants fail: nothing is sent for a while.
    pub breaker_threshold: u32,
    /// For how long the circuit stays open.
    pub breaker_pause: Duration,
    /// Adds headers to every request.
    pub headers: Option<HeaderHook>,
    /// Is told about every request that is over.
    pub observer: Option<ApiRequestObserver>,
    /// What TLS connections trust; nothing: the system's root certificates, read anew.
    pub tls: Option<rustls::ClientConfig>,
    /// The way out; without one unless it is set.
    pub proxies: Proxies,
}

impl BrainGridConfig {
    /// The defaults for this base URL.
    pub fn new(base_url: Url) -> Self {
        Self {
            base_url,
            timeouts: Timeouts::default(),
            max_response_bytes: 8 << 20,
            max_concurrent: 256,
            max_concurrent_slow: 64,
            limit: None,
            breaker_threshold: 10,
            breaker_pause: Duration::from_secs(5),
            headers: None,
            observer: None,
            tls: None,
            proxies: Proxies::none(),
        }
    }
}

/// How long an operation may take, retries included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To open a connection.
    pub connect: Duration,
    /// To read something.
    pub read: Duration,
    /// To change something.
    pub write: Duration,
    /// To let BrainGrid's AI work: refine an idea, break a requirement down.
    pub slow: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            read: Duration::from_secs(30),
            write: Duration::from_mins(1),
            slow: Duration::from_mins(5),
        }
    }
}

impl Timeouts {
    fn total(&self, class: Class) -> Duration {
        match class {
            Class::Read => self.read,
            Class::Write => self.write,
            Class::Slow => self.slow,
        }
    }

    /// A read that hangs leaves time for a second attempt.
    fn attempt(&self, class: Class) -> Duration {
        match class {
            Class::Read => self.read / 2,
            _ => self.total(class),
        }
    }
}

/// Why a client could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The base URL is none.
    #[error("the API address must be an http or https URL with a host")]
    Base,
    /// Nobody can be trusted.
    #[error("HTTP client: {0}")]
    Tls(#[from] TlsError),
    /// The proxy cannot be used.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
}
