//! What can come of a question to a provider, by who must act. Nothing that a provider wrote is in it.

use std::time::Duration;

use mcp_outbound::FetchError;

/// Why there is no login, or no new token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProviderError {
    /// The code, the refresh token or the login is over: the user has to log in again.
    #[error("the identity provider does not take the grant")]
    InvalidGrant,
    /// The provider, or this server for its sake, turns the user away; the sentence is for them.
    #[error("{0}")]
    Refused(&'static str),
    /// The user is of no organization.
    #[error("the identity provider names no organization for this user that is known here")]
    NoOrganization,
    /// Nobody can log in until an operator mends this.
    #[error("{0}")]
    Misconfigured(String),
    /// Nobody can tell right now.
    #[error("the identity provider cannot be asked: {trouble}")]
    Unavailable {
        /// What is the matter.
        trouble: Trouble,
        /// When it is worth trying again.
        retry_after: Duration,
    },
}

/// What is the matter with a provider that gives no answer that could be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trouble {
    /// No answer.
    #[error("{0}")]
    NoAnswer(FetchError),
    /// An answer of a server that fails.
    #[error("status {0}")]
    Status(u16),
    /// A success that is none.
    #[error("its answer is not what was asked for")]
    Unreadable,
    /// It says so itself.
    #[error("it says that it cannot serve right now")]
    SaysSo,
    /// It is asked too often.
    #[error("it says that it is asked too often")]
    Busy,
    /// It refuses with an error without a meaning here.
    #[error("it refuses, with status {0} and an error that is not known")]
    Unknown(u16),
    /// Its keys are not to be had.
    #[error("its keys could not be fetched")]
    Keys,
    /// It failed again and again, and is left alone for a while.
    #[error("it failed several times in a row, and is left alone for a moment")]
    LeftAlone,
    /// There is no randomness for the client's assertion.
    #[error("no assertion could be made for this server's client")]
    NoAssertion,
}

/// When it is worth trying again after a failure.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Longest time that a provider may ask to be left alone for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

impl Trouble {
    /// Whether others would meet it, too.
    pub(super) fn is_outage(self) -> bool {
        matches!(
            self,
            Self::NoAnswer(_) | Self::Status(_) | Self::Unreadable | Self::SaysSo
        )
    }

    /// The error, with the usual wait.
    pub(super) fn now(self) -> ProviderError {
        self.for_a(RETRY_AFTER)
    }

    /// The error, with the wait that the provider asked for.
    pub(super) fn for_a(self, wait: Duration) -> ProviderError {
        ProviderError::Unavailable {
            trouble: self,
            retry_after: wait.clamp(RETRY_AFTER, LONGEST_WAIT),
        }
    }
}

impl From<FetchError> for ProviderError {
    fn from(error: FetchError) -> Self {
        Trouble::NoAnswer(error).now()
    }
}

impl ProviderError {
    /// Whether others would meet it, too, and asking again soon is no use.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { trouble, .. } if trouble.is_outage())
    }

    /// Who must act, in one word.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::InvalidGrant | Self::Refused(_) | Self::NoOrganization => "refused",
            Self::Misconfigured(_) => "misconfigured",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// For the person who waits for the login: what happened and what to do.
    pub(crate) fn sentence(&self) -> &'static str {
        match self {
            Self::InvalidGrant => {
                "The sign-in took too long or was used already. Go back to the app and begin again."
            }
            Self::Refused(sentence) => sentence,
            Self::NoOrganization => {
                "Your account belongs to no organization that is known here. Sign in with another \
                 account, or ask the administrator to add you."
            }
            Self::Misconfigured(_) => {
                "The sign-in is not set up correctly. Ask the administrator of this server, whose \
                 log says what to change."
            }
            Self::Unavailable { .. } => {
                "The identity provider cannot be reached right now. Try again in a moment."
            }
        }
    }
}
