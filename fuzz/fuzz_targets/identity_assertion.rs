//! An identity assertion up to, and not including, its signature.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_auth::fuzzing::identity_assertion(data));
