//! The clients that neither register nor have a document: `[[authorization_server.clients]]`.

use mcp_authorization_server::{ClientConfig, ServiceConfig};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::{API_TOKEN, API_TOKEN_FILE, CLIENTS, ORGANIZATION, SCOPES, api_token};
use crate::config::parse::{identity, secrets, words};
use crate::config::problem::Problem;
use crate::config::reader::Table;

const SERVICE: &str = "client_credentials";

const KEYS: &[&str] = &[
    "id",
    "name",
    "redirect_uris",
    "secret",
    "secret_file",
    "jwks",
    "jwks_file",
    SERVICE,
];

pub(super) fn read(table: &mut Table, problems: &mut Vec<Problem>) -> Vec<ClientConfig> {
    let entries = table.tables(CLIENTS, problems).into_iter();
    entries
        .filter_map(|entry| client(entry, problems))
        .collect()
}

fn client(mut entry: Table, problems: &mut Vec<Problem>) -> Option<ClientConfig> {
    let before = problems.len();
    let id = entry.optional("id", words::client_id, problems);
    if id.is_none() && problems.len() == before {
        let fix = "set it to the id that the client sends";
        problems.push(entry.problem("id", "it is missing", fix));
    }
    let name = entry.optional("name", |name| Ok(name.to_owned()), problems);
    let redirect_uris = entry.list("redirect_uris", |uri| Ok(uri.to_owned()), problems);
    let secret = entry.secret("secret", secrets::secret, problems);
    // Public, but read as a secret is: in place or from a file.
    let jwks = entry.secret("jwks", secrets::public_keys, problems);
    let service = service(&mut entry, problems);
    entry.finish(KEYS, problems);
    Some(ClientConfig {
        id: id?,
        secret: secret.map(|secret| Zeroizing::new(secret.expose_secret().to_owned())),
        name,
        redirect_uris,
        jwks,
        service,
    })
}

/// What the client gets tokens for without a user.
fn service(entry: &mut Table, problems: &mut Vec<Problem>) -> Option<ServiceConfig> {
    let mut table = entry.table(SERVICE, problems)?;
    let before = problems.len();
    let organization = table.optional(ORGANIZATION, identity::bound_organization, problems);
    if organization.is_none() && problems.len() == before {
        let fix = "set it to the organization that the client works for";
        problems.push(table.problem(ORGANIZATION, "it is missing", fix));
    }
    let scopes = table.list(SCOPES, words::word, problems);
    let api_token = api_token(&mut table, problems);
    table.finish(&[ORGANIZATION, SCOPES, API_TOKEN, API_TOKEN_FILE], problems);
    Some(ServiceConfig {
        organization: organization?,
        scopes,
        api_token: api_token?,
    })
}
