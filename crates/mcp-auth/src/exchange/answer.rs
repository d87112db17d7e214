//! What the token endpoint said: a token, whose fault it is that there is none, or nothing that
//! could be used.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroizing;

use super::UpstreamToken;
use crate::{
    actor::Actor,
    claims::Claims,
    error::{AuthError, ForbiddenReason, InvalidReason, UnavailableReason},
    fetch::FetchError,
    jwt,
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
    /// Nothing came of this token, for a reason that other tokens need not share; what that means for
    /// its user is not known.
    #[error("{0}")]
    Token(&'static str),
    /// It is about this server's client, as far as this token goes. With the issuer's word for it.
    #[error("the issuer does not take this server's client: {0}")]
    Client(&'static str),
    /// The issuer does not know this server's client at all.
    #[error("the issuer does not know this server's client: {0}")]
    NoClient(&'static str),
    /// It is asked too often, by all or by this user; when to ask again.
    #[error("the issuer says that it is asked too often")]
    Busy(Duration),
    /// No answer that could be used.
    #[error("{0}")]
    Fetch(#[from] FetchError),
}

impl Failure {
    /// A name for spans.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.label(),
            Self::Token(_) => "token",
            Self::Client(_) | Self::NoClient(_) => "client",
            Self::Busy(_) => "busy",
            Self::Fetch(error) => error.kind(),
        }
    }

    /// Whether whoever asks next would fare the same, whatever the token.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::NoClient(_) | Self::Busy(_) | Self::Fetch(_))
    }

    pub(super) fn into_error(self) -> AuthError {
        match self {
            Self::Refused(error) => error,
            Self::Client(_) | Self::NoClient(_) => {
                unavailable(UnavailableReason::ExchangeClient, RETRY_AFTER)
            }
            Self::Busy(wait) => unavailable(UnavailableReason::ExchangeBusy, wait),
            Self::Token(_) | Self::Fetch(_) => {
                unavailable(UnavailableReason::Exchange, RETRY_AFTER)
            }
        }
    }
}

/// When it is worth trying again after a failure.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Longest time that an issuer may ask to be left alone for.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

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
    #[serde(default)]
    scope: Value,
    /// In the answer where the token itself cannot be read.
    #[serde(default)]
    act: Value,
    /// Entra's finer word.
    #[serde(default)]
    suberror: Value,
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Zeroizing<String>>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.map(Zeroizing::new))
}

/// The token in an answer that was asked for at `asked_at` in exchange for `subject_token`, and the
/// `scope` that it is said to have.
pub(super) fn read(
    (status, retry_after): (u16, Option<Duration>),
    body: &[u8],
    subject_token: &str,
    asked_at: SystemTime,
) -> Result<(UpstreamToken, Value), Failure> {
    let wait = retry_after.unwrap_or_default();
    let busy = Failure::Busy(wait.clamp(RETRY_AFTER, LONGEST_WAIT));
    match status {
        429 => return Err(busy),
        200 | 400..500 => {}
        // A redirect too: the token and the client's secret go nowhere but where they were meant to.
        _ => return Err(FetchError::Status(status).into()),
    }
    let reply = serde_json::from_slice::<Reply>(body).map_err(|_| unreadable(status))?;
    if let Some(error) = reply.error.as_str() {
        return Err(match error {
            "slow_down" => busy,
            error => refusal(error, reply.suberror.as_str()),
        });
    }
    match reply.access_token {
        Some(_) if status != 200 => Err(Failure::Token("a token in an answer that is no success")),
        None => Err(unreadable(status)),
        Some(ref secret) => {
            usable(&reply, secret, subject_token)?;
            let lifetime = lifetime(&reply.expires_in)?;
            let renew_at = asked_at + lifetime * share(secret) / 100;
            let expires_at = asked_at + lifetime;
            let actor = actor_in(secret).or_else(|| Actor::of(&reply.act));
            let token = UpstreamToken::new(secret.clone(), renew_at, expires_at);
            Ok((token.acted_by(actor), reply.scope))
        }
    }
}

/// Whom the token names as acting for its subject, where it is a JWT. It was made for the API, which alone
/// can verify it: this is the issuer's word, got from its token endpoint over TLS.
fn actor_in(secret: &str) -> Option<Actor> {
    let payload = secret.split('.').nth(1)?;
    let claims: Claims = jwt::decode(payload).ok()?;
    claims.get("act").and_then(Actor::of)
}

/// The part of its life, in hundredths, after which a token is renewed: early enough for an issuer that
/// is away for a while, and not for all at once who logged in at once.
fn share(secret: &str) -> u32 {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    let jitter = (hasher.finish() % 20) as u32;
    70 + jitter
}

/// An error without a reason may come from something before the issuer that dislikes this request, whose
/// size and content are the token's.
fn unreadable(status: u16) -> Failure {
    match status {
        200 => FetchError::Json.into(),
        401 => Failure::Client("status 401"),
        _ => Failure::Token("an error without a reason"),
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
        // that is malformed. Whoever remembers how it went before decides.
        "invalid_request" => forbidden(ForbiddenReason::UpstreamRequest),
        // Of the subject token (RFC 6750 section 3.1), where another grammar is at hand.
        "invalid_token" => Failure::Refused(InvalidReason::NotExchanged.into()),
        "invalid_client" => Failure::NoClient("invalid_client"),
        // Some say so of a user to whom the client is not assigned.
        "unauthorized_client" => Failure::Client("unauthorized_client"),
        "unsupported_grant_type" => Failure::NoClient("unsupported_grant_type"),
        "temporarily_unavailable" | "server_error" => {
            FetchError::Refused("it says that it cannot serve right now").into()
        }
        _ => Failure::Token("an error that is not known"),
    }
}

fn usable(reply: &Reply, secret: &str, subject_token: &str) -> Result<(), Failure> {
    let is = |value: &Value, words: &[&str]| {
        let said = value.as_str().unwrap_or_default();
        value.is_null() || words.iter().any(|word| said.eq_ignore_ascii_case(word))
    };
    if !is(&reply.token_type, &["bearer"]) {
        return Err(FetchError::Refused("the token is no bearer token").into());
    }
    if !is(&reply.issued_token_type, &[ACCESS_TOKEN, JWT]) {
        return Err(FetchError::Refused("the token is no access token").into());
    }
    if secret == subject_token {
        return Err(Failure::Token("it gave the client's own token back"));
    }
    let sendable = secret.bytes().all(|byte| byte.is_ascii_graphic());
    if secret.is_empty() || secret.len() > MAX_TOKEN || !sendable {
        return Err(Failure::Token("the token cannot be sent"));
    }
    Ok(())
}

/// `expires_in` in seconds, also where it is written as text.
fn lifetime(expires_in: &Value) -> Result<Duration, Failure> {
    let seconds = match expires_in {
        Value::Null => return Ok(UNSTATED_LIFETIME),
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| *seconds >= 1.0);
    let seconds = seconds.ok_or(Failure::Token("the token is over already"))?;
    let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_LIFETIME);
    Ok(lifetime.min(LONGEST_LIFETIME))
}
