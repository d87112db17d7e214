//! Who logged in, and for which organization: read from claims that were proven.

use mcp_auth::{claim_at, claim_word, organization_at};
use serde_json::{Map, Value};

use super::config::OrganizationFrom;

/// Longest name of a user or an organization, in bytes (OpenID Connect Core section 2 has 255 for a
/// subject).
const LONGEST_NAME: usize = 255;

impl OrganizationFrom {
    /// The organization of the user with these claims, if they are enough to tell.
    pub(crate) fn of(&self, claims: &Map<String, Value>) -> Option<String> {
        match self {
            Self::Nothing => None,
            Self::Fixed(name) => Some(name.clone()),
            Self::Claim(path) => organization_at(claims, path).filter(|name| is_name(name)),
            Self::Mapped {
                claim,
                organizations,
            } => {
                let said = words(claims, claim);
                one(said.iter().filter_map(|word| organizations.get(word)))
            }
            Self::EmailDomain(organizations) => {
                let domain = verified_domain(claims)?;
                let mut known = organizations.iter();
                let (_, name) = known.find(|(known, _)| known.eq_ignore_ascii_case(domain))?;
                Some(name.clone())
            }
        }
    }

    /// Whether claims can name none, however many there are.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self, Self::Nothing | Self::Fixed(_))
    }
}

/// The user at this path.
pub(crate) fn subject(claims: &Map<String, Value>, path: &str) -> Option<String> {
    let word = claim_word(claim_at(claims, path)?)?;
    Some(word).filter(|word| is_name(word))
}

fn is_name(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= LONGEST_NAME && !text.contains(char::is_control)
}

/// What a claim says: a word, or each of a list; or the one name in it, as an organization's.
fn words(claims: &Map<String, Value>, path: &str) -> Vec<String> {
    match claim_at(claims, path) {
        Some(Value::Array(list)) if list.iter().all(|it| !it.is_object()) => {
            list.iter().filter_map(claim_word).collect()
        }
        Some(Value::Object(_) | Value::Array(_)) => {
            organization_at(claims, path).into_iter().collect()
        }
        Some(one) => claim_word(one).into_iter().collect(),
        None => Vec::new(),
    }
}

/// The one organization that all of these are.
fn one<'a>(mut names: impl Iterator<Item = &'a String>) -> Option<String> {
    let first = names.next()?;
    names.all(|name| name == first).then(|| first.clone())
}

/// The domain of an address of which the provider says that it is the user's. Some write the word as
/// text.
fn verified_domain(claims: &Map<String, Value>) -> Option<&str> {
    let verified = match claims.get("email_verified")? {
        Value::Bool(verified) => *verified,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    let (user, domain) = claims.get("email")?.as_str()?.rsplit_once('@')?;
    (verified && !user.is_empty()).then_some(domain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn known(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|&(from, to)| (from.to_owned(), to.to_owned()));
        owned.collect()
    }

    #[test]
    fn a_claim_names_the_organization_or_none() {
        let from = OrganizationFrom::Claim("o.id".to_owned());
        for (claims, expected) in [
            (json!({"o": {"id": "acme"}}), Some("acme")),
            (json!({"o": {"id": 7}}), Some("7")),
            (json!({"o": {"id": ["a", "b"]}}), None),
            (json!({"o": {"id": "a\nb"}}), None),
            (json!({"o": {"id": "x".repeat(256)}}), None),
            (json!({}), None),
        ] {
            assert_eq!(
                from.of(&map(claims.clone())).as_deref(),
                expected,
                "{claims}"
            );
        }
    }

    #[test]
    fn what_a_claim_says_stands_for_one_organization_or_none() {
        let from = OrganizationFrom::Mapped {
            claim: "groups".to_owned(),
            organizations: known(&[("g1", "acme"), ("g2", "acme"), ("g3", "other"), ("7", "n")]),
        };
        for (said, expected) in [
            (json!("g1"), Some("acme")),
            (json!(7), Some("n")),
            (json!(["x", "g1", "g2"]), Some("acme")),
            (json!(["g1", "g3"]), None),
            (json!(["x"]), None),
            (json!("G1"), None),
            (json!({"g3": {}}), Some("other")),
            (json!(null), None),
        ] {
            let claims = map(json!({"groups": said}));
            assert_eq!(from.of(&claims).as_deref(), expected, "{said}");
        }
    }

    #[test]
    fn only_a_verified_address_stands_for_an_organization() {
        let from = OrganizationFrom::EmailDomain(known(&[("acme.test", "acme")]));
        for (claims, expected) in [
            (
                json!({"email": "a@acme.test", "email_verified": true}),
                Some("acme"),
            ),
            (
                json!({"email": "a@ACME.test", "email_verified": "true"}),
                Some("acme"),
            ),
            (
                json!({"email": "a@acme.test", "email_verified": false}),
                None,
            ),
            (json!({"email": "a@acme.test"}), None),
            (
                json!({"email": "a@acme.test@evil.test", "email_verified": true}),
                None,
            ),
            (
                json!({"email": "a@sub.acme.test", "email_verified": true}),
                None,
            ),
            (json!({"email": "@acme.test", "email_verified": true}), None),
            (json!({"email": "acme.test", "email_verified": true}), None),
            (json!({"email_verified": true}), None),
        ] {
            assert_eq!(
                from.of(&map(claims.clone())).as_deref(),
                expected,
                "{claims}"
            );
        }
    }

    #[test]
    fn a_user_is_a_word_or_a_number_at_a_path() {
        for (claims, path, expected) in [
            (json!({"id": 583_231}), "id", Some("583231")),
            (json!({"data": {"id": "u1"}}), "data.id", Some("u1")),
            (json!({"sub": "default"}), "sub", Some("default")),
            (json!({"sub": ""}), "sub", None),
            (json!({"sub": ["a"]}), "sub", None),
            (json!({"sub": "x".repeat(256)}), "sub", None),
        ] {
            assert_eq!(
                subject(&map(claims.clone()), path).as_deref(),
                expected,
                "{claims}"
            );
        }
    }
}
