//! The reviewed lists of what may fail: entries of the suite's own format, each group below a
//! comment that says why.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, bail};

/// Checks that may fail for the same reason.
#[derive(Debug, PartialEq)]
pub(super) struct Group {
    pub(super) reason: String,
    /// `scenario:check`.
    pub(super) entries: Vec<String>,
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Group>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| format!("in {}", path.display()))
}

/// Reads the part of YAML that the lists are written in.
///
/// # Errors
/// For an entry without a reason, or one that excuses a whole scenario: its other checks, such as
/// the messages' schema, must still pass.
fn parse(text: &str) -> anyhow::Result<Vec<Group>> {
    let mut groups: Vec<Group> = Vec::new();
    let mut reason = String::new();
    let lines = text.lines().skip_while(|line| *line != "server:").skip(1);
    for line in lines.map(str::trim) {
        if let Some(comment) = line.strip_prefix('#') {
            if groups.last().is_some_and(|group| group.reason == reason) {
                reason.clear();
            }
            let gap = if reason.is_empty() { "" } else { " " };
            reason = format!("{reason}{gap}{}", comment.trim());
        } else if let Some(entry) = line.strip_prefix("- ") {
            if reason.is_empty() {
                bail!("{entry} has no reason: write a comment above it");
            }
            if !entry.contains(':') {
                bail!("{entry} excuses a whole scenario: name the check as scenario:check");
            }
            match groups.last_mut() {
                Some(group) if group.reason == reason => group.entries.push(entry.to_owned()),
                _ => groups.push(Group {
                    reason: reason.clone(),
                    entries: vec![entry.to_owned()],
                }),
            }
        } else if line.is_empty() {
            reason.clear();
        } else {
            bail!("not understood: {line}");
        }
    }
    Ok(groups)
}

/// All entries of a list.
pub(super) fn entries(groups: &[Group]) -> BTreeSet<&str> {
    let entries = groups.iter().flat_map(|group| &group.entries);
    entries.map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_what_stands_below_one_comment() {
        let groups = parse(
            "# about\nserver:\n  # one\n  # reason\n  - a:x\n  - b:y\n\n  # other\n  - c:z\n",
        );
        let group = |reason: &str, entries: &[&str]| Group {
            reason: reason.to_owned(),
            entries: entries.iter().map(|&entry| entry.to_owned()).collect(),
        };
        let expected = [
            group("one reason", &["a:x", "b:y"]),
            group("other", &["c:z"]),
        ];
        assert_eq!(groups.unwrap(), expected);
    }

    #[test]
    fn an_entry_needs_a_reason_and_a_check() {
        assert!(parse("server:\n  - a:x\n").is_err());
        assert!(parse("server:\n  # why\n  - a:x\n\n  - b:y\n").is_err());
        assert!(parse("server:\n  # why\n  - a\n").is_err());
        assert!(parse("server:\n  # why\n  a: x\n").is_err());
    }

    /// docs/conformance.md shows the lists as tables.
    #[test]
    fn the_document_shows_the_lists_as_they_are() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let document = folder.join("../../docs/conformance.md");
        let document = std::fs::read_to_string(document).unwrap();
        for target in ["fixture", "product", "product-tasks"] {
            let groups = read(&folder.join(format!("conformance/{target}.yaml"))).unwrap();
            let table = table(&groups);
            assert!(
                document.contains(&table),
                "docs/conformance.md must contain the table of {target}.yaml:\n\n{table}"
            );
        }
    }

    fn table(groups: &[Group]) -> String {
        let row = |group: &Group| {
            let mut scenarios: Vec<_> = group
                .entries
                .iter()
                .filter_map(|entry| Some(format!("`{}`", entry.split_once(':')?.0)))
                .collect();
            scenarios.dedup();
            format!("| {} | {} |\n", group.reason, scenarios.join(", "))
        };
        let rows: String = groups.iter().map(row).collect();
        format!("| Reason | Scenarios |\n| --- | --- |\n{rows}")
    }
}
