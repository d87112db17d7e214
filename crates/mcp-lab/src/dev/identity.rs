//! Who logs people in: the server's own authorization server before an identity provider, or an issuer
//! whose tokens are exchanged for the API's.

use std::{fs, path::Path};

use anyhow::Context as _;
use mcp_lab::dev_login;
use mcp_test_support::{
    Api, ExchangeClient, IdentityProvider, Issuer, ProviderUser, ServerCommand, ServerProcess,
    random_hex,
};
use serde::Serialize;

/// Those who log in at the start; the first one stays at the provider.
const USERS: [(&str, &str); 2] = [("user_ada", "org_ada"), ("user_bob", "org_bob")];
/// How long their tokens are good: a day at the keyboard.
const TOKEN_SECONDS: i64 = 12 * 3600;
/// How long those of everybody after them are, so that clients refresh.
const LOGIN_SECONDS: i64 = 3600;
/// The server at the issuer or the provider, and the API there.
const CLIENT: &str = "braingrid-mcp";
const API: &str = "https://api.example.com";

/// A token and whose it is.
#[derive(Serialize)]
pub(super) struct UserToken {
    pub(super) token: String,
    pub(super) subject: &'static str,
    pub(super) organization: &'static str,
}

/// Who logs people in.
pub(super) enum Identity {
    /// The server itself, and behind it a provider that no MCP client could use.
    Login(IdentityProvider),
    /// An issuer; nobody can log in there by hand.
    Exchange { issuer: Issuer, secret: String },
}

impl Identity {
    /// People log in at the server, which is `public_url`.
    pub(super) async fn login(public_url: &str, api: &Api) -> anyhow::Result<Self> {
        let provider = dev_login::provider(public_url, CLIENT).await?;
        provider.show_login_page();
        // Its access tokens are opaque.
        api.introspect_at(provider.introspection());
        Ok(Self::Login(provider))
    }

    pub(super) async fn exchange() -> anyhow::Result<Self> {
        let issuer = Issuer::start()
            .await
            .context("cannot start the stand-in issuer")?;
        let secret = random_hex(16);
        issuer.let_exchange(CLIENT, ExchangeClient::Basic(secret.clone()));
        Ok(Self::Exchange { issuer, secret })
    }

    /// Tells the server of it; what stands in a file is written into this folder.
    pub(super) fn tell(&self, command: ServerCommand, dir: &Path) -> anyhow::Result<ServerCommand> {
        match self {
            Self::Login(provider) => {
                let file = dir.join("braingrid-mcp.toml");
                fs::write(&file, settings(provider)).context("cannot write the settings")?;
                Ok(command.arg("--config").arg(file))
            }
            Self::Exchange { issuer, secret } => Ok(command
                .env("OAUTH_ISSUER", issuer.url())
                .env("UPSTREAM_MODE", "exchange")
                .env("UPSTREAM_AUDIENCE", API)
                .env("UPSTREAM_CLIENT_ID", CLIENT)
                .env("UPSTREAM_CLIENT_SECRET", secret)),
        }
    }

    /// A token of each user, got as their clients would.
    pub(super) async fn tokens(&self, servers: &[ServerProcess]) -> anyhow::Result<Vec<UserToken>> {
        // At an issuer each server is a resource of its own; else all are one.
        let resources: Vec<_> = servers.iter().map(ServerProcess::mcp_url).collect();
        let mut tokens = Vec::new();
        if let Self::Login(provider) = self {
            provider.set_lifetime(Some(TOKEN_SECONDS));
        }
        for (subject, organization) in USERS {
            let token = match self {
                Self::Login(provider) => {
                    provider.set_user(user(subject, organization));
                    let url = resources.first().context("no server")?;
                    let buttons = ["Allow", "Sign in"];
                    let login = dev_login::log_in(url, "cargo xtask dev", &buttons).await;
                    let login = login.with_context(|| format!("the login of {subject}"))?;
                    login.access_token
                }
                Self::Exchange { issuer, .. } => {
                    issuer.set_audience(resources.iter().map(String::as_str));
                    let token = issuer.token().subject(subject).organization(organization);
                    let email = format!("{subject}@example.com");
                    token.claim("email", email).expires_in(TOKEN_SECONDS).mint()
                }
            };
            tokens.push(UserToken {
                token,
                subject,
                organization,
            });
        }
        if let Self::Login(provider) = self {
            provider.set_lifetime(Some(LOGIN_SECONDS));
            let (subject, organization) = USERS[0];
            provider.set_user(user(subject, organization));
        }
        Ok(tokens)
    }

    /// How often it was asked by the server.
    pub(super) fn requests(&self) -> usize {
        match self {
            Self::Login(provider) => {
                let by_api = IdentityProvider::INTROSPECT_PATH;
                provider.requests().count(|path| path != by_api)
            }
            Self::Exchange { issuer, .. } => issuer.requests().count(|_| true),
        }
    }
}

fn user(subject: &str, organization: &str) -> ProviderUser {
    let email = format!("{subject}@example.com");
    ProviderUser::new(subject)
        .claim("org_id", organization)
        .claim("email", email)
}

fn settings(provider: &IdentityProvider) -> String {
    let table = dev_login::settings(provider, CLIENT);
    format!(
        "# Written by `cargo xtask dev`, anew at each start.\n\
         {table}\
         access_token_lifetime = \"12h\"\n\
         # Clients register instead: their documents are on the internet, and this works without.\n\
         client_id_metadata_documents = false\n"
    )
}
