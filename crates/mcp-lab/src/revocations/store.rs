//! The Redis that instances share, and what each of them may do there.

use anyhow::{Context, bail};
use mcp_test_support::{RedisServer, resp::Reply};

/// What is taken from an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Channels: it neither hears of anything nor tells it. Everything else works.
    News,
    /// All of it.
    Everything,
}

/// A Redis with a user for each instance.
pub(super) struct Store {
    redis: RedisServer,
}

impl Store {
    pub(super) async fn start(instances: usize) -> anyhow::Result<Self> {
        let store = Self {
            redis: RedisServer::start().await?,
        };
        for instance in 0..instances {
            store.give_back(instance).await?;
        }
        Ok(store)
    }

    /// The address for `REDIS_URL` of an instance.
    pub(super) fn url(&self, instance: usize) -> String {
        let (user, port) = (user(instance), self.redis.port());
        format!("redis://{user}:secret@127.0.0.1:{port}")
    }

    /// Its connections break with it.
    pub(super) async fn cut(&self, instance: usize, cut: Cut) -> anyhow::Result<()> {
        let user = user(instance);
        match cut {
            // Whoever is subscribed and may be no longer is disconnected.
            Cut::News => self.tell(&["ACL", "SETUSER", &user, "resetchannels"]).await,
            Cut::Everything => {
                self.tell(&["ACL", "SETUSER", &user, "off"]).await?;
                self.tell(&["CLIENT", "KILL", "USER", &user]).await
            }
        }
    }

    /// All that an instance needs.
    pub(super) async fn give_back(&self, instance: usize) -> anyhow::Result<()> {
        let user = user(instance);
        let all = ["on", ">secret", "~mcp:*", "&mcp:*", "+@all"];
        let command = [&["ACL", "SETUSER", &user], &all[..]].concat();
        self.tell(&command).await
    }

    /// Loses everything it has, and goes on.
    pub(super) async fn empty(&self) -> anyhow::Result<()> {
        self.redis.flush().await
    }

    /// Closes the connections of all who listen.
    pub(super) async fn break_subscriptions(&self) -> anyhow::Result<()> {
        self.tell(&["CLIENT", "KILL", "TYPE", "pubsub"]).await
    }

    /// How many denials it has.
    pub(super) async fn denials(&self) -> anyhow::Result<usize> {
        let keys = self.redis.command(&["KEYS", "mcp:denials:v1:*"]).await?;
        let mut count = 0;
        for key in keys.into_list() {
            let key = key.into_text();
            if let Reply::Integer(members) = self.redis.command(&["ZCARD", &key]).await? {
                count += usize::try_from(members)?;
            }
        }
        Ok(count)
    }

    /// Commands since the last look.
    pub(super) async fn commands(&self) -> anyhow::Result<u64> {
        let commands = self.redis.commandstats().await?;
        self.redis.reset_stats().await?;
        Ok(commands.values().sum())
    }

    async fn tell(&self, command: &[&str]) -> anyhow::Result<()> {
        let told = self.redis.command(command).await;
        match told.with_context(|| format!("Redis does not answer {command:?}"))? {
            Reply::Error(error) => bail!("Redis refused {command:?}: {error}"),
            _ => Ok(()),
        }
    }
}

fn user(instance: usize) -> String {
    format!("instance-{instance}")
}
