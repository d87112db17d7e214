//! Makes connections the way Redis is run: to one server, to the master that Sentinel names, or to
//! a cluster.

use std::time::Duration;

use redis::{
    Cmd, ConnectionInfo, FromRedisValue, RedisResult, TlsCertificates, aio::PubSub,
    cluster::ClusterClient, cluster_async::ClusterConnection,
};

use super::{
    config::{RedisConfig, RedisConfigError, Topology},
    open::{self, Opener, Server},
    sentinel::{Sentinel, unreachable_master},
};

/// A connection. Its clones share one socket and any number of commands.
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

/// Where connections lead.
pub(super) enum Deployment {
    Server(Box<Opener>),
    Sentinel(Sentinel),
    Cluster {
        client: Box<ClusterClient>,
        /// What is published on one node is heard on all.
        nodes: Vec<Opener>,
    },
}

impl Deployment {
    /// Checks the configuration; no I/O.
    pub(super) fn new(config: &RedisConfig) -> Result<Self, RedisConfigError> {
        let tls = open::tls(config)?;
        let opener = |server: &ConnectionInfo| Opener::new(server.clone(), tls.as_ref(), config);
        Ok(match &config.topology {
            Topology::Single(server) => Self::Server(Box::new(opener(server))),
            Topology::Sentinel {
                sentinels,
                service,
                node,
            } => {
                let sentinels = sentinels.iter().map(opener).collect();
                Self::Sentinel(Sentinel::new(sentinels, service.clone(), node.clone()))
            }
            Topology::Cluster(nodes) => {
                let certificates = config.ca_pem.clone().map(|pem| TlsCertificates {
                    client_tls: None,
                    root_cert: Some(pem),
                });
                Self::Cluster {
                    nodes: nodes.iter().map(opener).collect(),
                    client: Box::new(cluster_client(nodes, certificates, config)?),
                }
            }
        })
    }

    /// How many connections in a row an opening may take, for its timeout.
    pub(super) fn steps(&self) -> u32 {
        match self {
            Self::Server(_) => 1,
            // Each Sentinel may have to be found dead, then the master is called.
            Self::Sentinel(sentinel) => u32::try_from(sentinel.count()).unwrap_or(1) + 1,
            Self::Cluster { .. } => 2,
        }
    }

    /// A connection for commands.
    pub(super) async fn connect(&self) -> RedisResult<Connection> {
        Ok(match self {
            Self::Server(server) => Connection::Server(server.connect().await?),
            Self::Sentinel(sentinel) => Connection::Server(sentinel.connect().await?),
            Self::Cluster { client, .. } => {
                Connection::Cluster(client.get_async_connection().await?)
            }
        })
    }

    /// A connection that listens. Without timeouts of its own.
    pub(super) async fn pubsub(&self) -> RedisResult<PubSub> {
        match self {
            Self::Server(server) => server.pubsub().await,
            Self::Sentinel(sentinel) => sentinel.pubsub().await,
            Self::Cluster { nodes, .. } => {
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

/// The timeout of an opening: every step may use its connect timeout and one command.
pub(super) fn opening_timeout(config: &RedisConfig, steps: u32) -> Duration {
    (config.connect_timeout + config.command_timeout).saturating_mul(steps)
}
