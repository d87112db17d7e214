//! What every request that leaves a server needs, stated once: whom TLS trusts ([`SystemRoots`]),
//! where a request may go ([`is_secure`]), where an issuer's metadata is ([`metadata_urls`]), and
//! when to stop asking a far end that fails ([`CircuitBreaker`], [`Backoff`]; for one that serves many
//! tenants, [`Circuits`]), and how many may ask it at once ([`Places`]). [`PooledClient`] is the
//! client for a far end that is asked with every call, [`http_client`] for the others, and
//! [`GuardedClient`] for those that a stranger names. [`run_to_end`] is for work that must not end with
//! the request it belongs to, [`HeadSampler`] for whose trace that is, and [`LogThrottle`] keeps an
//! outage from flooding the log.
//!
//! This crate is the ground floor: it knows no protocol above HTTP and TLS.

mod address;
mod backoff;
mod breaker;
mod circuits;
mod connect;
mod document;
mod guarded;
mod log_throttle;
mod places;
mod pooled;
mod proxies;
mod room;
mod roots;
mod run_to_end;
mod trace_context;

pub use address::{is_issuer, is_secure, metadata_urls};
pub use backoff::Backoff;
pub use breaker::{CircuitBreaker, HalfOpen};
pub use circuits::{Circuits, HeldBack, Trouble};
pub use document::{http_client, read_body};
pub use guarded::{GuardedClient, GuardedDocument, GuardedError, Reach, is_public};
pub use log_throttle::LogThrottle;
pub use places::{NoPlace, Place, Places, Whose};
pub use pooled::{FetchError, Fetched, PooledClient};
pub use proxies::{Proxies, ProxyError};
pub use room::{MemoryHook, Room};
pub use roots::{SystemRoots, TlsError};
pub use run_to_end::run_to_end;
pub use trace_context::{HeadSampler, is_untraced, remote_context};
