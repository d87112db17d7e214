//! The user's own login: obtained, kept, refreshed and given up again.
//!
//! [`BrowserLogin`] and [`DeviceLogin`] obtain a [`StoredCredential`], a [`CredentialStore`] keeps
//! it, [`LocalLogin`] hands its token out and refreshes it ahead of its end, [`log_out`] gives it
//! back to the issuer.

mod browser;
mod callback;
mod client;
mod credential;
mod device;
mod error;
mod helper;
mod issuer;
mod lenient;
mod lifecycle;
mod local;
mod lock;
mod program;
mod purpose;
mod refresh;
mod store;
mod token;

pub use browser::BrowserLogin;
pub use credential::StoredCredential;
pub use device::DeviceLogin;
pub use error::LoginError;
pub use helper::{Helper, report};
pub use lifecycle::{Revocation, give_back, log_in, log_out, log_out_everywhere};
pub use local::LocalLogin;
pub use program::set_program;
pub use purpose::Purpose;
pub use refresh::{Over, RefreshError, refresh, refusal};
pub use store::{CredentialStore, Glance, Keeping, Kept, Loaded, StoreError};
pub use token::LoginRequest;
