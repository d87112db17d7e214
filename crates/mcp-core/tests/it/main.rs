//! The tools over a real MCP connection, against a stand-in for BrainGrid's API on a real socket.
//!
//! The stand-in encodes assumptions about an API whose specification is not public.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where it goes wrong"
)]

mod arguments;
mod contract;
mod faults;
mod foreign;
mod guard;
mod happy;
mod isolation;
mod structure;
mod support;
mod wire;
