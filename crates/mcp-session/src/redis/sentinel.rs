//! Asks Sentinels where the master is, one after the other, and calls it.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
};

use redis::{
    ConnectionAddr, IntoConnectionInfo as _, RedisConnectionInfo, RedisError, RedisResult, Value,
    aio::PubSub, cmd,
};

use super::open::{Opener, Server};

/// Asks Sentinels where the master of a service is.
pub(super) struct Sentinel {
    sentinels: Vec<Opener>,
    service: String,
    node: RedisConnectionInfo,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
}

impl Sentinel {
    pub(super) fn new(sentinels: Vec<Opener>, service: String, node: RedisConnectionInfo) -> Self {
        Self {
            sentinels,
            service,
            node,
            preferred: AtomicUsize::new(0),
        }
    }

    /// How many Sentinels there are to ask.
    pub(super) fn count(&self) -> usize {
        self.sentinels.len()
    }

    /// A connection to the master.
    pub(super) async fn connect(&self) -> RedisResult<Server> {
        let mut last_error = unreachable_master();
        let first = self.preferred.load(Ordering::Relaxed);
        for (at, sentinel) in self.in_order_from(first) {
            match self.master_by(sentinel).await {
                Ok(connection) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    fn in_order_from(&self, first: usize) -> impl Iterator<Item = (usize, &Opener)> {
        let sentinels = self.sentinels.iter().enumerate();
        sentinels.cycle().skip(first).take(self.sentinels.len())
    }

    async fn master_by(&self, sentinel: &Opener) -> RedisResult<Server> {
        let mut server = self.named_by(sentinel).await?.connect().await?;
        // During a failover a Sentinel may still name the old master.
        let role: Vec<Value> = server.query(&cmd("ROLE")).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(server),
            _ => Err(unreachable_master()),
        }
    }

    /// Without a look at its role: a replica hears everything too.
    pub(super) async fn pubsub(&self) -> RedisResult<PubSub> {
        let mut last_error = unreachable_master();
        for sentinel in &self.sentinels {
            match self.named_by(sentinel).await {
                Ok(server) => return server.pubsub().await,
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// The master, as a Sentinel names it.
    async fn named_by(&self, sentinel: &Opener) -> RedisResult<Opener> {
        let mut command = cmd("SENTINEL");
        command.arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let (host, port): (String, u16) = sentinel.connect().await?.query(&command).await?;
        let tls = matches!(sentinel.info().addr(), ConnectionAddr::TcpTls { .. });
        let addr = if tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let server = addr.into_connection_info()?;
        Ok(sentinel.to(server.set_redis_settings(self.node.clone())))
    }
}

pub(super) fn unreachable_master() -> RedisError {
    RedisError::from(io::Error::new(io::ErrorKind::NotConnected, "no master"))
}
