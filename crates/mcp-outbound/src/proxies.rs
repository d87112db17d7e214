//! [`Proxies`]: the way out, where it leads through a proxy.

use std::sync::Arc;

use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};

/// Which requests leave through a proxy, as `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` say (in lower
/// case too). Plain HTTP stays on this machine and goes through none.
#[derive(Clone)]
pub struct Proxies(Arc<Matcher>);

/// A proxy that is spoken to with TLS or SOCKS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("HTTPS_PROXY or ALL_PROXY: only proxies with an http:// address are supported")]
pub struct ProxyError;

impl Proxies {
    /// What the environment of the process says.
    pub fn from_env() -> Self {
        Self(Arc::new(Matcher::from_env()))
    }

    /// None.
    pub fn none() -> Self {
        Self(Arc::new(Matcher::builder().build()))
    }

    #[cfg(test)]
    pub(crate) fn of(matcher: Matcher) -> Self {
        Self(Arc::new(matcher))
    }

    /// The one to `base`. A proxy for plain HTTP would read the credential.
    pub(crate) fn to(&self, base: &Uri) -> Option<Intercept> {
        let proxy = self.0.intercept(base);
        proxy.filter(|_| base.scheme_str() == Some("https"))
    }
}
