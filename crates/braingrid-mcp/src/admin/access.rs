//! Who may do what on the admin listener: by a bearer token of the file of operators, which is read
//! again with each, so that a changed one holds at once. What cannot be read lets nobody in.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use mcp_outbound::LogThrottle;
use mcp_transport_http::PeerAddress;

use super::answer::Problem;
use super::guesses::Guesses;
use crate::operators::{Operator, Right, TokenDigest, Tokens};

/// What a path asks of who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing, ever: it says no more than that somebody listens.
    Nothing,
    /// Nothing, unless `ADMIN_METRICS` says so: numbers, and nobody's name.
    Metrics,
    /// A right.
    Right(Right),
}

/// Tells operators from others.
#[derive(Debug)]
pub(crate) struct Access {
    file: Option<PathBuf>,
    metrics_need_token: bool,
    guesses: Guesses,
    refused: LogThrottle,
    unreadable: LogThrottle,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody can be told from anybody.
    NotConfigured,
    /// Nobody can be told from anybody just now.
    Unreadable,
    NoToken,
    WrongToken {
        /// It was said before.
        again: bool,
    },
    TooMany(Duration),
    /// An operator who may only see.
    ReadOnly(Operator),
}

impl Access {
    /// Operators of a file; without one, nobody has a right.
    pub(crate) fn new(file: Option<PathBuf>, metrics_need_token: bool) -> Self {
        Self {
            file,
            metrics_need_token,
            guesses: Guesses::default(),
            refused: LogThrottle::default(),
            unreadable: LogThrottle::default(),
        }
    }

    /// Whether numbers are for operators alone.
    pub(super) fn metrics_need_token(&self) -> bool {
        self.metrics_need_token
    }

    /// Who asks, if they may; nobody where nobody has to be.
    pub(super) async fn admit(
        &self,
        needs: Needs,
        request: &Request<Bytes>,
    ) -> Result<Option<Operator>, Refusal> {
        let right = match needs {
            Needs::Nothing => return Ok(None),
            Needs::Metrics if !self.metrics_need_token => return Ok(None),
            Needs::Metrics => Right::Read,
            Needs::Right(right) => right,
        };
        if self.file.is_none() {
            return Err(Refusal::NotConfigured);
        }
        let token = bearer(request.headers()).ok_or(Refusal::NoToken)?;
        let operator = self
            .operator_of(TokenDigest::of(token), address_of(request))
            .await?;
        if operator.right < right {
            return Err(Refusal::ReadOnly(operator));
        }
        Ok(Some(operator))
    }

    /// Whose a token is.
    pub(super) async fn operator_of(
        &self,
        token: TokenDigest,
        address: IpAddr,
    ) -> Result<Operator, Refusal> {
        let tokens = self.tokens().await?;
        if let Some(operator) = tokens.operator_of(token) {
            return Ok(operator.clone());
        }
        // Whoever has a good token is let in, however many wrong ones come from the same address.
        let now = Instant::now();
        let guessed = self.guesses.check(address, token, now);
        guessed.map_err(Refusal::TooMany)?;
        let again = !self.guesses.was_wrong(address, token, now);
        if let Some(suppressed) = self.refused.pass() {
            tracing::warn!(%address, suppressed, "somebody on the admin listener has a wrong token");
        }
        Err(Refusal::WrongToken { again })
    }

    async fn tokens(&self) -> Result<Tokens, Refusal> {
        let path = self.file.clone().ok_or(Refusal::NotConfigured)?;
        let read = tokio::task::spawn_blocking(move || Tokens::read(&path)).await;
        let why = match read {
            Ok(Ok(tokens)) => return Ok(tokens),
            Ok(Err(why)) => why,
            Err(_) => "reading it failed".to_owned(),
        };
        if self.unreadable.pass().is_some() {
            tracing::error!(
                "ADMIN_TOKENS_FILE: {why}: no operator is let in until it is corrected"
            );
        }
        Err(Refusal::Unreadable)
    }
}

impl Refusal {
    /// For the audit log; nothing for what strangers and scrapers say all the time.
    pub(super) fn reason(&self) -> Option<&'static str> {
        match self {
            Self::WrongToken { again: false } => Some("operator_token"),
            Self::ReadOnly(_) => Some("operator_right"),
            _ => None,
        }
    }

    /// Whom it is said to, where that is known.
    pub(super) fn operator(&self) -> Option<&Operator> {
        match self {
            Self::ReadOnly(operator) => Some(operator),
            _ => None,
        }
    }

    pub(super) fn problem(&self) -> Problem {
        let (status, error) = match self {
            Self::NotConfigured => (
                StatusCode::FORBIDDEN,
                "nobody has a right here: ADMIN_TOKENS_FILE is not set; name a file with a line for \
                 each operator: a name, read or write, and a token",
            ),
            Self::Unreadable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no operator can be told from anybody: the file of ADMIN_TOKENS_FILE cannot be used, \
                 and the log says why",
            ),
            Self::NoToken => (
                StatusCode::UNAUTHORIZED,
                "this needs the token of an operator: Authorization: Bearer TOKEN",
            ),
            Self::WrongToken { .. } => (
                StatusCode::UNAUTHORIZED,
                "the token is none of ADMIN_TOKENS_FILE",
            ),
            Self::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too many wrong tokens from this address: wait",
            ),
            Self::ReadOnly(_) => (
                StatusCode::FORBIDDEN,
                "this token may only read: the second word of its line in ADMIN_TOKENS_FILE is read",
            ),
        };
        Problem::new(status, error)
    }

    /// The challenge (RFC 6750 section 3).
    fn challenge(&self) -> Option<&'static str> {
        match self {
            Self::NoToken => Some("Bearer realm=\"operators\""),
            Self::WrongToken { .. } => Some("Bearer realm=\"operators\", error=\"invalid_token\""),
            Self::ReadOnly(_) => {
                Some("Bearer realm=\"operators\", error=\"insufficient_scope\", scope=\"write\"")
            }
            _ => None,
        }
    }
}

impl From<&Refusal> for Response<Bytes> {
    fn from(refusal: &Refusal) -> Self {
        let mut response = Self::from(refusal.problem());
        let headers = response.headers_mut();
        if let Some(challenge) = refusal.challenge() {
            let challenge = HeaderValue::from_static(challenge);
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Refusal::TooMany(wait) = refusal {
            headers.insert(header::RETRY_AFTER, (wait.as_secs() + 1).into());
        }
        response
    }
}

/// The one bearer token of a request.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim_matches(' '))
}

/// The peer; nobody's address where it is not known, which counts for all who have none.
pub(super) fn address_of(request: &Request<Bytes>) -> IpAddr {
    let peer = request.extensions().get();
    peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |PeerAddress(peer)| peer.ip())
}
