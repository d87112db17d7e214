//! Whom an operator means: as it is sent to the listener for operators, typed by people, and known to the
//! fleet.

use mcp_fleet::Whom;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whom it is about. The issuer may be left out where the server has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum About {
    /// A user, in every organization.
    User {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        subject: String,
    },
    /// A user, in one organization.
    Member {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        subject: String,
        organization: String,
    },
    /// An organization, whoever issues its tokens.
    Organization { organization: String },
    /// An OAuth client.
    Client {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        client: String,
    },
    /// One token, by its `jti`.
    Token {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
        token_id: String,
    },
    /// Everybody with a token of an issuer.
    Issuer {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issuer: Option<String>,
    },
}

/// Longest name, in bytes: what is kept of three such ones fits into the store.
const MAX_NAME: usize = 1_024;

/// What a person names.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    pub(crate) subject: Option<String>,
    pub(crate) organization: Option<String>,
    pub(crate) client: Option<String>,
    pub(crate) token_id: Option<String>,
    pub(crate) issuer: Option<String>,
}

impl Named {
    /// Whom these names mean; nothing where there is none, or where they are of different kinds.
    pub(crate) fn about(self) -> Option<About> {
        let issuer = self.issuer;
        Some(
            match (self.subject, self.organization, self.client, self.token_id) {
                (Some(subject), Some(organization), None, None) => About::Member {
                    issuer,
                    subject,
                    organization,
                },
                (Some(subject), None, None, None) => About::User { issuer, subject },
                (None, Some(organization), None, None) => About::Organization { organization },
                (None, None, Some(client), None) => About::Client { issuer, client },
                (None, None, None, Some(token_id)) => About::Token { issuer, token_id },
                _ => return None,
            },
        )
    }
}

impl About {
    /// Names that name somebody.
    pub(crate) fn check(&self) -> Result<(), String> {
        let named = match self {
            Self::User { subject, .. } => vec![("subject", subject)],
            Self::Member {
                subject,
                organization,
                ..
            } => vec![("subject", subject), ("organization", organization)],
            Self::Organization { organization } => vec![("organization", organization)],
            Self::Client { client, .. } => vec![("client", client)],
            Self::Token { token_id, .. } => vec![("token_id", token_id)],
            Self::Issuer { .. } => Vec::new(),
        };
        for (name, value) in named {
            if value.is_empty() || value.trim() != value {
                return Err(format!("{name} is empty, or has blanks around it"));
            }
            if value.len() > MAX_NAME {
                return Err(format!("{name} is longer than {MAX_NAME} bytes"));
            }
        }
        Ok(())
    }
}

impl From<&Whom> for About {
    fn from(whom: &Whom) -> Self {
        match whom.clone() {
            Whom::User { issuer, subject } => Self::User {
                issuer: Some(issuer),
                subject,
            },
            Whom::Member {
                issuer,
                subject,
                organization,
            } => Self::Member {
                issuer: Some(issuer),
                subject,
                organization,
            },
            Whom::Organization(organization) => Self::Organization { organization },
            Whom::Client { issuer, client } => Self::Client {
                issuer: Some(issuer),
                client,
            },
            Whom::Token { issuer, id } => Self::Token {
                issuer: Some(issuer),
                token_id: id,
            },
            Whom::Issuer(issuer) => Self::Issuer {
                issuer: Some(issuer),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: [Option<&str>; 4]) -> Option<About> {
        let [subject, organization, client, token_id] = names.map(|name| name.map(str::to_owned));
        Named {
            subject,
            organization,
            client,
            token_id,
            issuer: Some("i".to_owned()),
        }
        .about()
    }

    #[test]
    fn what_is_named_says_whom_it_is_about() {
        for (names, expected) in [
            (
                [Some("u"), None, None, None],
                r#"{"kind":"user","issuer":"i","subject":"u"}"#,
            ),
            (
                [Some("u"), Some("o"), None, None],
                r#"{"kind":"member","issuer":"i","subject":"u","organization":"o"}"#,
            ),
            (
                [None, Some("o"), None, None],
                r#"{"kind":"organization","organization":"o"}"#,
            ),
            (
                [None, None, Some("c"), None],
                r#"{"kind":"client","issuer":"i","client":"c"}"#,
            ),
            (
                [None, None, None, Some("t")],
                r#"{"kind":"token","issuer":"i","token_id":"t"}"#,
            ),
        ] {
            let about = named(names).unwrap();
            assert_eq!(serde_json::to_string(&about).unwrap(), expected);
            assert_eq!(serde_json::from_str::<About>(expected).unwrap(), about);
        }
        for nobody in [
            [None; 4],
            [Some("u"), None, Some("c"), None],
            [None, Some("o"), None, Some("t")],
        ] {
            assert_eq!(named(nobody), None, "{nobody:?}");
        }
    }

    #[test]
    fn a_name_that_cannot_be_meant_is_refused() {
        let long = "x".repeat(1_025);
        for subject in ["", " ada", "ada\n", &long] {
            let issuer = None;
            let subject = subject.to_owned();
            assert!(About::User { issuer, subject }.check().is_err());
        }
        let unknown = r#"{"kind":"user","subject":"u","organisation":"o"}"#;
        assert!(serde_json::from_str::<About>(unknown).is_err());
    }
}
