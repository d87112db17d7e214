//! What can go wrong with a token, grouped by who must act.

use std::{fmt, time::Duration};

use mcp_outbound::TlsError;

/// Why a request could not be authenticated. The variant says what the client must do; only the
/// transport turns it into a status and a challenge.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No credentials of the `Bearer` scheme were sent: ask for them (RFC 6750 section 3.1, no
    /// error code).
    #[error("no bearer token was sent")]
    NoToken,
    /// The `Authorization` header breaks the syntax rules (RFC 6750 `invalid_request`).
    #[error("malformed authorization header: {0}")]
    InvalidRequest(&'static str),
    /// The token is proven bad: the client needs another one (RFC 6750 `invalid_token`).
    #[error("invalid token: {0}")]
    InvalidToken(InvalidReason),
    /// The token is good and still not enough. Logging in again would not help.
    #[error("forbidden: {0}")]
    Forbidden(ForbiddenReason),
    /// Nobody can tell right now whether the token is good: try again, keep the token.
    #[error("the token cannot be checked right now: {reason}")]
    Unavailable {
        /// What is missing.
        reason: UnavailableReason,
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

impl AuthError {
    /// A short, stable label for counters and log lines; never holds text from the token.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::InvalidRequest(_) => "invalid_request",
            Self::InvalidToken(reason) => reason.label(),
            Self::Forbidden(reason) => reason.label(),
            Self::Unavailable { reason, .. } => reason.label(),
        }
    }

    /// Why somebody is let in no more, where that is it.
    pub fn cause_of_revocation(&self) -> Option<&'static str> {
        match self {
            Self::InvalidToken(InvalidReason::Revoked(cause))
            | Self::Forbidden(ForbiddenReason::MayBeRevoked(cause)) => Some(cause),
            _ => None,
        }
    }
}

impl From<InvalidReason> for AuthError {
    fn from(reason: InvalidReason) -> Self {
        Self::InvalidToken(reason)
    }
}

impl From<ForbiddenReason> for AuthError {
    fn from(reason: ForbiddenReason) -> Self {
        Self::Forbidden(reason)
    }
}

/// Why a token is bad. For counters and debug logs: clients only learn `invalid_token`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum InvalidReason {
    /// Not a JWT, or a part of it does not decode.
    Malformed,
    /// Longer than an access token may be.
    TooLarge,
    /// `alg` is missing, unsafe (`none`, HMAC), unknown, or not allowed for this key or issuer.
    Algorithm,
    /// Another kind of token, by its `typ` header or its claims (RFC 8725 sections 3.11, 3.12).
    Type,
    /// The `crit` header asks for an extension this server does not know (RFC 7515 section 4.1.11).
    #[strum(serialize = "critical_header")]
    Critical,
    /// `iss` is not a configured issuer.
    Issuer,
    /// `aud` is missing or does not name this resource.
    Audience,
    /// `exp` has passed.
    Expired,
    /// It was issued longer ago than any token may live.
    TooOld,
    /// `nbf` lies in the future.
    NotYetValid,
    /// A claim without which nothing can be said of it is missing or has the wrong type.
    Claim(&'static str),
    /// The issuer has no such key.
    UnknownKey,
    /// The signature does not match.
    Signature,
    /// It is bound to a key of its client (`cnf`, RFC 7800), which this server cannot check.
    KeyBound,
    /// The issuer says that it is not active (RFC 7662 section 2.2).
    Inactive,
    /// The issuer does not take it in exchange for one of the upstream API: it is over there.
    NotExchanged,
    /// The upstream API does not take what was granted with it any more: a newer one may hold more.
    NotGranted,
    /// It was withdrawn: for whom or with whom it was issued is let in no more, for this cause.
    Revoked(&'static str),
}

impl InvalidReason {
    /// Whether another clock would have said something else.
    pub fn is_about_time(self) -> bool {
        matches!(self, Self::Expired | Self::TooOld | Self::NotYetValid)
    }

    /// Every label there is, so that a counter can begin at zero for each.
    pub const LABELS: &[&'static str] = <Self as strum::VariantNames>::VARIANTS;

    /// A short, stable label for counters.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for InvalidReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(name) => write!(f, "claim {name} is missing or malformed"),
            other => f.write_str(other.label()),
        }
    }
}

