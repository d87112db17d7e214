//! What the token endpoint said: a token, whose fault it is that there is none, or nothing that
//! could be used.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::UpstreamToken;
use crate::{
    error::{AuthError, ForbiddenReason, InvalidReason, UnavailableReason},
    fetch::FetchError,
};

/// How long a token is believed of which the issuer does not say when it ends.
const UNSTATED_LIFETIME: Duration = Duration::from_mins(5);

/// A token is asked for anew at least so often.
const LONGEST_LIFETIME: Duration = Duration::from_hours(24);

/// Longest upstream token, in bytes: what may come in may go out.
const MAX_TOKEN: usize = 16 * 1024;

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// Why there is no upstream token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It is about this token or its user; the issuer is well.
    #[error("{0}")]
    Refused(AuthError),
    /// The issuer said something that says nothing about the token.
    #[error("an error that is not known")]
    Unknown,
    /// It is about this server's client. With the issuer's word for it.
    #[error("the issuer does not take this server's client: {0}")]
    Client(&'static str),
    /// It is asked too often.
    #[error("status 429")]
    Busy,
    /// No answer that could be used.
    #[error("{0}")]
    Fetch(#[from] FetchError),
}

impl Failure {
    /// A name for spans.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.label(),
            Self::Unknown => "unknown_error",
            Self::Client(_) => "client",
            Self::Busy => "busy",
            Self::Fetch(error) => error.kind(),
        }
    }

    /// Whether whoever asks next would fare the same, whatever the token.
    pub(super) fn is_outage(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Unknown)
    }

    pub(super) fn into_error(self) -> AuthError {
        match self {
            Self::Refused(error) => error,
            Self::Client(_) => unavailable(UnavailableReason::ExchangeClient, RETRY_AFTER),
            Self::Busy => unavailable(UnavailableReason::ExchangeBusy, RETRY_AFTER),
            Self::Unknown | Self::Fetch(_) => unavailable(UnavailableReason::Exchange, RETRY_AFTER),
        }
    }
}

/// When it is worth trying again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(2);

pub(super) fn unavailable(reason: UnavailableReason, retry_after: Duration) -> AuthError {
    AuthError::Unavailable {
        reason,
        retry_after,
    }
}

/// RFC 8693 section 2.2.1, RFC 6749 section 5.2: the members that matter, as issuers write them.
#[derive(Deserialize)]
struct Reply {
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<Zeroizing<String>>,
    #[serde(default)]
    issued_token_type: Value,
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    expires_in: Value,
    #[serde(default)]
    error: Value,
    /// Entra's finer word.
    #[serde(default)]
    suberror: Value,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Zeroizing::new))
}

/// The token in an answer that was asked for at `asked_at` in exchange for `subject_token`.
pub(super) fn read(
    status: u16,
    body: &[u8],
    subject_token: &str,
    asked_at: SystemTime,
) -> Result<UpstreamToken, Failure> {
    match status {
        429 => return Err(Failure::Busy),
        200 | 400..500 => {}
        // A redirect too: the token and the client's secret go nowhere but where they were meant to.
        _ => return Err(FetchError::Status(status).into()),
    }
    let reply = serde_json::from_slice::<Reply>(body).map_err(|_| unreadable(status))?;
    if let Some(error) = reply.error.as_str() {
        return Err(refusal(error, reply.suberror.as_str()));
    }
    match reply.access_token {
        Some(_) if status != 200 => Err(FetchError::Status(status).into()),
        None => Err(unreadable(status)),
        Some(ref secret) => {
            usable(&reply, secret, subject_token)?;
            let lifetime = lifetime(&reply.expires_in)?;
            // Early enough for an issuer that is away for a while.
            let renew_at = asked_at + lifetime * 4 / 5;
            let expires_at = asked_at + lifetime;
            Ok(UpstreamToken::new(secret.clone(), renew_at, expires_at))
        }
    }
}

fn unreadable(status: u16) -> Failure {
    match status {
        200 => FetchError::Json.into(),
        401 => Failure::Client("status 401"),
        // Something before the issuer dislikes this request, and its size is the token's.
        400 | 413 | 414 | 422 | 431 => Failure::Unknown,
        _ => FetchError::Status(status).into(),
    }
}

/// Who must act on an error. The words of the issuer stay here.
fn refusal(error: &str, finer: Option<&str>) -> Failure {
    let forbidden = |reason: ForbiddenReason| Failure::Refused(reason.into());
    match error {
        // Entra says what a login does not mend with the same word as what it does.
        "invalid_grant" => match finer {
            None | Some("" | "bad_token" | "token_expired") => {
                Failure::Refused(InvalidReason::NotExchanged.into())
            }
            Some(_) => forbidden(ForbiddenReason::UpstreamDenied),
        },
        "access_denied" | "interaction_required" | "consent_required" | "login_required" => {
            forbidden(ForbiddenReason::UpstreamDenied)
        }
        "invalid_target" | "invalid_resource" => forbidden(ForbiddenReason::UpstreamTarget),
        "invalid_scope" => forbidden(ForbiddenReason::UpstreamScope),
        // RFC 8693 section 2.2.2 says so of a subject token that is not taken, RFC 6749 of a request
        // that is malformed. A 401 would send everybody to a login again and again where it is that.
        "invalid_request" => forbidden(ForbiddenReason::UpstreamRequest),
        "invalid_client" => Failure::Client("invalid_client"),
        "unauthorized_client" => Failure::Client("unauthorized_client"),
        "unsupported_grant_type" => Failure::Client("unsupported_grant_type"),
        "slow_down" => Failure::Busy,
        "temporarily_unavailable" | "server_error" => {
            FetchError::Refused("it says that it cannot serve right now").into()
        }
        _ => Failure::Unknown,
    }
}

fn usable(reply: &Reply, secret: &str, subject_token: &str) -> Result<(), FetchError> {
    let is = |value: &Value, words: &[&str]| {
        let said = value.as_str().unwrap_or_default();
        value.is_null() || words.iter().any(|word| said.eq_ignore_ascii_case(word))
    };
    if !is(&reply.token_type, &["bearer"]) {
        return Err(FetchError::Refused("the token is no bearer token"));
    }
    if !is(&reply.issued_token_type, &[ACCESS_TOKEN, JWT]) {
        return Err(FetchError::Refused("the token is no access token"));
    }
    if secret == subject_token {
        return Err(FetchError::Refused("it gave the client's own token back"));
    }
    let sendable = secret.bytes().all(|byte| byte.is_ascii_graphic());
    if secret.is_empty() || secret.len() > MAX_TOKEN || !sendable {
        return Err(FetchError::Refused("the token cannot be sent"));
    }
    Ok(())
}

/// `expires_in` in seconds, also where it is written as text.
fn lifetime(expires_in: &Value) -> Result<Duration, FetchError> {
    let seconds = match expires_in {
        Value::Null => return Ok(UNSTATED_LIFETIME),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| *seconds >= 1.0);
    let seconds = seconds.ok_or(FetchError::Refused("the token is over already"))?;
    let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_LIFETIME);
    Ok(lifetime.min(LONGEST_LIFETIME))
}
