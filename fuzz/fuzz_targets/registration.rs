//! A client's registration, from its metadata to the id that holds it, and back.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_authorization_server::fuzzing::registration(data));
