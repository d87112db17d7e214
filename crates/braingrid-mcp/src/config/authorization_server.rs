//! Our own authorization server: the table `[authorization_server]`.

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_auth::ClientAuthentication;
use mcp_authorization_server::{
    ClientConfig, OrganizationFrom, ProviderConfig, ProviderEndpoints, ProviderPreset,
};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::issuers::IssuerKey;
use super::parse::{Parsed, endpoints, identity, numbers, quoted, refuse, words};
use super::problem::Problem;
use super::reader::{Reader, Table};
use super::settings::AUTHORIZATION_SERVER;
use super::upstream::authentication_in;

/// What is configured of it.
#[derive(Debug, Clone)]
pub(crate) struct AuthorizationServerSettings {
    /// Who logs people in.
    pub(crate) provider: ProviderConfig,
    /// The clients that are known by configuration.
    pub(crate) clients: Vec<ClientConfig>,
    /// Whether clients may register themselves.
    pub(crate) dynamic_registration: Option<bool>,
    /// Whether a client's id may be the address of its metadata.
    pub(crate) client_id_metadata_documents: Option<bool>,
    /// How long things last, where it is not as usual.
    pub(crate) access_token_lifetime: Option<Duration>,
    pub(crate) refresh_token_idle: Option<Duration>,
    pub(crate) grant_lifetime: Option<Duration>,
    pub(crate) refresh_grace: Option<Duration>,
}

const CLIENT_ID: &str = "client_id";
const CLIENT_SECRET: &str = "client_secret";
const CLIENT_SECRET_FILE: &str = "client_secret_file";
const CLIENT_KEY_FILE: &str = "client_key_file";
const CLIENT_KEY_ID: &str = "client_key_id";
const AUTHENTICATION: &str = "client_authentication";
const PROVIDER: &str = "provider";
const ISSUER: &str = "issuer";
const AUTHORIZATION_ENDPOINT: &str = "authorization_endpoint";
const TOKEN_ENDPOINT: &str = "token_endpoint";
const USERINFO_ENDPOINT: &str = "userinfo_endpoint";
const REVOCATION_ENDPOINT: &str = "revocation_endpoint";
const SCOPES: &str = "scopes";
const PARAMETERS: &str = "parameters";
const HOSTS: &str = "hosts";
const SUBJECT_CLAIM: &str = "subject_claim";
const ORGANIZATION: &str = "organization";
const ORGANIZATION_CLAIM: &str = "organization_claim";
const ORGANIZATIONS: &str = "organizations";
const EMAIL_DOMAINS: &str = "email_domains";
const ORGANIZATION_REQUIRED: &str = "organization_required";
const DYNAMIC_REGISTRATION: &str = "dynamic_registration";
const DOCUMENTS: &str = "client_id_metadata_documents";
const ACCESS_TOKEN_LIFETIME: &str = "access_token_lifetime";
const REFRESH_TOKEN_IDLE: &str = "refresh_token_idle";
const GRANT_LIFETIME: &str = "grant_lifetime";
const REFRESH_GRACE: &str = "refresh_grace";
const CLIENTS: &str = "clients";

const fn key(key: &'static str, default: &'static str, meaning: &'static str) -> IssuerKey {
    IssuerKey {
        key,
        default,
        meaning,
    }
}

