//! The first look at a request body.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_transport_http::fuzzing::preview(data));
