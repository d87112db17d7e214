//! The tools, and `call_tool`: the only way one is run.
//!
//! Only this module and its children know the MCP library. A call goes one way: its name is
//! resolved to the canonical tool, the caller is found, the scope is checked, then the tool runs
//! guarded: no panic gets through, a client that leaves stops a read, and a write once begun is
//! finished in its own task. Everything that counts or filters sees canonical names only.

mod account;
mod args;
mod audit;
mod call;
mod definition;
mod error;
mod guesses;
mod handler;
mod lenient;
mod names;
mod observe;
mod options;
mod projects;
mod readback;
mod render;
mod requirements;
mod response;
mod scopes;
mod sieve;
mod stopped;
mod tasks;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use rmcp::{
    handler::server::{router::tool::ToolRoute, tool::DynCallToolHandler},
    model::{JsonObject, MetaObject, ServerConfig, Tool},
};

pub use self::{
    audit::{AuditedCall, Auditor, CallAudit},
    lenient::initialize,
    names::canonical_name,
    observe::{FinishedOperation, OperationObserver},
    options::ToolOptions,
    scopes::ScopePolicy,
};
use self::{
    call::InFlight,
    definition::{Definition, Effect, RunTool},
    stopped::Cut,
};
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
    /// In the order in which they are listed.
    tools: Vec<Arc<Entry>>,
    by_name: HashMap<String, usize>,
    info: ServerConfig,
    /// Goes into the `_meta` of every result of the modern revisions.
    stamp: MetaObject,
    in_flight: InFlight,
    cut: Cut,
    /// Whether somebody was told that the default project was changed.
    project_told: AtomicBool,
}

struct Entry {
    tool: Tool,
    effect: Effect,
    run: Run,
}

enum Run {
    BuiltIn(RunTool),
    Added(Arc<DynCallToolHandler<ToolSet>>),
}

impl ToolSet {
    /// The tools that `options` select, working through `client`, for callers that come with the
    /// requests: each must carry a [`Caller`] in the extensions of its HTTP request.
    pub fn new(client: BrainGridClient, options: ToolOptions) -> Self {
        let tools: Vec<_> = definition::all()
            .into_iter()
            .filter(|definition| options.selects(definition))
            .map(|definition| Arc::new(Entry::from(definition)))
            .collect();
        Self {
            shared: Arc::new(Shared::new(client, options, tools)),
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

    /// The same tools and one more. Its `readOnlyHint` decides whether a client that leaves stops
    /// it; its name and its arguments are its own affair.
    #[must_use]
    pub fn with_route(mut self, route: ToolRoute<Self>) -> Self {
        let mut tools = self.shared.tools.clone();
        tools.retain(|entry| entry.tool.name != route.attr.name);
        tools.push(Arc::new(Entry::from(route)));
        let shared = Shared::new(
            self.shared.client.clone(),
            self.shared.options.clone(),
            tools,
        );
        self.shared = Arc::new(Shared {
            in_flight: self.shared.in_flight.clone(),
            cut: self.shared.cut.clone(),
            ..shared
        });
        self
    }

    /// The tools that tell the client nothing before their answer, unless it asks for progress: all
    /// but those added by [`ToolSet::with_route`].
    pub fn built_in(&self) -> impl Iterator<Item = &str> {
        let entries = self.shared.tools.iter();
        let built_in = entries.filter(|entry| matches!(entry.run, Run::BuiltIn(_)));
        built_in.map(|entry| &*entry.tool.name)
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

    /// Waits until no write is in flight, at most for `timeout`; how many are left then.
    pub async fn drain(&self, timeout: Duration) -> usize {
        self.shared.in_flight.drained(timeout).await
    }

    /// Whether `granted` covers a call of this tool, by its name or an alias of it; a tool that
    /// does not exist needs nothing and is answered as such.
    ///
    /// # Errors
    /// All scopes the tool needs.
    pub fn check_scopes(&self, name: &str, granted: &[String]) -> Result<(), Vec<String>> {
        let Some(entry) = self.entry(name) else {
            return Ok(());
        };
        if self.covers(entry, granted) {
            Ok(())
        } else {
            Err(self.required_scopes(entry).to_vec())
        }
    }

    fn required_scopes(&self, entry: &Entry) -> &[String] {
        let policy = &self.shared.options.scopes;
        policy.required(&entry.tool.name, entry.effect)
    }

    fn covers(&self, entry: &Entry, granted: &[String]) -> bool {
        let policy = &self.shared.options.scopes;
        policy.covers(granted, self.required_scopes(entry))
    }

    fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        let name = canonical_name(name).unwrap_or(name);
        self.shared.tools.get(*self.shared.by_name.get(name)?)
    }
}

impl Shared {
    fn new(client: BrainGridClient, options: ToolOptions, tools: Vec<Arc<Entry>>) -> Self {
        let by_name = tools
            .iter()
            .enumerate()
            .map(|(at, entry)| (entry.tool.name.to_string(), at))
            .collect();
        Self {
            client,
            tools,
            by_name,
            info: handler::server_config(&options),
            stamp: handler::stamp(),
            options,
            in_flight: InFlight::default(),
            cut: Cut::default(),
            project_told: AtomicBool::new(false),
        }
    }
}

impl From<Definition> for Entry {
    fn from(definition: Definition) -> Self {
        Self {
            effect: definition.effect,
            tool: definition.tool(),
            run: Run::BuiltIn(definition.run),
        }
    }
}

impl From<ToolRoute<ToolSet>> for Entry {
    fn from(route: ToolRoute<ToolSet>) -> Self {
        let reads = route
            .attr
            .annotations
            .as_ref()
            .and_then(|hints| hints.read_only_hint);
        let effect = if reads == Some(true) {
            Effect::Read
        } else {
            Effect::Write
        };
        Self {
            tool: route.attr,
            effect,
            run: Run::Added(route.call),
        }
    }
}

impl fmt::Debug for ToolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self
            .shared
            .tools
            .iter()
            .map(|entry| &entry.tool.name)
            .collect();
        f.debug_struct("ToolSet")
            .field("tools", &names)
            .finish_non_exhaustive()
    }
}

/// The arguments of a call as they came.
type Arguments = JsonObject;
