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
    pin::at_project,
    projects, requirements,
    run::caller_of_request,
    tasks,
};
use crate::Caller;

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
    /// The same at the address of a project, if it is there.
    pub(super) at_project: Option<Tool>,
    pub(super) effect: Effect,
    pub(super) run: Run,
}

impl Entry {
    fn new(tool: Tool, effect: Effect, run: Run) -> Self {
        let at_project = at_project(&tool, &run);
        Self {
            tool,
            at_project,
            effect,
            run,
        }
    }

    /// The tool as it is listed for a caller, if it has it.
    pub(super) fn listed_for(&self, caller: Option<&Caller>) -> Option<&Tool> {
        let Some(caller) = caller else {
            return Some(&self.tool);
        };
        let has = caller.access().is_none_or(|access| access.has(self));
        self.listed_at(caller.address()).filter(|_| has)
    }

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
        let by_alias = || self.by_name.get(canonical_name(name)?);
        let at = self.by_name.get(name).or_else(by_alias)?;
        self.entries.get(*at)
    }

    /// The names of all tools, in the order in which they are listed.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.tool.name)
    }

    /// The names of those that are listed for a caller.
    pub(super) fn names_for(&self, caller: &Caller) -> impl Iterator<Item = &str> {
        let entries = self.entries.iter();
        let listed = entries.filter_map(move |it| it.listed_for(Some(caller)));
        listed.map(|tool| &*tool.name)
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
                .with_cache_scope(self.list_scope(context));
            list.meta = Some(self.shared.stamp.clone());
        }
        Ok(list)
    }

    /// The tools to list for whoever asks: with scopes on, those the grant covers; at an address, those
    /// that it is for.
    fn listed(&self, context: &RequestContext<RoleServer>) -> Result<Vec<Tool>, ErrorData> {
        let entries = self.shared.registry.entries.iter();
        let of_request = caller_of_request(context);
        let there = entries.filter_map(|entry| Some((entry, entry.listed_for(of_request)?)));
        if !self.shared.options.scopes.is_on() {
            return Ok(there.map(|(_, tool)| tool.clone()).collect());
        }
        let caller = self.caller(context)?;
        let covered = there.filter(|(entry, _)| self.covers(entry, caller.scopes()));
        Ok(covered.map(|(_, tool)| tool.clone()).collect())
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
    fn list_scope(&self, context: &RequestContext<RoleServer>) -> CacheScope {
        let differs = caller_of_request(context).and_then(Caller::access);
        if self.shared.options.scopes.is_on() || differs.is_some() {
            CacheScope::Private
        } else {
            CacheScope::Public
        }
    }
}

impl From<Definition> for Entry {
    fn from(definition: Definition) -> Self {
        Self::new(
            definition.tool(),
            definition.effect,
            Run::BuiltIn(definition.built_in),
        )
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
        Self::new(route.attr, effect, Run::Added(route.call))
    }
}
