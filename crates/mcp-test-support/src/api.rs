//! A stand-in for the BrainGrid API.
//!
//! **It encodes our assumptions about an API whose specification is not public.** Paths, bodies
//! and errors are the ones this project assumes; passing against it does not show compatibility
//! with the real one.
//!
//! It keeps state per organization, made with one project (`PROJ-1`, repository
//! [`SEEDED_REPOSITORY`]), one requirement and two tasks at the first request. The owner of what is
//! created is the subject of the credential it got (`created_by`), and `X-Organization-Id` must be
//! the organization of that credential: a mix-up of two users is visible in the answers.

mod caller;
mod faults;
mod ids;
mod introspection;
mod operation;
mod record;
mod requirements;
mod server;
mod state;
mod tls;

pub use faults::{Fault, Times};
pub use operation::Operation;
pub use record::{Performed, Recorded};
pub use server::Api;
pub use state::SEEDED_REPOSITORY;
pub use tls::TlsDoor;
