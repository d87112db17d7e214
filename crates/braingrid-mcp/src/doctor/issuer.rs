//! The clock, and what the authorization servers say.

use std::time::{Duration, SystemTime};

use mcp_auth::{Examination, IssuerConfig};
use reqwest::Client;
use reqwest::header::DATE;

use super::check;
use super::finding::Finding;
use crate::config::HttpSettings;

/// A difference that no token notices; the answer's date has whole seconds.
const EXACT: Duration = Duration::from_secs(5);

/// Compares the clock with those of the servers that tokens come from and go to. Beyond `leeway`,
/// good tokens are refused.
pub(super) async fn clock(client: &Client, peers: &[&str], leeway: Duration) -> Finding {
    let mut asked: Option<(Duration, Finding)> = None;
    for peer in peers {
        let Some((there, here)) = date_of(client, peer).await else {
            continue;
        };
        let (off, direction) = match there.duration_since(here) {
            Ok(behind) => (behind, "behind"),
            Err(ahead) => (ahead.duration(), "ahead of"),
        };
        if asked.as_ref().is_none_or(|(worst, _)| off > *worst) {
            asked = Some((off, judge(off, direction, peer, leeway)));
        }
    }
    asked.map_or_else(
        || {
            Finding::not_checked(
                check::CLOCK,
                "nobody answered with a date to compare it with",
            )
        },
        |(_, finding)| finding,
    )
}

fn judge(off: Duration, direction: &str, peer: &str, leeway: Duration) -> Finding {
    let seconds = off.as_secs();
    let fix = "set this machine's clock, for example with `timedatectl set-ntp true`; if it is \
               right, theirs is wrong";
    if off <= EXACT {
        return Finding::good(check::CLOCK, format!("agrees with {peer}"));
    }
    let says = format!("{seconds} s {direction} {peer}");
    if off < leeway {
        Finding::warning(check::CLOCK, says, fix)
    } else {
        let says = format!("{says}: tokens look expired, or not yet valid");
        Finding::problem(check::CLOCK, says, fix)
    }
}

/// Their time and ours when the answer came.
async fn date_of(client: &Client, peer: &str) -> Option<(SystemTime, SystemTime)> {
    let answer = client.get(peer).send().await.ok()?;
    let here = SystemTime::now();
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    Some((httpdate::parse_http_date(date).ok()?, here))
}

/// Whether somebody can log in there, and a login can be renewed.
pub(super) async fn for_login(client: &Client, issuer: &str) -> Finding {
    let config = IssuerConfig::new(issuer, ["any"]);
    about_metadata(issuer, &mcp_auth::examine(&config, client).await)
}

/// What each issuer says of itself and of its keys.
pub(super) async fn metadata_and_keys(client: &Client, http: &HttpSettings) -> Vec<Finding> {
    let (mut metadata, mut keys) = (Vec::new(), Vec::new());
    for settings in &http.auth.issuers {
        let issuer = &settings.accepted.issuer;
        let found = mcp_auth::examine(&settings.accepted, client).await;
        metadata.push(about_metadata(issuer, &found));
        keys.push(about_keys(issuer, &found));
    }
    metadata.extend(keys);
    metadata
}

fn about_metadata(issuer: &str, found: &Examination) -> Finding {
    match &found.metadata {
        Ok(Some(true)) => Finding::good(check::METADATA, issuer),
        Ok(Some(false)) => Finding::warning(
            check::METADATA,
            format!("{issuer} does not say that it takes S256 code challenges"),
            "MCP clients refuse to log in there: switch PKCE on, so that \
             code_challenge_methods_supported has S256",
        ),
        Ok(None) => Finding::not_needed(check::METADATA, "not needed: its key set is configured"),
        Err(reason) => Finding::problem(
            check::METADATA,
            format!("{issuer}: {reason}"),
            metadata_fix(reason),
        ),
    }
}

fn metadata_fix(reason: &str) -> &'static str {
    if reason.starts_with("no answer") {
        "see that it runs and that this machine reaches it (name, firewall, proxy); until then \
         nobody can log in, and known logins and sessions go on until they end"
    } else if reason.contains("another issuer") {
        "write OAUTH_ISSUER exactly as the document's \"issuer\" has it, with or without the slash \
         at the end"
    } else if reason.contains("another host") {
        "set OAUTH_JWKS_URI to the key set, if you trust that host"
    } else {
        "correct OAUTH_ISSUER: below it, /.well-known/oauth-authorization-server or \
         openid-configuration must answer; without either, set OAUTH_JWKS_URI"
    }
}

fn about_keys(issuer: &str, found: &Examination) -> Finding {
    match &found.keys {
        None => Finding::not_checked(check::KEYS, format!("{issuer}: not known where they are")),
        Some(Ok(algorithms)) if !found.refused_keys.is_empty() => Finding::warning(
            check::KEYS,
            format!(
                "{issuer}: {}; {}",
                algorithms.join(", "),
                found.refused_keys.join("; ")
            ),
            "let the issuer replace that key: tokens that are signed with it get 403",
        ),
        Some(Ok(algorithms)) => {
            Finding::good(check::KEYS, format!("{issuer}: {}", algorithms.join(", ")))
        }
        Some(Err(reason)) => Finding::problem(
            check::KEYS,
            [&format!("{issuer}: {reason}")]
                .into_iter()
                .chain(&found.refused_keys)
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join("; "),
            "see that its jwks_uri (or OAUTH_JWKS_URI) answers with public signature keys of an \
             algorithm that is accepted here",
        ),
    }
}
