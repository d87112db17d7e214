//! After an unclear answer to a write: what reading back can prove.

use std::fmt;

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

use super::error::{ToolError, sentence};
use crate::{
    ApiError,
    braingrid::{Page, Paging},
};

/// How it is known that a write was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confirmed {
    ByAnswer,
    ByReadingBack,
}

impl fmt::Display for Confirmed {
    /// A remark to put behind what was done.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByAnswer => "",
            Self::ByReadingBack => " (the answer was lost; confirmed by reading back)",
        })
    }
}

/// What is said when BrainGrid took a write and did not show what came of it.
pub(super) fn accepted(list: &str, place: &impl fmt::Display) -> String {
    format!("BrainGrid accepted it but did not show it: {list} of {place} does, when it is there.")
}

/// Whether the text that was wanted is there.
pub(super) fn reads(wanted: Option<&str>, found: Option<&str>) -> bool {
    match (wanted, found) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(wanted), Some(found)) => wanted.trim() == found.trim(),
    }
}

/// Whether the status that was wanted is there, in any case; `unsaid` when the thing does not tell.
pub(super) fn shows(wanted: Option<&str>, found: Option<&str>, unsaid: bool) -> bool {
    match (wanted, found) {
        (None, _) => true,
        (Some(_), None) => unsaid,
        (Some(wanted), Some(found)) => wanted.trim().eq_ignore_ascii_case(found.trim()),
    }
}

/// Whether a thing says that it was made since then. One that does not say so may be older.
pub(super) fn created_since(created_at: Option<&str>, begun: Timestamp) -> bool {
    // BrainGrid may write milliseconds or seconds: what is cut off is not "before".
    let unit = match created_at {
        Some(text) if text.contains('.') => Unit::Millisecond,
        _ => Unit::Second,
    };
    let floor = TimestampRound::new().smallest(unit).mode(RoundMode::Floor);
    created_at
        .and_then(|text| text.parse::<Timestamp>().ok())
        .is_some_and(|made| made >= begun.round(floor).unwrap_or(begun))
}

/// A list that was read to find what may have been made.
pub(super) struct Listed<T> {
    pub(super) items: Vec<T>,
    /// Whether that is all there is: what is not in it is not there.
    whole: bool,
}

impl<T> Listed<T> {
    pub(super) fn of(page: Result<Page<T>, ApiError>) -> Self {
        // As it says itself: a page may be shorter than it was asked for.
        let whole = |page: &Page<T>| {
            let shown = u64::try_from(page.items.len()).unwrap_or(u64::MAX);
            page.has_more == Some(false) || page.total.is_some_and(|total| total <= shown)
        };
        match page {
            Ok(page) => Self {
                whole: whole(&page),
                items: page.items,
            },
            Err(_) => Self {
                whole: false,
                items: Vec::new(),
            },
        }
    }

    /// Whether nothing in it can have been made since then: all that there is says that it is older, by
    /// more than clocks disagree.
    pub(super) fn has_none_since(
        &self,
        begun: Timestamp,
        created_at: impl Fn(&T) -> Option<&str>,
    ) -> bool {
        let begun = begun.checked_sub(SKEW).unwrap_or(begun);
        let is_older = |item: &T| {
            let made = created_at(item).and_then(|text| text.parse::<Timestamp>().ok());
            made.is_some_and(|made| made < begun)
        };
        self.whole && self.items.iter().all(is_older)
    }

    /// Whether there is surely nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.whole && self.items.is_empty()
    }
}

/// How far our clock and BrainGrid's may disagree.
const SKEW: SignedDuration = SignedDuration::from_mins(1);

/// As many as are read to find one.
pub(super) const ALL: Paging = Paging {
    page: 1,
    limit: 100,
};

/// What is there under the name of something whose making may or may not have worked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Lookalike<T> {
    /// It is the only one, and it was made since.
    Surely(T),
    /// These may be older.
    Perhaps(Vec<T>),
}

impl<T> Lookalike<T> {
    pub(super) fn of(
        mut same: Vec<T>,
        begun: Timestamp,
        created_at: impl Fn(&T) -> Option<&str>,
    ) -> Self {
        match (same.pop(), same.is_empty()) {
            (Some(only), true) if created_since(created_at(&only), begun) => Self::Surely(only),
            (last, _) => {
                same.extend(last);
                Self::Perhaps(same)
            }
        }
    }
}

/// How to find out, with what may be it.
pub(super) fn perhaps(hint: &str, candidates: &str) -> String {
    match candidates {
        "" => format!("{hint} before trying again."),
        found => format!("{hint} before trying again. This may be it:\n{found}"),
    }
}

/// The outcome is unknown, and this is how to find out. `absent` is whether it was looked for where
/// it would be, and is not there.
pub(super) fn unknown(error: ApiError, hint: &str, absent: bool) -> ToolError {
    let text = format!("{} {hint}", sentence(&error.to_string()));
    ToolError::Unknown {
        error,
        text,
        absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_was_made_since_then() {
        let begun: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
        assert!(created_since(Some("2026-11-23T02:00:00.001Z"), begun));
        assert!(!created_since(Some("2026-11-23T01:59:59.999Z"), begun));
        let within: Timestamp = "2026-11-23T02:00:00.123456Z".parse().unwrap();
        assert!(created_since(Some("2026-11-23T02:00:00.123Z"), within));
        assert!(!created_since(Some("2026-11-23T02:00:00.122Z"), within));
        assert!(created_since(Some("2026-11-23T02:00:00Z"), within));
        assert!(!created_since(Some("yesterday"), begun));
        assert!(!created_since(None, begun));
    }

    #[test]
    fn only_a_single_new_lookalike_is_it() {
        let begun: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
        let of = |made: &[&'static str]| Lookalike::of(made.to_vec(), begun, |made| Some(*made));
        assert_eq!(
            of(&["2026-11-23T02:00:01Z"]),
            Lookalike::Surely("2026-11-23T02:00:01Z")
        );
        for made in [
            &["2026-11-23T01:00:00Z"][..],
            &["2026-11-23T02:00:01Z"; 2],
            &[],
        ] {
            assert_eq!(of(made), Lookalike::Perhaps(made.to_vec()));
        }
    }

    #[test]
    fn silence_does_not_confirm_a_write() {
        assert!(shows(Some("REVIEW"), Some("review"), false));
        assert!(!shows(Some("REVIEW"), None, false));
        assert!(!shows(Some("REVIEW"), Some("PLANNED"), true));
        assert!(shows(None, None, false));
    }
}
