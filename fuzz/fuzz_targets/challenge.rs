//! The writer of `WWW-Authenticate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_transport_http::fuzzing::challenge(data));
