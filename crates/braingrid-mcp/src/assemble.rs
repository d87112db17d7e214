//! Configuration to object graph, in order, without logic.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use mcp_auth::{
    AccessToken, ExchangeConfig, SameAudience, TokenExchange, TokenVerifier, UpstreamCredentials,
};
use mcp_authorization_server::AuthorizationServer;
use mcp_core::{
    ApiRequestObserver, BrainGridClient, BrainGridConfig, Caller, FinishedApiRequest, Organization,
    ScopePolicy, ToolOptions, ToolSet, own_token,
};
use mcp_fleet::{Denials, Journal, JournalConfig, Tasks, TasksConfig, TenantNews};
use mcp_outbound::{Proxies, SystemRoots};
use mcp_session::{
    Keyring, MemoryStore, RedisConfig, RedisStore, Session, SessionTiers, SessionTiersBuilder,
    SharedStore,
};
use mcp_transport_http::{
    AdminServer, HttpConfig, HttpServer, MountedRoutes, Phase, RequestPreview,
};
use mcp_transport_stdio::StaticToken;
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::admin::{Access, Admin, Browsers};
use crate::audit::{Audit, Digest};
use crate::authorization_server;
use crate::caller::{SessionCallers, room_for};
use crate::config::{
    AdminSettings, ApiSettings, AuthSettings, HttpSettings, SealingKeys, SessionSettings,
    StdioSettings, UpstreamSettings,
};
use crate::journal::{self, LocalJournal};
use crate::limits;
#[cfg(feature = "login")]
pub(crate) use crate::login::callers as local_callers;
use crate::metrics::{Metrics, Observer};
use crate::mirror;
use crate::project_file::default_project;
use crate::provider_events;
use crate::rates;
use crate::revocations;
use crate::roots;
use crate::shutdown::Shutdown;
use crate::tasks;
use crate::telemetry::{self, Telemetry};
use crate::tenants::{self, Organizations};

/// Time that pending session writes have at the end, where there is so much. They are a cache: losing
/// them costs a verification.
const FLUSH_SESSIONS: Duration = Duration::from_millis(500);

/// How long a start waits for who is denied. Then it serves: the store may be away.
const FIRST_DENIALS: Duration = Duration::from_secs(2);

/// Names the caller of a call.
pub(crate) type Callers = Arc<dyn Fn() -> Caller + Send + Sync>;

/// Serves one local client.
pub(crate) async fn run_stdio(
    stdio: StdioSettings,
    api: ApiSettings,
    mut options: ToolOptions,
    writes: Option<JournalConfig>,
    telemetry: &Telemetry,
    audit: Option<Audit>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let tasks = tasks::of_local_tools(stdio.login.directory.clone(), api.base_url.to_string());
    let journal = writes.map(|config| LocalJournal {
        folder: stdio.login.directory.clone(),
        config,
        api: api.base_url.to_string(),
        observer: telemetry.metrics().map(Metrics::observer),
    });
    let callers = local_callers(stdio)?;
    let folder = std::env::current_dir().ok();
    if let Some(named) = folder.and_then(|folder| default_project(&folder)) {
        options.default_project = Some(named.project);
        options.default_project_from = Some(named.file.display().to_string());
    }
    let roots = SystemRoots::new();
    let with_tls = roots::needed([api.base_url.as_str()]);
    let mut api = api_config(api);
    api.tls = Some(roots.tls_config()?);
    let (_, tools) = tool_set(api, options, telemetry)?;
    let tools = tools.with_callers(move || callers());
    let tools = audited(tools, audit.as_ref(), None);
    let tools = match journal {
        Some(journal) => tools.with_journal(journal::of_local_tools(journal)),
        None => tools,
    };
    let tools = tools.with_tasks(tasks);
    tracing::debug!("serving one client over standard input and output");
    tokio::spawn(cut_calls(tools.clone(), shutdown.clone()));
    let serving = mcp_transport_stdio::serve(tools.clone(), shutdown.reached(Phase::Draining));
    let serving = Box::pin(async { Ok(serving.await?) });
    let served = roots::read_while(roots, with_tls, serving).await;
    // Tasks, and writes that were given up: at the latest they end when calls are cut.
    if tools.in_flight() > 0 {
        tracing::info!("the client has gone: what it began is finished");
        tools.drain(mcp_transport_stdio::AFTER_END).await;
    }
    served
}

