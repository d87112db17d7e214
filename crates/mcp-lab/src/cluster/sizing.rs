//! What kinds of calls cost in commands of the store.

use std::time::Duration;

use mcp_test_support::client::{Generation, RawRequest};
use serde_json::{Value, json};

use super::{report::Kind, world::World};
use crate::chaos::fleet::INSTANCES;

/// Of most kinds.
const CALLS: usize = 60;
/// Of one user: enough to be counted against a limit.
const OF_ONE: usize = 300;
/// What is written off the path of calls is written by then.
const SETTLED: Duration = Duration::from_millis(700);
/// So often it is waited until nothing was sent for that long.
const QUIET: usize = 20;
/// Users from here on were never seen. Each calls once.
const NEW: usize = 5_000_000;

impl World {
    /// Makes some calls of each kind while nobody else calls.
    pub(super) async fn count_commands(&mut self) -> anyhow::Result<()> {
        self.say("counting commands");
        let known: Vec<_> = (0..CALLS).map(|user| self.tokens.of(NEW + user)).collect();
        self.all(&known, 0).await;
        self.count("a read with a known token", CALLS, async |world| {
            world.all(&known, 0).await;
            Ok(())
        })
        .await?;
        self.count("a new token", CALLS, async |world| {
            let new = (0..CALLS).map(|user| world.tokens.of(NEW + CALLS + user));
            world.all(&new.collect::<Vec<_>>(), 0).await;
            Ok(())
        })
        .await?;
        self.count("the same token at another instance", CALLS, async |world| {
            world.all(&known, 1).await;
            Ok(())
        })
        .await?;
        self.count("reads of one user", OF_ONE, async |world| {
            for number in 0..OF_ONE {
                world.call(number % 2, &known[0]).await;
            }
            Ok(())
        })
        .await?;
        self.count("a write", CALLS, async |world| {
            for (number, token) in known.iter().enumerate() {
                world.write(token, number, json!({})).send().await?;
            }
            Ok(())
        })
        .await?;
        self.count("a task, from its begin to its end", CALLS, async |world| {
            for (number, token) in known.iter().enumerate() {
                let meta = json!({ "io.modelcontextprotocol/clientCapabilities": {
                    "extensions": { "io.modelcontextprotocol/tasks": {} }
                } });
                world.write(token, CALLS + number, meta).send().await?;
            }
            // Nobody asks for it, so its work is over when the API did it.
            world.performed(2 * CALLS).await;
            Ok(())
        })
        .await?;
        self.count("sign out, suspend", CALLS, async |world| {
            for user in 0..CALLS {
                let path = if user % 2 == 0 { "revoke" } else { "suspend" };
                let subject = format!("nobody-{user}");
                let body = json!({ "whom": { "kind": "user", "subject": subject } });
                world.operators.say(user % INSTANCES, path, &body).await?;
            }
            Ok(())
        })
        .await
    }

    /// Counts once what was written before is written.
    async fn count(
        &mut self,
        name: &'static str,
        calls: usize,
        make: impl AsyncFn(&Self) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for _ in 0..QUIET {
            tokio::time::sleep(SETTLED).await;
            if self.cluster.commands().await?.is_empty() {
                break;
            }
        }
        make(self).await?;
        tokio::time::sleep(SETTLED).await;
        let commands = self.cluster.commands().await?;
        self.report.kinds.push(Kind {
            name,
            calls,
            commands,
        });
        Ok(())
    }

    async fn all(&self, tokens: &[String], instance: usize) {
        for token in tokens {
            self.callers
                .call_of_neighbour(instance, token, "a user")
                .await;
        }
    }

    fn write(&self, token: &str, number: usize, meta: Value) -> RawRequest {
        let message = format!("Let shoppers pay by invoice number {number}.");
        let idea = json!({ "message": message, "project_id": "PROJ-1" });
        let params = json!({ "name": "create_requirement", "arguments": idea, "_meta": meta });
        let client = self.fleet.direct(0);
        client
            .request(Generation::Modern, "tools/call", params)
            .bearer(token)
    }
}
