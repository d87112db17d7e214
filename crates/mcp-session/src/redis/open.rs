//! Opens connections to one server: TCP, TLS, and a bound on what comes back.

use std::{io, sync::Arc};

use mcp_outbound::SystemRoots;
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, RedisError,
    RedisResult,
    aio::{MultiplexedConnection, PubSub},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::TlsConnector;

use super::{
    bounded::Bounded,
    config::{RedisConfig, RedisConfigError},
};

/// A server, and how to reach it.
#[derive(Clone)]
pub(super) struct Opener {
    info: ConnectionInfo,
    tls: Option<TlsConnector>,
    timeouts: Timeouts,
}

/// How long opening and asking may take.
#[derive(Clone)]
struct Timeouts {
    connect: std::time::Duration,
    asking: AsyncConnectionConfig,
}

/// An open connection; clones share it.
#[derive(Clone)]
pub(super) struct Server {
    connection: MultiplexedConnection,
    _driver: Arc<Driver>,
}

/// What reads and writes. It ends with the last handle, and does not wait for answers then.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

impl Opener {
    /// For a server of this configuration.
    pub(super) fn new(
        info: ConnectionInfo,
        tls: Option<&TlsConnector>,
        config: &RedisConfig,
    ) -> Self {
        Self {
            info,
            tls: tls.cloned(),
            timeouts: Timeouts {
                connect: config.connect_timeout,
                asking: AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(config.connect_timeout))
                    .set_response_timeout(Some(config.command_timeout)),
            },
        }
    }

    /// The same for another server.
    pub(super) fn to(&self, info: ConnectionInfo) -> Self {
        Self {
            info,
            ..self.clone()
        }
    }

    pub(super) fn info(&self) -> &ConnectionInfo {
        &self.info
    }

    /// A connection for commands.
    pub(super) async fn connect(&self) -> RedisResult<Server> {
        let opening = async {
            let stream = self.stream().await?;
            let asking = self.timeouts.asking.clone();
            let settings = self.info.redis_settings();
            MultiplexedConnection::new_with_config(settings, stream, asking).await
        };
        let opened = tokio::time::timeout(self.timeouts.connect, opening).await;
        let (connection, driver) = opened.map_err(|_| failed(io::ErrorKind::TimedOut))??;
        Ok(Server {
            connection,
            _driver: Arc::new(Driver(tokio::spawn(driver))),
        })
    }

    /// A connection that listens. Without timeouts of its own.
    pub(super) async fn pubsub(&self) -> RedisResult<PubSub> {
        PubSub::new(self.info.redis_settings(), self.stream().await?).await
    }

    async fn stream(&self) -> RedisResult<Bounded<Box<dyn Stream>>> {
        let stream: Box<dyn Stream> = match (self.info.addr(), &self.tls) {
            (ConnectionAddr::Tcp(host, port), _) => Box::new(tcp(host, *port).await?),
            (ConnectionAddr::TcpTls { host, port, .. }, Some(tls)) => {
                let name = ServerName::try_from(host.clone());
                let name = name.map_err(|_| failed(io::ErrorKind::InvalidInput))?;
                Box::new(tls.connect(name, tcp(host, *port).await?).await?)
            }
            _ => return Err(failed(io::ErrorKind::Unsupported)),
        };
        Ok(Bounded::new(stream))
    }
}

impl Server {
    pub(super) async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        command.query_async(&mut self.connection).await
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn failed(kind: io::ErrorKind) -> RedisError {
    RedisError::from(io::Error::from(kind))
}

/// TLS that trusts the configured CA, else the system's; none where the URL asks for none.
pub(super) fn tls(config: &RedisConfig) -> Result<Option<TlsConnector>, RedisConfigError> {
    let client = match &config.ca_pem {
        Some(_) if !config.is_tls() => return Err(RedisConfigError::CaWithoutTls),
        None if !config.is_tls() => return Ok(None),
        Some(pem) => trusting(pem)?,
        None => {
            let system = SystemRoots::new().tls_config();
            let mut system = system.map_err(|_| RedisConfigError::Ca)?;
            // Redis speaks one protocol, and some servers take offence at the names of others.
            system.alpn_protocols.clear();
            system
        }
    };
    Ok(Some(TlsConnector::from(Arc::new(client))))
}

/// An empty list of certificates would trust nobody, and only show later.
fn trusting(pem: &[u8]) -> Result<ClientConfig, RedisConfigError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| RedisConfigError::Ca)?;
        roots.add(certificate).map_err(|_| RedisConfigError::Ca)?;
    }
    if roots.is_empty() {
        return Err(RedisConfigError::Ca);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| RedisConfigError::Ca)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
