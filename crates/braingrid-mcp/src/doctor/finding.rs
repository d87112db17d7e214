//! One line of what the doctor says, as text and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// What was found about one link of the chain. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Which link.
    pub(super) check: &'static str,
    pub(super) verdict: Verdict,
    /// What is so.
    pub(super) says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fix: Option<String>,
}

/// What it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Good,
    /// Right as it is, because this set-up has no use for it.
    NotNeeded,
    /// It works, but somebody should look.
    Warning,
    Problem,
    /// Something before it is wrong.
    NotChecked,
}

impl Finding {
    fn new(check: &'static str, verdict: Verdict, says: impl Into<String>) -> Self {
        Self {
            check,
            verdict,
            says: says.into(),
            fix: None,
        }
    }

    pub(super) fn good(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::Good, says)
    }

    pub(super) fn not_needed(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::NotNeeded, says)
    }

    pub(super) fn not_checked(check: &'static str, says: impl Into<String>) -> Self {
        Self::new(check, Verdict::NotChecked, says)
    }

    pub(super) fn warning(
        check: &'static str,
        says: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Warning, says).fixed_by(fix)
    }

    pub(super) fn problem(
        check: &'static str,
        says: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self::new(check, Verdict::Problem, says).fixed_by(fix)
    }

    fn fixed_by(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::NotNeeded => "-",
            Self::Warning => "look",
            Self::Problem => "FIX",
            Self::NotChecked => "?",
        }
    }
}

/// The findings for people.
pub(super) fn text(findings: &[Finding]) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let (word, check) = (finding.verdict.word(), finding.check);
        let _ = writeln!(text, "{word:4}  {check:width$}  {}", finding.says);
        if let Some(fix) = &finding.fix {
            let _ = writeln!(text, "{:4}  {:width$}  → {fix}", "", "");
        }
    }
    let count = |verdict| findings.iter().filter(|it| it.verdict == verdict).count();
    let (problems, warnings) = (count(Verdict::Problem), count(Verdict::Warning));
    let end = match (problems, warnings) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("It works; to look at: {warnings}."),
        (problems, _) => format!("To fix: {problems}."),
    };
    let _ = writeln!(text, "\n{end}");
    text
}

/// The findings for scripts.
pub(super) fn json(findings: &[Finding]) -> serde_json::Value {
    serde_json::json!({ "ok": is_well(findings), "findings": findings })
}

/// Whether nothing has to be fixed.
pub(super) fn is_well(findings: &[Finding]) -> bool {
    findings.iter().all(|it| it.verdict != Verdict::Problem)
}
