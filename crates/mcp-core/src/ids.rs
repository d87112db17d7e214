//! Identifiers, parsed once at the door: short ids (`REQ-12`) in any case, bare numbers, UUIDs.
//!
//! What passed is safe to put into a path.

use std::{fmt, str::FromStr};

/// The identifier of an organization, in whichever form BrainGrid uses: a UUID or `org_…`.
///
/// Never empty and never the placeholder `default` that older project files hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OrganizationId(String);

impl OrganizationId {
    /// The identifier as it is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for OrganizationId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let text = text.trim();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
        if text.is_empty() || text.eq_ignore_ascii_case("default") {
            return Err(InvalidId(
                "an organization id is a UUID or org_…, not empty or \"default\"".into(),
            ));
        }
        if text.len() > 128 || !text.chars().all(legal) {
            return Err(InvalidId("an organization id is a UUID or org_…".into()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for OrganizationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not an identifier; the text tells the model what to send instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidId(String);

/// A number with a prefix, or a UUID in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Id {
    Short(u64),
    Uuid(String),
}

macro_rules! reference {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $noun:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub struct $name(Id);

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text, $prefix, $noun).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match &self.0 {
                    Id::Short(number) => write!(f, concat!($prefix, "-{}"), number),
                    Id::Uuid(uuid) => f.write_str(uuid),
                }
            }
        }
    };
}

reference!(
    /// A project: `PROJ-n` or a UUID.
    ProjectRef, "PROJ", "project"
);
reference!(
    /// A requirement: `REQ-n` or a UUID.
    RequirementRef, "REQ", "requirement"
);
reference!(
    /// A task: `TASK-n` or a UUID.
    TaskRef, "TASK", "task"
);

/// Whether a part of a path is a short id, as the references above write them.
pub(crate) fn is_short(segment: &str) -> bool {
    segment.split_once('-').is_some_and(|(prefix, number)| {
        ["PROJ", "REQ", "TASK"].contains(&prefix) && number.parse::<u64>().is_ok()
    })
}

fn parse(text: &str, prefix: &str, noun: &str) -> Result<Id, InvalidId> {
    let text = text.trim();
    if is_uuid(text) {
        return Ok(Id::Uuid(text.to_ascii_lowercase()));
    }
    let letters = text.chars().take_while(char::is_ascii_alphabetic).count();
    let (head, tail) = text.split_at(letters);
    let number = tail.trim_start_matches(['-', ' ', '_', '#']);
    if let Ok(number) = number.parse::<u64>()
        && number > 0
        && !tail.contains('+')
    {
        if head.is_empty() || head.eq_ignore_ascii_case(prefix) {
            return Ok(Id::Short(number));
        }
        return Err(wrong_kind(head, number, prefix, noun));
    }
    let shown: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
    Err(InvalidId(format!(
        "\"{shown}\" is not a {noun} id: use {prefix}-n, a number or a UUID"
    )))
}

fn wrong_kind(head: &str, number: u64, prefix: &str, noun: &str) -> InvalidId {
    let head: String = head
        .chars()
        .take(12)
        .collect::<String>()
        .to_ascii_uppercase();
    InvalidId(match head.as_str() {
        "EPIC" => format!(
            "EPIC-{number} is an epic, and BrainGrid's API has no epics: use the {prefix}-n of a \
             {noun} in it"
        ),
        _ => format!("{head}-{number} is not a {noun}: use {prefix}-n, a number or a UUID"),
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "3F2504E0-4F89-11D3-9A0C-0305E82C3301";

    #[test]
    fn short_ids_in_any_case_numbers_and_uuids_are_accepted() {
        for text in [
            "REQ-12", "req-12", "Req 12", "REQ12", "12", " #12 ", "req_12",
        ] {
            assert_eq!(
                text.parse::<RequirementRef>().unwrap().to_string(),
                "REQ-12",
                "{text}"
            );
        }
        assert_eq!(
            "PROJ-3".parse::<ProjectRef>().unwrap().to_string(),
            "PROJ-3"
        );
        assert_eq!("task-7".parse::<TaskRef>().unwrap().to_string(), "TASK-7");
        assert_eq!(
            UUID.parse::<TaskRef>().unwrap().to_string(),
            UUID.to_ascii_lowercase()
        );
    }

    #[test]
    fn epics_are_refused_with_the_reason() {
        let text = "epic-4".parse::<RequirementRef>().unwrap_err().to_string();
        assert!(text.contains("EPIC-4 is an epic"), "{text}");
        assert!(text.contains("REQ-n"), "{text}");
    }

    #[test]
    fn another_kind_of_id_is_refused() {
        assert!("TASK-1".parse::<RequirementRef>().is_err());
        assert!("REQ-1".parse::<ProjectRef>().is_err());
    }

    #[test]
    fn what_could_leave_the_path_is_refused() {
        for text in [
            "",
            "0",
            "REQ-0",
            "../x",
            "REQ-1/../2",
            "1?x",
            "REQ-",
            "-",
            "REQ--+1",
            "REQ-99999999999999999999",
        ] {
            assert!(text.parse::<RequirementRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn placeholder_organizations_are_refused() {
        for text in ["", " ", "default", "Default", "a b", "a\nb"] {
            assert!(text.parse::<OrganizationId>().is_err(), "{text:?}");
        }
        for text in [UUID, "org_01HXYZ"] {
            assert_eq!(text.parse::<OrganizationId>().unwrap().as_str(), text);
        }
    }
}
