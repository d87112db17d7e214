//! The parameters of a request to the authorization server, from a body or a query.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_authorization_server::fuzzing::form(data));
