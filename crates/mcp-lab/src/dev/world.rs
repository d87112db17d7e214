//! Everything `dev` starts, in order: stand-ins, Redis, servers, logins.

use std::{future::Future, net::TcpListener, path::PathBuf, pin::Pin, time::Duration};

use anyhow::{Context, bail};
use mcp_test_support::{Api, RedisServer, ServerCommand, ServerProcess, free_port};

use super::{
    Options,
    folder::Folder,
    identity::{Identity, UserToken},
};

const START_LIMIT: Duration = Duration::from_secs(20);
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// Where the first free port is looked for.
const PORTS: std::ops::Range<u16> = 8080..8180;

/// What is running.
pub(super) struct World {
    pub(super) identity: Identity,
    pub(super) api: Api,
    pub(super) redis: Option<RedisServer>,
    pub(super) servers: Vec<ServerProcess>,
    pub(super) logs: Vec<PathBuf>,
    pub(super) tokens: Vec<UserToken>,
    /// The first of the tokens.
    pub(super) token_file: PathBuf,
    /// Kept as long as the servers.
    _folder: Folder,
}

impl World {
    pub(super) async fn start(options: &Options) -> anyhow::Result<Self> {
        let api = Api::start()
            .await
            .context("cannot start the stand-in API")?;
        let redis = if options.redis {
            Some(RedisServer::start().await?)
        } else {
            None
        };
        let port = first_port(options.port)?;
        let folder = Folder::new(options.state.as_deref(), port)?;
        let public_url = format!("http://127.0.0.1:{port}");
        let identity = if options.exchange {
            Identity::exchange().await?
        } else {
            Identity::login(&public_url, &api).await?
        };

        let (mut servers, mut logs) = (Vec::new(), Vec::new());
        let encryption_key = folder.encryption_key()?;
        for number in 1..=usize::from(options.replicas) {
            let port = if number == 1 { port } else { free_port()? };
            let mut command = ServerCommand::http(&options.server, port)
                .own_process_group()
                .env("BRAINGRID_API_URL", api.url())
                .env("ENCRYPTION_KEY", &encryption_key);
            if let Identity::Login(_) = identity {
                // As behind a load balancer: one address, where people log in.
                command = command.env("MCP_HOST", &public_url);
            }
            if let Some(redis) = &redis {
                command = command.env("REDIS_URL", redis.url());
            }
            let server = identity.tell(command, folder.path())?.spawn()?;
            logs.push(folder.keep_log(&server, number)?);
            servers.push(server);
        }
        for server in &servers {
            server.wait_ready(START_LIMIT).await?;
        }

        let tokens = match identity.tokens(&servers).await {
            Ok(tokens) => tokens,
            Err(error) => {
                let said: Vec<_> = servers.iter().map(ServerProcess::text).collect();
                return Err(error.context(format!("what the servers wrote:\n{}", said.join("\n"))));
            }
        };
        let first = tokens.first().context("no token")?;
        let token_file = folder.keep_token(&first.token)?;
        Ok(Self {
            identity,
            api,
            redis,
            servers,
            logs,
            tokens,
            token_file,
            _folder: folder,
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

/// The port that was asked for; else the first that is free, so that a client's set-up stays good.
fn first_port(asked: Option<u16>) -> anyhow::Result<u16> {
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    match asked {
        Some(0) => Ok(free_port()?),
        Some(port) => Ok(port),
        None => match PORTS.clone().find(is_free) {
            Some(port) => Ok(port),
            None => Ok(free_port()?),
        },
    }
}
