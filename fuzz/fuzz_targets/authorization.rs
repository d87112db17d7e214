//! The value of an `Authorization` header.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_auth::fuzzing::authorization(data));
