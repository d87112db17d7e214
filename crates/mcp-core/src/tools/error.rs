//! Why a tool has nothing to show, in words for the model and as a name for metrics.

use crate::{ApiError, CredentialError};

/// Why a tool has nothing to show; becomes a result that the model reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolError {
    /// The call cannot be done as it was made; the text says how to make it.
    Refused(String),
    /// BrainGrid did not do it.
    Api(ApiError),
    /// BrainGrid did not do it; the text tells more than the error knows.
    Explained(ApiError, String),
    /// Nobody knows whether BrainGrid did it; the text tells how to find out. `absent` is whether it
    /// was looked for where it would be, and is not there.
    Unknown {
        error: ApiError,
        text: String,
        absent: bool,
    },
    /// Writes are refused, for they cannot be remembered.
    JournalAway,
    /// The client left before anything was changed.
    Left,
    /// The server stops; `sent` is whether a write may have reached BrainGrid.
    Stopped { sent: bool, text: String },
    /// Our fault.
    Internal,
}

impl ToolError {
    pub(super) fn internal() -> Self {
        Self::Internal
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Refused(text)
            | Self::Explained(_, text)
            | Self::Unknown { text, .. }
            | Self::Stopped { text, .. } => text.clone(),
            Self::JournalAway => JOURNAL_AWAY.into(),
            Self::Api(error) => sentence(&error.to_string()),
            Self::Left => "Cancelled; nothing was changed.".into(),
            Self::Internal => INTERNAL.into(),
        }
    }

    /// Whether somebody may have to look it up in the server's log.
    pub(super) fn is_for_an_operator(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Left)
    }

    /// Whether a write may have been done although this is an error.
    pub(super) fn is_unclear(&self) -> bool {
        match self {
            Self::Api(error) | Self::Explained(error, _) => error.is_unclear(),
            Self::Unknown { .. } | Self::Stopped { sent: true, .. } => true,
            _ => false,
        }
    }

    /// A name for spans and metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Api(error) | Self::Explained(error, _) | Self::Unknown { error, .. } => {
                error.kind()
            }
            Self::JournalAway => "journal_away",
            Self::Left => "cancelled",
            Self::Stopped { sent: true, .. } => "outcome_unknown",
            Self::Stopped { sent: false, .. } => "stopped",
            Self::Internal => "internal",
        }
    }
}

impl From<ApiError> for ToolError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<CredentialError> for ToolError {
    fn from(error: CredentialError) -> Self {
        Self::Api(error.into())
    }
}

const JOURNAL_AWAY: &str = "This server cannot tell right now whether this write was made \
    before, so it was not sent by this call. Nothing was done by it. Try again in a moment.";

const INTERNAL: &str =
    "Internal error in the BrainGrid MCP server. This was recorded; trying again may help.";

/// A text as a sentence: capital letter, full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let text = format!("{first}{}", letters.as_str());
    if text.ends_with(['.', '!', '?', ')']) {
        text
    } else {
        text + "."
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_read_as_sentences() {
        assert_eq!(sentence("out of credits"), "Out of credits.");
        assert_eq!(sentence(""), ".");
    }
}
