//! Who acts for the subject of a token (`act`, RFC 8693 section 4.1), for an audit log and for nothing
//! that is decided.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::organization::word;

/// Longest name in an actor, in characters. What is longer is cut.
const LONGEST: usize = 256;

/// The party that acts for a token's subject: the outermost `act`. Those inside it acted before
/// (section 4.1) and are not kept.
///
/// It is as good as what it was read from: proven where that was a verified token, the issuer's word
/// where that was one got from its token endpoint for somebody else to verify.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Actor {
    /// Its name (`sub`).
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Who gives it that name (`iss`), where that is said.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The client that it is (`client_id`), where that is said.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
}

impl Actor {
    /// The actor in the value of an `act` claim; `None` where that names nobody.
    pub(crate) fn of(act: &Value) -> Option<Self> {
        let named = |member| act.get(member).and_then(word).and_then(|text| clean(&text));
        let actor = Self {
            subject: named("sub"),
            issuer: named("iss"),
            client_id: named("client_id"),
        };
        (actor.subject.is_some() || actor.client_id.is_some()).then_some(actor)
    }

    /// Every name in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = [&self.subject, &self.issuer, &self.client_id];
        names.into_iter().flatten().map(String::as_str)
    }
}

/// Nobody else proves this text, and people read it in lists: whatever would move, hide or turn what
/// stands around it becomes a mark, so that two names that differ by it alone stay two.
fn clean(text: &str) -> Option<String> {
    let plain = |letter: char| match letter {
        letter if letter.is_control() || turns(letter) => char::REPLACEMENT_CHARACTER,
        letter => letter,
    };
    let text: String = text.trim().chars().take(LONGEST).map(plain).collect();
    (!text.is_empty()).then_some(text)
}

/// Marks without width, line separators, and those that change the direction of writing.
fn turns(letter: char) -> bool {
    matches!(
        letter,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(act: &Value) -> Vec<String> {
        let actor = Actor::of(act);
        actor.map_or_else(Vec::new, |it| it.names().map(str::to_owned).collect())
    }

    #[test]
    fn the_outermost_actor_counts() {
        let act = json!({"sub": "agent", "iss": "https://a.test", "client_id": "c", "email": "e",
                         "act": {"sub": "before"}});
        assert_eq!(names(&act), ["agent", "https://a.test", "c"]);
        assert_eq!(names(&json!({"client_id": 7})), ["7"]);
        for nobody in [
            json!(null),
            json!("agent"),
            json!([{"sub": "agent"}]),
            json!({}),
            json!({"iss": "https://a.test"}),
            json!({"sub": " ", "client_id": ["c"]}),
            json!({"act": {"sub": "before"}}),
        ] {
            assert_eq!(Actor::of(&nobody), None, "{nobody}");
        }
    }

    #[test]
    fn names_are_bounded_and_move_nothing_around_them() {
        let long = Actor::of(&json!({"sub": "ä".repeat(5_000)})).unwrap();
        assert_eq!(long.subject.unwrap().chars().count(), LONGEST);
        for hidden in [
            "\n", "\u{1b}", "\u{0}", "\u{7f}", "\u{85}", "\u{202e}", "\u{2028}",
        ] {
            let act = json!({"sub": format!("a{hidden}b")});
            assert_eq!(names(&act), ["a\u{fffd}b"], "{hidden:?}");
        }
    }
}
