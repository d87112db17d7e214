//! Which scopes a call needs. None by default: BrainGrid publishes no scopes of its own.

use std::collections::BTreeMap;

use super::{ToolSet, canonical_name, definition::Effect, error::ToolError, registry::Entry};
use crate::Caller;

/// Which scopes calls need, and which scopes include others. Without any rule it is off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopePolicy {
    read: Vec<String>,
    write: Vec<String>,
    /// By canonical tool name; replaces the rule of the tool's kind.
    tools: BTreeMap<&'static str, Vec<String>>,
    implied: BTreeMap<String, Vec<String>>,
}

impl ScopePolicy {
    /// Every tool that changes nothing needs these.
    #[must_use]
    pub fn for_reads(mut self, scopes: impl IntoIterator<Item = String>) -> Self {
        self.read = scopes.into_iter().collect();
        self
    }

    /// Every tool that changes something needs these.
    #[must_use]
    pub fn for_writes(mut self, scopes: impl IntoIterator<Item = String>) -> Self {
        self.write = scopes.into_iter().collect();
        self
    }

    /// This tool, by name or alias, needs these and not those of its kind. A name that means no
    /// tool changes nothing.
    #[must_use]
    pub fn for_tool(mut self, name: &str, scopes: impl IntoIterator<Item = String>) -> Self {
        if let Some(name) = canonical_name(name) {
            self.tools.insert(name, scopes.into_iter().collect());
        }
        self
    }

    /// Who was granted `scope` was granted `implied` too.
    #[must_use]
    pub fn implying(
        mut self,
        scope: impl Into<String>,
        implied: impl IntoIterator<Item = String>,
    ) -> Self {
        self.implied
            .entry(scope.into())
            .or_default()
            .extend(implied);
        self
    }

    /// The scopes that reading needs: what a client should ask for at first.
    pub fn initial(&self) -> &[String] {
        &self.read
    }

    pub(super) fn is_on(&self) -> bool {
        !(self.read.is_empty() && self.write.is_empty() && self.tools.is_empty())
    }

    pub(super) fn required(&self, tool: &str, effect: Effect) -> &[String] {
        let kind = if effect.changes_something() {
            &self.write
        } else {
            &self.read
        };
        self.tools.get(tool).unwrap_or(kind)
    }

    /// Whether all of `required` was granted, directly or through a scope that includes it.
    pub(super) fn covers(&self, granted: &[String], required: &[String]) -> bool {
        required
            .iter()
            .all(|scope| granted.contains(scope) || self.is_implied(granted, scope))
    }

    /// Follows what is implied from each granted scope; each scope is looked at once.
    fn is_implied(&self, granted: &[String], wanted: &str) -> bool {
        let mut seen: Vec<&str> = Vec::new();
        let mut open: Vec<&str> = granted.iter().map(String::as_str).collect();
        while let Some(scope) = open.pop() {
            if scope == wanted {
                return true;
            }
            if !seen.contains(&scope) {
                seen.push(scope);
                let implied = self.implied.get(scope).into_iter().flatten();
                open.extend(implied.map(String::as_str));
            }
        }
        false
    }
}

impl ToolSet {
    /// Whether `granted` covers a call of this tool, by its name or an alias of it; a tool that
    /// does not exist needs nothing and is answered as such.
    ///
    /// # Errors
    /// All scopes the tool needs.
    pub fn check_scopes(&self, name: &str, granted: &[String]) -> Result<(), Vec<String>> {
        let Some(entry) = self.shared.registry.entry(name) else {
            return Ok(());
        };
        if self.covers(entry, granted) {
            Ok(())
        } else {
            Err(self.required_scopes(entry).to_vec())
        }
    }

    /// What the tool of this name or alias does to BrainGrid; `None` where there is none.
    pub fn effect(&self, name: &str) -> Option<Effect> {
        self.shared.registry.entry(name).map(|entry| entry.effect)
    }

    fn required_scopes(&self, entry: &Entry) -> &[String] {
        let policy = &self.shared.options.scopes;
        policy.required(&entry.tool.name, entry.effect)
    }

    pub(super) fn covers(&self, entry: &Entry, granted: &[String]) -> bool {
        let policy = &self.shared.options.scopes;
        policy.covers(granted, self.required_scopes(entry))
    }

    /// Why a caller may not use a tool, for the caller and for those who keep record.
    pub(super) fn may_not(
        &self,
        entry: &Entry,
        caller: &Caller,
    ) -> Option<(ToolError, &'static str)> {
        let scopes = self.missing_scopes(entry, caller);
        let scopes = scopes.map(|error| (error, "insufficient_scope"));
        scopes
            .or_else(|| Some((entry.beyond(caller.address())?, "beyond_address")))
            .or_else(|| Some((caller.access()?.refusal(entry)?, "switched_off")))
    }

    /// Decided here also where a transport decided before: this is the decision that counts.
    fn missing_scopes(&self, entry: &Entry, caller: &Caller) -> Option<ToolError> {
        (!self.covers(entry, caller.scopes())).then(|| {
            ToolError::Refused(format!(
                "This needs the scope {}, which was not granted. Log in again and allow it.",
                self.required_scopes(entry).join(" ")
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes<const N: usize>(names: [&str; N]) -> Vec<String> {
        names.map(str::to_owned).to_vec()
    }

    #[test]
    fn without_rules_everything_is_covered() {
        let policy = ScopePolicy::default();
        assert!(!policy.is_on());
        assert!(policy.covers(&[], policy.required("create_requirement", Effect::Slow)));
    }

    #[test]
    fn a_tool_has_its_own_rule_or_that_of_its_kind() {
        let policy = ScopePolicy::default()
            .for_reads(scopes(["r"]))
            .for_writes(scopes(["r", "w"]))
            .for_tool("create_project_requirement", scopes(["create"]));
        assert!(policy.is_on());
        assert_eq!(policy.required("get_project", Effect::Read), ["r"]);
        assert_eq!(
            policy.required("update_project_task", Effect::Write),
            ["r", "w"]
        );
        assert_eq!(
            policy.required("create_requirement", Effect::Slow),
            ["create"]
        );
        assert_eq!(policy.initial(), ["r"]);
    }

    #[test]
    fn scopes_include_others_and_circles_end() {
        let policy = ScopePolicy::default()
            .implying("admin", scopes(["write"]))
            .implying("write", scopes(["read", "admin"]));
        assert!(policy.covers(&scopes(["admin"]), &scopes(["read", "write"])));
        assert!(!policy.covers(&scopes(["read"]), &scopes(["write"])));
        assert!(!policy.covers(&scopes(["admin"]), &scopes(["other"])));
        assert!(!policy.covers(&[], &scopes(["read"])));
    }
}
