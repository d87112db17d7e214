//! The redirect URI that a request asks for, against one that is registered.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_authorization_server::fuzzing::redirect(data));
