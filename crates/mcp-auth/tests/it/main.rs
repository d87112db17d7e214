//! The verifier against a stand-in issuer over real HTTP.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod clock;
mod documents;
mod events;
mod example;
mod exchange;
mod exchange_answers;
mod fetches;
mod introspection;
mod keys;
mod mirror;
mod own_keys;
mod presets;
mod reasons;
mod status;
mod stored;
mod strangers;
mod world;