pub(crate) const AUTHORIZATION_SERVER_KEYS: &[IssuerKey] = &[
    key(
        PROVIDER,
        "none",
        "`google`, `entra`, `cognito`, `github`, `okta`, `keycloak`, `auth0` or `workos`: sets what is \
         particular about that provider; everything can still be set.",
    ),
    key(
        ISSUER,
        "that of the provider",
        "The provider's issuer identifier (OpenID Connect). `google` and `github` need none.",
    ),
    key(
        AUTHORIZATION_ENDPOINT,
        "from its metadata",
        "For a provider without OpenID Connect, together with `token_endpoint` and `userinfo_endpoint`.",
    ),
    key(
        TOKEN_ENDPOINT,
        "from its metadata",
        "Where codes become tokens.",
    ),
    key(
        USERINFO_ENDPOINT,
        "from its metadata",
        "What says whose an access token is.",
    ),
    key(
        REVOCATION_ENDPOINT,
        "from its metadata",
        "Where tokens are given back (RFC 7009).",
    ),
    key(
        CLIENT_ID,
        "required",
        "The client that this server is at the provider. Its redirect URI is `/callback` below the \
         public URL.",
    ),
    key(CLIENT_SECRET, "none", "**Secret.** That client's secret."),
    key(
        CLIENT_SECRET_FILE,
        "none",
        "A file that holds it, instead; relative to this file.",
    ),
    key(
        CLIENT_KEY_FILE,
        "none",
        "A file with that client's private key (PKCS #8 in PEM), in place of a secret.",
    ),
    key(
        CLIENT_KEY_ID,
        "none",
        "The id under which the provider knows that key.",
    ),
    key(
        AUTHENTICATION,
        "by what is given",
        "`client_secret_basic`, `client_secret_post` or `private_key_jwt`.",
    ),
    key(
        SCOPES,
        "`openid profile email offline_access`, or the provider's",
        "The scopes to ask the provider for. They decide what its access token may do at the API.",
    ),
    key(
        PARAMETERS,
        "the provider's",
        "Further parameters of its login page: entries `NAME=VALUE`, such as \
         `audience=https://api.example.com`.",
    ),
    key(
        HOSTS,
        "the provider's",
        "Hosts beside the issuer's own where its metadata may place endpoints and keys.",
    ),
    key(
        SUBJECT_CLAIM,
        "`sub`",
        "The claim of userinfo that names the user, for a provider without OpenID Connect.",
    ),
    key(
        ORGANIZATION_CLAIM,
        "`org_id`, or the provider's",
        "The claim that names the user's organization; dots lead into objects.",
    ),
    key(
        ORGANIZATIONS,
        "none",
        "Entries `VALUE=ORGANIZATION`: what that claim says stands for an organization. Who has none of \
         them is turned away.",
    ),
    key(
        EMAIL_DOMAINS,
        "none",
        "Entries `DOMAIN=ORGANIZATION`, for addresses that the provider verified.",
    ),
    key(ORGANIZATION, "none", "All users are of this organization."),
    key(
        ORGANIZATION_REQUIRED,
        "`true`",
        "Whether a user without an organization is turned away.",
    ),
    key(
        DYNAMIC_REGISTRATION,
        "`true`",
        "Whether clients may register themselves (RFC 7591). Nothing is stored for them.",
    ),
    key(
        DOCUMENTS,
        "`true`",
        "Whether a client's id may be the address of its metadata. This server then fetches that \
         document, from public addresses only.",
    ),
    key(
        ACCESS_TOKEN_LIFETIME,
        "`1h`",
        "How long an access token lives at most; it never outlives the provider's.",
    ),
    key(
        REFRESH_TOKEN_IDLE,
        "`30d`",
        "For how long a client may stay away without a new login.",
    ),
    key(
        GRANT_LIFETIME,
        "`90d`",
        "After which people log in again, however active.",
    ),
    key(
        REFRESH_GRACE,
        "`60s`",
        "For how long a used refresh token gives the same answer again, to a client that lost it.",
    ),
    key(
        CLIENTS,
        "none",
        "Clients that neither register nor have a document: tables `[[authorization_server.clients]]` with \
         `id`, `name`, `redirect_uris` and, if it has one, `secret` or `secret_file`.",
    ),
];

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

fn preset(name: &str) -> Parsed<ProviderPreset> {
    name.parse().or_else(|_| {
        let names: Vec<_> = ProviderPreset::ALL.iter().map(|it| it.name()).collect();
        refuse(
            format!("{} is no provider that is known by name", quoted(name)),
            format!("use one of {}, or set issuer alone", names.join(", ")),
        )
    })
}

