//! Why a login, or what belongs to one, did not work.

use super::store::StoreError;

/// Why it did not work, by who must act. Holds no secret and nothing the issuer wrote but its
/// error code.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoginError {
    /// Try again: the issuer did not answer, or not usefully.
    #[error("{issuer} cannot be used right now: {problem}")]
    Unreachable {
        /// Who.
        issuer: String,
        /// What happened.
        problem: String,
    },
    /// Change the configuration: the issuer does not offer what is needed.
    #[error("{0}")]
    Unsupported(String),
    /// The user, or a rule at the issuer, said no.
    #[error("the login was declined")]
    Declined,
    /// Nobody finished it.
    #[error("nobody finished the login in time")]
    TooLate,
    /// An answer to another login, or from another issuer (RFC 9207).
    #[error("the answer does not belong to this login: {0}")]
    Forged(&'static str),
    /// The issuer refused, with this OAuth error code.
    #[error("{issuer} refused: {code}")]
    Refused {
        /// Who.
        issuer: String,
        /// RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 8628 section 3.5.
        code: String,
    },
    /// This machine could not do its part.
    #[error("{0}")]
    Local(String),
    /// The login cannot be kept or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
