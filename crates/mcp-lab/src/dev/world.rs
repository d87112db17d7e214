//! Everything `dev` starts, in order: stand-ins, Redis, servers, tokens.

use std::{future::Future, path::Path, pin::Pin, time::Duration};

use anyhow::{Context, bail};
use mcp_test_support::{
    Api, ExchangeClient, Issuer, RedisServer, ServerCommand, ServerProcess, free_port, random_hex,
};
use serde::Serialize;

use super::Options;

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// The servers at the issuer, and the API there.
const CLIENT: &str = "braingrid-mcp";
const API: &str = "https://api.example.com";
/// Long enough for a day at the keyboard.
const TOKEN_SECONDS: i64 = 12 * 3600;

/// What is running.
pub(super) struct World {
    pub(super) issuer: Issuer,
    pub(super) api: Api,
    pub(super) redis: Option<RedisServer>,
    pub(super) servers: Vec<ServerProcess>,
    pub(super) tokens: Vec<UserToken>,
    pub(super) expired_token: String,
}

/// A token and whose it is.
#[derive(Serialize)]
pub(super) struct UserToken {
    pub(super) token: String,
    pub(super) subject: &'static str,
    pub(super) organization: &'static str,
}

impl World {
    pub(super) async fn start(options: &Options) -> anyhow::Result<Self> {
        let issuer = Issuer::start()
            .await
            .context("cannot start the stand-in issuer")?;
        let api = Api::start()
            .await
            .context("cannot start the stand-in API")?;
        let redis = if options.redis {
            Some(RedisServer::start().await?)
        } else {
            None
        };
        let encryption_key = random_hex(32);
        let client_secret = random_hex(16);
        issuer.let_exchange(CLIENT, ExchangeClient::Basic(client_secret.clone()));

        let mut servers = Vec::new();
        for replica in 0..options.replicas {
            let port = match options.port {
                port if port > 0 && replica == 0 => port,
                _ => free_port()?,
            };
            let mut command = server(&options.server, port, &issuer, &api)
                .env("UPSTREAM_CLIENT_SECRET", &client_secret);
            if let Some(redis) = &redis {
                command = command
                    .env("REDIS_URL", redis.url())
                    .env("ENCRYPTION_KEY", &encryption_key);
            }
            servers.push(command.spawn()?);
        }
        for server in &servers {
            server.wait_ready(START_LIMIT).await?;
        }

        // Each server has its own address here, so that each can be asked directly.
        let resources: Vec<_> = servers.iter().map(ServerProcess::mcp_url).collect();
        issuer.set_audience(resources.iter().map(String::as_str));
        let users = [("user_ada", "org_ada"), ("user_bob", "org_bob")];
        let tokens = users.map(|(subject, organization)| UserToken {
            token: token(&issuer, subject, organization, TOKEN_SECONDS),
            subject,
            organization,
        });
        let expired_token = token(&issuer, "user_ada", "org_ada", -3600);
        Ok(Self {
            issuer,
            api,
            redis,
            servers,
            tokens: tokens.into(),
            expired_token,
        })
    }

    /// The endpoint of the first server.
    pub(super) fn mcp_url(&self) -> String {
        self.servers
            .first()
            .map(ServerProcess::mcp_url)
            .unwrap_or_default()
    }

    /// Waits for the stop signal, or fails when a server ends before it.
    pub(super) async fn stay_up(
        &mut self,
        stopped: Pin<&mut impl Future<Output = anyhow::Result<()>>>,
    ) -> anyhow::Result<()> {
        let ends = self
            .servers
            .iter_mut()
            .map(|server| Box::pin(async { (server.pid(), server.wait(Duration::MAX).await) }));
        let (pid, ended) = tokio::select! {
            stop = stopped => return stop,
            (first, _, _) = futures::future::select_all(ends) => first,
        };
        bail!("server {pid} ended by itself: {}", ended?)
    }

    /// Everything the servers wrote.
    pub(super) fn server_output(&self) -> String {
        self.servers
            .iter()
            .map(ServerProcess::text)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Stops the servers as an operator would; the rest ends with it.
    pub(super) async fn stop(mut self) {
        for server in &self.servers {
            // One that has ended already is as good.
            let _ = server.terminate();
        }
        for server in &mut self.servers {
            if let Err(error) = server.wait(STOP_LIMIT).await {
                eprintln!("{error:#}");
            }
        }
    }
}

fn server(binary: &Path, port: u16, issuer: &Issuer, api: &Api) -> ServerCommand {
    ServerCommand::http(binary, port)
        .own_process_group()
        .env("OAUTH_ISSUER", issuer.url())
        .env("UPSTREAM_MODE", "exchange")
        .env("UPSTREAM_AUDIENCE", API)
        .env("UPSTREAM_CLIENT_ID", CLIENT)
        .env("BRAINGRID_API_URL", api.url())
}

fn token(issuer: &Issuer, subject: &str, organization: &str, seconds: i64) -> String {
    let email = format!("{subject}@example.com");
    let token = issuer.token().subject(subject).organization(organization);
    token.claim("email", email).expires_in(seconds).mint()
}
