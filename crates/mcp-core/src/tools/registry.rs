//! Which tools there are: the list, look-up by name, and what `tools/list` shows to whom.

use std::{collections::HashMap, sync::Arc};

use rmcp::{
    ErrorData, RoleServer,
    handler::server::{router::tool::ToolRoute, tool::DynCallToolHandler},
    model::{CacheScope, ListToolsResult, PaginatedRequestParams, Tool},
    service::RequestContext,
};

use super::{
    ToolOptions, ToolSet, account, canonical_name,
    definition::{BuiltIn, Definition, Effect},
    guesses,
    handler::{FRESH_MS, is_modern},
    projects, requirements, tasks,
};

/// How like two names must be, from 0 to 1, for one to be meant by the other.
const ALIKE: f64 = 0.6;

/// All built-in tools in the order in which they are listed.
pub(super) fn all() -> Vec<Definition> {
    let groups = [
        projects::tools(),
        requirements::tools(),
        tasks::tools(),
        account::tools(),
        guesses::tools(),
    ];
    groups.into_iter().flatten().collect()
}

/// The tools of one server.
#[derive(Clone)]
pub(super) struct Registry {
    /// In the order in which they are listed.
    entries: Vec<Arc<Entry>>,
    by_name: HashMap<String, usize>,
}

/// A tool with what runs it.
pub(super) struct Entry {
    pub(super) tool: Tool,
    pub(super) effect: Effect,
    pub(super) run: Run,
}

impl Entry {
    /// Whether it makes something: the same call twice would make two.
    pub(super) fn creates(&self) -> bool {
        matches!(&self.run, Run::BuiltIn(tool) if tool.creates)
    }
}

pub(super) enum Run {
    BuiltIn(BuiltIn),
    Added(Arc<DynCallToolHandler<ToolSet>>),
}

impl Registry {
    /// The built-in tools that `options` select.
    pub(super) fn selected(options: &ToolOptions) -> Self {
        let selected = all().into_iter().filter(|it| options.selects(it));
        Self::of(selected.map(|it| Arc::new(Entry::from(it))).collect())
    }

    /// These tools and one more, in the place of one of the same name.
    pub(super) fn with(&self, route: ToolRoute<ToolSet>) -> Self {
        let mut entries = self.entries.clone();
        entries.retain(|entry| entry.tool.name != route.attr.name);
        entries.push(Arc::new(Entry::from(route)));
        Self::of(entries)
    }

    fn of(entries: Vec<Arc<Entry>>) -> Self {
        let by_name = entries
            .iter()
            .enumerate()
            .map(|(at, entry)| (entry.tool.name.to_string(), at))
            .collect();
        Self { entries, by_name }
    }

    /// The tool that this name or alias means.
    pub(super) fn entry(&self, name: &str) -> Option<&Arc<Entry>> {
        let name = canonical_name(name).unwrap_or(name);
        self.entries.get(*self.by_name.get(name)?)
    }

    /// The names of all tools, in the order in which they are listed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.tool.name)
    }

    /// The names of those that were not added by [`ToolSet::with_route`].
    pub(super) fn built_in(&self) -> impl Iterator<Item = &str> {
        let entries = self.entries.iter();
        let built_in = entries.filter(|entry| matches!(entry.run, Run::BuiltIn(_)));
        built_in.map(|entry| &*entry.tool.name)
    }

    /// The tool whose name is most like this one, be it written in another way.
    fn nearest(&self, name: &str) -> Option<&str> {
        let plain = |name: &str| name.to_ascii_lowercase().replace(['_', '-', ' '], "");
        let wanted = plain(name);
        let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&wanted, &plain(name));
        let rated = self.names().map(|name| (likeness(name), name));
        let best = rated.max_by(|(one, _), (other, _)| one.total_cmp(other));
        best.filter(|(likeness, _)| *likeness >= ALIKE)
            .map(|(_, name)| name)
    }
}

impl ToolSet {
    /// The answer to `tools/list`.
    pub(super) fn list(
        &self,
        request: Option<PaginatedRequestParams>,
        context: &RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        // All tools fit one page, so no cursor was ever given out.
        if request
            .and_then(|request| request.cursor)
            .is_some_and(|cursor| !cursor.is_empty())
        {
            return Err(ErrorData::invalid_params("unknown cursor", None));
        }
        let mut list = ListToolsResult::with_all_items(self.listed(context)?);
        if is_modern(context) {
            list = list
                .with_ttl_ms(FRESH_MS)
                .with_cache_scope(self.list_scope());
            list.meta = Some(self.shared.stamp.clone());
        }
        Ok(list)
    }

    /// The tools to list for whoever asks: with scopes on, those the grant covers.
    fn listed(&self, context: &RequestContext<RoleServer>) -> Result<Vec<Tool>, ErrorData> {
        let entries = self.shared.registry.entries.iter();
        if !self.shared.options.scopes.is_on() {
            return Ok(entries.map(|entry| entry.tool.clone()).collect());
        }
        let caller = self.caller(context)?;
        let covered = entries.filter(|entry| self.covers(entry, caller.scopes()));
        Ok(covered.map(|entry| entry.tool.clone()).collect())
    }

    pub(super) fn unknown_tool(&self, name: &str) -> ErrorData {
        let shown: String = name.chars().filter(|c| !c.is_control()).take(60).collect();
        let text = match canonical_name(name) {
            Some(known) => format!("the tool {known} is switched off on this server"),
            None => match self.shared.registry.nearest(name) {
                Some(near) => format!("unknown tool: {shown}; did you mean {near}?"),
                None => format!("unknown tool: {shown}; tools/list names those there are"),
            },
        };
        ErrorData::invalid_params(text, None)
    }

    /// A list that depends on who asks must not be shared between them.
    fn list_scope(&self) -> CacheScope {
        if self.shared.options.scopes.is_on() {
            CacheScope::Private
        } else {
            CacheScope::Public
        }
    }
}

impl From<Definition> for Entry {
    fn from(definition: Definition) -> Self {
        Self {
            effect: definition.effect,
            tool: definition.tool(),
            run: Run::BuiltIn(definition.built_in),
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
