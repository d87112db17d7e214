//! Our own authorization server: made of its settings, and mounted beside the endpoint.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use bytes::Bytes;
use http::Request;
use mcp_authorization_server::{
    AuthorizationServer, AuthorizationServerConfig, EncryptionKeys, Observer, Scope,
};
use mcp_fleet::Denials;
use mcp_outbound::{GuardedClient, Reach};
use mcp_session::{FactStore, MemoryFacts, RedisStore};
use mcp_transport_http::MountedRoutes;

use crate::config::{ApiSettings, AuthSettings, AuthorizationServerSettings, HttpSettings};
use crate::metrics::Recorder;
use crate::revocations;
use crate::tenants;

/// What it shares with the rest of the process.
pub(crate) struct Shared<'a> {
    pub(crate) facts: Option<&'a RedisStore>,
    pub(crate) denials: &'a Denials,
    pub(crate) recorder: Option<Arc<Recorder>>,
}

/// The server, where there is one; from here on the first issuer is what verifies its tokens.
pub(crate) fn of(
    http: &mut HttpSettings,
    public_url: &str,
    api: &ApiSettings,
    shared: Shared<'_>,
    tls: rustls::ClientConfig,
    client: reqwest::Client,
) -> anyhow::Result<Option<AuthorizationServer>> {
    let Some(settings) = http.auth.authorization_server.clone() else {
        return Ok(None);
    };
    let keys = http.session.keys.as_ref().context("ENCRYPTION_KEY")?;
    let keys = EncryptionKeys {
        current: &keys.current,
        previous: &keys.previous,
    };
    let facts: Arc<dyn FactStore> = match shared.facts {
        Some(redis) => Arc::new(redis.clone()),
        None => Arc::new(MemoryFacts::default()),
    };
    let mut config = config(settings, &http.auth, public_url, tls)?;
    config.upstream = api.base_url.to_string();
    if let Some(recorder) = shared.recorder {
        config.observer = Observer::new(move |event| recorder.authorization_server(event));
    }
    let needed = config.keys_needed_for();
    config.denied = Some(revocations::of_grants(
        shared.denials.clone(),
        config.issuer.clone(),
    ));
    let server = AuthorizationServer::new(config, &keys, facts, client)?;
    if let Some(own) = http.auth.issuers.first_mut() {
        own.accepted = server.issuer();
        // The resource is put before the others of each issuer.
        own.accepted.audiences.clear();
    }
    tracing::info!(
        issuer = public_url,
        "people log in at this server's own authorization server"
    );
    if !keys.previous.is_empty() {
        let (previous, days) = (keys.previous.len(), days(needed));
        tracing::info!(
            previous,
            days,
            "clients hold what previous encryption keys sealed: each is needed for so many days after \
             it was replaced, and without it they have to be added anew"
        );
    }
    Ok(Some(server))
}

/// For how long an encryption key is needed after it was replaced, in days.
pub(crate) fn days_of_keys(settings: &AuthorizationServerSettings) -> u64 {
    let mut config = AuthorizationServerConfig::new("", "", settings.provider.clone());
    apply(settings, &mut config);
    days(config.keys_needed_for())
}

fn days(time: Duration) -> u64 {
    time.as_secs().div_ceil(86_400)
}

/// What is chosen of clients and lifetimes.
fn apply(settings: &AuthorizationServerSettings, config: &mut AuthorizationServerConfig) {
    if let Some(allowed) = settings.dynamic_registration {
        config.dynamic_registration = allowed;
    }
    let lasting = [
        (
            settings.access_token_lifetime,
            &mut config.access_token_lifetime,
        ),
        (settings.refresh_token_idle, &mut config.refresh_token_idle),
        (settings.grant_lifetime, &mut config.grant_lifetime),
        (settings.refresh_grace, &mut config.refresh_grace),
    ];
    for (chosen, setting) in lasting {
        if let Some(chosen) = chosen {
            *setting = chosen;
        }
    }
}

fn config(
    settings: AuthorizationServerSettings,
    auth: &AuthSettings,
    public_url: &str,
    tls: rustls::ClientConfig,
) -> anyhow::Result<AuthorizationServerConfig> {
    let resource = format!("{public_url}/mcp");
    let mut config =
        AuthorizationServerConfig::new(public_url, resource, settings.provider.clone());
    config.resource_below = Some(tenants::is_address);
    "BrainGrid".clone_into(&mut config.service_name);
    config.scopes = scopes(auth);
    apply(&settings, &mut config);
    config.clients = settings.clients;
    config.assertion_issuers = settings.assertion_issuers;
    if settings.client_id_metadata_documents != Some(false) {
        // Who tries this out on one machine has its documents there, too.
        let reach = if public_url.starts_with("https:") {
            Reach::Public
        } else {
            Reach::PublicAndThisMachine
        };
        let agent = concat!("braingrid-mcp/", env!("CARGO_PKG_VERSION"));
        config.client_documents = Some(GuardedClient::new(tls, agent, reach)?);
    }
    Ok(config)
}

/// What clients may ask for: the scopes that tools need, and those that are named.
fn scopes(auth: &AuthSettings) -> Vec<Scope> {
    let mut scopes: Vec<Scope> = Vec::new();
    let mut add = |name: &String, meaning: String| {
        if scopes.iter().all(|known| known.name != *name) {
            scopes.push(Scope {
                name: name.clone(),
                meaning,
            });
        }
    };
    for (rule, needed) in &auth.tool_scopes {
        let meaning = match rule.as_str() {
            "read" => "read your projects, requirements and tasks".to_owned(),
            "write" => "create and change requirements and tasks".to_owned(),
            tool => format!("use the tool {tool}"),
        };
        for scope in needed {
            add(scope, meaning.clone());
        }
    }
    for (scope, implied) in &auth.scope_hierarchy {
        add(
            scope,
            format!("do all that {} allows", implied.join(" and ")),
        );
    }
    for scope in &auth.scopes {
        add(scope, format!("do what {scope} stands for"));
    }
    scopes
}

/// Its paths, for the listener.
pub(crate) fn routes(server: AuthorizationServer) -> MountedRoutes {
    let paths = server.paths();
    let routes = MountedRoutes::new(move |request: Request<Bytes>| {
        let server = server.clone();
        async move { server.handle(request).await }
    });
    let label = |path: &str| match path.rsplit('/').next() {
        Some("authorize") => "authorize",
        Some("callback") => "callback",
        Some("token") => "token",
        Some("register") => "register",
        Some("revoke") => "revoke",
        Some("jwks.json") => "jwks",
        _ => "authorization_server",
    };
    paths.into_iter().fold(routes, |routes, path| {
        let label = label(&path);
        routes.path(path, label)
    })
}
