//! Our own authorization server: the table `[authorization_server]`.

mod assertion_issuers;
mod clients;
mod provider;

use std::time::Duration;

use mcp_authorization_server::{
    AssertionIssuerConfig, ClientConfig, ProviderConfig, ProviderPreset,
};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::issuers::IssuerKey;
use super::parse::{numbers, secrets, words};
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
    /// Whose word is taken for a user without a login here.
    pub(crate) assertion_issuers: Vec<AssertionIssuerConfig>,
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
const ASSERTION_ISSUERS: &str = "assertion_issuers";
const JWKS_URI: &str = "jwks_uri";
const API_TOKEN: &str = "api_token";
const API_TOKEN_FILE: &str = "api_token_file";

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
         `id`, `name`, `redirect_uris` and, if it has one, `secret` or `secret_file`, or its public keys in \
         `jwks` or `jwks_file` (a JWK set, for `private_key_jwt`). One that gets tokens without a user has a \
         table `[authorization_server.clients.client_credentials]` below its entry with `organization`, \
         `scopes`, and `api_token_file` or `api_token` (**secret**), which the API is called with for it.",
    ),
    key(
        ASSERTION_ISSUERS,
        "none",
        "Identity providers whose assertions (ID-JAG) stand for a login: tables \
         `[[authorization_server.assertion_issuers]]` with `issuer`, `jwks_uri` unless its metadata name \
         it, `clients` (ids), `scopes`, the organization as above (`organization`, or `organizations` by \
         `organization_claim`, which is `tenant` by default, or `email_domains`), and `api_token_file` or \
         `api_token` (**secret**), which the API is called with for its users.",
    ),
];

/// Reads it; `None` when there is none, or when it cannot work.
pub(crate) fn read(reader: &mut Reader) -> Option<AuthorizationServerSettings> {
    let mut table = reader.table_or_variables(&AUTHORIZATION_SERVER)?;
    let problems = &mut reader.problems;
    let before = problems.len();
    let preset = table.optional(PROVIDER, provider::preset, problems);
    let in_form = preset == Some(ProviderPreset::GitHub);
    let client_id = table.optional(CLIENT_ID, words::client_id, problems);
    if client_id.is_none() && problems.len() == before {
        let fix = "set it to the id of the client that this server is at the provider";
        problems.push(table.problem(CLIENT_ID, "it is missing", fix));
    }
    let authentication = authentication_in(&mut table, in_form, problems);
    let provider = provider::read(&mut table, preset, client_id, authentication, problems);
    let clients = clients::read(&mut table, problems);
    let assertion_issuers = assertion_issuers::read(&mut table, problems);
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
        assertion_issuers,
        dynamic_registration,
        client_id_metadata_documents: documents,
        access_token_lifetime,
        refresh_token_idle,
        grant_lifetime,
        refresh_grace,
    })
}

/// What the API is called with where no provider gives a token for it.
fn api_token(table: &mut Table, problems: &mut Vec<Problem>) -> Option<Zeroizing<String>> {
    let before = problems.len();
    let token = table.secret(API_TOKEN, secrets::token, problems);
    if token.is_none() && problems.len() == before {
        let what =
            "it is missing, and without a login no provider gives a token for the BrainGrid API";
        let fix = "name a file with a token of the API";
        problems.push(table.problem(API_TOKEN_FILE, what, fix));
    }
    token.map(|token| Zeroizing::new(token.expose_secret().to_owned()))
}
