//! A small OAuth 2.1 authorization server in front of any identity provider, for clients that need what
//! most providers do not have: client id metadata documents, or dynamic registration (RFC 7591).
//!
//! It keeps nothing that must not be lost. What it has to remember, its clients hold for it, sealed: a
//! client's id is its registration, a refresh token is the grant with the provider's refresh token in
//! it, an access token (RFC 9068) carries the provider's. The store has only what is short-lived, and
//! emptying it signs nobody out.

mod access;
mod answer;
mod assertion_issuers;
mod authorize;
mod callback;
mod client_credentials;
mod clients;
mod code;
mod config;
mod consent;
mod cookies;
mod error;
mod family;
mod form;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod identity_assertion;
mod keys;
mod metadata;
mod observe;
mod once;
#[doc(hidden)]
pub mod pages;
mod provider;
mod refusals;
mod request;
mod resource;
mod revoke;
mod server;
mod token;

pub use assertion_issuers::{AssertionIssuerConfig, AssertionIssuerError};
pub use clients::{ClientConfig, ClientConfigError, ServiceConfig};
pub use config::{AuthorizationServerConfig, ConfigError, Denied, GrantOf, Scope};
pub use observe::{Event, Observer};
pub use provider::{
    OrganizationFrom, ProviderConfig, ProviderConfigError, ProviderEndpoints, ProviderExamination,
    ProviderPlace, ProviderPreset, Revocation, Standing, examine_provider,
};
pub use server::{AuthorizationServer, EncryptionKeys};
