//! The authorization server from the outside: in front of a provider that speaks HTTP, with browsers and
//! clients that do what real ones do, and some that do not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test should stop where its world is not as expected"
)]

mod assertions;
mod attacks;
mod client;
mod consents;
mod documents;
mod events;
mod login;
mod refresh;
mod resources;
mod services;
mod store;
mod world;
