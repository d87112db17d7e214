//! The server over real sockets, in front of handlers that do what a test needs.
#![cfg(test)]

mod direct;
mod example;
mod idle;
mod late;
mod mounted;
mod refused_body;
mod tenants;
