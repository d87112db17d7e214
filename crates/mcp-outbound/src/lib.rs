//! What every request that leaves a server needs, stated once: whom TLS trusts ([`SystemRoots`]),
//! where a request may go ([`is_secure`]), where an issuer's metadata is ([`metadata_urls`]), and
//! when to stop asking a far end that fails ([`CircuitBreaker`], [`Backoff`]).
//!
//! This crate is the ground floor: it knows no protocol above HTTP and TLS.

mod address;
mod backoff;
mod breaker;
mod roots;

pub use address::{is_secure, metadata_urls};
pub use backoff::{Backoff, random_fraction};
pub use breaker::{CircuitBreaker, HalfOpen};
pub use roots::{SystemRoots, TlsError};
