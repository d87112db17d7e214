//! One issuer that is trusted: what it may say, its keys, its clock.

use std::{sync::Arc, time::Instant};

use jsonwebtoken::Algorithm;

use crate::{
    audience::AudienceFrom,
    clock::IssuerClock,
    error::ConfigError,
    fetch::parse_url,
    introspection::{Introspection, IntrospectionConfig},
    jwk::{ALGORITHMS, algorithm_named},
    key_set::KeySet,
    key_source::{KeyPolicy, KeySource},
};

/// An issuer this server trusts, with everything that trust is bound to.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IssuerConfig {
    /// Issuer identifier: compared with `iss` as an exact string (RFC 8414 section 2).
    pub issuer: String,
    /// Audiences that mean this server (RFC 8707). At least one; any of them in `aud` is enough.
    pub audiences: Vec<String>,
    /// A resource, every resource below which stands for a part of this server: `…/mcp` for `…/mcp/a`.
    /// Tokens for those are accepted too, and [`TokenVerifier::is_for_all`] tells them from others.
    ///
    /// [`TokenVerifier::is_for_all`]: crate::TokenVerifier::is_for_all
    pub resources_below: Option<String>,
    /// Key set URL; found through the issuer's metadata when absent.
    pub jwks_uri: Option<String>,
    /// The key set itself (RFC 7517), of an issuer whose keys are in this process: it is never asked
    /// for anything.
    pub jwks: Option<String>,
    /// Algorithm names to accept; all supported ones when empty.
    pub algorithms: Vec<String>,
    /// What stands in for the audience of tokens without one; without it they are refused.
    pub audience_from: Option<AudienceFrom>,
    /// Claim that names the organization, with dots between names for what lies inside (`o.id`).
    /// `org_id` by default.
    pub organization_claim: String,
    /// The organizations for which this issuer may speak; any when empty.
    pub organizations: Vec<String>,
    /// Whether a token without organization is refused. `true` by default.
    pub organization_required: bool,
    /// Whether tokens that speak for a client instead of a user are let in. `false` by default.
    pub service_principals: bool,
    /// Whether its access tokens hold the `at_hash` of ID tokens, as Dex's do. `false` by default:
    /// such a token is refused unless its header says `at+jwt`.
    pub at_hash_in_access_tokens: bool,
    /// How to ask about opaque tokens; without it they are refused.
    pub introspection: Option<IntrospectionConfig>,
}

impl IssuerConfig {
    /// An issuer with the defaults and the audiences that stand for this server.
    pub fn new<A: Into<String>>(
        issuer: impl Into<String>,
        audiences: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            audiences: audiences.into_iter().map(Into::into).collect(),
            resources_below: None,
            jwks_uri: None,
            jwks: None,
            algorithms: Vec::new(),
            audience_from: None,
            organization_claim: "org_id".to_owned(),
            organizations: Vec::new(),
            organization_required: true,
            service_principals: false,
            at_hash_in_access_tokens: false,
            introspection: None,
        }
    }
}

/// The keys of a set that is configured as text: one without any would refuse every token.
pub(crate) fn key_set(issuer: &str, text: &str) -> Result<KeySet, ConfigError> {
    let refused = |fault| ConfigError::KeySet(issuer.to_owned(), fault);
    let document = serde_json::from_str(text).map_err(|_| refused("it is no JSON Web Key Set"))?;
    let set = KeySet::usable(&document, Instant::now());
    let fault = set.refused.first().map(|key| key.fault.as_str());
    if set.keys.is_empty() {
        return Err(refused(fault.unwrap_or("it holds no key")));
    }
    Ok(set)
}

/// A configured issuer at work.
#[derive(Debug)]
pub(crate) struct Issuer {
    pub(crate) config: IssuerConfig,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) keys: Arc<KeySource>,
    pub(crate) clock: Arc<IssuerClock>,
    pub(crate) introspection: Option<Introspection>,
}

impl Issuer {
    pub(crate) fn new(
        config: IssuerConfig,
        client: reqwest::Client,
        policy: KeyPolicy,
    ) -> Result<Self, ConfigError> {
        let url = parse_url(&config.issuer)?;
        // Whose keys are here is this process: its clock is ours.
        let url = Some(url).filter(|_| config.jwks.is_none());
        let clock = IssuerClock::new(url, client.clone());
        let jwks_uri = config.jwks_uri.as_deref().map(parse_url).transpose()?;
        if config.audiences.iter().all(String::is_empty) {
            return Err(ConfigError::NoAudience(config.issuer));
        }
        let from = config.audience_from.as_ref();
        if from.is_some_and(|from| from.clients.iter().all(String::is_empty)) {
            return Err(ConfigError::NoClient(config.issuer));
        }
        let named = |name: &String| {
            algorithm_named(name).ok_or_else(|| ConfigError::Algorithm(name.clone()))
        };
        let algorithms = if config.algorithms.is_empty() {
            ALGORITHMS.to_vec()
        } else {
            config
                .algorithms
                .iter()
                .map(named)
                .collect::<Result<_, _>>()?
        };
        let introspection = config
            .introspection
            .clone()
            .map(|config| Introspection::new(config, client.clone(), policy.timeout))
            .transpose()?;
        let name = config.issuer.clone();
        let keys = match &config.jwks {
            Some(text) => KeySource::fixed(name, key_set(&config.issuer, text)?, client, policy),
            None => KeySource::new(name, jwks_uri, client, policy),
        };
        Ok(Self {
            config,
            algorithms,
            keys,
            clock,
            introspection,
        })
    }
}
