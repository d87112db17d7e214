//! A server that logs people in itself, at a stand-in of an identity provider.

use mcp_test_support::{IdentityProvider, ServerCommand};

use crate::world::World;

/// A provider that knows this world's server, and asks people on a page.
pub(crate) async fn provider(world: &World) -> IdentityProvider {
    let provider = IdentityProvider::start().await.unwrap();
    provider.register_redirect(&callback(world));
    provider.show_login_page();
    provider
}

/// Where the provider sends browsers back to.
pub(crate) fn callback(world: &World) -> String {
    world.resource().replace("/mcp", "/callback")
}

/// The command of the instance that the public URL leads to, with its own authorization server before
/// this provider; `more` are further keys of its table.
pub(crate) fn command(world: &World, provider: &IdentityProvider, more: &str) -> ServerCommand {
    let (issuer, id) = (provider.url(), IdentityProvider::CLIENT_ID);
    let table = format!(
        "[authorization_server]\nissuer = \"{issuer}\"\nclient_id = \"{id}\"\n\
         client_secret_file = \"provider-secret\"\n{more}"
    );
    let folder = world.home.path();
    std::fs::write(
        folder.join("provider-secret"),
        IdentityProvider::CLIENT_SECRET,
    )
    .unwrap();
    let file = folder.join("own.toml");
    std::fs::write(&file, table).unwrap();
    let command = world.command_at_public_url().without_env("OAUTH_ISSUER");
    let command = command.without_env("UPSTREAM_AUDIENCE");
    let command = command.env("ENCRYPTION_KEY", &world.encryption_key);
    command.arg("--config").arg(file)
}
