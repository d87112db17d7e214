//! What an issuer says right now, for an operator who asks what is wrong.

use std::time::{Duration, Instant};

use crate::{
    discovery,
    fetch::{FetchError, KEY_SET, get_json, parse_url},
    issuer::{IssuerConfig, key_set},
    jwk::algorithm_named,
    key_set::{JwkSet, KeySet},
};

/// Limit for one document.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found. The reasons are for operators; of the issuer's words they hold its own name and key
/// ids, where those are plain.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Examination {
    /// Whether its metadata names S256 code challenges, without which MCP clients refuse it;
    /// `None` where the key set is configured and metadata was not looked for.
    pub metadata: Result<Option<bool>, String>,
    /// The algorithms of its keys that this server accepts; `None` without metadata.
    pub keys: Option<Result<Vec<String>, String>>,
    /// Keys that are published for signatures and cannot be used: which, and why.
    pub refused_keys: Vec<String>,
}

impl Examination {
    fn of(pkce: Option<bool>, set: Result<KeySet, String>, algorithms: &[String]) -> Self {
        Self {
            metadata: Ok(pkce),
            refused_keys: set.iter().flat_map(KeySet::faults).collect(),
            keys: Some(set.and_then(|set| usable(&set, algorithms))),
        }
    }
}

/// Asks an issuer for its metadata and its keys, as [`TokenVerifier`](crate::TokenVerifier) does,
/// and keeps nothing.
pub async fn examine(issuer: &IssuerConfig, client: &reqwest::Client) -> Examination {
    if let Some(text) = &issuer.jwks {
        let set = key_set(&issuer.issuer, text).map_err(|error| error.to_string());
        return Examination::of(None, set, &issuer.algorithms);
    }
    let found = match &issuer.jwks_uri {
        Some(uri) => match parse_url(uri) {
            Ok(uri) => Ok((uri, None)),
            Err(_) => Err(FetchError::Refused("jwks_uri is not an https URL")),
        },
        None => discovery::find(client, &issuer.issuer, PATIENCE)
            .await
            .and_then(|found| Ok((found.jwks_uri()?, Some(found.pkce())))),
    };
    match found {
        Err(error) => Examination {
            metadata: Err(error.to_string()),
            keys: None,
            refused_keys: Vec::new(),
        },
        Ok((uri, pkce)) => {
            let keys = get_json::<JwkSet>(client, &uri, KEY_SET, PATIENCE).await;
            let set = keys.map(|document| KeySet::usable(&document, Instant::now()));
            let set = set.map_err(|error| error.to_string());
            Examination::of(pkce, set, &issuer.algorithms)
        }
    }
}

/// The whole of an issuer's metadata, of which nothing is checked but that it names that issuer.
/// `None` where there is none.
pub async fn issuer_metadata(
    issuer: &IssuerConfig,
    client: &reqwest::Client,
) -> Option<serde_json::Value> {
    let found = discovery::document::<serde_json::Value>(client, &issuer.issuer, PATIENCE);
    found.await.ok().map(|found| found.document)
}

impl discovery::Names for serde_json::Value {
    fn issuer(&self) -> &str {
        let named = self.get("issuer").and_then(Self::as_str);
        named.unwrap_or_default()
    }
}

/// The algorithms for which there is a key, or why there is none.
fn usable(set: &KeySet, configured: &[String]) -> Result<Vec<String>, String> {
    let of_keys: Vec<_> = set.algorithms().collect();
    if of_keys.is_empty() {
        let fault = set.fault().map(|fault| format!(": {}", fault.as_str()));
        let fault = fault.unwrap_or_default();
        return Err(format!("the key set holds no usable signature key{fault}"));
    }
    let allowed: Vec<_> = configured
        .iter()
        .filter_map(|name| algorithm_named(name))
        .collect();
    let names = of_keys
        .iter()
        .filter(|algorithm| configured.is_empty() || allowed.contains(algorithm))
        .map(|algorithm| format!("{algorithm:?}"));
    let names: Vec<_> = names.collect();
    if names.is_empty() {
        return Err("the key set holds no key for the configured algorithms".to_owned());
    }
    Ok(names)
}
