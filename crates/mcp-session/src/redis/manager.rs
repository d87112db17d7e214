//! Makes connections, for the pool: to one server, to the master that Sentinel names, or to a
//! cluster. `deadpool-redis` has managers for these too, but Sentinel and Cluster without timeouts
//! and without a private CA.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, Value,
    aio::{MultiplexedConnection, PubSub},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cmd,
};

use super::config::{RedisConfig, RedisConfigError, Topology};

/// A way to Redis. Clones of its connection share one socket and any number of commands.
pub(super) struct Lane {
    pub(super) id: u64,
    pub(super) connection: Connection,
    /// Set after an error that the connection does not survive; the pool then drops it.
    pub(super) broken: AtomicBool,
}

#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Server(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

/// Opens lanes.
pub(super) struct LaneManager {
    target: Target,
    timeouts: AsyncConnectionConfig,
    next_id: AtomicU64,
}

enum Target {
    Server(Client),
    Sentinel(Sentinel),
    Cluster {
        client: Box<ClusterClient>,
        /// What is published on one node is heard on all.
        nodes: Vec<Client>,
    },
}

impl LaneManager {
    /// Checks the configuration; no I/O.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisConfigError> {
        let certificates = certificates(config)?;
        let target = match &config.topology {
            Topology::Single(server) => Target::Server(client(server, certificates.as_ref())?),
            Topology::Sentinel {
                sentinels,
                service,
                node,
            } => Target::Sentinel(Sentinel::new(
                sentinels,
                service.clone(),
                node.clone(),
                certificates,
            )?),
            Topology::Cluster(nodes) => {
                let clients = nodes.iter().map(|node| client(node, certificates.as_ref()));
                Target::Cluster {
                    nodes: clients.collect::<Result<_, _>>()?,
                    client: Box::new(cluster_client(nodes, certificates, config)?),
                }
            }
        };
        let timeouts = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.command_timeout));
        Ok(Self {
            target,
            timeouts,
            next_id: AtomicU64::new(0),
        })
    }

    /// How many connections in a row an opening may take, for its deadline.
    pub(super) fn steps(&self) -> u32 {
        match &self.target {
            Target::Server(_) => 1,
            // Each Sentinel may have to be found dead, then the master is called.
            Target::Sentinel(sentinel) => u32::try_from(sentinel.clients.len()).unwrap_or(1) + 1,
            Target::Cluster { .. } => 2,
        }
    }

    /// A connection that listens. Without timeouts of its own.
    pub(super) async fn pubsub(&self) -> RedisResult<PubSub> {
        match &self.target {
            Target::Server(client) => client.get_async_pubsub().await,
            Target::Sentinel(sentinel) => sentinel.pubsub(&self.timeouts).await,
            Target::Cluster { nodes, .. } => {
                let mut result = Err(unreachable_master());
                for node in nodes {
                    result = node.get_async_pubsub().await;
                    if result.is_ok() {
                        break;
                    }
                }
                result
            }
        }
    }
}

impl managed::Manager for LaneManager {
    type Type = Lane;
    type Error = RedisError;

    async fn create(&self) -> Result<Lane, RedisError> {
        let connection = match &self.target {
            Target::Server(client) => Connection::Server(connect(client, &self.timeouts).await?),
            Target::Sentinel(sentinel) => {
                Connection::Server(sentinel.connect(&self.timeouts).await?)
            }
            Target::Cluster { client, .. } => {
                Connection::Cluster(client.get_async_connection().await?)
            }
        };
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        Ok(Lane {
            id,
            connection,
            broken: AtomicBool::new(false),
        })
    }

    /// No PING: a lane comes back only when it is broken or no longer needed.
    async fn recycle(&self, lane: &mut Lane, _: &Metrics) -> RecycleResult<RedisError> {
        if lane.broken.load(Ordering::Acquire) {
            return Err(RecycleError::message("broken"));
        }
        Ok(())
    }
}

/// The private CA. An empty list of certificates would trust nobody, and only show later.
fn certificates(config: &RedisConfig) -> Result<Option<TlsCertificates>, RedisConfigError> {
    let Some(pem) = config.ca_pem.clone() else {
        return Ok(None);
    };
    if !config.is_tls() {
        return Err(RedisConfigError::CaWithoutTls);
    }
    if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
        return Err(RedisConfigError::Ca);
    }
    Ok(Some(TlsCertificates {
        client_tls: None,
        root_cert: Some(pem),
    }))
}

fn client(
    server: &ConnectionInfo,
    certificates: Option<&TlsCertificates>,
) -> Result<Client, RedisConfigError> {
    match certificates {
        Some(certificates) => Client::build_with_tls(server.clone(), certificates.clone())
            .map_err(|_| RedisConfigError::Ca),
        None => Client::open(server.clone()).map_err(|_| RedisConfigError::Url),
    }
}

