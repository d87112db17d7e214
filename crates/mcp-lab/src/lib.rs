//! Where the server is tried: among stand-ins, under load, and while everything around it fails.
//! Development only.
//!
//! The program `lab` is what `cargo xtask` starts. Here is what its tests want too: [`chaos`], a
//! fleet of servers and a schedule of outages, [`storm`], writes that are sent again and again while
//! that fleet fails, [`revocations`], which hold on all of it, [`cluster`], a store that is lost, [`load_test`], many tenants and a report, and [`dev_login`], a client's login.
//!
//! Apart from `mcp-test-support`, with which every crate is tested: a change here builds none of
//! those tests again.

pub mod chaos;
pub mod cluster;
pub mod dev_login;
pub mod load_test;
pub mod revocations;
pub mod storm;

/// What an answer says for which nothing was done, as an earlier call had done it.
const NOT_DONE_TWICE: &str = "It was not done twice.";
