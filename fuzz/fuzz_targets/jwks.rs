//! A key set, from its bytes to a verdict on a token.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_auth::fuzzing::jwks(data));
