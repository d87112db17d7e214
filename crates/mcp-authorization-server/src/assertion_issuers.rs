//! [`AssertionIssuers`]: the identity providers whose word is taken for a user without a login here
//! (draft-ietf-oauth-identity-assertion-authz-grant), and what each may say.

use std::{collections::HashMap, fmt};

use mcp_auth::IdentityAssertions;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    config::{AuthorizationServerConfig, scopes_problem},
    provider::OrganizationFrom,
};

/// An identity provider that is trusted to say who a client's user is. Where its users are of several
/// organizations that the API is called for with different tokens, there are several of one issuer, of which
/// no two may be meant at once.
#[derive(Clone)]
pub struct AssertionIssuerConfig {
    /// Its issuer identifier: compared with `iss` as an exact string.
    pub issuer: String,
    /// Its key set; found through its metadata when absent.
    pub jwks_uri: Option<String>,
    /// The clients that it may speak to, by their ids. Each has to prove who it is.
    pub clients: Vec<String>,
    /// Which organization its users are of: one, or one of those that are listed.
    pub organization: OrganizationFrom,
    /// The scopes that it may grant.
    pub scopes: Vec<String>,
    /// What the upstream API is called with for its users.
    pub api_token: Zeroizing<String>,
}

impl fmt::Debug for AssertionIssuerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionIssuerConfig")
            .field("issuer", &self.issuer)
            .field("jwks_uri", &self.jwks_uri)
            .field("clients", &self.clients)
            .field("organization", &self.organization)
            .field("scopes", &self.scopes)
            .field("api_token", &"[redacted]")
            .finish()
    }
}

/// An issuer of assertions that cannot be trusted so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("assertion issuer {issuer}: {problem}")]
pub struct AssertionIssuerError {
    issuer: String,
    problem: String,
}

/// All of them.
pub(crate) struct AssertionIssuers(HashMap<String, AssertionIssuer>);

/// One, with its keys.
pub(crate) struct AssertionIssuer {
    pub(crate) assertions: IdentityAssertions,
    jwks_uri: Option<String>,
    entries: Vec<AssertionIssuerConfig>,
}

impl AssertionIssuers {
    /// # Errors
    /// For one that could never be believed, or always.
    pub(crate) fn new(
        config: &AuthorizationServerConfig,
        http: &reqwest::Client,
    ) -> Result<Self, AssertionIssuerError> {
        let mut issuers: HashMap<String, AssertionIssuer> = HashMap::new();
        for entry in &config.assertion_issuers {
            let error = |problem: String| AssertionIssuerError {
                issuer: entry.issuer.clone(),
                problem,
            };
            check(entry, config).map_err(error)?;
            let jwks_uri = entry.jwks_uri.as_deref();
            let issuer = match issuers.remove(&entry.issuer) {
                Some(known) if known.jwks_uri.as_deref() != jwks_uri => {
                    return Err(error("its keys are at several addresses".to_owned()));
                }
                Some(known) => known,
                None => AssertionIssuer {
                    assertions: IdentityAssertions::new(&entry.issuer, jwks_uri, http.clone())
                        .map_err(|problem| error(problem.to_string()))?,
                    jwks_uri: entry.jwks_uri.clone(),
                    entries: Vec::new(),
                },
            };
            let mut issuer = issuer;
            issuer.entries.push(entry.clone());
            issuers.insert(entry.issuer.clone(), issuer);
        }
        Ok(Self(issuers))
    }

    pub(crate) fn get(&self, issuer: &str) -> Option<&AssertionIssuer> {
        self.0.get(issuer)
    }
}

impl AssertionIssuer {
    /// What it may say to this client.
    pub(crate) fn to_client(&self, client_id: &str) -> Vec<&AssertionIssuerConfig> {
        let is_named =
            |entry: &&AssertionIssuerConfig| entry.clients.iter().any(|it| it == client_id);
        self.entries.iter().filter(is_named).collect()
    }
}

impl AssertionIssuerConfig {
    /// The organization of the user with these claims. An issuer that has tenants says `tenant`: what else one of
    /// them says of its users does not make them another's.
    pub(crate) fn organization_of(&self, claims: &Map<String, Value>) -> Option<String> {
        let has_tenants = claims.get("tenant").is_some_and(|tenant| !tenant.is_null());
        let by_tenant = matches!(&self.organization, OrganizationFrom::Mapped { claim, .. } if claim == "tenant");
        if has_tenants && !by_tenant {
            return None;
        }
        self.organization.of(claims)
    }
}

fn check(entry: &AssertionIssuerConfig, config: &AuthorizationServerConfig) -> Result<(), String> {
    if entry.issuer == config.issuer {
        return Err(
            "it is this server itself, which takes no word of its own for a login".to_owned(),
        );
    }
    if entry.clients.is_empty() {
        return Err("it names no client that it may speak to".to_owned());
    }
    let is_bound = match &entry.organization {
        OrganizationFrom::Fixed(name) => !name.trim().is_empty(),
        OrganizationFrom::Mapped { organizations, .. }
        | OrganizationFrom::EmailDomain(organizations) => !organizations.is_empty(),
        OrganizationFrom::Nothing | OrganizationFrom::Claim(_) => false,
    };
    if !is_bound {
        return Err(
            "it is bound to no organization: any that it names would be believed".to_owned(),
        );
    }
    if entry.api_token.is_empty() {
        return Err("nothing says what the API is called with for its users".to_owned());
    }
    scopes_problem(&entry.scopes, &config.scopes).map_or(Ok(()), Err)
}
