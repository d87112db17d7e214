//! The clients that neither register nor have a document: `[[authorization_server.clients]]`.

use mcp_authorization_server::ClientConfig;
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::CLIENTS;
use crate::config::parse::words;
use crate::config::problem::Problem;
use crate::config::reader::Table;

pub(super) fn read(table: &mut Table, problems: &mut Vec<Problem>) -> Vec<ClientConfig> {
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
