//! Sealed bytes from the store.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_session::fuzzing::envelope(data));
