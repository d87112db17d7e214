//! Who logs people in: the keys of `[authorization_server]` that are about the provider.

use std::collections::BTreeMap;

use mcp_auth::ClientAuthentication;
use mcp_authorization_server::{
    OrganizationFrom, ProviderConfig, ProviderEndpoints, ProviderPreset,
};
use zeroize::Zeroizing;

use super::{
    AUTHORIZATION_ENDPOINT, EMAIL_DOMAINS, HOSTS, ISSUER, ORGANIZATION, ORGANIZATION_CLAIM,
    ORGANIZATION_REQUIRED, ORGANIZATIONS, PARAMETERS, REVOCATION_ENDPOINT, SCOPES, SUBJECT_CLAIM,
    TOKEN_ENDPOINT, USERINFO_ENDPOINT,
};
use crate::config::build::once;
use crate::config::parse::{Parsed, endpoints, identity, quoted, refuse, tools, words};
use crate::config::problem::Problem;
use crate::config::reader::Table;

/// `NAME=VALUE`.
fn pair(text: &str) -> Parsed<(String, String)> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => refuse(
            format!("{} is no NAME=VALUE", quoted(text)),
            "write the name, an equals sign and the value",
        ),
    }
}

pub(super) fn preset(name: &str) -> Parsed<ProviderPreset> {
    name.parse().or_else(|_| {
        let names: Vec<_> = ProviderPreset::ALL.iter().map(|it| it.name()).collect();
        refuse(
            format!("{} is no provider that is known by name", quoted(name)),
            format!("use one of {}, or set issuer alone", names.join(", ")),
        )
    })
}

/// A host of the provider's.
fn host(text: &str) -> Parsed<String> {
    if text.contains(['*', '/']) {
        return refuse(
            format!("{} is no name of a host", quoted(text)),
            "write keys.example.com, or .example.com for all below it",
        );
    }
    words::word(text)
}

pub(super) fn read(
    table: &mut Table,
    preset: Option<ProviderPreset>,
    client_id: Option<String>,
    authentication: Option<ClientAuthentication>,
    problems: &mut Vec<Problem>,
) -> Option<ProviderConfig> {
    let none = || Zeroizing::new(String::new());
    let made = place(table, preset, client_id, problems);
    let is_placed = made.is_some();
    // Its details are read all the same: everything that is wrong is told at once.
    let mut made = made.unwrap_or_else(|| ProviderConfig::open_id("", "", none()));
    details(table, &mut made, problems);
    made.authentication = authentication?;
    is_placed.then_some(made)
}

/// Where it is, with the usual details of its kind.
fn place(
    table: &mut Table,
    preset: Option<ProviderPreset>,
    client_id: Option<String>,
    problems: &mut Vec<Problem>,
) -> Option<ProviderConfig> {
    let issuer = table.optional(ISSUER, endpoints::issuer, problems);
    let endpoints = plain_endpoints(table, problems);
    let (client_id, none) = (client_id?, Zeroizing::new(String::new()));
    Some(match (preset, issuer, endpoints) {
        (Some(preset), issuer, _) => {
            ProviderConfig::preset(preset, issuer.as_deref(), client_id, none)
                .map_err(|error| {
                    problems.push(table.problem(ISSUER, &error.to_string(), "set issuer"));
                })
                .ok()?
        }
        (None, Some(issuer), None) => ProviderConfig::open_id(issuer, client_id, none),
        (None, None, Some(endpoints)) => ProviderConfig::plain(endpoints, client_id, none),
        (None, Some(_), Some(_)) => {
            let what = "the provider has an issuer, whose metadata name its endpoints";
            problems.push(table.problem(AUTHORIZATION_ENDPOINT, what, "keep one of them"));
            return None;
        }
        (None, None, None) => {
            let fix =
                "set provider, issuer, or the three endpoints of a provider without OpenID Connect";
            problems.push(table.problem(ISSUER, "nothing says who logs people in", fix));
            return None;
        }
    })
}

