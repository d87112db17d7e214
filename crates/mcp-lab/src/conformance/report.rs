//! What the suite found, from the files it leaves: one line per target and set.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, bail};
use serde::Deserialize;

/// One set against one target.
pub(super) struct Outcome {
    target: &'static str,
    revision: &'static str,
    /// Nothing failed but what is listed. Of the scenarios that count the suite says that.
    pub(super) success: bool,
    /// Scenarios that count, and how many of them are without any complaint.
    scored: usize,
    green: usize,
    /// Checks of the scenarios that count.
    passed: usize,
    failed: usize,
    /// Those that the suite did not do.
    pub(super) skipped: usize,
    /// Listed checks that failed, as `scenario:check`.
    pub(super) expected: BTreeSet<String>,
    /// Checks of scenarios that do not count for the suite, but here.
    gated_passed: usize,
    /// Those of them that failed and are not listed, as `scenario:check`.
    pub(super) gated_failed: Vec<String>,
    /// The scenarios that do not count (extensions, and what came after the revision).
    unscored: usize,
    unscored_green: usize,
}

/// The scenarios of a set for servers, by what they count.
#[derive(Default)]
pub(super) struct Scenarios {
    /// Those that count for the revision: the list `server` of the suite's own file.
    scored: BTreeSet<String>,
    /// Those of [`GATED`], which count here.
    gated: BTreeSet<String>,
}

/// How the scenarios of the extensions begin that are served: the suite runs them and does not count them.
const GATED: &str = "tasks-";

#[derive(Deserialize)]
struct Check {
    id: String,
    status: String,
}

impl Check {
    /// A warning is a complaint too: lists must name it.
    fn complains(&self) -> bool {
        matches!(self.status.as_str(), "FAILURE" | "WARNING")
    }
}

impl Outcome {
    /// Reads the folder that the suite wrote. `listed` are the checks that may fail.
    pub(super) fn read(
        target: &'static str,
        revision: &'static str,
        success: bool,
        folder: &Path,
        all: &Scenarios,
        listed: &BTreeSet<&str>,
    ) -> anyhow::Result<Self> {
        let mut outcome = Self {
            target,
            revision,
            success,
            scored: 0,
            green: 0,
            passed: 0,
            failed: 0,
            skipped: 0,
            expected: BTreeSet::new(),
            gated_passed: 0,
            gated_failed: Vec::new(),
            unscored: 0,
            unscored_green: 0,
        };
        let mut gated = 0;
        for (scenario, checks) in scenarios(folder)? {
            let green = !checks.iter().any(Check::complains);
            if !all.scored.contains(&scenario) {
                outcome.unscored += 1;
                outcome.unscored_green += usize::from(green);
                if all.gated.contains(&scenario) {
                    gated += 1;
                    outcome.gate(&scenario, &checks, listed);
                }
                continue;
            }
            outcome.scored += 1;
            outcome.green += usize::from(green);
            for check in &checks {
                outcome.count(&scenario, check, listed);
            }
        }
        // A suite that ran something else must not look like one that found nothing.
        let (left, due) = (outcome.scored + gated, all.scored.len() + all.gated.len());
        if left != due {
            bail!(
                "{left} of {due} scenarios left a result: see {}",
                folder.join("suite.log").display()
            );
        }
        outcome.success &= outcome.gated_failed.is_empty();
        Ok(outcome)
    }

    /// Counts what the suite does not.
    fn gate(&mut self, scenario: &str, checks: &[Check], listed: &BTreeSet<&str>) {
        for check in checks {
            let entry = format!("{scenario}:{}", check.id);
            if !check.complains() {
                self.gated_passed += usize::from(check.status == "SUCCESS");
            } else if listed.contains(entry.as_str()) {
                self.expected.insert(entry);
            } else {
                self.gated_failed.push(entry);
            }
        }
    }

    fn count(&mut self, scenario: &str, check: &Check, listed: &BTreeSet<&str>) {
        let entry = format!("{scenario}:{}", check.id);
        if !check.complains() {
            self.passed += usize::from(check.status == "SUCCESS");
            self.skipped += usize::from(check.status == "SKIPPED");
        } else if listed.contains(entry.as_str()) {
            self.expected.insert(entry);
        } else {
            self.failed += 1;
        }
    }
}

/// The scenarios of one run with their checks, from `server-<scenario>-<time>/checks.json`, or the same of
/// `authorization-server`.
fn scenarios(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<Check>>> {
    let mut scenarios = BTreeMap::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        let Some(scenario) = name.as_deref().and_then(scenario_of) else {
            continue;
        };
        let file = path.join("checks.json");
        let text = std::fs::read(&file)?;
        let checks = serde_json::from_slice(&text)
            .with_context(|| format!("{} is not understood", file.display()))?;
        scenarios.insert(scenario.to_owned(), checks);
    }
    Ok(scenarios)
}

/// `ping` from `server-ping-2026-01-01T00-00-00-000Z`.
fn scenario_of(folder: &str) -> Option<&str> {
    const TIME: usize = "-2026-01-01T00-00-00-000Z".len();
    let name = folder.strip_prefix("authorization-").unwrap_or(folder);
    let name = name.strip_prefix("server-")?;
    name.get(..name.len().checked_sub(TIME)?)
}

