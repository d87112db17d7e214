//! The tools, and `call_tool`: the only way one is run.
//!
//! Only this module and its children know the MCP library. A call goes one way: its name is
//! resolved to the canonical tool, the caller is found, the scope is checked, then the tool runs
//! guarded: no panic gets through, a client that leaves stops a read, and a write once begun is
//! finished in its own task. Everything that counts or filters sees canonical names only.

mod access;
mod account;
mod args;
mod audit;
mod background;
mod call;
mod cancel;
mod definition;
mod error;
mod guesses;
mod handler;
mod in_flight;
mod journal;
mod lenient;
mod names;
mod observe;
mod options;
mod pin;
mod projects;
mod readback;
mod registry;
mod render;
mod requirements;
mod response;
mod run;
mod scopes;
mod server_info;
mod stopped;
mod tasks;
mod whole;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rmcp::{
    handler::server::router::tool::ToolRoute,
    model::{JsonObject, MetaObject, ServerConfig},
};

pub use self::{
    access::{NoSuchTool, ToolAccess},
    audit::{AuditedCall, Auditor, CallAudit},
    background::{
        FoundState, FoundTask, OrphanedTask, TaskOwner, TaskStore, TaskStoreUnavailable, TaskWork,
    },
    cancel::ExplicitCancel,
    definition::Effect,
    handler::METHODS,
    journal::{
        Begun, IDEMPOTENCY_KEY, JournalUnavailable, JournalledWrite, WriteIntent, WriteJournal,
        WriteOutcome,
    },
    lenient::initialize,
    names::canonical_name,
    observe::{FinishedOperation, OperationObserver},
    options::ToolOptions,
    scopes::ScopePolicy,
    whole::{filled_in, only_waits, wrapped},
};
use self::{background::Listeners, in_flight::InFlight, registry::Registry, stopped::Cut};
use crate::{braingrid::BrainGridClient, caller::Caller};
use mcp_outbound::HeadSampler;

/// BrainGrid's tools as an MCP handler. A cheap clone; clones share everything.
#[derive(Clone)]
pub struct ToolSet {
    shared: Arc<Shared>,
    head: Option<HeadSampler>,
    observer: Option<OperationObserver>,
    /// Names the caller; without it, callers come with the requests.
    caller: Option<Arc<dyn Fn() -> Caller + Send + Sync>>,
    auditor: Option<Auditor>,
}

struct Shared {
    client: BrainGridClient,
    options: ToolOptions,
    registry: Registry,
    info: ServerConfig,
    /// Goes into the `_meta` of every result of the modern revisions.
    stamp: MetaObject,
    in_flight: InFlight,
    cut: Cut,
    listeners: Listeners,
    journal: Option<Arc<dyn WriteJournal>>,
    tasks: Option<Arc<dyn TaskStore>>,
    /// Whether somebody was told that the default project was changed.
    project_told: AtomicBool,
}

impl ToolSet {
    /// The tools that `options` select, working through `client`, for callers that come with the
    /// requests: each must carry a [`Caller`] in the extensions of its HTTP request.
    pub fn new(client: BrainGridClient, options: ToolOptions) -> Self {
        let registry = Registry::selected(&options);
        Self {
            shared: Arc::new(Shared::new(client, options, registry)),
            caller: None,
            head: None,
            observer: None,
            auditor: None,
        }
    }

    /// The same tools, always for this caller.
    #[must_use]
    pub fn with_caller(self, caller: Caller) -> Self {
        self.with_callers(move || caller.clone())
    }

    /// The same tools, each call for whom `caller` names then.
    #[must_use]
    pub fn with_callers(mut self, caller: impl Fn() -> Caller + Send + Sync + 'static) -> Self {
        self.caller = Some(Arc::new(caller));
        self
    }

    /// The same tools; `head` decides which requests are traced.
    #[must_use]
    pub fn with_head_sampler(mut self, head: HeadSampler) -> Self {
        self.head = Some(head);
        self
    }

    /// The same tools; the observer is told about every operation that ends.
    #[must_use]
    pub fn with_observer(mut self, observer: OperationObserver) -> Self {
        self.observer = Some(observer);
        self
    }

    /// The same tools; the auditor is told about every call that changes something.
    #[must_use]
    pub fn with_auditor(mut self, auditor: Auditor) -> Self {
        self.auditor = Some(auditor);
        self
    }

    /// The same tools; the journal remembers what the built-in ones write, so that a write that is
    /// sent again is not done twice.
    #[must_use]
    pub fn with_journal(self, journal: Arc<dyn WriteJournal>) -> Self {
        let registry = self.shared.registry.clone();
        let tasks = self.shared.tasks.clone();
        self.with(registry, Some(journal), tasks)
    }

    /// The same tools and one more. Its `readOnlyHint` decides whether a client that leaves stops
    /// it; its name, its arguments and what is done when it is called again are its own affair.
    #[must_use]
    pub fn with_route(self, route: ToolRoute<Self>) -> Self {
        let registry = self.shared.registry.with(route);
        let (journal, tasks) = (self.shared.journal.clone(), self.shared.tasks.clone());
        self.with(registry, journal, tasks)
    }

    fn with(
        mut self,
        registry: Registry,
        journal: Option<Arc<dyn WriteJournal>>,
        tasks: Option<Arc<dyn TaskStore>>,
    ) -> Self {
        let before = &self.shared;
        // Without the journal no call becomes a task, so that none is promised.
        let has_tasks = journal.is_some() && tasks.is_some();
        self.shared = Arc::new(Shared {
            client: before.client.clone(),
            info: server_info::server_config(&before.options, has_tasks),
            stamp: before.stamp.clone(),
            options: before.options.clone(),
            in_flight: before.in_flight.clone(),
            cut: before.cut.clone(),
            listeners: before.listeners.clone(),
            project_told: AtomicBool::new(false),
            registry,
            journal,
            tasks,
        });
        self
    }

    /// The tools that tell the client nothing before their answer, unless it asks for progress: all
    /// but those added by [`ToolSet::with_route`].
    pub fn built_in(&self) -> impl Iterator<Item = &str> {
        self.shared.registry.built_in()
    }

    /// How many writes were sent and are not finished.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.count()
    }

    /// The server stops, and no call may go on: those under way, and all that come after, are
    /// answered at once with what is known of them.
    pub fn cut(&self) {
        self.shared.cut.now();
    }

    /// The server stops: those who listen to tasks are told that nothing more will come.
    pub fn end_listening(&self) {
        self.shared.listeners.end();
    }

    /// Waits until no write is in flight, at most for `timeout`; how many are left then.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.shared.in_flight.drained(timeout).await
    }
}

impl Shared {
    fn new(client: BrainGridClient, options: ToolOptions, registry: Registry) -> Self {
        Self {
            client,
            registry,
            info: server_info::server_config(&options, false),
            stamp: server_info::stamp(),
            options,
            in_flight: InFlight::default(),
            cut: Cut::default(),
            listeners: Listeners::default(),
            journal: None,
            tasks: None,
            project_told: AtomicBool::new(false),
        }
    }
}

impl fmt::Debug for ToolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.shared.registry.names().collect();
        f.debug_struct("ToolSet")
            .field("tools", &names)
            .finish_non_exhaustive()
    }
}

/// The arguments of a call as they came.
type Arguments = JsonObject;
