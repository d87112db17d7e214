//! Whom a token speaks for, a user or a service: one table of what the issuers say.
//!
//! Every row holds for every issuer: most are configured without a preset, and each sign is one
//! that a user's token of another issuer does not bear.

use serde_json::Value;

use crate::claims::Claims;

/// What tells that a token speaks for a client, not for a user.
enum Sign {
    /// The subject is what this claim names, followed by these characters.
    SubjectIs(&'static str, &'static str),
    /// The subject begins like this.
    SubjectBegins(&'static str),
    /// A claim, a text or a list of texts, says one of these.
    Says(&'static str, &'static [&'static str]),
    /// The claim is there at all.
    Has(&'static str),
    /// A client is named, and no subject (RFC 6749 section 4.4 knows no user).
    NoSubject,
    /// What needs more than one claim.
    Also(fn(&Claims) -> bool),
}

use Sign::{Also, Has, NoSubject, Says, SubjectBegins, SubjectIs};

/// The signs of a service, with the issuers that give them.
const SIGNS: &[(&str, Sign)] = &[
    // RFC 9068 section 2.2: WorkOS, Cognito, Logto, Ory Hydra, Scalekit, OpenIddict, Curity.
    ("RFC 9068", SubjectIs("client_id", "")),
    ("Descope, Google", SubjectIs("azp", "")),
    ("Okta, Cloud Foundry UAA", SubjectIs("cid", "")),
    ("Auth0", SubjectIs("azp", "@clients")),
    (
        "Auth0, profile of RFC 9068",
        SubjectIs("client_id", "@clients"),
    ),
    ("PingOne, PingFederate, Duende, Kinde", NoSubject),
    ("Auth0, FusionAuth, Kinde", Says("gty", CLIENT_CREDENTIALS)),
    (
        "Cloud Foundry UAA, PingAM",
        Says("grant_type", CLIENT_CREDENTIALS),
    ),
    ("PingAM", SubjectBegins("(age!")),
    ("Entra", Says("idtyp", &["app"])),
    ("Entra without idtyp", Also(is_own_object)),
    ("Keycloak", Also(is_service_account)),
    ("Keycloak, scope service_account", Has("clientAddress")),
    ("Authentik", Also(is_generated_account)),
    ("Google", Also(is_google_account)),
    ("Clerk", SubjectBegins("mch_")),
    ("Stytch", SubjectBegins("m2m-client-")),
    (
        "Frontegg",
        Says("type", &["tenantApiToken", "tenantAccessToken"]),
    ),
    ("Descope access key", Also(is_descope_key)),
];

const CLIENT_CREDENTIALS: &[&str] = &["client_credentials", "client-credentials"];

/// Whether the token speaks for a client rather than for a user.
pub(crate) fn is_service(claims: &Claims) -> bool {
    SIGNS.iter().any(|(_, sign)| sign.is_on(claims))
}

impl Sign {
    fn is_on(&self, claims: &Claims) -> bool {
        let subject = claims.subject();
        match self {
            SubjectIs(claim, end) => {
                let client = claims.word(claim);
                let subject = subject.as_deref().and_then(|it| it.strip_suffix(end));
                client.is_some() && client.as_deref() == subject
            }
            SubjectBegins(start) => subject.is_some_and(|subject| subject.starts_with(start)),
            Says(claim, words) => match claims.get(claim) {
                Some(Value::String(said)) => words.contains(&said.as_str()),
                Some(Value::Array(list)) => {
                    let mut said = list.iter().filter_map(Value::as_str);
                    said.any(|said| words.contains(&said))
                }
                _ => false,
            },
            Has(claim) => claims.get(claim).is_some(),
            NoSubject => claims.get("sub").is_none() && claims.client().is_some(),
            Also(rule) => rule(claims),
        }
    }
}

/// Entra's service principals are their own subject; in its tokens for users `sub` is never the
/// `oid`. In those of Azure AD B2C it is, but a token for a user has scopes in `scp`.
fn is_own_object(claims: &Claims) -> bool {
    let subject = claims.text("sub");
    subject.is_some() && subject == claims.text("oid") && claims.get("scp").is_none()
}

/// Keycloak gives each client a user of this name. A person's e-mail address may begin like it.
fn is_service_account(claims: &Claims) -> bool {
    let name = claims.text("preferred_username");
    let client = name.and_then(|name| name.strip_prefix("service-account-"));
    client.is_some_and(|client| !client.contains('@') || claims.client().as_deref() == Some(client))
}

/// Authentik makes a user for each provider that is asked with its own secret.
fn is_generated_account(claims: &Claims) -> bool {
    let name = claims.text("preferred_username").unwrap_or_default();
    name.starts_with("ak-") && name.ends_with("-client_credentials")
}

fn is_google_account(claims: &Claims) -> bool {
    let email = claims.text("email").unwrap_or_default();
    email.ends_with(".gserviceaccount.com")
}

/// Descope's ids begin with a letter for their kind; `drn` says that a token is Descope's.
fn is_descope_key(claims: &Claims) -> bool {
    let id = claims.text("sub").unwrap_or_default();
    claims.get("drn").is_some() && id.len() >= 20 && id.starts_with("K2")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Claims of tokens as the issuers document them: of a user, and of a service.
    #[expect(clippy::too_many_lines, reason = "a table, one row an issuer")]
    fn documented() -> Vec<(&'static str, Value, Vec<Value>)> {
        vec![
            (
                "WorkOS",
                json!({"sub": "user_01H", "client_id": "client_01H", "org_id": "org_01H",
                       "sid": "session_01H"}),
                vec![json!({"sub": "client_01H", "client_id": "client_01H", "org_id": "org_01H"})],
            ),
            (
                "Auth0",
                json!({"sub": "auth0|507f", "azp": "app", "gty": "password",
                       "permissions": ["read"]}),
                vec![
                    json!({"sub": "app@clients", "azp": "app", "gty": "client-credentials"}),
                    json!({"sub": "app@clients", "azp": "app"}),
                    json!({"sub": "app@clients", "client_id": "app"}),
                ],
            ),
            (
                "Keycloak",
                json!({"sub": "f1b2", "azp": "mcp", "typ": "Bearer", "preferred_username": "ada"}),
                vec![
                    json!({"sub": "9c1d", "azp": "mcp", "typ": "Bearer",
                           "preferred_username": "service-account-mcp"}),
                    json!({"sub": "9c1d", "azp": "other", "client_id": "mcp",
                           "preferred_username": "service-account-mcp"}),
                    json!({"sub": "9c1d", "azp": "mcp", "clientHost": "10.0.0.1",
                           "clientAddress": "10.0.0.1"}),
                ],
            ),
            (
                "Keycloak, a person whose address begins like a service",
                json!({"sub": "f1b2", "azp": "mcp",
                       "preferred_username": "service-account-team@example.com"}),
                vec![json!({"sub": "9c1d", "azp": "a@b",
                            "preferred_username": "service-account-a@b"})],
            ),
            (
                "Okta",
                json!({"sub": "ada@example.com", "cid": "0oa1", "uid": "00u1", "scp": ["openid"]}),
                vec![json!({"sub": "0oa1", "cid": "0oa1", "scp": ["read"]})],
            ),
            (
                "Entra",
                json!({"sub": "AAAAB3", "oid": "0000-66f3", "azp": "6e74", "tid": "72f9",
                       "scp": "read", "idtyp": "user"}),
                vec![
                    json!({"sub": "0000-66f3", "oid": "0000-66f3", "azp": "6e74", "idtyp": "app"}),
                    json!({"sub": "0000-66f3", "oid": "0000-66f3", "azp": "6e74",
                           "roles": ["read"]}),
                    json!({"sub": "0000-66f3", "oid": "0000-66f3", "appid": "6e74", "ver": "1.0"}),
                ],
            ),
            (
                "Azure AD B2C",
                json!({"sub": "0000-66f3", "oid": "0000-66f3", "azp": "6e74", "scp": "read",
                       "tfp": "B2C_1_signin"}),
                vec![json!({"sub": "0000-1111", "oid": "0000-1111", "azp": "6e74"})],
            ),
            (
                "Cognito",
                json!({"sub": "aaaa-bbbb", "client_id": "1example", "username": "ada",
                       "token_use": "access"}),
                vec![json!({"sub": "1example", "client_id": "1example", "token_use": "access"})],
            ),
            (
                "Clerk",
                json!({"sub": "user_2p9", "azp": "https://app.test", "sid": "sess_2p9", "v": 2,
                       "o": {"id": "org_2p9", "rol": "admin"}}),
                vec![json!({"sub": "mch_2p9", "scopes": ["mch_3"]})],
            ),
            (
                "Google",
                json!({"sub": "1234567890", "azp": "99.apps.googleusercontent.com",
                       "email": "ada@example.com", "hd": "example.com"}),
                vec![
                    json!({"sub": "1122", "azp": "1122"}),
                    json!({"sub": "1122", "azp": "99.apps.googleusercontent.com",
                           "email": "robot@project.iam.gserviceaccount.com"}),
                ],
            ),
            (
                "Duende IdentityServer",
                json!({"sub": "88421113", "client_id": "mcp", "idp": "local", "amr": ["pwd"]}),
                vec![json!({"client_id": "m2m", "scope": ["api"]})],
            ),
            (
                "PingOne",
                json!({"sub": "f6b7", "client_id": "3a1c", "sid": "77aa", "env": "e1"}),
                vec![json!({"client_id": "3a1c", "env": "e1"})],
            ),
            (
                "PingAM",
                json!({"sub": "(usr!ada)", "subname": "ada", "azp": "mcp",
                       "grant_type": "authorization_code"}),
                vec![
                    json!({"sub": "(age!mcp)", "azp": "mcp"}),
                    json!({"sub": "mcp-robot", "grant_type": "client_credentials"}),
                ],
            ),
            (
                "Dex",
                json!({"sub": "CgNhZGE", "aud": "mcp", "at_hash": "x", "name": "ada"}),
                vec![json!({"sub": "mcp", "azp": "mcp", "aud": "mcp"})],
            ),
            (
                "Zitadel",
                json!({"sub": "165460784409", "client_id": "170088295403946241",
                       "urn:zitadel:iam:user:resourceowner:id": "170079991923474689"}),
                vec![],
            ),
            (
                "Authentik",
                json!({"sub": "9f86", "azp": "mcp", "preferred_username": "ak-ada",
                       "uid": "u1"}),
                vec![json!({"sub": "9f86", "azp": "mcp",
                            "preferred_username": "ak-mcp-client_credentials"})],
            ),
            (
                "FusionAuth",
                json!({"sub": "0000-0001", "applicationId": "3c21", "tid": "1111", "tty": "at",
                       "gty": ["authorization_code", "refresh_token"]}),
                vec![
                    json!({"sub": "0000-0002", "gty": ["client_credentials"], "tid": "1111",
                            "permissions": {"x": ["read"]}}),
                ],
            ),
            (
                "Logto",
                json!({"sub": "q9xk", "client_id": "mcp", "organization_id": "o1"}),
                vec![json!({"sub": "mcp", "client_id": "mcp"})],
            ),
            (
                "Ory Hydra",
                json!({"sub": "ada", "client_id": "mcp", "ext": {"org": "o1"}, "scp": ["openid"]}),
                vec![json!({"sub": "mcp", "client_id": "mcp", "ext": {}, "scp": []})],
            ),
            (
                "Descope",
                json!({"sub": "U2XCVGhFfRRd0Q3xCqPvQHSJTbFS", "drn": "DS", "dct": "T2"}),
                vec![json!({"sub": "K2XCVGhFfRRd0Q3xCqPvQHSJTbFS", "drn": "DS"})],
            ),
            (
                "Stytch",
                json!({"sub": "member-live-1", "https://stytch.com/organization": {}}),
                vec![json!({"sub": "m2m-client-live-d731954d", "scope": "read"})],
            ),
            (
                "Frontegg",
                json!({"sub": "0a1b", "type": "userToken", "tenantId": "t1"}),
                vec![json!({"sub": "c2d3", "type": "tenantApiToken", "tenantId": "t1"})],
            ),
            (
                "Kinde",
                json!({"sub": "kp_58ec", "azp": "d4d3", "org_code": "org_ba", "gty": []}),
                vec![json!({"azp": "d4d3", "gty": ["client_credentials"], "org_code": "org_ba"})],
            ),
            (
                "a subject that is a number",
                json!({"sub": 7, "client_id": "7a"}),
                vec![
                    json!({"sub": 7, "client_id": "7"}),
                    json!({"sub": 7, "client_id": 7}),
                ],
            ),
            (
                "claims of odd types",
                json!({"sub": "ada", "gty": {"a": 1}, "azp": null, "client_id": 8, "idtyp": ["x"],
                       "email": [], "preferred_username": {}, "clientAddress": null}),
                vec![],
            ),
        ]
    }

    #[test]
    fn service_tokens_are_told_from_user_tokens_at_every_issuer() {
        for (issuer, user, services) in documented() {
            assert!(!is_service(&Claims::of(user)), "{issuer}: a user");
            for service in services {
                let shown = service.to_string();
                assert!(is_service(&Claims::of(service)), "{issuer}: {shown}");
            }
        }
    }

    #[test]
    fn every_sign_is_needed() {
        let services: Vec<_> = documented().into_iter().flat_map(|row| row.2).collect();
        for (issuers, sign) in SIGNS {
            let mut shown = services.iter().cloned().map(Claims::of);
            assert!(shown.any(|claims| sign.is_on(&claims)), "{issuers}");
        }
    }
}
