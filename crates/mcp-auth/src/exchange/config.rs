//! What is asked of an issuer that exchanges tokens, and in which of the spellings.

use std::time::Duration;

use super::client::ClientAuthentication;

/// How the tokens of one issuer are exchanged for tokens of the upstream API.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ExchangeConfig {
    /// Issuer identifier, as in [`IssuerConfig`](crate::IssuerConfig).
    pub issuer: String,
    /// Token endpoint; found through the issuer's metadata when absent.
    pub token_endpoint: Option<String>,
    /// The client that this server is at the issuer.
    pub client_id: String,
    /// How that client proves who it is.
    pub authentication: ClientAuthentication,
    /// Logical name of the upstream API (`audience`, RFC 8693 section 2.1).
    pub audience: Option<String>,
    /// Address of the upstream API (`resource`, RFC 8707).
    pub resource: Option<String>,
    /// Where its tokens are sent, which no issuer is told: those that were got for one address are not sent
    /// to another, whatever it is called.
    pub sent_to: Option<String>,
    /// Scopes to ask for; none leaves them to the issuer.
    pub scopes: Vec<String>,
    /// How the exchange is spelled.
    pub grant: ExchangeGrant,
    /// Whom assertions of the client are made for.
    pub assertion_audience: AssertionAudience,
    /// Limit for one exchange, finding the endpoint included. 5 s by default.
    pub timeout: Duration,
}

/// The spellings of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeGrant {
    /// Token exchange, RFC 8693.
    TokenExchange,
    /// On-behalf-of, as Entra has it: a JWT bearer grant (RFC 7523) with `requested_token_use`.
    OnBehalfOf,
}

/// The `aud` of a client's assertions (RFC 7523 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssertionAudience {
    /// The issuer identifier.
    Issuer,
    /// The token endpoint.
    TokenEndpoint,
}

impl ExchangeConfig {
    /// An exchange by RFC 8693, for an API that is yet to be named.
    pub fn new(
        issuer: impl Into<String>,
        client_id: impl Into<String>,
        authentication: ClientAuthentication,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            token_endpoint: None,
            client_id: client_id.into(),
            authentication,
            audience: None,
            resource: None,
            sent_to: None,
            scopes: Vec::new(),
            grant: ExchangeGrant::TokenExchange,
            assertion_audience: AssertionAudience::Issuer,
            timeout: Duration::from_secs(5),
        }
    }
}