impl Scenarios {
    /// Those in the suite's own file.
    pub(super) fn read(requirements: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(requirements)
            .with_context(|| format!("cannot read {}", requirements.display()))?;
        Ok(Self::parse(&text))
    }

    /// Those that the suite lists when it is asked; all of them count.
    pub(super) fn listed(text: &str) -> Self {
        let entries = text.lines().filter_map(|line| line.strip_prefix("  - "));
        let scored = entries.filter_map(|entry| entry.split(' ').next());
        Self {
            scored: scored.map(str::to_owned).collect(),
            gated: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.scored.is_empty() && self.gated.is_empty()
    }

    fn parse(text: &str) -> Self {
        let list = text.lines().skip_while(|line| *line != "server:").skip(1);
        let scored = list.map_while(|line| line.strip_prefix("  - "));
        let rest = text.lines().skip_while(|line| *line != "not_scored:");
        let rest = rest.filter_map(|line| line.strip_prefix("  - scenario: "));
        let gated = rest.filter(|scenario| scenario.starts_with(GATED));
        Self {
            scored: scored.map(str::to_owned).collect(),
            gated: gated.map(str::to_owned).collect(),
        }
    }
}

/// The table, for people.
pub(super) fn print(outcomes: &[Outcome]) {
    println!();
    println!(
        "set         target         scenarios  checks passed  failed  expected failures  tasks passed  not scored"
    );
    for outcome in outcomes {
        println!(
            "{:<11} {:<13} {:>4} of {:<3} {:>13} {:>7} {:>18} {:>13}  {:>3} of {}",
            outcome.revision,
            outcome.target,
            outcome.green,
            outcome.scored,
            outcome.passed,
            outcome.failed + outcome.gated_failed.len(),
            outcome.expected.len(),
            outcome.gated_passed,
            outcome.unscored_green,
            outcome.unscored,
        );
    }
    println!("\nscenarios: those without any complaint, of those that count");
    for failed in outcomes.iter().flat_map(|outcome| &outcome.gated_failed) {
        println!("failed, and not listed: {failed}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_named_by_its_folder() {
        let folder = "server-tools-call-image-2026-11-23T02-48-46-247Z";
        assert_eq!(scenario_of(folder), Some("tools-call-image"));
        let folder = "authorization-server-authorization-code-grant-2026-11-23T02-48-46-247Z";
        assert_eq!(scenario_of(folder), Some("authorization-code-grant"));
        assert_eq!(scenario_of("suite.log"), None);
        assert_eq!(scenario_of("server-x"), None);
    }

    #[test]
    fn complaints_are_failures_unless_they_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let result = |scenario: &str, checks: &str| {
            let name = format!("server-{scenario}-2026-11-23T02-48-46-247Z");
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            std::fs::write(path.join("checks.json"), checks).unwrap();
        };
        let check = |id: &str, status: &str| format!(r#"{{"id":"{id}","status":"{status}"}}"#);
        let good = check("good", "SUCCESS");
        result("a", &format!("[{good},{}]", check("known", "WARNING")));
        result("b", &format!("[{good},{}]", check("new", "FAILURE")));
        result("extra", "[]");

        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let all = |scored, gated| Scenarios {
            scored: names(scored),
            gated: names(gated),
        };
        let listed = BTreeSet::from(["a:known"]);
        let read = |all| Outcome::read("product", "x", true, folder.path(), &all, &listed);
        let outcome = read(all(&["a", "b"], &[])).unwrap();
        assert_eq!((outcome.scored, outcome.green), (2, 0));
        assert_eq!((outcome.passed, outcome.failed), (2, 1));
        assert_eq!(outcome.expected, BTreeSet::from(["a:known".to_owned()]));
        assert_eq!((outcome.unscored, outcome.unscored_green), (1, 1));
        assert!(outcome.success && read(all(&["a", "b", "lost"], &[])).is_err());

        // What the suite does not count fails the run here, unless it is listed.
        let outcome = read(all(&["b"], &["a"])).unwrap();
        assert!(outcome.success && outcome.gated_passed == 1);
        assert_eq!(outcome.expected, BTreeSet::from(["a:known".to_owned()]));
        let outcome = read(all(&["a"], &["b"])).unwrap();
        assert!(!outcome.success);
        assert_eq!(outcome.gated_failed, ["b:new"]);
        assert!(read(all(&["a"], &["b", "lost"])).is_err());
    }

    #[test]
    fn scenarios_for_authorization_servers_are_those_that_the_suite_lists() {
        let listed = Scenarios::listed("Scenarios:\n  - a [2025-11-25]\n  - b\n");
        assert_eq!(
            listed.scored,
            BTreeSet::from(["a".to_owned(), "b".to_owned()])
        );
        assert!(Scenarios::listed("none\n").is_empty());
    }

    #[test]
    fn scenarios_of_tasks_count_although_the_suite_does_not_count_them() {
        let text = "server:\n  - a\n  - b\n\nclient:\n  - c\n\nnot_scored:\n  - scenario: auth/x\n    leg: \
             client\n  - scenario: tasks-x\n    leg: server\n";
        let read = Scenarios::parse(text);
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(read.scored, names(&["a", "b"]));
        assert_eq!(read.gated, names(&["tasks-x"]));
    }
}