/// Serves many users.
pub(crate) async fn run_http(
    mut http: HttpSettings,
    api: ApiSettings,
    mut options: ToolOptions,
    writes: Option<JournalConfig>,
    telemetry: &Telemetry,
    audit: Option<Audit>,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    let listener = listen(http.listen).await?;
    let address = listener.local_addr()?;
    options.scopes = scope_policy(&http.auth);
    let roots = SystemRoots::new();
    let tls = roots.tls_config()?;
    let issuers = mcp_auth::http_client_over(tls.clone())?;
    let redis = redis(&http.session)?;
    let facts = facts(&http.session, redis.as_ref())?;
    let public_url = http.public_url_at(address.port());
    let denials = denials(&http, facts.as_ref()).await?;
    let _listening = denials.listen();
    let client = issuers.clone();
    let shared = authorization_server::Shared {
        facts: facts.as_ref(),
        denials: &denials,
        recorder: telemetry.metrics().map(Metrics::recorder),
    };
    let own = authorization_server::of(&mut http, &public_url, &api, shared, tls.clone(), client)?;
    let peers = peers(&http.auth).chain(http.revocation.peers());
    let with_tls = roots::needed(peers.chain([api.base_url.as_str()]));
    let mut config = http_config(&http, address.port())?;
    limits::apply(&http.limits, &mut config);
    config.scopes_supported = asked_scopes(&http.auth, &options.scopes);
    let resource = config.resource.clone();
    let verifier = verifier(&http.auth, &resource, issuers.clone())?;
    let sessions = sessions(&http, verifier.clone(), redis.clone(), facts.clone())
        .denied(revocations::of_principals(denials.clone()));
    let sessions = with_upstream(
        sessions,
        &http.auth,
        &resource,
        &api,
        &issuers,
        own.as_ref(),
    )?
    .build();
    let limits = rates::limits(http.rates, facts.clone(), keyring(&http.session));
    let mut api = api_config(api);
    api.tls = Some(tls);
    api.limit = rates::outgoing(&limits, &http.rates);
    let (client, tools) = tool_set(api, options, telemetry)?;
    let tools = audited(tools, audit.as_ref(), http.session.keys.as_ref());
    let journal = writes.map(|config| journal(&http.session, facts.clone(), config));
    let journal = journal.map(|journal| observed(journal, telemetry));
    let tools = journalled(tools, journal, &http, &denials);
    let events = provider_events::Shared {
        facts: facts.as_ref(),
        keyring: keyring(&http.session),
        denials: &denials,
        audit: audit.as_ref(),
        recorder: telemetry.metrics().map(Metrics::recorder),
    };
    let events = provider_events::routes(&http, events, &issuers)?;
    let (organizations, _heard) = organizations(&http, facts.as_ref()).await?;
    let tasks = tasks_in(&http.session, facts);
    let tools = tools.with_tasks(tasks::of_tools(tasks.clone()));
    let server = endpoint(config, &sessions, &tools, &http.auth, &organizations);
    let server = server.with_limits(rates::of_calls(&limits, tools.clone()));
    let server = with_paths(server, own, events, &http.auth, &issuers)?;
    let server = watched(server, telemetry, audit.as_ref(), |observer| {
        observer.sessions(&sessions);
        observer.issuers(&verifier);
        observer.denials(&denials);
        observer.limits(&limits);
        observer.redis(redis.as_ref());
    });
    if let (Some(settings), Some(metrics)) = (&http.admin, telemetry.metrics()) {
        let admin = Admin {
            access: Access::new(settings.tokens_file.clone(), settings.metrics_need_token),
            browsers: Browsers::default(),
            audit: audit.clone(),
            metrics: metrics.exposition(),
            log: telemetry.log_control(),
            server: server.status(),
            verifier: verifier.clone(),
            sessions: sessions.clone(),
            denials: denials.clone(),
            tasks,
            redis,
            api: client,
        };
        serve_operators(settings, admin).await?;
    }
    tracing::info!(%address, %resource, "listening");
    tell_of_origins(&http, &resource);
    // Listening first: the keys arrive while the first connection is still being made.
    tokio::spawn(async move { verifier.warm_up().await });
    let cut = tokio::spawn(cut_calls(tools.clone(), shutdown.clone()));
    let serving = server.serve_in_phases(listener, shutdown.phases());
    let serving = Box::pin(async { Ok(serving.await?) });
    roots::read_while(roots, with_tls, serving).await?;
    // Also those whose clients have left. At the latest they end when calls are cut.
    tools.drain(http.drain_timeout).await;
    wind_up(&sessions, &shutdown, cut).await;
    Ok(())
}

