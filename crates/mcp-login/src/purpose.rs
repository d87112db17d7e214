//! What a login is for: an issuer, the address of an API, perhaps one organization. It is used for
//! nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a login is for. It is used for nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purpose {
    /// The authorization server, as it is configured.
    pub issuer: String,
    /// The origin of the API that the token is sent to: scheme, host and port.
    pub api: String,
    /// The organization, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
}

impl Purpose {
    /// Whether two logins of these purposes have the same place.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.is_at(other) && self.organization == other.organization
    }

    /// Whether a login for this one, which `speaks_for` that organization, serves the other: one
    /// that was made without choosing serves the organization it turned out to be for.
    pub(crate) fn serves(&self, other: &Self, speaks_for: Option<&str>) -> bool {
        let named = other.organization.as_deref();
        let agrees = speaks_for.is_none() || named.is_none() || speaks_for == named;
        self.is_at(other) && self.organization.is_none() && agrees
    }

    fn is_at(&self, other: &Self) -> bool {
        is_same(&self.issuer, &other.issuer) && self.api == other.api
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (issuer {}", self.api, self.issuer)?;
        if let Some(organization) = &self.organization {
            write!(f, ", organization {organization}")?;
        }
        f.write_str(")")
    }
}

/// Whether two texts name the same issuer.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purpose(issuer: &str, api: &str, organization: Option<&str>) -> Purpose {
        Purpose {
            issuer: issuer.to_owned(),
            api: api.to_owned(),
            organization: organization.map(str::to_owned),
        }
    }

    #[test]
    fn a_login_serves_what_it_was_made_for_and_nothing_else() {
        let login = purpose("https://a.test", "https://api.test", None);
        let cases = [
            ("https://a.test", "https://api.test", None, true),
            ("https://a.test/", "https://api.test", None, true),
            ("https://a.test", "https://api.test", Some("org_a"), true),
            ("https://a.test", "https://api.test", Some("org_b"), false),
            ("https://b.test", "https://api.test", None, false),
            ("https://a.test", "https://evil.test", None, false),
            ("https://a.test", "http://api.test", None, false),
            ("https://a.test", "https://api.test:8443", None, false),
        ];
        for (issuer, api, organization, good) in cases {
            let other = purpose(issuer, api, organization);
            assert_eq!(login.serves(&other, Some("org_a")), good, "{other}");
        }
        // One that was made for an organization serves nobody who did not choose it.
        let chosen = purpose("https://a.test", "https://api.test", Some("org_a"));
        assert!(!chosen.serves(&login, Some("org_a")) && !chosen.is(&login));
        assert!(chosen.is(&chosen.clone()));
    }
}
