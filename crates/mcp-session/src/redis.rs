//! [`RedisStore`]: the shared store on Redis, patient for milliseconds and never longer.
//!
//! Commands it sends: `GET`, `SET` with `PX`, `DEL`, `PING`, and for sessions to be forgotten
//! `PUBLISH` and `SUBSCRIBE`, on a connection of its own; for facts `EVAL`, `ZREM` and `ZSCAN`; to
//! connect, `AUTH` (or `HELLO`) and `SELECT` where the URL asks for them; with Sentinel also `SENTINEL GET-MASTER-ADDR-BY-NAME` and
//! `ROLE`; with Cluster also `CLUSTER SLOTS` and `ASKING`. All of them touch one key at most.
//!
//! Nothing connects before the first command. An answer longer than a record can be ends the
//! connection, whatever the server announces (but not with Cluster, whose connections redis-rs opens
//! itself). Every command has a deadline; a connection that
//! failed is replaced; after failures in a row the circuit opens and commands fail at once, while
//! a background probe waits for Redis to come back.

mod bounded;
mod channel;
mod config;
mod deployment;
mod facts;
mod lanes;
mod open;
mod sentinel;

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use mcp_outbound::{Backoff, CircuitBreaker, HalfOpen};
use redis::{Cmd, ErrorKind, FromRedisValue, RedisError, RetryMethod, ServerErrorKind, cmd};
use tracing::Instrument as _;

pub use self::config::{RedisConfig, RedisConfigError};
use self::{
    deployment::Connection,
    lanes::{Lanes, Slot},
};
use crate::{
    spans,
    store::{Heard, SharedStore, StoreError},
};

/// Sessions in Redis: one server, Sentinel, or Cluster. Cheap to clone.
#[derive(Clone)]
pub struct RedisStore {
    shared: Arc<Shared>,
}

struct Shared {
    lanes: Lanes,
    breaker: CircuitBreaker,
    config: RedisConfig,
}

impl RedisStore {
    /// Prepares the store; no I/O.
    ///
    /// # Errors
    /// [`RedisConfigError`] for a CA certificate that cannot be used.
    pub fn new(config: RedisConfig) -> Result<Self, RedisConfigError> {
        let lanes = Lanes::new(&config)?;
        let breaker = CircuitBreaker::new(config.failure_limit, HalfOpen::ByProbe);
        Ok(Self {
            shared: Arc::new(Shared {
                lanes,
                breaker,
                config,
            }),
        })
    }

    /// Whether Redis is left alone at the moment.
    pub fn is_circuit_open(&self) -> bool {
        self.shared.breaker.is_open()
    }

    /// The rule by which this Redis evicts when its memory is full, if it evicts: what facts must not
    /// meet. Nothing where its memory has no limit.
    ///
    /// # Errors
    /// When it cannot be asked; managed ones may not tell.
    pub async fn eviction(&self) -> Result<Option<String>, StoreError> {
        let mut command = cmd("INFO");
        command.arg("memory");
        let info: redis::InfoDict = self.run("INFO", &command).await?;
        let limit: Option<u64> = info.get("maxmemory");
        let policy: Option<String> = info.get("maxmemory_policy");
        Ok(policy.filter(|policy| limit != Some(0) && policy != "noeviction"))
    }

    /// Runs a command that may be sent twice.
    async fn run<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        self.run_at_most(name, command, 2).await
    }

    async fn run_once<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
    ) -> Result<T, StoreError> {
        self.run_at_most(name, command, 1).await
    }

    async fn run_at_most<T: FromRedisValue>(
        &self,
        name: &'static str,
        command: &Cmd,
        attempts: usize,
    ) -> Result<T, StoreError> {
        if self.shared.breaker.is_open() {
            return Err(StoreError::CircuitOpen);
        }
        let span = spans::redis(name);
        let result = self
            .shared
            .send(command, attempts)
            .instrument(span.clone())
            .await;
        if let Err(error) = &result {
            spans::failed(&span, error.kind());
        }
        match &result {
            Err(error) if counts_as_failure(error) => {
                if self.shared.breaker.failed(Instant::now()) {
                    tracing::warn!(%error, "redis circuit opened: carrying on without it");
                    tokio::spawn(probe(Arc::downgrade(&self.shared)));
                }
            }
            _ => self.shared.breaker.succeeded(),
        }
        result
    }
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisStore")
            .field("config", &self.shared.config)
            .field("circuit_open", &self.is_circuit_open())
            .finish()
    }
}