/// Keeps what can be kept, and says what could not.
async fn wind_up(sessions: &SessionTiers, shutdown: &Shutdown, cut: JoinHandle<usize>) {
    let unsaved = sessions.flush(FLUSH_SESSIONS.min(shutdown.left())).await;
    let unfinished = if *shutdown.phases().borrow() >= Phase::Answering {
        cut.await.unwrap_or_default()
    } else {
        0
    };
    tracing::info!(unfinished, unsaved, "stopped");
}

/// Hosted connectors name their origin, and nobody thinks of it.
fn tell_of_origins(http: &HttpSettings, resource: &str) {
    if http.allowed_origins.is_empty() && resource.starts_with("https:") {
        tracing::info!(
            "ALLOWED_ORIGINS is not set: connectors that name their origin, as those of claude.ai and \
             chatgpt.com do, are refused; ALLOWED_ORIGINS=known-clients lets them in"
        );
    }
}

/// The endpoint of these tools.
fn endpoint(
    config: HttpConfig,
    sessions: &SessionTiers,
    tools: &ToolSet,
    auth: &AuthSettings,
    organizations: &Organizations,
) -> HttpServer<ToolSet> {
    let scopes = tools.clone();
    let callers = SessionCallers::new(sessions.clone(), Some(organizations.clone()));
    let memory = config.memory.clone();
    let (own, admitted) = (organizations.clone(), organizations.clone());
    let tokens = auth.organization_tokens;
    let tenants = tenants::endpoints(callers.clone(), memory.clone(), tokens, own);
    let caller = move |session: &Arc<Session>, token: &AccessToken| {
        let room = room_for(session.principal(), &memory);
        callers.caller_of(session, token).within(room)
    };
    HttpServer::new(config, sessions.clone(), tools.clone(), caller)
        .with_tenants(tenants)
        .with_admission_rule(move |session| admitted.admit(session.principal()))
        .with_direct_tools(tools.built_in())
        .with_methods(mcp_core::METHODS)
        .with_wrapping(wrapped)
        .with_scope_rule(move |request, granted| match &request.tool {
            Some(tool) => scopes.check_scopes(tool, granted),
            None => Ok(()),
        })
}

/// The same server, with what else stands on its listener.
fn with_paths(
    server: HttpServer<ToolSet>,
    own: Option<AuthorizationServer>,
    events: Option<MountedRoutes>,
    auth: &AuthSettings,
    issuers: &reqwest::Client,
) -> anyhow::Result<HttpServer<ToolSet>> {
    let server = match own {
        Some(own) => server.with_routes(authorization_server::routes(own))?,
        None => mirror::beside(server, auth, issuers)?,
    };
    Ok(match events {
        Some(events) => server.with_routes(events)?,
        None => server,
    })
}

