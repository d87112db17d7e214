//! Where Redis is and how patient to be with it. Parsed once, no I/O.

use std::{fmt, time::Duration};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};

/// Where Redis is, and how patient to be with it.
///
/// | URL | Deployment |
/// | --- | --- |
/// | `redis://[user:password@]host[:port][/db]` | one server, or a managed one behind one name |
/// | `redis+sentinel://[user:password@]host[:port],…/service[/db]` | the master of `service`, as the Sentinels name it |
/// | `redis+cluster://[user:password@]host[:port],…` | a cluster, found through any of its nodes |
///
/// `rediss` instead of `redis` means TLS to every server (Sentinels included), `valkey` and
/// `valkeys` mean the same two. User and password are percent-encoded.
#[derive(Clone)]
pub struct RedisConfig {
    pub(super) topology: Topology,
    pub(super) ca_pem: Option<Vec<u8>>,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Duration,
    /// How many connections to keep; each carries any number of commands at once.
    pub(super) lanes: usize,
    pub(super) failure_limit: u32,
    pub(super) pause: Duration,
    pub(super) max_pause: Duration,
}

/// The three ways of running Redis.
#[derive(Clone)]
pub(super) enum Topology {
    Single(ConnectionInfo),
    Sentinel {
        sentinels: Vec<ConnectionInfo>,
        service: String,
        node: RedisConnectionInfo,
    },
    Cluster(Vec<ConnectionInfo>),
}

impl RedisConfig {
    /// Reads a Redis URL, with the default patience: 250 ms to connect, 250 ms per command.
    ///
    /// # Errors
    /// [`RedisConfigError`] for a URL that names no Redis. It never repeats the URL.
    pub fn parse(url: &str) -> Result<Self, RedisConfigError> {
        Ok(Self {
            topology: parse_topology(url.trim())?,
            ca_pem: None,
            connect_timeout: Duration::from_millis(250),
            command_timeout: Duration::from_millis(250),
            lanes: 2,
            failure_limit: 3,
            pause: Duration::from_millis(250),
            max_pause: Duration::from_secs(5),
        })
    }

    /// Trusts the certificates of this PEM text instead of the system's, for a private CA.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }

    /// How long a connection may take, TLS and authentication included.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a command may take.
    #[must_use]
    pub fn command_timeout(mut self, timeout: Duration) -> Self {
        self.command_timeout = timeout;
        self
    }

    /// The circuit opens after `failures` in a row. It is probed after `pause`, then after twice
    /// that, and so on up to `max_pause`, until Redis answers.
    #[must_use]
    pub fn circuit(mut self, failures: u32, pause: Duration, max_pause: Duration) -> Self {
        self.failure_limit = failures.max(1);
        self.pause = pause;
        self.max_pause = max_pause.max(pause);
        self
    }

    /// Whether connections are encrypted.
    pub(super) fn is_tls(&self) -> bool {
        let first = match &self.topology {
            Topology::Single(server) => Some(server),
            Topology::Sentinel {
                sentinels: servers, ..
            }
            | Topology::Cluster(servers) => servers.first(),
        };
        first.is_some_and(|server| matches!(server.addr(), ConnectionAddr::TcpTls { .. }))
    }
}

/// Shows neither host nor credentials.
impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topology = match self.topology {
            Topology::Single(_) => "single",
            Topology::Sentinel { .. } => "sentinel",
            Topology::Cluster(_) => "cluster",
        };
        f.debug_struct("RedisConfig")
            .field("topology", &topology)
            .field("tls", &self.is_tls())
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("lanes", &self.lanes)
            .finish_non_exhaustive()
    }
}

/// A Redis URL that cannot be used. It never repeats the URL, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisConfigError {
    /// Not one of the supported schemes.
    #[error(
        "a Redis URL starts with redis://, rediss:// (TLS), redis+sentinel:// or redis+cluster://"
    )]
    Scheme,
    /// A host, port, database number or option that does not parse.
    #[error("a Redis URL has the form redis://[user:password@]host[:port][/db]")]
    Url,
    /// A Sentinel URL without the name of the master.
    #[error("a Sentinel URL ends with the service name: redis+sentinel://host:26379/mymaster")]
    Service,
    /// TLS certificates are configured, but the connection is not encrypted.
    #[error("a CA certificate needs a rediss:// URL")]
    CaWithoutTls,
    /// The CA certificate is not PEM, or holds no certificate.
    #[error("the CA certificate of Redis is not a PEM certificate")]
    Ca,
}

const SENTINEL_PORT: u16 = 26379;

fn parse_topology(url: &str) -> Result<Topology, RedisConfigError> {
    let (scheme, rest) = url.split_once("://").ok_or(RedisConfigError::Scheme)?;
    // `#insecure` would switch certificate checks off: not offered.
    if rest.contains('#') {
        return Err(RedisConfigError::Url);
    }
    let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
    let base = match base {
        "redis" | "valkey" => "redis",
        "rediss" | "valkeys" => "rediss",
        _ => return Err(RedisConfigError::Scheme),
    };
    let parts = Parts::of(base, rest);
    match kind {
        "" => parts.server(parts.hosts, parts.path).map(Topology::Single),
        "cluster" => parts.servers(None).map(Topology::Cluster),
        "sentinel" => parts.sentinel(),
        _ => Err(RedisConfigError::Scheme),
    }
}

