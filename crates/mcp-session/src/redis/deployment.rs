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
    Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, RedisConnectionInfo, RedisError,
    RedisResult, TlsCertificates, Value, aio::PubSub, cluster::ClusterClient,
    cluster_async::ClusterConnection, cmd,
};

use super::{
    config::{RedisConfig, RedisConfigError, Topology},
    open::{self, Opener, Server},
};

/// A way to Redis. Clones of its connection share one socket and any number of commands.
pub(super) struct Lane {
    pub(super) id: u64,
    pub(super) connection: Connection,
    /// Set after an error that the connection does not survive; the pool then drops it.
    pub(super) broken: AtomicBool,
}

#[derive(Clone)]
pub(super) enum Connection {
    Server(Server),
    /// redis-rs opens these itself: their answers are not measured.
    Cluster(ClusterConnection),
}

impl Connection {
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Server(server) => server.query(command).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }
}

/// Opens lanes.
pub(super) struct LaneManager {
    target: Target,
    next_id: AtomicU64,
}

enum Target {
    Server(Box<Opener>),
    Sentinel(Sentinel),
    Cluster {
        client: Box<ClusterClient>,
        /// What is published on one node is heard on all.
        nodes: Vec<Opener>,
    },
}

impl LaneManager {
    /// Checks the configuration; no I/O.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisConfigError> {
        let tls = open::tls(config)?;
        let opener = |server: &ConnectionInfo| Opener::new(server.clone(), tls.as_ref(), config);
        let target = match &config.topology {
            Topology::Single(server) => Target::Server(Box::new(opener(server))),
            Topology::Sentinel {
                sentinels,
                service,
                node,
            } => Target::Sentinel(Sentinel {
                sentinels: sentinels.iter().map(opener).collect(),
                service: service.clone(),
                node: node.clone(),
                preferred: AtomicUsize::new(0),
            }),
            Topology::Cluster(nodes) => {
                let certificates = config.ca_pem.clone().map(|pem| TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem),
                });
                Target::Cluster {
                    nodes: nodes.iter().map(opener).collect(),
                    client: Box::new(cluster_client(nodes, certificates, config)?),
                }
            }
        };
        Ok(Self {
            target,
            next_id: AtomicU64::new(0),
        })
    }

    /// How many connections in a row an opening may take, for its timeout.
    pub(super) fn steps(&self) -> u32 {
        match &self.target {
            Target::Server(_) => 1,
            // Each Sentinel may have to be found dead, then the master is called.
            Target::Sentinel(sentinel) => u32::try_from(sentinel.sentinels.len()).unwrap_or(1) + 1,
            Target::Cluster { .. } => 2,
        }
    }

    /// A connection that listens. Without timeouts of its own.
    pub(super) async fn pubsub(&self) -> RedisResult<PubSub> {
        match &self.target {
            Target::Server(server) => server.pubsub().await,
            Target::Sentinel(sentinel) => sentinel.pubsub().await,
            Target::Cluster { nodes, .. } => {
                let mut result = Err(unreachable_master());
                for node in nodes {
                    result = node.pubsub().await;
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
            Target::Server(server) => Connection::Server(server.connect().await?),
            Target::Sentinel(sentinel) => Connection::Server(sentinel.connect().await?),
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

/// Asks Sentinels where the master of a service is.
struct Sentinel {
    sentinels: Vec<Opener>,
    service: String,
    node: RedisConnectionInfo,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
}

impl Sentinel {
    async fn connect(&self) -> RedisResult<Server> {
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
    async fn pubsub(&self) -> RedisResult<PubSub> {
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
        let server = deadpool_redis::redis::IntoConnectionInfo::into_connection_info(addr)?;
        Ok(sentinel.to(server.set_redis_settings(self.node.clone())))
    }
}

fn unreachable_master() -> RedisError {
    RedisError::from(io::Error::new(io::ErrorKind::NotConnected, "no master"))
}

/// The timeout of an opening: every step may use its connect timeout and one command.
pub(super) fn opening_timeout(config: &RedisConfig, steps: u32) -> Duration {
    (config.connect_timeout + config.command_timeout).saturating_mul(steps)
}