#[async_trait]
impl SharedStore for RedisStore {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.run("GET", cmd("GET").arg(key)).await
    }

    async fn put(&self, key: &str, value: Vec<u8>, ttl: Duration) -> Result<(), StoreError> {
        // Zero would be an error to Redis; an entry that is over need not be written.
        let Ok(millis @ 1..) = u64::try_from(ttl.as_millis()) else {
            return Ok(());
        };
        if value.len() > bounded::MAX_RECORD {
            return Err(StoreError::Unreachable("the record is too long to be kept"));
        }
        let mut command = cmd("SET");
        command.arg(key).arg(value).arg("PX").arg(millis);
        self.run("SET", &command).await
    }

    async fn delete(&self, key: &str) -> Result<(), StoreError> {
        self.run("DEL", cmd("DEL").arg(key)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run("PING", &cmd("PING")).await
    }

    async fn publish(&self, channel: &'static str, message: Vec<u8>) -> Result<(), StoreError> {
        let mut command = cmd("PUBLISH");
        command.arg(channel).arg(message);
        self.run("PUBLISH", &command).await
    }

    fn listen(&self, channel: &'static str) -> BoxStream<'static, Heard> {
        channel::subscribe(Arc::downgrade(&self.shared), channel)
    }
}

impl Shared {
    /// Sends a command, on a fresh connection once more when the first one turned out to be dead
    /// or led to a server that is no longer the master, if it may be sent twice.
    async fn send<T: FromRedisValue>(
        &self,
        command: &Cmd,
        attempts: usize,
    ) -> Result<T, StoreError> {
        // The same slot both times: the other connections are probably as dead as this one.
        let slot = self
            .lanes
            .slot()
            .ok_or(StoreError::Unreachable("no lanes"))?;
        let result = match self.attempt(slot, command).await {
            Err(Failure { retry: true, .. }) if attempts > 1 => self.attempt(slot, command).await,
            result => result,
        };
        result.map_err(|failure| failure.error)
    }

    async fn attempt<T: FromRedisValue>(
        &self,
        slot: &Arc<Slot>,
        command: &Cmd,
    ) -> Result<T, Failure> {
        let open = slot.connection().await?;
        let mut connection = Connection::clone(&open);
        // Cluster retries inside one command; its own limit is twice the timeout.
        let limit = self.config.command_timeout * 2;
        let result = tokio::time::timeout(limit, connection.query(command)).await;
        let failure = match result {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => Failure::from(&error),
            Err(_) => Failure {
                error: StoreError::Timeout,
                retry: false,
                reconnect: true,
            },
        };
        if failure.reconnect {
            slot.discard(open);
        }
        Err(failure)
    }
}

/// What an attempt that failed means for the connection and for a second attempt.
struct Failure {
    error: StoreError,
    reconnect: bool,
    retry: bool,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self {
            error,
            reconnect: false,
            retry: false,
        }
    }
}

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        if error.is_timeout() {
            return Self {
                error: StoreError::Timeout,
                reconnect: true,
                retry: false,
            };
        }
        // A master that became a replica stays one: only a new connection finds the new master.
        let demoted = error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly);
        let dead = matches!(
            error.retry_method(),
            RetryMethod::Reconnect | RetryMethod::ReconnectFromInitialConnections
        );
        let what = match error.code() {
            Some(code) => StoreError::refused(code),
            None => StoreError::Unreachable("the connection broke"),
        };
        Self {
            error: what,
            reconnect: demoted || dead,
            retry: demoted || dead,
        }
    }
}

/// A server that answers `OOM` or `NOPERM` is there: only what keeps every command from working
/// counts towards the circuit.
fn counts_as_failure(error: &StoreError) -> bool {
    const AWAY: &[&str] = &[
        "LOADING",
        "MASTERDOWN",
        "CLUSTERDOWN",
        "TRYAGAIN",
        "READONLY",
        "NOAUTH",
        "WRONGPASS",
        "MOVED",
    ];
    match error {
        StoreError::Refused(code) => AWAY.contains(&code.as_str()),
        StoreError::Unreachable(_) | StoreError::Timeout => true,
        StoreError::CircuitOpen | StoreError::Full => false,
    }
}

/// Asks Redis now and then whether it is back, and closes the circuit when it is.
async fn probe(shared: Weak<Shared>) {
    let Some(mut backoff) = shared.upgrade().map(|shared| shared.backoff()) else {
        return;
    };
    loop {
        tokio::time::sleep(backoff.next().unwrap_or_default()).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        if shared.send::<()>(&cmd("PING"), 2).await.is_ok() {
            shared.breaker.close();
            tracing::info!("redis answers again: circuit closed");
            return;
        }
    }
}

impl Shared {
    fn backoff(&self) -> Backoff {
        Backoff::new(self.config.pause, self.config.max_pause)
    }
}
