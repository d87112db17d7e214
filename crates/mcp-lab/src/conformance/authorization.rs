//! The suite's scenarios for authorization servers, against the one that the server has. There the suite is
//! the client, which introduces itself by a document or by registering, and a browser of ours is its user's.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context as _, bail};
use mcp_lab::dev_login;
use mcp_test_support::{
    Api, ServerCommand, free_port,
    http::{HttpServer, json as answer, listen},
    http_client, random_hex,
};
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::sleep,
};

use super::{
    Listed, Options, REVISIONS, START_LIMIT, STOP_LIMIT, SUITE_LIMIT, Target,
    report::{Outcome, Scenarios},
    report_folder,
    suite::{self, Set},
};

/// This server's name at the provider.
const CLIENT: &str = "conformance";
const NAME: &str = "The conformance suite";

/// When a browser tries again to reach somebody who does not listen yet.
const SOON: Duration = Duration::from_millis(20);

/// Both sets; each with another kind of client.
pub(super) async fn check(options: &Options, api: &Api) -> anyhow::Result<Vec<Outcome>> {
    let listed = Listed::read(options, Target::Authorization)?;
    let port = free_port()?;
    let public_url = format!("http://127.0.0.1:{port}");
    let mcp_url = format!("{public_url}/mcp");
    let provider = dev_login::provider(&public_url, CLIENT).await?;
    let folder = TempDir::new()?;
    let settings = folder.path().join("settings.toml");
    std::fs::write(&settings, dev_login::settings(&provider, CLIENT))?;
    let server = ServerCommand::http(&options.server, port)
        .env("MCP_HOST", &public_url)
        .env("ENCRYPTION_KEY", random_hex(32))
        .env("BRAINGRID_API_URL", api.url())
        .arg("--config")
        .arg(&settings);
    let mut server = server.own_process_group().spawn()?;
    server.wait_ready(START_LIMIT).await?;

    let http = http_client();
    let found = dev_login::Server::found(&http, &mcp_url).await?;
    let (document, _host) = document().await?;
    let mut outcomes = Vec::new();
    for revision in REVISIONS {
        let client_id = match revision {
            "2025-11-25" => found.register(&http, NAME).await?,
            _ => document.clone(),
        };
        let run = Run {
            set: Set {
                options,
                target: Target::Authorization,
                revision,
                listed: &listed,
            },
            issuer: &found.issuer,
            resource: &mcp_url,
            client_id: &client_id,
        };
        outcomes.push(run.outcome().await?);
    }
    let log = report_folder(options, Target::Authorization).join("server.log");
    std::fs::write(log, server.text())?;
    server.stop(STOP_LIMIT).await?;
    listed.check(options, &outcomes)?;
    Ok(outcomes)
}

/// The suite as a client with a document: its address, and what serves it.
async fn document() -> anyhow::Result<(String, HttpServer)> {
    let (listener, port) = listen(0).await?;
    let id = format!("http://127.0.0.1:{port}/client.json");
    let document = json!({
        "client_id": id,
        "client_name": NAME,
        // Of a program on the user's machine: it takes any port.
        "redirect_uris": ["http://127.0.0.1/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    });
    let host = HttpServer::start(listener, move |_| {
        let answer = answer(StatusCode::OK, &document);
        async move { Ok(answer) }
    });
    Ok((id, host))
}

/// One set, with one client.
struct Run<'a> {
    set: Set<'a>,
    issuer: &'a str,
    resource: &'a str,
    client_id: &'a str,
}

impl Run<'_> {
    async fn outcome(&self) -> anyhow::Result<Outcome> {
        let folder = self.set.folder()?;
        let ended = tokio::time::timeout(SUITE_LIMIT, self.run(&folder)).await;
        let (success, log) =
            ended.with_context(|| format!("the suite still runs after {SUITE_LIMIT:?}"))??;
        let all = self.scenarios().await?;
        let mut outcome = self.set.outcome(&folder, success, &log, &all)?;
        // It skips what it thinks that it cannot do, and is content.
        outcome.success &= outcome.skipped == 0;
        Ok(outcome)
    }

    /// What it said, and whether it was content.
    async fn run(&self, folder: &Path) -> anyhow::Result<(bool, String)> {
        let port = free_port()?;
        let mut program = suite::program(self.set.options);
        program
            .args(["authorization", "--url", self.issuer])
            .args(["--resource", self.resource])
            .args(["--client-id", self.client_id])
            .args(["--port", &port.to_string()])
            .args(["--spec-version", self.set.revision])
            .arg("--output-dir")
            .arg(folder)
            .stdout(Stdio::piped());
        let mut suite = program.spawn().context("cannot start the suite")?;
        let said = suite.stdout.take().context("it says nothing")?;
        let (mut said, mut log) = (BufReader::new(said).lines(), String::new());
        let link = format!("{}/authorize?", self.issuer);
        while let Some(line) = said.next_line().await? {
            if line.starts_with(&link) {
                self.log_in(&line, port).await?;
            }
            log += &line;
            log.push('\n');
        }
        Ok((suite.wait().await?.success(), log))
    }

    /// What the suite asks of whoever sits in front of it.
    async fn log_in(&self, link: &str, port: u16) -> anyhow::Result<()> {
        let http = http_client();
        let redirect_uri = format!("http://127.0.0.1:{port}/callback");
        let (back, _) = dev_login::press(&http, link.parse()?, &redirect_uri, &["Allow"]).await?;
        // The link is printed before anybody listens for what comes back; the limit for the suite ends it.
        let answer = loop {
            match http.get(back.clone()).send().await {
                Err(error) if error.is_connect() => sleep(SOON).await,
                answer => break answer?,
            }
        };
        answer.error_for_status()?;
        Ok(())
    }

    /// Those that the suite has for this revision.
    async fn scenarios(&self) -> anyhow::Result<Scenarios> {
        let mut program = suite::program(self.set.options);
        program.args([
            "list",
            "--authorization",
            "--spec-version",
            self.set.revision,
        ]);
        let listed = program.output().await?;
        let scenarios = Scenarios::listed(&String::from_utf8_lossy(&listed.stdout));
        if scenarios.is_empty() {
            bail!("the suite has no scenarios for authorization servers");
        }
        Ok(scenarios)
    }
}