/// The same server, seen by whoever watches it.
fn watched(
    mut server: HttpServer<ToolSet>,
    telemetry: &Telemetry,
    audit: Option<&Audit>,
    what: impl FnOnce(&Observer),
) -> HttpServer<ToolSet> {
    if let Some(head) = telemetry.head_sampler() {
        server = server.with_head_sampler(head);
    }
    if let Some(audit) = audit {
        server = server.with_observer(audit.of_refusals());
    }
    if let Some(metrics) = telemetry.metrics() {
        let observer = metrics.observer();
        observer.server(&server.status());
        what(&observer);
        let recorder = metrics.recorder();
        server = server.with_observer(Arc::new(move |request| recorder.request(request)));
    }
    server
}

/// What the tools want to read whole, as the SDK hands it on.
fn wrapped(request: &RequestPreview<'_>, message: &[u8]) -> Option<Vec<u8>> {
    let is_modern = request.protocol_version.is_some();
    mcp_core::wrapped(&request.method, is_modern, message)
}

/// Ends what would not end by itself, and has the calls that are under way answered when their time is over; how many of them were writes.
async fn cut_calls(tools: ToolSet, shutdown: Shutdown) -> usize {
    shutdown.clone().reached(Phase::Draining).await;
    tools.end_listening();
    shutdown.reached(Phase::Answering).await;
    let writes = tools.in_flight();
    tools.cut();
    writes
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address}"))
}

/// Serves operators, from here to the end of the process: also while the server drains.
async fn serve_operators(settings: &AdminSettings, admin: Admin) -> anyhow::Result<()> {
    let listener = listen(settings.listen).await?;
    tracing::info!(address = %listener.local_addr()?, "listening for operators");
    let admin = Arc::new(admin);
    let server = AdminServer::new(settings.allowed_hosts.clone(), move |request| {
        Arc::clone(&admin).answer(request)
    });
    tokio::spawn(server.serve(listener));
    Ok(())
}

/// The same tools, with their calls in the audit log where there is one.
fn audited(tools: ToolSet, audit: Option<&Audit>, keys: Option<&SealingKeys>) -> ToolSet {
    let Some(audit) = audit else { return tools };
    let digest = match keys {
        Some(keys) => Digest::new(&keys.current),
        None => Digest::new(&mcp_session::random_key()),
    };
    tools.with_auditor(audit.of_calls(digest))
}

/// The same tools, whose writes are remembered, and refused while it is not known who is denied.
fn journalled(
    tools: ToolSet,
    journal: Option<Journal>,
    http: &HttpSettings,
    denials: &Denials,
) -> ToolSet {
    let Some(journal) = journal else { return tools };
    let journal = journal::of_tools(journal);
    let max_age = http.revocation.max_age;
    tools.with_journal(revocations::unless_old(journal, denials.clone(), max_age))
}

/// The same journal, watched where metrics are on.
fn observed(journal: Journal, telemetry: &Telemetry) -> Journal {
    if let Some(metrics) = telemetry.metrics() {
        metrics.observer().journal(&journal);
    }
    journal
}

/// The way to the BrainGrid API.
pub(crate) fn client(api: ApiSettings) -> anyhow::Result<BrainGridClient> {
    Ok(BrainGridClient::new(api_config(api))?)
}

/// Requests to BrainGrid belong to the trace of whoever caused them.
fn api_config(api: ApiSettings) -> BrainGridConfig {
    let mut config = BrainGridConfig::new(api.base_url);
    config.headers = Some(telemetry::pass_on());
    config.proxies = Proxies::from_env();
    config
}

