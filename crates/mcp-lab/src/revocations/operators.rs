//! The listeners for operators, and a token for them.

use std::path::{Path, PathBuf};

use anyhow::ensure;
use mcp_test_support::{Exposition, ServerCommand, free_port, http_client, random_hex};
use serde_json::Value;

/// Who may change everything, on each instance.
pub(crate) struct Operators {
    client: reqwest::Client,
    ports: Vec<u16>,
    file: PathBuf,
    token: String,
}

impl Operators {
    /// Of so many instances; their tokens are in a file there.
    pub(crate) fn new(folder: &Path, instances: usize) -> anyhow::Result<Self> {
        let (file, token) = (folder.join("operators"), random_hex(32));
        std::fs::write(&file, format!("lab write {token}\n"))?;
        let ports = (0..instances).map(|_| free_port());
        Ok(Self {
            client: http_client(),
            ports: ports.collect::<Result<_, _>>()?,
            file,
            token,
        })
    }

    /// What an instance is told of them.
    pub(crate) fn known_to(&self, instance: usize, command: ServerCommand) -> ServerCommand {
        let bind = format!("127.0.0.1:{}", self.ports[instance]);
        let command = command.env("ADMIN_BIND", bind);
        command.env("ADMIN_TOKENS_FILE", &self.file)
    }

    /// Has an instance do something.
    pub(crate) async fn say(
        &self,
        instance: usize,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<()> {
        let url = format!("{}/admin/v1/{path}", self.url(instance));
        let request = self.client.post(url).bearer_auth(&self.token).json(body);
        let answer = request.send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "{status}: {}", answer.text().await?);
        Ok(())
    }

    /// How many denials an instance knows.
    pub(crate) async fn known(&self, instance: usize) -> anyhow::Result<usize> {
        let url = format!("{}/metrics", self.url(instance));
        let text = self.client.get(url).send().await?.text().await?;
        let known = Exposition::parse(&text)?.sum("mcp_server_denials", &[]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        Ok(known as usize)
    }

    fn url(&self, instance: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[instance])
    }
}
