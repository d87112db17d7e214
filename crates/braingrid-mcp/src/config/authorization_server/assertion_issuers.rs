//! Whose word is taken for a user without a login here: `[[authorization_server.assertion_issuers]]`.

use mcp_authorization_server::{AssertionIssuerConfig, OrganizationFrom};

use super::{
    API_TOKEN, API_TOKEN_FILE, ASSERTION_ISSUERS, CLIENTS, EMAIL_DOMAINS, ISSUER, JWKS_URI,
    ORGANIZATION, ORGANIZATION_CLAIM, ORGANIZATIONS, SCOPES, api_token, provider,
};
use crate::config::parse::{endpoints, words};
use crate::config::problem::Problem;
use crate::config::reader::Table;

const KEYS: &[&str] = &[
    ISSUER,
    JWKS_URI,
    CLIENTS,
    SCOPES,
    ORGANIZATION,
    ORGANIZATION_CLAIM,
    ORGANIZATIONS,
    EMAIL_DOMAINS,
    API_TOKEN,
    API_TOKEN_FILE,
];

pub(super) fn read(table: &mut Table, problems: &mut Vec<Problem>) -> Vec<AssertionIssuerConfig> {
    let entries = table.tables(ASSERTION_ISSUERS, problems).into_iter();
    entries
        .filter_map(|entry| issuer(entry, problems))
        .collect()
}

fn issuer(mut entry: Table, problems: &mut Vec<Problem>) -> Option<AssertionIssuerConfig> {
    let before = problems.len();
    let issuer = entry.optional(ISSUER, endpoints::issuer, problems);
    if issuer.is_none() && problems.len() == before {
        let fix = "set it to the issuer identifier, as its assertions have it";
        problems.push(entry.problem(ISSUER, "it is missing", fix));
    }
    let jwks_uri = entry.optional(JWKS_URI, endpoints::key_set_url, problems);
    let clients = entry.list(CLIENTS, words::client_id, problems);
    if clients.is_empty() {
        let fix = "list the ids of the clients whose users it may speak for";
        problems.push(entry.problem(CLIENTS, "it names none", fix));
    }
    let scopes = entry.list(SCOPES, words::word, problems);
    let organization = organization(&mut entry, problems);
    let api_token = api_token(&mut entry, problems);
    entry.finish(KEYS, problems);
    Some(AssertionIssuerConfig {
        issuer: issuer?,
        jwks_uri,
        clients,
        organization: organization?,
        scopes,
        api_token: api_token?,
    })
}

/// By the keys that the provider has; but one token of the API is for organizations that are known.
fn organization(entry: &mut Table, problems: &mut Vec<Problem>) -> Option<OrganizationFrom> {
    let before = problems.len();
    let tenant = OrganizationFrom::Claim("tenant".to_owned());
    let found = provider::organization(entry, &tenant, problems);
    let is_bound = !matches!(found, None | Some(OrganizationFrom::Claim(_)));
    if !is_bound && problems.len() == before {
        let what = "nothing says which organizations its users are of";
        let fix = "set organization, or organizations with what its claim says of each";
        problems.push(entry.problem(ORGANIZATION, what, fix));
    }
    found
}