/// The tools, and the client they work through; watched where metrics are on.
fn tool_set(
    mut config: BrainGridConfig,
    options: ToolOptions,
    telemetry: &Telemetry,
) -> anyhow::Result<(BrainGridClient, ToolSet)> {
    let metrics = telemetry.metrics();
    config.observer = metrics.map(|metrics| {
        let recorder = metrics.recorder();
        Arc::new(move |request: &FinishedApiRequest| recorder.api_request(request))
            as ApiRequestObserver
    });
    let client = BrainGridClient::new(config)?;
    let mut tools = ToolSet::new(client.clone(), options);
    if let Some(head) = telemetry.head_sampler() {
        tools = tools.with_head_sampler(head);
    }
    if let Some(metrics) = metrics {
        let recorder = metrics.recorder();
        tools = tools.with_observer(Arc::new(move |operation| recorder.operation(operation)));
        metrics.observer().tools(&client, &tools);
    }
    Ok((client, tools))
}

/// What clients are told to ask for: the configured scopes, and those that reading needs.
fn asked_scopes(auth: &AuthSettings, policy: &ScopePolicy) -> Vec<String> {
    let mut scopes = auth.scopes.clone();
    let needed = policy.initial().iter();
    scopes.extend(needed.filter(|scope| !auth.scopes.contains(scope)).cloned());
    scopes
}

fn scope_policy(auth: &AuthSettings) -> ScopePolicy {
    let policy = ScopePolicy::default();
    let rules = auth.tool_scopes.iter().cloned();
    let policy = rules.fold(policy, |policy, (name, scopes)| match name.as_str() {
        "read" => policy.for_reads(scopes),
        "write" => policy.for_writes(scopes),
        tool => policy.for_tool(tool, scopes),
    });
    let hierarchy = auth.scope_hierarchy.iter().cloned();
    hierarchy.fold(policy, |policy, (scope, implied)| {
        policy.implying(scope, implied)
    })
}

/// There is one caller for all: a token is for the life of the process.
#[cfg(not(feature = "login"))]
pub(crate) fn local_callers(stdio: StdioSettings) -> anyhow::Result<Callers> {
    let caller = token_caller(stdio)?;
    Ok(Arc::new(move || caller.clone()))
}

/// The organization: the setting, else what the profile says, else what the token says.
pub(crate) fn token_caller(stdio: StdioSettings) -> anyhow::Result<Caller> {
    let organization = match stdio.organization {
        Some(id) => Organization::known(id.parse().context("BRAINGRID_ORGANIZATION_ID")?),
        None => {
            let claim = stdio.token.as_ref().and_then(own_token::organization_claim);
            Organization::from_profile(claim.and_then(|id| id.parse().ok()))
        }
    };
    let login = format!("token {}", digest_of(stdio.token.as_ref()));
    let credential = Arc::new(StaticToken::new(stdio.token));
    let caller = Caller::new(None, organization, Vec::new(), credential);
    Ok(caller.of_issuer(login))
}

/// Tells one token from another.
fn digest_of(token: Option<&SecretString>) -> String {
    let token = token.map_or("", |token| token.expose_secret());
    hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        token.as_bytes(),
    ))
}

fn http_config(http: &HttpSettings, port: u16) -> anyhow::Result<HttpConfig> {
    let issuers = http
        .auth
        .issuers
        .iter()
        .map(|it| it.accepted.issuer.as_str());
    let mut config = HttpConfig::new(&http.public_url_at(port), issuers)?;
    config.resource_name = Some("BrainGrid".to_owned());
    config.allowed_origins = http.allowed_origins.clone();
    config.allowed_hosts = http.allowed_hosts.clone();
    for proxy in &http.trusted_proxies {
        config
            .trusted_proxies
            .add(proxy)
            .context("TRUSTED_PROXIES")?;
    }
    Ok(config)
}

pub(crate) fn verifier(
    auth: &AuthSettings,
    resource: &str,
    client: reqwest::Client,
) -> anyhow::Result<TokenVerifier> {
    let issuers = auth.issuers.iter().map(|settings| {
        let mut issuer = settings.accepted.clone();
        issuer.audiences.insert(0, resource.to_owned());
        issuer.resources_below = Some(resource.to_owned());
        issuer
    });
    Ok(TokenVerifier::new(
        issuers.collect(),
        client,
        auth.verifier.clone(),
    )?)
}

