//! The formats of clients' files, as one.

use super::entry::{Broken, Entry, Found, Place};
use super::json::{self, Dialect};
use super::toml;

/// How a client's file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json(Dialect),
    Toml,
}

/// Some editors begin a file with it; parsers take offence.
const BYTE_ORDER_MARK: char = '\u{feff}';

impl Format {
    /// The text with the entry in it. The same text where it says so already.
    pub(super) fn set(self, text: &str, place: Place<'_>, entry: &Entry) -> Result<String, Broken> {
        let (mark, text) = split(text);
        let mut edited = match self {
            Self::Json(dialect) => json::set(text, dialect, place, entry)?,
            Self::Toml => toml::set(text, place, entry)?,
        };
        if text.is_empty() && !edited.ends_with('\n') {
            edited.push('\n');
        }
        Ok(format!("{mark}{edited}"))
    }

    /// The text without the entry; `None` where there is none.
    pub(super) fn remove(self, text: &str, place: Place<'_>) -> Result<Option<String>, Broken> {
        let (mark, text) = split(text);
        let edited = match self {
            Self::Json(dialect) => json::remove(text, dialect, place)?,
            Self::Toml => toml::remove(text, place)?,
        };
        Ok(edited.map(|edited| format!("{mark}{edited}")))
    }

    /// What the entry says; `None` where there is none.
    pub(super) fn find(self, text: &str, place: Place<'_>) -> Result<Option<Found>, Broken> {
        let (_, text) = split(text);
        match self {
            Self::Json(dialect) => json::find(text, dialect, place),
            Self::Toml => toml::find(text, place),
        }
    }
}

fn split(text: &str) -> (&str, &str) {
    let rest = text.trim_start_matches(BYTE_ORDER_MARK);
    text.split_at(text.len() - rest.len())
}
