//! Turns a bearer token into a [`Principal`]: the resource-server half of OAuth 2.0.
//!
//! A [`TokenVerifier`] knows one or more issuers, each bound to its own keys, algorithms and
//! audiences. [`TokenVerifier::verify`] checks signature, issuer, audience and times of a JWT
//! access token (RFC 7519, RFC 9068) and gives back who it speaks for. Keys come from the
//! issuer's metadata (RFC 8414, OpenID Connect Discovery) and stay in the process: one fetch for
//! any number of waiting requests, refreshed in the background, kept for a bounded time while the
//! issuer is away.
//!
//! A client's token goes to no other service: [`TokenExchange`] gets one for it (RFC 8693); see
//! `examples/exchange_token.rs`.
//!
//! "The token is bad" and "I could not check" stay different all the way: see [`AuthError`].
//! This crate knows no web framework, no store and no application protocol.
//!
//! ```
//! use mcp_auth::{AccessToken, AuthError};
//!
//! // The value of the `Authorization` header, as it came in.
//! let token = AccessToken::parse("Bearer eyJhbGciOi.eyJpc3MiOi.c2ln")?;
//! assert_eq!(format!("{token:?}"), "AccessToken([redacted])");
//! assert_eq!(AccessToken::parse("Basic dXNlcg==").unwrap_err(), AuthError::NoToken);
//! # Ok::<(), AuthError>(())
//! ```
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::SystemTime;
//! use mcp_auth::{AccessToken, IssuerConfig, TokenVerifier, VerifierConfig};
//!
//! let issuer = IssuerConfig::new("https://auth.example.com", ["https://mcp.example.com/mcp"]);
//! let verifier = TokenVerifier::new(vec![issuer], mcp_auth::http_client()?, VerifierConfig::default())?;
//! let token = AccessToken::parse("Bearer …")?;
//! let principal = verifier.verify(&token, SystemTime::now()).await?;
//! println!("{} of {:?}", principal.subject(), principal.organization());
//! # Ok(()) }
//! ```

mod actor;
mod asker;
mod assertion;
mod audience;
mod claims;
mod clock;
mod discovery;
mod error;
mod events;
mod examine;
mod exchange;
mod fetch;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod id_token;
mod identity_assertion;
mod introspection;
mod issuer;
mod jwk;
mod jwt;
mod key_set;
mod key_source;
mod mirror;
mod organization;
mod our_clock;
mod outcomes;
mod preset;
mod principal;
mod public_key;
mod rules;
mod service;
mod sightings;
mod spans;
mod status;
mod times;
mod token;
mod turns;
mod verifier;

pub use actor::Actor;
pub use asker::Asker;
pub use assertion::{AssertionError, AssertionKeys, assertion_subject};
pub use audience::AudienceFrom;
pub use error::{
    AuthError, ConfigError, ForbiddenReason, InvalidReason, UnavailableReason, UnusableKey,
};
pub use events::{
    Auth0Events, EventError, EventKind, EventSubject, LogoutTokens, ProviderEvent, ReceivedEvents,
    SecurityEvents, WorkosEvent, WorkosWebhooks, is_bearer,
};
pub use examine::{Examination, examine, issuer_metadata};
pub use exchange::{
    AssertionAudience, ClientAuthentication, ClientKey, ExchangeConfig, ExchangeGrant,
    ExchangeStatus, GrantOpener, SameAudience, TokenExchange, Upstream, UpstreamCredentials,
    UpstreamToken,
};
pub use fetch::{http_client, http_client_over};
pub use id_token::IdTokens;
pub use identity_assertion::{IdentityAssertion, IdentityAssertions, assertion_issuer};
pub use introspection::IntrospectionConfig;
pub use issuer::IssuerConfig;
pub use jwk::signature_algorithms;
pub use key_source::KeyPolicy;
pub use mirror::{MetadataMirror, MirrorError, MirroredMetadata};
pub use organization::{claim_at, organization_at, word as claim_word};
pub use preset::{Preset, UnknownPreset};
pub use principal::{Principal, PrincipalRecord};
pub use status::IssuerStatus;
pub use token::AccessToken;
pub use verifier::{TokenVerifier, VerifierConfig};