/// Reads it; `None` when there is none, or when it cannot work.
pub(crate) fn read(reader: &mut Reader) -> Option<AuthorizationServerSettings> {
    let mut table = reader.table(&AUTHORIZATION_SERVER)?;
    let problems = &mut reader.problems;
    let before = problems.len();
    let preset = table.optional(PROVIDER, preset, problems);
    let in_form = preset == Some(ProviderPreset::GitHub);
    let client_id = table.optional(CLIENT_ID, words::word, problems);
    if client_id.is_none() && problems.len() == before {
        let fix = "set it to the id of the client that this server is at the provider";
        problems.push(table.problem(CLIENT_ID, "it is missing", fix));
    }
    let authentication = authentication_in(&mut table, in_form, problems);
    let provider = provider(&mut table, preset, client_id, authentication, problems);
    let clients = clients(&mut table, problems);
    let mut lasting = |key| {
        table.optional(
            key,
            numbers::duration_within::<1, { 366 * 86_400 }>,
            problems,
        )
    };
    let access_token_lifetime = lasting(ACCESS_TOKEN_LIFETIME);
    let refresh_token_idle = lasting(REFRESH_TOKEN_IDLE);
    let grant_lifetime = lasting(GRANT_LIFETIME);
    let refresh_grace = lasting(REFRESH_GRACE);
    let dynamic_registration = table.optional(DYNAMIC_REGISTRATION, words::switch, problems);
    let documents = table.optional(DOCUMENTS, words::switch, problems);
    let known: Vec<_> = AUTHORIZATION_SERVER_KEYS.iter().map(|it| it.key).collect();
    table.finish(&known, problems);
    if problems.len() > before {
        return None;
    }
    Some(AuthorizationServerSettings {
        provider: provider?,
        clients,
        dynamic_registration,
        client_id_metadata_documents: documents,
        access_token_lifetime,
        refresh_token_idle,
        grant_lifetime,
        refresh_grace,
    })
}

fn provider(
    table: &mut Table,
    preset: Option<ProviderPreset>,
    client_id: Option<String>,
    authentication: Option<ClientAuthentication>,
    problems: &mut Vec<Problem>,
) -> Option<ProviderConfig> {
    let issuer = table.optional(ISSUER, endpoints::issuer, problems);
    let endpoints = plain_endpoints(table, problems);
    let (client_id, authentication) = (client_id?, authentication?);
    let none = Zeroizing::new(String::new());
    let made = match (preset, issuer, endpoints) {
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
    };
    let mut made = made;
    made.authentication = authentication;
    details(table, &mut made, problems);
    Some(made)
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
    let scopes = table.list(SCOPES, words::word, problems);
    if !scopes.is_empty() {
        made.scopes = scopes;
    }
    for (name, value) in table.list(PARAMETERS, pair, problems) {
        made.parameters.retain(|(known, _)| *known != name);
        made.parameters.push((name, value));
    }
    made.hosts.extend(table.list(HOSTS, words::word, problems));
    if let Some(claim) = table.optional(SUBJECT_CLAIM, identity::claim, problems) {
        made.subject_claim = claim;
    }
    if let Some(required) = table.optional(ORGANIZATION_REQUIRED, words::switch, problems) {
        made.organization_required = required;
    }
    organization(table, made, problems);
}

fn organization(table: &mut Table, made: &mut ProviderConfig, problems: &mut Vec<Problem>) {
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
        return;
    }
    if let Some(organization) = fixed {
        made.organization = OrganizationFrom::Fixed(organization);
    } else if !domains.is_empty() {
        made.organization = OrganizationFrom::EmailDomain(domains);
    } else if let Some(claim) = claim.or_else(|| claim_of(&made.organization, &mapped)) {
        made.organization = if mapped.is_empty() {
            OrganizationFrom::Claim(claim)
        } else {
            OrganizationFrom::Mapped {
                claim,
                organizations: mapped,
            }
        };
    }
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

fn clients(table: &mut Table, problems: &mut Vec<Problem>) -> Vec<ClientConfig> {
    let mut clients = Vec::new();
    for mut entry in table.tables(CLIENTS, problems) {
        let id = entry.optional("id", words::word, problems);
        let name = entry.optional("name", |name| Ok(name.to_owned()), problems);
        let redirect_uris = entry.list("redirect_uris", |uri| Ok(uri.to_owned()), problems);
        let secret = entry.secret("secret", |text| Ok(SecretString::from(text)), problems);
        let Some(id) = id else {
            let fix = "set it to the id that the client sends";
            problems.push(entry.problem("id", "it is missing", fix));
            continue;
        };
        entry.finish(
            &["id", "name", "redirect_uris", "secret", "secret_file"],
            problems,
        );
        clients.push(ClientConfig {
            id,
            secret: secret.map(|secret| Zeroizing::new(secret.expose_secret().to_owned())),
            name,
            redirect_uris,
            jwks: None,
        });
    }
    clients
}