fn cluster_client(
    nodes: &[ConnectionInfo],
    certificates: Option<TlsCertificates>,
    config: &RedisConfig,
) -> Result<ClusterClient, RedisConfigError> {
    // One retry follows a MOVED or finds the new master; the rest is for the circuit breaker.
    let mut builder = ClusterClient::builder(nodes.to_vec())
        .connection_timeout(config.connect_timeout)
        .response_timeout(config.command_timeout)
        .overall_response_timeout(Some(config.command_timeout * 2))
        .retries(2)
        .min_retry_wait(10)
        .max_retry_wait(50);
    if let Some(certificates) = certificates {
        builder = builder.certs(certificates);
    }
    builder.build().map_err(|_| RedisConfigError::Ca)
}

async fn connect(
    client: &Client,
    timeouts: &AsyncConnectionConfig,
) -> RedisResult<MultiplexedConnection> {
    client
        .get_multiplexed_async_connection_with_config(timeouts)
        .await
}

/// Asks Sentinels where the master of a service is.
struct Sentinel {
    clients: Vec<Client>,
    service: String,
    node: RedisConnectionInfo,
    tls: bool,
    certificates: Option<TlsCertificates>,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
}

impl Sentinel {
    fn new(
        sentinels: &[ConnectionInfo],
        service: String,
        node: RedisConnectionInfo,
        certificates: Option<TlsCertificates>,
    ) -> Result<Self, RedisConfigError> {
        let clients: Result<Vec<_>, _> = sentinels
            .iter()
            .map(|server| client(server, certificates.as_ref()))
            .collect();
        let tls = sentinels
            .iter()
            .any(|server| matches!(server.addr(), ConnectionAddr::TcpTls { .. }));
        let preferred = AtomicUsize::new(0);
        Ok(Self {
            clients: clients?,
            service,
            node,
            tls,
            certificates,
            preferred,
        })
    }

    async fn connect(
        &self,
        timeouts: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let mut last_error = unreachable_master();
        let first = self.preferred.load(Ordering::Relaxed);
        for (at, sentinel) in self.in_order_from(first) {
            match self.master_by(sentinel, timeouts).await {
                Ok(connection) => {
                    self.preferred.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    fn in_order_from(&self, first: usize) -> impl Iterator<Item = (usize, &Client)> {
        let clients = self.clients.iter().enumerate();
        clients.cycle().skip(first).take(self.clients.len())
    }

    async fn master_by(
        &self,
        sentinel: &Client,
        timeouts: &AsyncConnectionConfig,
    ) -> RedisResult<MultiplexedConnection> {
        let mut server = connect(&self.named_by(sentinel, timeouts).await?, timeouts).await?;
        // During a failover a Sentinel may still name the old master.
        let role: Vec<Value> = cmd("ROLE").query_async(&mut server).await?;
        match role.first() {
            Some(Value::BulkString(role)) if role == b"master" => Ok(server),
            _ => Err(unreachable_master()),
        }
    }

    /// Without a look at its role: a replica hears everything too.
    async fn pubsub(&self, timeouts: &AsyncConnectionConfig) -> RedisResult<PubSub> {
        let mut last_error = unreachable_master();
        for sentinel in &self.clients {
            match self.named_by(sentinel, timeouts).await {
                Ok(server) => return server.get_async_pubsub().await,
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// The master, as a Sentinel names it.
    async fn named_by(
        &self,
        sentinel: &Client,
        timeouts: &AsyncConnectionConfig,
    ) -> RedisResult<Client> {
        let mut sentinel = connect(sentinel, timeouts).await?;
        let (host, port): (String, u16) = cmd("SENTINEL")
            .arg("GET-MASTER-ADDR-BY-NAME")
            .arg(&self.service)
            .query_async(&mut sentinel)
            .await?;
        self.server_at(host, port)
    }

    fn server_at(&self, host: String, port: u16) -> RedisResult<Client> {
        let addr = if self.tls {
            ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let server = deadpool_redis::redis::IntoConnectionInfo::into_connection_info(addr)?
            .set_redis_settings(self.node.clone());
        match &self.certificates {
            Some(certificates) => Client::build_with_tls(server, certificates.clone()),
            None => Client::open(server),
        }
    }
}

fn unreachable_master() -> RedisError {
    RedisError::from(io::Error::new(io::ErrorKind::NotConnected, "no master"))
}

/// The deadline of an opening: every step may use its connect timeout and one command.
pub(super) fn opening_deadline(config: &RedisConfig, steps: u32) -> Duration {
    (config.connect_timeout + config.command_timeout).saturating_mul(steps)
}
