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
    /// Change something, here or there: the issuer answers, and not as the standards say.
    #[error("{issuer} cannot be used for a login: {problem}")]
    Unusable {
        /// Who.
        issuer: String,
        /// What is wrong.
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
    #[error("{issuer} refused: {code}{}", remedy(code))]
    Refused {
        /// Who.
        issuer: String,
        /// RFC 6749 section 5.2, RFC 7591 section 3.2.2, RFC 8628 section 3.5.
        code: String,
    },
    /// What another process of this program said.
    #[error("{text}")]
    Told {
        /// Its words.
        text: String,
        /// Whether it passes by itself.
        passing: bool,
    },
    /// This machine could not do its part.
    #[error("{0}")]
    Local(String),
    /// The login cannot be kept or read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LoginError {
    /// What a refusal with this error code is to the user.
    pub(crate) fn refused(issuer: &str, code: &str) -> Self {
        match code {
            "access_denied" => Self::Declined,
            "expired_token" => Self::TooLate,
            code => Self::Refused {
                issuer: issuer.to_owned(),
                code: code.to_owned(),
            },
        }
    }

    /// Whether it gets better without anybody doing something.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => is_passing(code),
            Self::Told { passing, .. } => *passing,
            _ => false,
        }
    }
}

/// Whether a refusal with this code passes by itself (RFC 6749 section 4.1.2.1, RFC 8628 section
/// 3.5). Every other one is there again the next time.
pub(crate) fn is_passing(code: &str) -> bool {
    matches!(
        code,
        "temporarily_unavailable" | "server_error" | "slow_down"
    )
}

/// Error codes are shown: nothing but what standards call their codes, and Okta's numbers. Codes of
/// one issuer's own become those of the standards (Entra's, RFC 8628 section 3.5).
pub(crate) fn known_code(code: &str) -> Option<&str> {
    let legal = |c: char| c.is_ascii_lowercase() || c == '_';
    let number = |digits: &str| digits.len() == 7 && digits.bytes().all(|it| it.is_ascii_digit());
    match code.trim() {
        "authorization_declined" => Some("access_denied"),
        "code_expired" => Some("expired_token"),
        code if (1..=40).contains(&code.len()) && code.chars().all(legal) => Some(code),
        code if code.strip_prefix('E').is_some_and(number) => Some(code),
        _ => None,
    }
}

/// Whether the issuer does not know the client, as when it has pruned a registration.
pub(crate) fn is_of_the_client(code: &str) -> bool {
    matches!(code, "invalid_client" | "unauthorized_client")
}

fn remedy(code: &str) -> &'static str {
    if is_of_the_client(code) {
        " (it does not know this client: correct BRAINGRID_CLIENT_ID, or unset it, so that `login` \
         registers a new one)"
    } else {
        ""
    }
}
