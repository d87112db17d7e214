//! The configuration file.
#![no_main]
#![allow(dead_code, unused_imports)] // The rest of the binary is not here.

/// The binary has no library. An inline module, so that the folders below it are found.
#[path = "../../crates/braingrid-mcp/src"]
mod binary {
    pub(crate) mod config;
    pub(crate) mod owner;
    pub(crate) mod program;
    pub(crate) mod text;
}
// Where these modules look for each other.
pub(crate) use binary::{config, owner, program, text};

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::fuzzing::file(data));