/// Whom verification asks.
fn peers(auth: &AuthSettings) -> impl Iterator<Item = &str> {
    auth.issuers.iter().flat_map(|settings| {
        let issuer = &settings.accepted;
        let keys = issuer.jwks_uri.as_deref();
        let introspection = issuer.introspection.as_ref();
        let introspection = introspection.map(|settings| settings.endpoint.as_str());
        let exchange = match &settings.upstream {
            Some(UpstreamSettings::Exchange(config)) => config.token_endpoint.as_deref(),
            _ => None,
        };
        // It asks its provider, and where clients describe themselves.
        let own = matches!(settings.upstream, Some(UpstreamSettings::Granted));
        std::iter::once(issuer.issuer.as_str())
            .chain(own.then_some("https://any"))
            .chain(keys)
            .chain(introspection)
            .chain(exchange)
    })
}

/// The shared store, where there is one.
fn redis(settings: &SessionSettings) -> anyhow::Result<Option<RedisStore>> {
    let Some(url) = &settings.redis_url else {
        tracing::info!("no REDIS_URL: sessions live in this process, for one instance only");
        return Ok(None);
    };
    Ok(Some(redis_at(url, settings)?))
}

pub(crate) fn redis_at(
    url: &SecretString,
    settings: &SessionSettings,
) -> anyhow::Result<RedisStore> {
    let mut config = RedisConfig::parse(url.expose_secret())?;
    if let Some(pem) = &settings.redis_ca {
        config = config.ca_pem(pem.as_slice());
    }
    Ok(RedisStore::new(config)?)
}

/// Where what must not be evicted is kept: the shared store, unless another one is named.
fn facts(
    settings: &SessionSettings,
    redis: Option<&RedisStore>,
) -> anyhow::Result<Option<RedisStore>> {
    let facts = match (&settings.facts_url, redis) {
        (Some(url), _) => redis_at(url, settings)?,
        (None, Some(redis)) => redis.clone(),
        (None, None) => return Ok(None),
    };
    let asked = facts.clone();
    tokio::spawn(async move {
        if let Ok(Some(policy)) = asked.eviction().await {
            tracing::warn!(
                policy,
                "this Redis may evict what is remembered of writes and tasks: set its maxmemory-policy to \
                 noeviction, or name another one by FACTS_REDIS_URL"
            );
        }
    });
    Ok(Some(facts))
}

/// What all instances remember of writes.
fn journal(
    settings: &SessionSettings,
    redis: Option<RedisStore>,
    config: JournalConfig,
) -> Journal {
    let keyring = Arc::new(keyring(settings));
    match redis {
        Some(redis) => Journal::shared(Arc::new(redis), keyring, config),
        None => Journal::in_process(keyring, config),
    }
}

/// The calls that go on while nobody waits for them.
fn tasks_in(settings: &SessionSettings, redis: Option<RedisStore>) -> Tasks {
    let (keyring, config) = (Arc::new(keyring(settings)), TasksConfig::default());
    match redis {
        Some(redis) => Tasks::shared(Arc::new(redis), keyring, config),
        None => Tasks::in_process(keyring, config),
    }
}

/// Who is denied, as far as it can be known before anybody is served.
async fn denials(http: &HttpSettings, facts: Option<&RedisStore>) -> anyhow::Result<Denials> {
    let denials = revocations::of(http, keyring(&http.session), facts)?;
    denials.read_within(FIRST_DENIALS).await;
    Ok(denials)
}

/// What is set for each organization; news of it are heard as long as the second lives.
async fn organizations(
    http: &HttpSettings,
    facts: Option<&RedisStore>,
) -> anyhow::Result<(Organizations, TenantNews)> {
    let issuers = http
        .auth
        .issuers
        .iter()
        .map(|it| it.accepted.issuer.clone());
    let (tenants, issuers) = (http.auth.tenants.clone(), issuers.collect());
    let all = Organizations::new(tenants, issuers, keyring(&http.session), facts);
    let all =
        all.map_err(|(organization, bad)| anyhow::anyhow!("[tenants.{organization:?}]: {bad}"))?;
    let heard = all.listen().await;
    Ok((all, heard))
}

