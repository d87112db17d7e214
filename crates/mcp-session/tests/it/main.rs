//! Sessions against a real issuer over HTTP and a real Redis.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test should stop where its world is not as expected"
)]

mod denied;
mod facts;
mod forgetting;
mod granted;
mod in_vain;
mod leases;
mod redis;
mod tiers;
mod tiers_on_redis;
mod topologies;
mod upstream;
mod world;
