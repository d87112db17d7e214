//! The user's own login: kept, refreshed and given up again.

mod credential;
mod store;

pub use credential::StoredCredential;
pub use store::{CredentialStore, Keeping, Kept, Loaded, StoreError};