fn plain_endpoints(table: &mut Table, problems: &mut Vec<Problem>) -> Option<ProviderEndpoints> {
    let mut url = |key| table.optional(key, endpoints::key_set_url, problems);
    let authorization = url(AUTHORIZATION_ENDPOINT);
    let token = url(TOKEN_ENDPOINT);
    let userinfo = url(USERINFO_ENDPOINT);
    let revocation = url(REVOCATION_ENDPOINT);
    match (authorization, token, userinfo) {
        (Some(authorization), Some(token), Some(userinfo)) => {
            let mut endpoints = ProviderEndpoints::new(authorization, token, userinfo);
            endpoints.revocation = revocation;
            Some(endpoints)
        }
        (None, None, None) => None,
        _ => {
            let what = "a provider without OpenID Connect needs three addresses";
            let fix = "set authorization_endpoint, token_endpoint and userinfo_endpoint";
            problems.push(table.problem(AUTHORIZATION_ENDPOINT, what, fix));
            None
        }
    }
}

fn details(table: &mut Table, made: &mut ProviderConfig, problems: &mut Vec<Problem>) {
    let scopes = once(table.list(SCOPES, tools::scopes, problems));
    if !scopes.is_empty() {
        made.scopes = scopes;
    }
    for (name, value) in table.list(PARAMETERS, pair, problems) {
        made.parameters.retain(|(known, _)| *known != name);
        made.parameters.push((name, value));
    }
    made.hosts.extend(table.list(HOSTS, host, problems));
    if let Some(claim) = table.optional(SUBJECT_CLAIM, identity::claim, problems) {
        made.subject_claim = claim;
    }
    if let Some(required) = table.optional(ORGANIZATION_REQUIRED, words::switch, problems) {
        made.organization_required = required;
    }
    if let Some(organization) = organization(table, &made.organization, problems) {
        made.organization = organization;
    }
}

/// Which organization users are of, if that is said. `usual` has the claim of a mapping that names none.
pub(super) fn organization(
    table: &mut Table,
    usual: &OrganizationFrom,
    problems: &mut Vec<Problem>,
) -> Option<OrganizationFrom> {
    let fixed = table.optional(ORGANIZATION, identity::bound_organization, problems);
    let claim = table.optional(ORGANIZATION_CLAIM, identity::claim, problems);
    let mapped: BTreeMap<_, _> = table
        .list(ORGANIZATIONS, pair, problems)
        .into_iter()
        .collect();
    let domains: BTreeMap<_, _> = table
        .list(EMAIL_DOMAINS, pair, problems)
        .into_iter()
        .collect();
    let given = [
        fixed.is_some(),
        claim.is_some() || !mapped.is_empty(),
        !domains.is_empty(),
    ];
    if given.iter().filter(|given| **given).count() > 1 {
        let what = "the organization is said in several ways";
        let fix = "keep organization, or organization_claim with organizations, or email_domains";
        problems.push(table.problem(ORGANIZATION, what, fix));
        return None;
    }
    if fixed.is_some() {
        return fixed.map(OrganizationFrom::Fixed);
    }
    if !domains.is_empty() {
        return Some(OrganizationFrom::EmailDomain(domains));
    }
    let claim = claim.or_else(|| claim_of(usual, &mapped))?;
    Some(if mapped.is_empty() {
        OrganizationFrom::Claim(claim)
    } else {
        OrganizationFrom::Mapped {
            claim,
            organizations: mapped,
        }
    })
}

/// The provider's own claim, for a mapping that names none; the subject where there is none.
fn claim_of(organization: &OrganizationFrom, mapped: &BTreeMap<String, String>) -> Option<String> {
    if mapped.is_empty() {
        return None;
    }
    Some(match organization {
        OrganizationFrom::Claim(claim) => claim.clone(),
        _ => "sub".to_owned(),
    })
}
