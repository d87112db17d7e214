//! Asking an authorization server about opaque tokens (RFC 7662): the keys of `[[issuers]]` for it.

use std::time::Duration;

use mcp_auth::IntrospectionConfig;
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use super::issuers::IssuerKey;
use super::parse::{Refusal, endpoints, numbers, secrets, words};
use super::problem::Problem;
use super::reader::Table;
use super::text;

const ENDPOINT: &str = "introspection_endpoint";
const CLIENT_ID: &str = "introspection_client_id";
const CLIENT_SECRET: &str = "introspection_client_secret";
const CLIENT_SECRET_FILE: &str = "introspection_client_secret_file";
const CACHE_KEY: &str = "introspection_cache";

pub(crate) const INTROSPECTION_KEYS: &[IssuerKey] = &[
    IssuerKey {
        key: ENDPOINT,
        default: "none",
        meaning: "Where to ask what an opaque token means (RFC 7662). For one issuer at most; \
                  without it opaque tokens are refused.",
    },
    IssuerKey {
        key: CLIENT_ID,
        default: "required with it",
        meaning: "The client as which this server asks.",
    },
    IssuerKey {
        key: CLIENT_SECRET,
        default: "required with it",
        meaning: "**Secret.** That client's secret.",
    },
    IssuerKey {
        key: CLIENT_SECRET_FILE,
        default: "none",
        meaning: "A file that holds it, instead; relative to this file.",
    },
    IssuerKey {
        key: CACHE_KEY,
        default: "`60s`",
        meaning: "How long an answer is believed, which is how long a revoked token lives on; \
                  from 1 s to 10 minutes.",
    },
];

/// Takes these keys out of an issuer's table; `None` when the endpoint is not there.
pub(crate) fn read(table: &mut Table, problems: &mut Vec<Problem>) -> Option<IntrospectionConfig> {
    let before = problems.len();
    let endpoint = table.optional(ENDPOINT, endpoints::key_set_url, problems);
    let client_id = table.optional(CLIENT_ID, words::client_id, problems);
    let client_secret = table.secret(
        CLIENT_SECRET,
        |it| text::read_secret(it, secrets::secret),
        problems,
    );
    let cache = table.optional(CACHE_KEY, cache, problems);
    if problems.len() > before {
        return None;
    }
    let Some(endpoint) = endpoint else {
        if client_id.is_some() || client_secret.is_some() || cache.is_some() {
            let what = "it is missing, and other introspection keys are there";
            problems.push(table.problem(ENDPOINT, what, "set the endpoint, or remove them"));
        }
        return None;
    };
    for (key, is_there) in [
        (CLIENT_ID, client_id.is_some()),
        (CLIENT_SECRET, client_secret.is_some()),
    ] {
        if !is_there {
            problems.push(table.problem(
                key,
                "it is missing",
                "set it: the endpoint wants a client",
            ));
        }
    }
    let secret = Zeroizing::new(client_secret?.expose_secret().to_owned());
    let mut config = IntrospectionConfig::new(endpoint, client_id?, secret);
    config.valid_for = cache.unwrap_or(config.valid_for);
    Some(config)
}

fn cache(value: &str) -> Result<Duration, Refusal> {
    let cache = numbers::duration(value)?;
    if (Duration::from_secs(1)..=Duration::from_mins(10)).contains(&cache) {
        return Ok(cache);
    }
    Err(Refusal {
        what: "it is out of range".to_owned(),
        fix: "use a time from 1s to 10m".to_owned(),
    })
}
