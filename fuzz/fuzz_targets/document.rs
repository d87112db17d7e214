//! The document in which a client describes itself.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_authorization_server::fuzzing::document(data));
