//! Tells an observer about every request that was answered, for metrics.

use std::{net::IpAddr, sync::Arc, time::Duration};

use mcp_session::Session;

/// Is told about every request that was answered.
pub type RequestObserver = Arc<dyn Fn(&AnsweredRequest<'_>) + Send + Sync>;

/// A request that was answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AnsweredRequest<'a> {
    /// The HTTP method; `other` for one without a standard.
    pub http_method: &'static str,
    /// `mcp`, `metadata`, `health`, `ready`, `unknown`, or the label of a mounted route.
    pub route: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// Until the answer's head was ready; of one that was begun before it was known, until its end.
    pub duration: Duration,
    /// Why it was rejected, if it was.
    pub rejection: Option<Rejection<'a>>,
}

/// Why a request was rejected before any work began.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rejection<'a> {
    /// The label of the authentication error, or `insufficient_scope`, `origin`, `host`, `draining`,
    /// `full`, `too_many_connections`, `memory`, `limited`, `foreign_path` (a tenant's, and the token is
    /// another's), `not_admitted` (the host's own rule).
    pub reason: &'static str,
    /// The configured issuer that the token names, good or not.
    pub issuer: Option<&'a str>,
    /// The `User-Agent` as it was sent: to be sorted into a few kinds, never to be kept.
    pub user_agent: Option<&'a str>,
    /// The id of the access line.
    pub request_id: &'a str,
    /// What the client calls the request, where that is plain. Its word: another may say the same.
    pub client_request_id: Option<&'a str>,
    /// Where it came from, see [`crate::ClientAddress`]. For an audit log: no metric.
    pub client_address: Option<IpAddr>,
    /// Who it was, for one that is known and may not do this, or is let in no more. For an audit log: no
    /// metric.
    pub session: Option<&'a Session>,
    /// Why that user, or what the token was issued for, is let in no more.
    pub cause: Option<&'a str>,
    /// The tool that was asked for.
    pub tool: Option<&'a str>,
}