fn keyring(settings: &SessionSettings) -> Keyring {
    match &settings.keys {
        Some(keys) => Keyring::new(&keys.current, &keys.previous),
        // Nobody else has to open these records.
        None => Keyring::random(),
    }
}

fn sessions(
    http: &HttpSettings,
    verifier: TokenVerifier,
    redis: Option<RedisStore>,
    facts: Option<RedisStore>,
) -> SessionTiersBuilder {
    let keyring = keyring(&http.session);
    // The second, for a token that does not say when it was issued, from here on.
    let max_lifetime = http.session.max_lifetime;
    let max_lifetime = max_lifetime.min(http.auth.verifier.max_lifetime);
    let store: Arc<dyn SharedStore> = match redis {
        Some(redis) => Arc::new(redis),
        None => Arc::new(MemoryStore::default()),
    };
    let tiers = SessionTiers::builder(verifier, keyring, store).max_lifetime(max_lifetime);
    match facts {
        Some(facts) => tiers.exchange_leases(Arc::new(facts)),
        None => tiers,
    }
}

/// What the API is called with for the users of each issuer.
fn with_upstream(
    mut tiers: SessionTiersBuilder,
    auth: &AuthSettings,
    resource: &str,
    api: &ApiSettings,
    issuers: &reqwest::Client,
    own: Option<&AuthorizationServer>,
) -> anyhow::Result<SessionTiersBuilder> {
    for it in &auth.issuers {
        let Some(upstream) = &it.upstream else {
            continue;
        };
        let credentials: UpstreamCredentials = match upstream {
            UpstreamSettings::SameAudience(audience) => {
                same_audience(audience, auth, resource).into()
            }
            UpstreamSettings::Exchange(config) => exchange(config, api, issuers)?.into(),
            UpstreamSettings::Granted => {
                let own = own.context("[authorization_server]")?;
                UpstreamCredentials::Granted(own.opener())
            }
        };
        tiers = tiers.upstream(&it.accepted.issuer, credentials);
    }
    announce_shared(auth);
    Ok(tiers)
}

/// However the mode was chosen, for one issuer or for all.
fn announce_shared(auth: &AuthSettings) {
    let upstream = auth.issuers.iter().filter_map(|it| it.upstream.as_ref());
    let shared = upstream.filter_map(|it| match it {
        UpstreamSettings::SameAudience(audience) => Some(audience),
        UpstreamSettings::Exchange(_) | UpstreamSettings::Granted => None,
    });
    for audience in shared.collect::<BTreeSet<_>>() {
        tracing::info!(
            audience,
            "same-audience mode: the API accepts the caller's own token, which names it as an audience; \
             where the issuer exchanges tokens, UPSTREAM_MODE=exchange or [issuers.upstream] keeps it here"
        );
    }
}

/// Tokens for the API come from the issuer.
fn exchange(
    config: &ExchangeConfig,
    api: &ApiSettings,
    client: &reqwest::Client,
) -> anyhow::Result<TokenExchange> {
    let issuer = &config.issuer;
    tracing::info!(
        issuer,
        "token exchange: the API is called with tokens of its own"
    );
    let mut config = config.clone();
    config.sent_to = Some(api.base_url.to_string());
    Ok(TokenExchange::new(config, client.clone())?)
}

fn same_audience(audience: &str, auth: &AuthSettings, resource: &str) -> SameAudience {
    let upstream = SameAudience::new(audience);
    // By agreement the API is the same resource: it takes tokens without audience as this server does.
    if audience == resource {
        upstream.and_of_clients(auth.clients())
    } else {
        upstream
    }
}
