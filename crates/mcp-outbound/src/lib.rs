//! What every request that leaves a server needs, stated once: whom TLS trusts ([`SystemRoots`]),
//! where a request may go ([`is_secure`]), where an issuer's metadata is ([`metadata_urls`]), and
//! when to stop asking a far end that fails ([`CircuitBreaker`], [`Backoff`]). [`PooledClient`] is the
//! client for a far end that is asked with every call.
//!
//! This crate is the ground floor: it knows no protocol above HTTP and TLS.

mod address;
mod backoff;
mod breaker;
mod connect;
mod pooled;
mod proxies;
mod room;
mod roots;

pub use address::{is_secure, metadata_urls};
pub use backoff::{Backoff, random_fraction};
pub use breaker::{CircuitBreaker, HalfOpen};
pub use pooled::{FetchError, Fetched, PooledClient};
pub use proxies::{Proxies, ProxyError};
pub use room::{MemoryHook, Room};
pub use roots::{SystemRoots, TlsError};
