//! Who may depend on whom: the manifests against the table in the architecture document.
//!
//! The document's table *is* the rule, so the two cannot drift apart. Columns: crate, workspace
//! crates it may use, external crates it must not depend on. Tests of any crate may also use the
//! test support.

use std::fmt;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::docs::code_spans;

const TEST_SUPPORT: &str = "mcp-test-support";

/// One row of the table.
#[derive(Debug, PartialEq)]
pub(crate) struct Rule {
    name: String,
    may_use: Vec<String>,
    must_not: Vec<String>,
}

/// A workspace crate and what its manifest names.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Normal,
    Build,
    Dev,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "depends on",
            Self::Build => "builds with",
            Self::Dev => "tests with",
        })
    }
}

/// Reads the table that begins with `| Crate | May use`.
pub(crate) fn rules(document: &str) -> anyhow::Result<Vec<Rule>> {
    let mut rows = document
        .lines()
        .skip_while(|line| !line.starts_with("| Crate | May use"));
    rows.next()
        .context("no table that begins with '| Crate | May use'")?;
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    rows.map(rule).collect()
}

fn rule(row: &str) -> anyhow::Result<Rule> {
    let cells: Vec<_> = row.trim_matches('|').split('|').map(code_spans).collect();
    let [name, may_use, must_not] = cells.as_slice() else {
        bail!("not three cells: {row}");
    };
    let [name] = name.as_slice() else {
        bail!("not one crate in the first cell: {row}")
    };
    Ok(Rule {
        name: name.clone(),
        may_use: may_use.clone(),
        must_not: must_not.clone(),
    })
}

/// The workspace's crates, from `cargo metadata --no-deps`.
pub(crate) fn crates(metadata: &Value) -> Vec<Crate> {
    list(metadata, "packages")
        .map(|package| Crate {
            name: text(package, "name"),
            dependencies: list(package, "dependencies").map(dependency).collect(),
        })
        .collect()
}

fn dependency(value: &Value) -> Dependency {
    let kind = match value.get("kind").and_then(Value::as_str) {
        Some("dev") => Kind::Dev,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    };
    Dependency {
        name: text(value, "name"),
        kind,
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// Every edge that the table does not allow, and every crate or row without its partner.
pub(crate) fn violations(rules: &[Rule], crates: &[Crate]) -> Vec<String> {
    let is_ours = |name: &str| crates.iter().any(|one| one.name == name);
    let mut found = Vec::new();
    for rule in rules {
        let named = rule.may_use.iter().chain([&rule.name]);
        found.extend(
            named
                .filter(|name| !is_ours(name))
                .map(|name| format!("the table names {name}, no crate of ours")),
        );
    }
    for one in crates {
        let Some(rule) = rules.iter().find(|rule| rule.name == one.name) else {
            found.push(format!("{} has no row in the table", one.name));
            continue;
        };
        let wrong = one
            .dependencies
            .iter()
            .filter(|edge| !allowed(rule, edge, is_ours(&edge.name)));
        found.extend(wrong.map(|edge| format!("{} {} {}", one.name, edge.kind, edge.name)));
    }
    found
}

fn allowed(rule: &Rule, edge: &Dependency, is_ours: bool) -> bool {
    if is_ours {
        rule.may_use.contains(&edge.name) || (edge.kind == Kind::Dev && edge.name == TEST_SUPPORT)
    } else {
        edge.kind == Kind::Dev || !rule.must_not.contains(&edge.name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TABLE: &str = "\
Text before.

| Crate | May use | Must not depend on |
| --- | --- | --- |
| `auth` | none | `rmcp`, `hyper` |
| `session` | `auth` | |
| `mcp-test-support` | none | |

| Crate | Something else |
";

    /// A package with normal, build and development dependencies.
    fn package(name: &str, edges: &[(&str, Option<&str>)]) -> Value {
        let edges: Vec<_> = edges
            .iter()
            .map(|(name, kind)| json!({ "name": name, "kind": kind }))
            .collect();
        json!({ "name": name, "dependencies": edges })
    }

    fn check(auth: &[(&str, Option<&str>)], session: &[(&str, Option<&str>)]) -> Vec<String> {
        let packages = [
            package("auth", auth),
            package("session", session),
            package(TEST_SUPPORT, &[]),
        ];
        violations(
            &rules(TABLE).unwrap(),
            &crates(&json!({ "packages": packages })),
        )
    }

    #[test]
    fn edges_of_the_table_pass() {
        let found = check(
            &[("serde", None)],
            &[("auth", None), (TEST_SUPPORT, Some("dev"))],
        );
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn an_edge_against_the_direction_is_found() {
        assert_eq!(
            check(&[("session", None)], &[]),
            ["auth depends on session"]
        );
        assert_eq!(
            check(&[("session", Some("dev"))], &[]),
            ["auth tests with session"]
        );
    }

    #[test]
    fn test_support_in_a_shipping_crate_is_found() {
        assert_eq!(
            check(&[], &[(TEST_SUPPORT, None)]),
            ["session depends on mcp-test-support"]
        );
    }

    #[test]
    fn a_forbidden_external_crate_is_found_except_in_tests() {
        assert_eq!(check(&[("rmcp", None)], &[]), ["auth depends on rmcp"]);
        assert_eq!(
            check(&[("hyper", Some("build"))], &[]),
            ["auth builds with hyper"]
        );
        assert!(check(&[("rmcp", Some("dev"))], &[]).is_empty());
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        let packages = [
            package("auth", &[]),
            package("new", &[]),
            package(TEST_SUPPORT, &[]),
        ];
        let found = violations(
            &rules(TABLE).unwrap(),
            &crates(&json!({ "packages": packages })),
        );
        assert_eq!(
            found,
            [
                "the table names session, no crate of ours",
                "new has no row in the table"
            ]
        );
    }

    #[test]
    fn a_document_without_the_table_is_an_error() {
        assert!(rules("nothing here").is_err());
    }
}
