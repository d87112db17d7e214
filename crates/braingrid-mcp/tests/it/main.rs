//! The built binary as a child process, with real sockets, real tokens and a real Redis. Only the
//! far ends are stand-ins: the issuer and BrainGrid's API.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops where something is not as it should be"
)]

mod about;
mod addresses;
mod addresses_of_organizations;
mod admin;
mod audit;
mod background;
mod cancellation;
mod cloned;
mod denied;
mod doctor;
mod edges;
mod ended_input;
mod exchange;
mod exchange_audit;
mod experimental_tasks;
mod granted;
mod install;
mod issuers;
mod journal;
mod leaks;
mod limits;
mod listening;
mod login;
mod logs;
mod lost_answers;
mod metrics;
mod mirror;
mod noisy;
mod own;
mod panics;
mod progress;
mod protocol;
mod provider_events;
mod refusals;
mod request_ids;
mod resilience;
mod resources;
mod scopes;
mod secrets;
mod sessions;
mod shutdown;
mod slow_calls;
mod stdio;
mod stop;
mod strangers;
mod telemetry;
mod tenants;
mod tools;
mod traces;
mod transports;
mod upstream;
mod wire;
mod without_login;
mod world;
