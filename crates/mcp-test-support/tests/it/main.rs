//! The stand-ins themselves, met by programs that are not ours.
#![cfg(test)]

mod api;
mod issuer;
mod process;
mod provider;
mod redis;
