//! The server as a host puts it together: its handler, its rules, and what can be seen of it.

use std::sync::Arc;

use bytes::Bytes;
use http::Extensions;
use mcp_auth::AccessToken;
use mcp_outbound::HeadSampler;
use mcp_session::{Session, SessionTiers};
use rmcp::{
    ServerHandler,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};

use crate::{
    challenge::Challenger,
    client_address::AddressRule,
    config::HttpConfig,
    connections::{ConnectionCounts, Connections},
    direct::Direct,
    drain::Drain,
    limits::CallLimits,
    memory::{MemoryBudget, MemoryUsage},
    metadata,
    mounted::{MountError, Mounted, MountedRoutes},
    observe::RequestObserver,
    origin::OriginRule,
    preview::RequestPreview,
    router::{Route, routes},
    tenant::TenantEndpoints,
};

type AttachCaller = dyn Fn(&Arc<Session>, &AccessToken, &mut Extensions) + Send + Sync;
type ScopeRule = dyn Fn(&RequestPreview<'_>, &[String]) -> Result<(), Vec<String>> + Send + Sync;
type AdmissionRule = dyn Fn(&Session) -> Result<(), String> + Send + Sync;
type Wrapping = dyn Fn(&RequestPreview<'_>, &[u8]) -> Option<Vec<u8>> + Send + Sync;

/// A hosted MCP server around an rmcp handler. Cheap to clone, when it is set up: the clones share what
/// the `with_` methods set, and those change nothing where there are clones.
pub struct HttpServer<H> {
    pub(crate) inner: Arc<Inner<H>>,
}

impl<H> Clone for HttpServer<H> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

pub(crate) struct Inner<H> {
    pub(crate) config: HttpConfig,
    pub(crate) drain: Arc<Drain>,
    pub(crate) connections: Arc<Connections>,
    /// The fast path, for tools that only answer.
    pub(crate) direct: Option<Direct<H>>,
    pub(crate) handler: H,
    /// Those that the handler answers, where that was said.
    pub(crate) methods: Option<&'static [&'static str]>,
    pub(crate) sdk: StreamableHttpService<H, NeverSessionManager>,
    pub(crate) sessions: SessionTiers,
    pub(crate) attach_caller: Box<AttachCaller>,
    pub(crate) tenants: Option<TenantEndpoints>,
    pub(crate) scope_rule: Box<ScopeRule>,
    pub(crate) admission_rule: Option<Box<AdmissionRule>>,
    pub(crate) wrapping: Option<Box<Wrapping>>,
    pub(crate) limits: Option<CallLimits>,
    pub(crate) challenger: Challenger,
    pub(crate) origin_rule: OriginRule,
    pub(crate) address_rule: AddressRule,
    pub(crate) head: Option<HeadSampler>,
    pub(crate) observer: Option<RequestObserver>,
    pub(crate) metadata: Bytes,
    pub(crate) endpoint_path: String,
    pub(crate) routes: Vec<(String, Route)>,
    pub(crate) mounted: Vec<Mounted>,
}

/// What can be seen of a server while it runs. A cheap handle.
#[derive(Debug, Clone)]
pub struct ServerStatus {
    drain: Arc<Drain>,
    connections: Arc<Connections>,
    memory: MemoryBudget,
}

impl ServerStatus {
    /// Whether it is stopping, and sends new calls away.
    pub fn is_draining(&self) -> bool {
        self.drain.is_draining()
    }

    /// Calls that are being answered.
    pub fn in_flight(&self) -> usize {
        self.drain.in_flight()
    }

    /// Its connections.
    pub fn connections(&self) -> ConnectionCounts {
        self.connections.counts()
    }

    /// What connections, requests and answers hold.
    pub fn memory(&self) -> MemoryUsage {
        self.memory.usage()
    }
}

impl<H: ServerHandler + Clone + Sync + Send + 'static> HttpServer<H> {
    /// A server for `handler`. `caller` turns a session into what the tools will find in the
    /// extensions of the request's `http::request::Parts`; the token is there for the case that it
    /// is the upstream credential itself.
    pub fn new<C: Clone + Send + Sync + 'static>(
        config: HttpConfig,
        sessions: SessionTiers,
        handler: H,
        caller: impl Fn(&Arc<Session>, &AccessToken) -> C + Send + Sync + 'static,
    ) -> Self {
        let attach =
            move |session: &Arc<Session>, token: &AccessToken, extensions: &mut Extensions| {
                extensions.insert(caller(session, token));
            };
        Self::build(
            config,
            sessions,
            handler,
            Box::new(attach),
            Box::new(|_, _| Ok(())),
        )
    }

    /// The same server with a rule that says whether the granted scopes cover a request; without
    /// one, all do. `Err` names all scopes the request needs, for the challenge of a 403
    /// `insufficient_scope`.
    #[must_use]
    pub fn with_scope_rule(
        self,
        rule: impl Fn(&RequestPreview<'_>, &[String]) -> Result<(), Vec<String>> + Send + Sync + 'static,
    ) -> Self {
        self.changed(|inner| inner.scope_rule = Box::new(rule))
    }

    /// The same server, where callers and strangers may not do as much as they like. Whoever is let in is
    /// never refused for an address.
    #[must_use]
    pub fn with_limits(self, limits: CallLimits) -> Self {
        self.changed(|inner| inner.limits = Some(limits))
    }

    /// The same server with a rule that says who is let in of those whose token is good; without one, all
    /// are. `Err` says why not, for whoever is sent away with a 403: a sentence that tells nothing of
    /// others. Asked for every request, so it must not wait for anything.
    #[must_use]
    pub fn with_admission_rule(
        self,
        rule: impl Fn(&Session) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.changed(|inner| inner.admission_rule = Some(Box::new(rule)))
    }

    /// The same server, but calls of these tools, and `tools/list`, are handed to the handler without
    /// a service of the SDK around each: about half of what a call costs.
    ///
    /// For tools that do nothing but answer. One of these that sends the client anything before its
    /// answer gets `ServiceError::TransportClosed` instead, unless the client asked for progress:
    /// such a call goes the usual way, as does one of a tool that mirrors arguments in `Mcp-Param-*`
    /// headers, and everything that is not plain.
    #[must_use]
    pub fn with_direct_tools<N: AsRef<str>>(self, names: impl IntoIterator<Item = N>) -> Self {
        self.changed(|inner| inner.direct = Some(Direct::new(inner.handler.clone(), names)))
    }

    /// The same server, for a handler that answers these methods. A request of another one, with params
    /// that nobody can read, gets "method not found" (-32601) and not "invalid params" (-32602).
    #[must_use]
    pub fn with_methods(self, methods: &'static [&'static str]) -> Self {
        self.changed(|inner| inner.methods = Some(methods))
    }

    /// The same server, for a handler that wants more of some messages than the SDK reads of them.
    /// `wrapping` gives what is read in place of such a message: a request with the same id and `_meta`
    /// that the SDK hands on as it is, for it does not know the method or cannot read the params.
    #[must_use]
    pub fn with_wrapping(
        self,
        wrapping: impl Fn(&RequestPreview<'_>, &[u8]) -> Option<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.changed(|inner| inner.wrapping = Some(Box::new(wrapping)))
    }

    /// The same server, on whose listener these paths lead to a handler of the host's. They may stand
    /// for an authorization server's, and for none of this server's own.
    ///
    /// # Errors
    /// [`MountError`] for a path that leads somewhere already, or that is none.
    pub fn with_routes(self, mine: MountedRoutes) -> Result<Self, MountError> {
        let mut result = Ok(());
        let server = self.changed(|inner| {
            let prefix = inner.config.prefix();
            result = mine.mount(prefix, &mut inner.routes, &mut inner.mounted);
        });
        result.map(|()| server)
    }

    /// The same server, with an endpoint for each tenant below its own. Tokens for those are good where
    /// the issuers' settings accept [what is below](mcp_auth::IssuerConfig::resources_below) the resource.
    #[must_use]
    pub fn with_tenants(self, tenants: TenantEndpoints) -> Self {
        self.changed(|inner| inner.tenants = Some(tenants))
    }

    /// The same server; `head` decides which requests are traced.
    #[must_use]
    pub fn with_head_sampler(self, head: HeadSampler) -> Self {
        self.changed(|inner| inner.head = Some(head))
    }

    /// The same server; the observer, too, is told about every request that was answered.
    #[must_use]
    pub fn with_observer(self, observer: RequestObserver) -> Self {
        self.changed(|inner| {
            inner.observer = Some(match inner.observer.take() {
                Some(first) => Arc::new(move |request| {
                    first(request);
                    observer(request);
                }),
                None => observer,
            });
        })
    }

    /// Where somebody serves it already, nothing changes under the requests.
    fn changed(mut self, change: impl FnOnce(&mut Inner<H>)) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            change(inner);
        } else {
            tracing::error!("a server of which there are clones is not changed any more");
        }
        self
    }

    /// What can be seen of the server while it runs.
    pub fn status(&self) -> ServerStatus {
        ServerStatus {
            drain: Arc::clone(&self.inner.drain),
            connections: Arc::clone(&self.inner.connections),
            memory: self.inner.config.memory.clone(),
        }
    }

    fn build(
        config: HttpConfig,
        sessions: SessionTiers,
        handler: H,
        attach_caller: Box<AttachCaller>,
        scope_rule: Box<ScopeRule>,
    ) -> Self {
        let sdk_config = StreamableHttpServerConfig::default()
            // No protocol sessions: any instance answers any request of any revision.
            .with_legacy_session_mode(false)
            .with_json_response(true)
            .with_sse_keep_alive(Some(config.keep_alive))
            .with_allowed_hosts(config.hosts())
            .with_allowed_origins(config.origins())
            .enforce_origin_validation()
            .with_max_request_body_bytes(config.max_body_bytes);
        let own = handler.clone();
        let sdk = StreamableHttpService::new(
            move || Ok(own.clone()),
            Arc::new(NeverSessionManager::default()),
            sdk_config,
        );
        let inner = Inner {
            drain: Arc::default(),
            connections: Arc::new(Connections::new(&config)),
            direct: None,
            handler,
            methods: None,
            sdk,
            sessions,
            attach_caller,
            tenants: None,
            scope_rule,
            admission_rule: None,
            wrapping: None,
            limits: None,
            challenger: Challenger::new(config.metadata_url(), &config.scopes_supported),
            origin_rule: OriginRule::new(config.origins(), config.hosts()),
            address_rule: AddressRule::new(config.trusted_proxies.clone(), config.has_tls()),
            head: None,
            observer: None,
            metadata: metadata::render(&config),
            endpoint_path: config.endpoint_path(),
            routes: routes(config.prefix()),
            mounted: Vec::new(),
            config,
        };
        Self {
            inner: Arc::new(inner),
        }
    }
}
