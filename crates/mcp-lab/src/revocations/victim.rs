//! Who is revoked, and the neighbour who must not notice.

use std::time::{Duration, SystemTime};

use mcp_test_support::{Algorithm, Issuer, TokenBuilder};
use serde_json::{Value, json};
use strum::VariantArray;

/// What a denial is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, VariantArray)]
pub(super) enum Kind {
    User,
    Member,
    Organization,
    Client,
    Token,
    /// A user again, but only what was issued before a time.
    IssuedBefore,
}

/// A token that is revoked.
pub(super) struct Victim {
    number: usize,
    kind: Kind,
    pub(super) token: String,
    /// Of somebody, or something, that the denial is not about.
    pub(super) neighbour: String,
}

/// How old the logins of all are, but of those who came back.
const AGE: Duration = Duration::from_mins(2);

impl Victim {
    pub(super) fn new(number: usize, issuer: &Issuer) -> Self {
        let kind = Kind::VARIANTS[number % Kind::VARIANTS.len()];
        let token = || {
            let token = token(issuer, AGE).subject(&format!("user-{number}"));
            let token = token.organization(&format!("org-{number}"));
            token.claim("client_id", format!("client-{number}"))
        };
        let neighbour = match kind {
            Kind::User => token().subject(&format!("neighbour-{number}")),
            Kind::Member | Kind::Organization => token().organization("org-of-others"),
            Kind::Client => token().claim("client_id", "client-of-others"),
            Kind::Token => token().claim("jti", format!("neighbour-{number}")),
            Kind::IssuedBefore => token().claim("iat", seconds(SystemTime::now())),
        };
        Self {
            number,
            kind,
            token: token().claim("jti", format!("token-{number}")).mint(),
            neighbour: neighbour.mint(),
        }
    }

    /// What the operator sends, and to which path.
    pub(super) fn revocation(&self) -> (&'static str, Value) {
        let number = self.number;
        let (user, org) = (format!("user-{number}"), format!("org-{number}"));
        let suspend = |whom: Value| ("suspend", json!({ "whom": whom }));
        match self.kind {
            Kind::User => {
                let whom = json!({ "kind": "user", "subject": user });
                ("revoke", json!({ "whom": whom }))
            }
            Kind::Member => {
                suspend(json!({ "kind": "member", "subject": user, "organization": org }))
            }
            Kind::Organization => suspend(json!({ "kind": "organization", "organization": org })),
            Kind::Client => {
                suspend(json!({ "kind": "client", "client": format!("client-{number}") }))
            }
            Kind::Token => {
                suspend(json!({ "kind": "token", "token_id": format!("token-{number}") }))
            }
            Kind::IssuedBefore => {
                let whom = json!({ "kind": "user", "subject": user });
                let before = jiff::Timestamp::from_second(seconds(SystemTime::now() - AGE / 2));
                let before = before.map(|at| at.to_string()).unwrap_or_default();
                ("revoke", json!({ "whom": whom, "issued_before": before }))
            }
        }
    }
}

/// A token of somebody who is never denied. Each has an organization: together they would be over its limit.
pub(super) fn bystander(name: &str, number: usize, issuer: &Issuer) -> String {
    let token = token(issuer, AGE).subject(&format!("{name}-{number}"));
    token
        .organization(&format!("org-of-{name}-{number}"))
        .mint()
}

fn token(issuer: &Issuer, age: Duration) -> TokenBuilder {
    let token = issuer.token().signed_by(issuer.key(Algorithm::Es256));
    token.claim("iat", seconds(SystemTime::now() - age))
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs().try_into().unwrap_or(i64::MAX))
}
