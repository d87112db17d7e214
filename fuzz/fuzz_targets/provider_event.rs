//! What identity providers post: webhooks, and the claims of security event tokens.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_auth::fuzzing::provider_event(data));
