//! The write journal between instances: over one store in memory that can fail, on paused time, and
//! over Redis.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test should stop where its world is not as expected"
)]

mod abandoned;
mod any;
mod away;
mod denials;
mod limits;
mod lost;
mod rotation;
mod running;
mod same;
mod tasks;
mod tenants;
mod world;
