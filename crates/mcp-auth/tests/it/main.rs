//! The verifier against a stand-in issuer over real HTTP.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it should be"
)]

mod introspection;
mod keys;
mod presets;
mod world;
