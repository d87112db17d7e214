//! The HTTP edge.

use std::net::SocketAddr;
use std::time::Duration;

use super::auth::{AuthSettings, read_auth};
use super::limits::{RateSettings, read_rates};
use super::once;
use super::operators::{AdminSettings, read_admin};
use super::revocation::{RevocationSettings, read_revocation};
use super::session::{SessionSettings, read_session};
use crate::config::layers::Origin;
use crate::config::reader::Reader;
use crate::config::{Surroundings, platform, settings};

/// The HTTP edge.
#[derive(Debug)]
pub(crate) struct HttpSettings {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// The origin that clients use, when it is chosen; see [`HttpSettings::public_url_at`].
    pub(crate) public_url: Option<String>,
    /// Web origins admitted beside the public one.
    pub(crate) allowed_origins: Vec<String>,
    /// `Host` names admitted beside the public one.
    pub(crate) allowed_hosts: Vec<String>,
    /// Proxies whose word about clients is taken.
    pub(crate) trusted_proxies: Vec<String>,
    /// How long a stop may take as a whole.
    pub(crate) drain_timeout: Duration,
    /// How much it may take on.
    pub(crate) limits: LimitSettings,
    /// How much callers may do.
    pub(crate) rates: RateSettings,
    /// Who may call.
    pub(crate) auth: AuthSettings,
    /// How sessions are kept.
    pub(crate) session: SessionSettings,
    /// Who is let in no more.
    pub(crate) revocation: RevocationSettings,
    /// The listener for operators.
    pub(crate) admin: Option<AdminSettings>,
}

impl HttpSettings {
    /// The public origin, without a slash at its end, for a server that listens on `port`.
    pub(crate) fn public_url_at(&self, port: u16) -> String {
        self.public_url
            .clone()
            .unwrap_or_else(|| format!("http://127.0.0.1:{port}"))
    }
}

/// How much the HTTP edge may take on; what is not chosen follows from the system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LimitSettings {
    /// Open connections.
    pub(crate) connections: Option<usize>,
    /// Connections of one address that were never authenticated.
    pub(crate) strangers_per_address: Option<usize>,
    /// Bytes for connections, requests and answers.
    pub(crate) memory: Option<usize>,
}

pub(super) fn read_http(reader: &mut Reader, around: &Surroundings) -> HttpSettings {
    let listen = read_listen(reader);
    let public_url = reader.optional(&settings::PUBLIC_URL);
    if public_url.is_none() && !listen.ip().is_loopback() {
        reader.warnings.push(
            "MCP_HOST is not set: clients on other machines will be refused; set it to the URL \
             that they use, such as https://mcp.example.com"
                .to_owned(),
        );
    }
    let auth = read_auth(reader, public_url.as_deref(), listen.port());
    let session = read_session(reader);
    if auth.authorization_server.is_some() && session.keys.is_none() {
        reader.report(
            &settings::ENCRYPTION_KEY,
            "it is not set, and [authorization_server] derives all its keys from it: without it a restart \
             would log everybody out",
            "set it; `openssl rand -hex 32` makes one",
        );
    }
    HttpSettings {
        listen,
        allowed_origins: read_origins(reader),
        allowed_hosts: reader.list(&settings::ALLOWED_HOSTS),
        trusted_proxies: read_proxies(reader, public_url.as_deref()),
        drain_timeout: read_drain_timeout(reader, around),
        limits: LimitSettings {
            connections: reader.optional(&settings::MAX_CONNECTIONS),
            strangers_per_address: reader.optional(&settings::MAX_CONNECTIONS_PER_ADDRESS),
            memory: reader.optional(&settings::MEMORY_BUDGET),
        },
        rates: read_rates(reader),
        revocation: read_revocation(reader, &session, &auth),
        auth,
        session,
        admin: read_admin(reader),
        public_url,
    }
}

fn read_drain_timeout(reader: &mut Reader, around: &Surroundings) -> Duration {
    let within = reader.value(&settings::DRAIN_TIMEOUT);
    let warning = platform::kills_before(within, around);
    reader.warnings.extend(warning);
    within
}

/// This server does not speak TLS, so under an https URL something is in front.
fn read_proxies(reader: &mut Reader, public_url: Option<&str>) -> Vec<String> {
    let proxies = reader.list(&settings::TRUSTED_PROXIES);
    let named = proxies.iter().filter(|it| *it != "forwarded").count();
    if named > 1 && proxies.iter().any(|it| it == "none") {
        let fix = "leave out none, or the others";
        reader.report(
            &settings::TRUSTED_PROXIES,
            "none stands beside proxies",
            fix,
        );
    } else if named < proxies.len() && proxies.iter().all(|it| it == "forwarded" || it == "none") {
        reader.report(
            &settings::TRUSTED_PROXIES,
            "forwarded stands there without a proxy that writes it",
            "name the proxies too, such as private,forwarded",
        );
    }
    let unset = reader.origin(&settings::TRUSTED_PROXIES) == Origin::Default;
    if unset && public_url.is_some_and(|url| url.starts_with("https:")) {
        reader.warnings.push(
            "TRUSTED_PROXIES is not set, and a proxy is in front, for MCP_HOST is https: limits per \
             address are off, and logs name the proxy instead of clients; name its addresses or \
             networks, such as 10.0.0.0/8, or write private or peer"
                .to_owned(),
        );
    }
    proxies
}

pub(crate) fn read_listen(reader: &mut Reader) -> SocketAddr {
    let address = reader.value(&settings::BIND);
    SocketAddr::new(address, reader.value(&settings::PORT))
}

/// Each origin once.
fn read_origins(reader: &mut Reader) -> Vec<String> {
    once(reader.list(&settings::ALLOWED_ORIGINS))
}