/// Why nobody can tell whether a token is good.
///
/// The [labels](Self::label) keep apart what strangers can bring about with tokens they made up
/// from what only a fault can: alerts that wake people count the latter alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnavailableReason {
    /// No key of the issuer is at hand, and none could be fetched.
    Keys,
    /// Its key is not among those at hand, and these were fetched a moment ago.
    UnknownKeyCooldown,
    /// Its key is not among those at hand, and newer ones could not be fetched.
    UnknownKey,
    /// The issuer could not be asked about it (RFC 7662).
    Introspection,
    /// The issuer answered that it does not like the question about it.
    IntrospectionRefused,
    /// Too many tokens wait for the issuer to be asked about them.
    IntrospectionBusy,
    /// The issuer could not be asked for one of the upstream API in its place (RFC 8693).
    Exchange,
    /// The issuer does not know this server as a client that may exchange tokens.
    ExchangeClient,
    /// Too many tokens wait to be exchanged, or the issuer says that it is asked too often.
    ExchangeBusy,
    /// Its time is over, or has not come, by our clock and not by the issuers'.
    Clock,
}

impl UnavailableReason {
    /// A short, stable label for counters.
    pub fn label(self) -> &'static str {
        match self {
            Self::Keys | Self::Introspection => "unavailable",
            Self::UnknownKeyCooldown => "unknown_key_cooldown",
            Self::UnknownKey => "unknown_key_unavailable",
            Self::IntrospectionRefused => "introspection_refused",
            Self::IntrospectionBusy => "introspection_busy",
            Self::Exchange => "exchange_unavailable",
            Self::ExchangeClient => "exchange_client",
            Self::ExchangeBusy => "exchange_busy",
            Self::Clock => "clock_differs",
        }
    }
}

impl fmt::Display for UnavailableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys => "the issuer's keys could not be fetched",
            Self::UnknownKeyCooldown => {
                "its key is unknown, and the issuer's keys were fetched a moment ago"
            }
            Self::UnknownKey => "its key is unknown, and newer keys could not be fetched",
            Self::Introspection => "the issuer could not be asked about it",
            Self::IntrospectionRefused => "the issuer refused the question about it",
            Self::IntrospectionBusy => "too many tokens wait for the issuer to be asked about them",
            Self::Exchange => {
                "the issuer could not be asked for one of the upstream API in its place"
            }
            Self::ExchangeClient => {
                "the issuer does not know this server as a client that may exchange tokens"
            }
            Self::ExchangeBusy => "too many tokens wait to be exchanged",
            Self::Clock => "this machine's clock differs from the issuer's, by which it is good",
        })
    }
}

