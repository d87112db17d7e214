//! What a token endpoint said: tokens, whose fault it is that there are none, or nothing that could be
//! used.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    ask::Reply,
    error::{ProviderError, Trouble},
    tokens::ProviderTokens,
};

/// Longest token that is taken, in bytes: it has to fit into a header.
const MAX_TOKEN: usize = 16 * 1024;

/// Longest time until an access token ends, in seconds: a year is longer than any grant.
const LONGEST: f64 = 366.0 * 86_400.0;

/// What was asked for, to say what is to be mended.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked<'a> {
    /// Tokens for a code that came to this redirect URI.
    Code { callback: &'a str },
    /// New tokens for a refresh token.
    Refresh,
}

/// What came of a code or a refresh token.
pub(super) struct Granted {
    pub(super) tokens: ProviderTokens,
    pub(super) id_token: Option<Zeroizing<String>>,
}

/// Reads an answer to the client `id`, that was asked for at `now`.
pub(super) fn read(
    reply: &Reply,
    asked: Asked<'_>,
    id: &str,
    now: SystemTime,
) -> Result<Granted, ProviderError> {
    reply.verdict("token endpoint")?;
    let Some(mut fields) = reply.object() else {
        return Err(unreadable(reply.status, id));
    };
    // GitHub and others say it with status 200.
    if let Some(error) = fields.get("error").and_then(Value::as_str) {
        return Err(refusal(error, reply, asked, id));
    }
    if reply.status != 200 {
        return Err(unreadable(reply.status, id));
    }
    let kind = fields.get("token_type").and_then(Value::as_str);
    if kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(ProviderError::Misconfigured(
            "the provider gives tokens that are no bearer tokens: change that for this client"
                .to_owned(),
        ));
    }
    let access_token = secret(&mut fields, "access_token").filter(|token| is_sendable(token));
    let tokens = ProviderTokens {
        access_token: access_token.ok_or_else(|| Trouble::Unreadable.now())?,
        refresh_token: secret(&mut fields, "refresh_token").filter(|token| !token.is_empty()),
        expires_at: fields.get("expires_in").and_then(|it| ending(it, now)),
        scope: fields.get("scope").and_then(Value::as_str).map(spaced),
    };
    let id_token = secret(&mut fields, "id_token");
    Ok(Granted { tokens, id_token })
}

/// Takes a secret out, so that it is wiped.
fn secret(fields: &mut Map<String, Value>, name: &str) -> Option<Zeroizing<String>> {
    match fields.remove(name) {
        Some(Value::String(secret)) => Some(Zeroizing::new(secret)),
        _ => None,
    }
}

fn is_sendable(token: &str) -> bool {
    let graphic = token.bytes().all(|byte| byte.is_ascii_graphic());
    graphic && !token.is_empty() && token.len() <= MAX_TOKEN
}

/// `expires_in` in seconds, also where it is written as text.
fn ending(expires_in: &Value, now: SystemTime) -> Option<u64> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse::<f64>().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds| !seconds.is_nan())?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between zero and a year"
    )]
    let seconds = seconds.clamp(0.0, LONGEST) as u64;
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(now + seconds)
}

/// Scopes with spaces between them (RFC 6749 section 3.3); GitHub writes commas.
fn spaced(scope: &str) -> String {
    let words = scope.split([' ', ',']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// An error without a reason.
fn unreadable(status: u16, id: &str) -> ProviderError {
    match status {
        200 => Trouble::Unreadable.now(),
        401 => unknown_client(id),
        status => Trouble::Unknown(status).now(),
    }
}

/// Who must act on an error. The words of the provider stay here.
fn refusal(error: &str, reply: &Reply, asked: Asked<'_>, id: &str) -> ProviderError {
    match error {
        "invalid_grant"
        | "bad_verification_code"
        | "bad_refresh_token"
        | "invalid_token"
        | "expired_token" => ProviderError::InvalidGrant,
        // What a login mends, and nothing else does.
        "interaction_required" | "login_required" | "consent_required" | "access_denied" => {
            match asked {
                Asked::Refresh => ProviderError::InvalidGrant,
                Asked::Code { .. } => ProviderError::Refused(
                    "The identity provider does not let you in. Sign in again, or ask the \
                     administrator whether your account may use this app.",
                ),
            }
        }
        "unverified_user_email" => ProviderError::Refused(
            "The identity provider wants you to verify your e-mail address first. Do that there, \
             then sign in again.",
        ),
        "invalid_client" | "incorrect_client_credentials" => unknown_client(id),
        "server_error" | "temporarily_unavailable" => Trouble::SaysSo.for_a(reply.retry_after),
        "slow_down" => Trouble::Busy.for_a(reply.retry_after),
        error => match to_mend(error, asked, id) {
            Some(sentence) => ProviderError::Misconfigured(sentence),
            None => Trouble::Unknown(reply.status).now(),
        },
    }
}

fn unknown_client(id: &str) -> ProviderError {
    ProviderError::Misconfigured(format!(
        "the provider does not take the secret of client {id}, or does not know the client: check \
         client id and secret, which may have expired, and how the secret is sent"
    ))
}

/// What to change at the provider or here, where an error says that.
fn to_mend(error: &str, asked: Asked<'_>, id: &str) -> Option<String> {
    let grant = match asked {
        Asked::Code { .. } => "authorization_code",
        Asked::Refresh => "refresh_token",
    };
    Some(match (error, asked) {
        ("redirect_uri_mismatch", Asked::Code { callback }) => {
            format!("register {callback} as redirect URI of client {id} at the provider")
        }
        ("unauthorized_client" | "unsupported_grant_type", _) => {
            format!("allow the grant {grant} for client {id} at the provider")
        }
        ("invalid_scope" | "invalid_target" | "invalid_resource", _) => format!(
            "the provider does not know a scope or resource that is configured for client {id}"
        ),
        ("invalid_request" | "application_suspended", Asked::Code { callback }) => format!(
            "the provider does not take codes from this server: check that client {id} is active \
             there, a web application with a secret, with {callback} as redirect URI"
        ),
        ("invalid_request", Asked::Refresh) => {
            format!("the provider does not take refresh tokens of client {id} as they are sent")
        }
        _ => return None,
    })
}
