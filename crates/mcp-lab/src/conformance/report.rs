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
    /// What the suite's exit code says: nothing failed but what is listed, and that still does.
    pub(super) success: bool,
    /// Scenarios that count, and how many of them are without any complaint.
    scored: usize,
    green: usize,
    /// Checks of the scenarios that count.
    passed: usize,
    failed: usize,
    /// Listed checks that failed, as `scenario:check`.
    pub(super) expected: BTreeSet<String>,
    /// The scenarios that do not count (extensions, and what came after the revision).
    unscored: usize,
    unscored_green: usize,
}

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
    /// Reads the folder that the suite wrote. `scored` are the scenarios that count, `listed` the
    /// checks that may fail.
    pub(super) fn read(
        target: &'static str,
        revision: &'static str,
        success: bool,
        folder: &Path,
        scored: &BTreeSet<String>,
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
            expected: BTreeSet::new(),
            unscored: 0,
            unscored_green: 0,
        };
        for (scenario, checks) in scenarios(folder)? {
            let green = !checks.iter().any(Check::complains);
            if !scored.contains(&scenario) {
                outcome.unscored += 1;
                outcome.unscored_green += usize::from(green);
                continue;
            }
            outcome.scored += 1;
            outcome.green += usize::from(green);
            for check in &checks {
                outcome.count(&scenario, check, listed);
            }
        }
        // A suite that ran something else must not look like one that found nothing.
        if outcome.scored != scored.len() {
            bail!(
                "{} of {} scenarios left a result: see {}",
                outcome.scored,
                scored.len(),
                folder.join("suite.log").display()
            );
        }
        Ok(outcome)
    }

    fn count(&mut self, scenario: &str, check: &Check, listed: &BTreeSet<&str>) {
        let entry = format!("{scenario}:{}", check.id);
        if !check.complains() {
            self.passed += usize::from(check.status == "SUCCESS");
        } else if listed.contains(entry.as_str()) {
            self.expected.insert(entry);
        } else {
            self.failed += 1;
        }
    }
}

/// The scenarios of one run with their checks, from `server-<scenario>-<time>/checks.json`.
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
    let name = folder.strip_prefix("server-")?;
    name.get(..name.len().checked_sub(TIME)?)
}

/// The scenarios of a set that count for servers: the list `server` of the suite's own file.
pub(super) fn scored(requirements: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(requirements)
        .with_context(|| format!("cannot read {}", requirements.display()))?;
    let list = text.lines().skip_while(|line| *line != "server:").skip(1);
    let entries = list.map_while(|line| line.strip_prefix("  - "));
    Ok(entries.map(str::to_owned).collect())
}

/// The table, for people.
pub(super) fn print(outcomes: &[Outcome]) {
    println!();
    println!(
        "set         target   scenarios  checks passed  failed  expected failures  not scored"
    );
    for outcome in outcomes {
        println!(
            "{:<11} {:<8} {:>3} of {:<3} {:>13} {:>7} {:>18}  {:>3} of {}",
            outcome.revision,
            outcome.target,
            outcome.green,
            outcome.scored,
            outcome.passed,
            outcome.failed,
            outcome.expected.len(),
            outcome.unscored_green,
            outcome.unscored,
        );
    }
    println!("\nscenarios: those without any complaint, of those that count");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_named_by_its_folder() {
        let folder = "server-tools-call-image-2026-11-23T02-48-46-247Z";
        assert_eq!(scenario_of(folder), Some("tools-call-image"));
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

        let scored = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        let listed = BTreeSet::from(["a:known"]);
        let read = |scored| Outcome::read("product", "x", true, folder.path(), scored, &listed);
        let outcome = read(&scored).unwrap();
        assert_eq!((outcome.scored, outcome.green), (2, 0));
        assert_eq!((outcome.passed, outcome.failed), (2, 1));
        assert_eq!(outcome.expected, BTreeSet::from(["a:known".to_owned()]));
        assert_eq!((outcome.unscored, outcome.unscored_green), (1, 1));

        let more = BTreeSet::from(["a".to_owned(), "b".to_owned(), "lost".to_owned()]);
        assert!(read(&more).is_err());
    }
}