/// Why a good token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum ForbiddenReason {
    /// The token names no organization, and every request belongs to one.
    NoOrganization,
    /// The token names an organization for which its issuer may not speak.
    ForeignOrganization,
    /// The token names no subject, and no service either.
    NoSubject,
    /// A claim that decides is missing or has the wrong type: another login brings the same.
    #[strum(serialize = "odd_claim")]
    Claim(&'static str),
    /// This claim is no time that a token can have: it is before 1970, or after the year 5138, as
    /// milliseconds are.
    AbsurdTime(&'static str),
    /// The token speaks for a service, and this issuer's services are not let in.
    ServicePrincipal,
    /// The token was not issued for the upstream API, and no exchange is configured.
    UpstreamAudience,
    /// The issuer refused to exchange the token for the upstream API (RFC 8693 section 2.2.2).
    UpstreamDenied,
    /// It refused because of the API that was named (`invalid_target`).
    UpstreamTarget,
    /// It refused because of the scopes that were asked for (`invalid_scope`).
    UpstreamScope,
    /// It does not take the token, or not as it was asked (`invalid_request`): RFC 8693 has the
    /// same code for both.
    UpstreamRequest,
    /// The upstream API takes nothing that is granted with this user's tokens, however new they are.
    UpstreamRefused,
    /// What was issued until some time was revoked, for this cause, and the token does not say when it was
    /// issued: a new login may bring just such another.
    MayBeRevoked(&'static str),
    /// The issuer publishes the token's key in a form that this server cannot use: whether the
    /// token is good cannot be told, and another login brings one of the same key.
    UnusableKey(UnusableKey),
}

/// What is wrong with a published key, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UnusableKey(pub(crate) &'static str);

impl UnusableKey {
    pub(crate) const OTHER_ALGORITHM: Self =
        Self("its alg is another than that of the tokens it signs");
}

impl ForbiddenReason {
    /// Every label there is, so that a counter can begin at zero for each.
    pub const LABELS: &[&'static str] = <Self as strum::VariantNames>::VARIANTS;

    /// A short, stable label for counters.
    pub fn label(self) -> &'static str {
        self.into()
    }
}

impl fmt::Display for ForbiddenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Claim(name) => {
                return write!(
                    f,
                    "the token's claim {name} is missing or malformed: ask the administrator of \
                     the authorization server to mend it; signing in again brings the same"
                );
            }
            Self::AbsurdTime(name) => {
                return write!(
                    f,
                    "the token's claim {name} is no time in seconds (RFC 7519 section 2): ask the \
                     administrator of the authorization server to mend it; signing in again \
                     brings the same"
                );
            }
            Self::ForeignOrganization => {
                "the authorization server of this token may not speak for the organization that it \
                 names: ask the administrator of this server, who binds it to organizations"
            }
            Self::NoSubject => {
                "the token does not say whom it speaks for (sub): ask the administrator of the \
                 authorization server to mend it; signing in again brings the same"
            }
            Self::NoOrganization => {
                "the token names no organization: sign in again and choose an organization, or ask \
                 an administrator to add you to one"
            }
            Self::ServicePrincipal => {
                "the token speaks for a service, not for a user: ask the administrator to let \
                 service principals of this issuer in"
            }
            Self::UpstreamAudience => {
                "the token was not issued for the upstream API: ask the administrator to add its \
                 audience to the tokens of this server"
            }
            Self::UpstreamDenied => {
                "the authorization server does not let this user act on the upstream API: ask its \
                 administrator to allow it; signing in again brings the same"
            }
            Self::UpstreamTarget => {
                "the authorization server gives this server no tokens for the upstream API: ask the \
                 administrator to check the audience or resource of the token exchange"
            }
            Self::UpstreamScope => {
                "the authorization server does not give the scopes that this server needs for the \
                 upstream API: ask the administrator to check the scopes of the token exchange"
            }
            Self::UpstreamRequest => {
                "the authorization server does not exchange this token for one of the upstream API: \
                 sign in again, and if that does not help, ask the administrator to check the token \
                 exchange of this server"
            }
            Self::UpstreamRefused => {
                "the upstream API does not take what comes with this user's logins, not even with \
                 the newest: sign in again once, and if that does not help, ask the administrator \
                 to check the scopes and the audience of the identity provider's tokens"
            }
            Self::MayBeRevoked(_) => {
                "a login was revoked, and the token does not say when it was issued (iat), so that nobody \
                 can tell whether it is an older one: ask the administrator of the authorization server to \
                 have its tokens say so; until the revocation ends, signing in again brings the same"
            }
            Self::UnusableKey(UnusableKey(fault)) => {
                return write!(
                    f,
                    "the authorization server publishes the token's key in a way that this server \
                     cannot use ({fault}): ask its administrator to mend it; signing in again \
                     brings the same"
                );
            }
        };
        f.write_str(text)
    }
}

/// A setting that cannot work, found before anything was served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No issuer at all.
    #[error("no issuer is configured, so no token could ever be accepted")]
    NoIssuer,
    /// The same issuer twice: its keys would be ambiguous.
    #[error("issuer {0} is configured twice")]
    DuplicateIssuer(String),
    /// An issuer or key set URL that is not absolute `https` (plain `http` only on loopback).
    #[error("{0} is not an absolute https URL (http is accepted on loopback only)")]
    Url(String),
    /// An issuer without an audience would accept tokens meant for anybody.
    #[error("issuer {0} has no audience: tokens meant for other services would be accepted")]
    NoAudience(String),
    /// Tokens without audience are to be taken by their client, and no client is named.
    #[error("issuer {0} takes tokens without audience, and names no client whose they may be")]
    NoClient(String),
    /// More than one issuer with introspection: an opaque token does not say whom to ask.
    #[error("more than one issuer has an introspection endpoint: opaque tokens would be ambiguous")]
    AmbiguousIntrospection,
    /// An algorithm name that is unknown or unsafe.
    #[error("{0} is not a supported signature algorithm (RS/PS 256-512, ES256, ES384, EdDSA)")]
    Algorithm(String),
    /// Tokens are to be exchanged, and nothing says for which API.
    #[error("issuer {0} is to exchange tokens, and no audience, resource or scope names the API")]
    NoExchangeTarget(String),
    /// Tokens are to be exchanged by a client without id or secret.
    #[error("issuer {0} is to exchange tokens, and the client that asks for it lacks id or secret")]
    NoExchangeClient(String),
    /// The private key of a client cannot be used.
    #[error("the client's private key {0}")]
    ClientKey(&'static str),
    /// The key set that is configured as text cannot be used.
    #[error("the key set of issuer {0} cannot be used: {1}")]
    KeySet(String, &'static str),
    /// The HTTP client could not be built.
    #[error("HTTP client: {0}")]
    Client(#[from] TlsError),
}
