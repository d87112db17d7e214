//! Redis, and the keys that seal what is put there.

use std::time::{Duration, Instant};

use mcp_auth::AccessToken;
use mcp_session::{FactStore as _, Keyring, Put, RedisStore, SharedStore as _, StoreError};

use super::check;
use super::finding::Finding;
use crate::assemble::redis_at;
use crate::authorization_server;
use crate::config::{HttpSettings, SealingKeys, SessionSettings};

/// How long the trial record lives if it cannot be taken away.
const TRIAL: Duration = Duration::from_secs(30);

/// Puts a sealed record into Redis, gets it back and opens it, as a session would be.
pub(super) async fn redis_and_keys(http: &HttpSettings) -> [Finding; 2] {
    let settings = &http.session;
    let own = http.auth.authorization_server.as_ref();
    let about_keys = |keys| about_keys(keys, own.map(authorization_server::days_of_keys));
    let (Some(url), Some(keys)) = (&settings.redis_url, &settings.keys) else {
        let one = "not set: sessions stay in this process, which serves one instance";
        let random = "not needed: nothing leaves this process";
        return [
            Finding::not_needed(check::REDIS, one),
            settings.keys.as_ref().map_or_else(
                || Finding::not_needed(check::ENCRYPTION, random),
                about_keys,
            ),
        ];
    };
    let redis = match redis_at(url, settings) {
        Ok(store) => match trial(&store, &Keyring::new(&keys.current, &keys.previous)).await {
            Ok(took) => {
                let took = took.as_secs_f64() * 1000.0;
                let kept = format!("kept a sealed record, in {took:.1} ms");
                match facts(&store, settings).await {
                    Ok(None) => Finding::good(check::REDIS, kept),
                    Ok(Some(policy)) => Finding::warning(
                        check::REDIS,
                        format!("{kept}; it may evict what is remembered of writes ({policy})"),
                        "set its maxmemory-policy to noeviction, or name another Redis by FACTS_REDIS_URL",
                    ),
                    Err(error) => Finding::problem(
                        check::REDIS,
                        format!("{kept}, but nothing of a write: {error}"),
                        "see FACTS_REDIS_URL, or REDIS_URL without it: its user must run EVAL on mcp:* and what \
                         docs/shared-records.md lists",
                    ),
                }
            }
            Err(error) => Finding::problem(check::REDIS, error.to_string(), fix(&error)),
        },
        Err(error) => Finding::problem(check::REDIS, error.to_string(), "correct REDIS_URL"),
    };
    [redis, about_keys(keys)]
}

/// Keeps a trial fact where facts are kept; the rule by which that Redis evicts, if it does and tells.
async fn facts(
    sessions: &RedisStore,
    settings: &SessionSettings,
) -> anyhow::Result<Option<String>> {
    let facts = match &settings.facts_url {
        None => sessions.clone(),
        Some(url) => redis_at(url, settings)?,
    };
    let name = format!(
        "mcp:doctor:{}",
        hex::encode(mcp_session::random_key().as_slice())
    );
    if let Put::Created(version) = facts
        .put_if_absent(&name, b"doctor".to_vec(), TRIAL)
        .await?
    {
        facts.compare_and_delete(&name, version).await?;
    }
    // Managed ones may not tell.
    Ok(facts.eviction().await.unwrap_or_default())
}

async fn trial(store: &RedisStore, keyring: &Keyring) -> Result<Duration, StoreError> {
    let lost = || StoreError::Refused("what was stored did not come back".to_owned());
    let token = AccessToken::parse("Bearer doctor").map_err(|_| lost())?;
    let name = keyring.session_key(&token).to_string();
    let sealed = keyring.seal(&name, b"doctor").map_err(|_| lost())?;
    let begin = Instant::now();
    store.ping().await?;
    store.put(&name, sealed, TRIAL).await?;
    let found = store.get(&name).await?.ok_or_else(lost)?;
    let took = begin.elapsed();
    store.delete(&name).await?;
    keyring.open(&name, &found).map_err(|_| lost())?;
    Ok(took)
}

fn fix(error: &StoreError) -> &'static str {
    match error {
        StoreError::Refused(code) if ["NOAUTH", "WRONGPASS"].iter().any(|it| code.contains(it)) => {
            "correct user and password in REDIS_URL"
        }
        StoreError::Refused(code) if code.contains("NOPERM") => {
            "let the user of REDIS_URL run GET, SET, DEL, PING, PUBLISH, SUBSCRIBE and EVAL on mcp:*"
        }
        StoreError::Refused(code) if code.contains("OOM") => {
            "give Redis more memory: sessions and writes are both kept there"
        }
        StoreError::Refused(_) => "see Redis's own log; until then sessions stay in this process",
        _ => {
            "see that it runs and that REDIS_URL names it (host, port, rediss:// for TLS); until \
             then sessions stay in this process"
        }
    }
}

/// Whether each key has its place; the configuration refuses keys that can be guessed. What clients
/// hold of our own authorization server needs a key for some `days` after it was replaced.
fn about_keys(keys: &SealingKeys, days: Option<u64>) -> Finding {
    let previous = keys.previous.len();
    if keys.previous.contains(&keys.current) {
        return Finding::warning(
            check::ENCRYPTION,
            "the current key is also among the previous ones",
            "take it out of ENCRYPTION_KEYS_PREVIOUS",
        );
    }
    let says = match previous {
        0 => "one key".to_owned(),
        1 => "one key, and one that only opens".to_owned(),
        more => format!("one key, and {more} that only open"),
    };
    let says = match days {
        Some(days) if previous > 0 => format!(
            "{says}: clients hold what was sealed with it, keep it for {days} days after it was replaced"
        ),
        _ => says,
    };
    Finding::good(check::ENCRYPTION, says)
}