/// A URL with several hosts, which no URL parser knows.
struct Parts<'a> {
    scheme: &'a str,
    user: &'a str,
    hosts: &'a str,
    path: &'a str,
}

impl<'a> Parts<'a> {
    fn of(scheme: &'a str, rest: &'a str) -> Self {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        Self {
            scheme,
            user,
            hosts,
            path,
        }
    }

    /// One server, with the credentials of the URL.
    fn server(&self, host: &str, path: &str) -> Result<ConnectionInfo, RedisConfigError> {
        connection(&format!("{}://{}@{host}/{path}", self.scheme, self.user))
    }

    fn servers(&self, default_port: Option<u16>) -> Result<Vec<ConnectionInfo>, RedisConfigError> {
        let hosts = self.hosts.split(',').map(str::trim);
        hosts
            .map(|host| self.server(&with_port(host, default_port), ""))
            .collect()
    }

    /// User and password belong to the master; the Sentinels are asked without them.
    fn sentinel(&self) -> Result<Topology, RedisConfigError> {
        let (service, db) = self.path.split_once('/').unwrap_or((self.path, ""));
        if service.is_empty() {
            return Err(RedisConfigError::Service);
        }
        let node = self.server("master", db)?.redis_settings().clone();
        let sentinels = Parts { user: "", ..*self }.servers(Some(SENTINEL_PORT))?;
        Ok(Topology::Sentinel {
            sentinels,
            service: service.to_owned(),
            node,
        })
    }
}

fn connection(url: &str) -> Result<ConnectionInfo, RedisConfigError> {
    let info = url
        .into_connection_info()
        .map_err(|_| RedisConfigError::Url)?;
    // Nothing but the commands that are documented: not even CLIENT SETINFO.
    let settings = info.redis_settings().clone().set_skip_set_lib_name();
    let tcp = info.tcp_settings().clone().set_nodelay(true);
    Ok(info.set_redis_settings(settings).set_tcp_settings(tcp))
}

fn with_port(host: &str, default: Option<u16>) -> String {
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        && !host.ends_with(']');
    match default {
        Some(port) if !has_port => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> RedisConfigError {
        RedisConfig::parse(url).expect_err(url)
    }

    #[test]
    fn one_server_with_credentials_and_database() {
        let config = RedisConfig::parse("redis://ada:p%40ss@redis.example:6380/2").unwrap();
        let Topology::Single(server) = config.topology else {
            panic!("not a single server")
        };
        assert_eq!(
            server.addr(),
            &ConnectionAddr::Tcp("redis.example".into(), 6380)
        );
        assert_eq!(server.redis_settings().username(), Some("ada"));
        assert_eq!(server.redis_settings().password(), Some("p@ss"));
        assert_eq!(server.redis_settings().db(), 2);
    }

    #[test]
    fn tls_is_a_scheme() {
        assert!(
            RedisConfig::parse("rediss://redis.example")
                .unwrap()
                .is_tls()
        );
        assert!(
            RedisConfig::parse("valkeys://redis.example")
                .unwrap()
                .is_tls()
        );
        assert!(RedisConfig::parse("rediss+cluster://a,b").unwrap().is_tls());
        assert!(
            !RedisConfig::parse("valkey://redis.example")
                .unwrap()
                .is_tls()
        );
    }

    #[test]
    fn sentinels_get_their_port_and_not_the_password() {
        let config =
            RedisConfig::parse("redis+sentinel://:secret@a:5000,b,[::1]/mymaster/3").unwrap();
        let Topology::Sentinel {
            sentinels,
            service,
            node,
        } = config.topology
        else {
            panic!("not Sentinel")
        };
        let ports: Vec<_> = sentinels
            .iter()
            .map(|server| server.addr().to_string())
            .collect();
        assert_eq!(ports, ["a:5000", "b:26379", "::1:26379"]);
        assert!(
            sentinels
                .iter()
                .all(|server| server.redis_settings().password().is_none())
        );
        assert_eq!(
            (service.as_str(), node.password(), node.db()),
            ("mymaster", Some("secret"), 3)
        );
    }

    #[test]
    fn what_names_no_redis_is_refused_without_repeating_it() {
        assert_eq!(error("http://secret@host"), RedisConfigError::Scheme);
        assert_eq!(error("secret"), RedisConfigError::Scheme);
        assert_eq!(error("redis+magic://host"), RedisConfigError::Scheme);
        assert_eq!(error("redis://"), RedisConfigError::Url);
        assert_eq!(error("redis://host:notaport"), RedisConfigError::Url);
        assert_eq!(error("redis://host/notadb"), RedisConfigError::Url);
        assert_eq!(error("rediss://host/#insecure"), RedisConfigError::Url);
        assert_eq!(error("redis+sentinel://host"), RedisConfigError::Service);
    }

    #[test]
    fn debug_shows_no_password() {
        let config = RedisConfig::parse("redis://ada:s3cret@host").unwrap();
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("s3cret") && !shown.contains("ada"),
            "{shown}"
        );
    }
}
