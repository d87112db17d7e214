//! What is wrong with a configuration, said so that the reader can mend it.

use std::fmt;

/// One thing that is wrong. Never holds the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The setting, under the name by which it was given.
    pub(crate) setting: String,
    /// What is wrong with it.
    pub(crate) what: String,
    /// What to do.
    pub(crate) fix: String,
}

impl Problem {
    /// Describes a problem. Keys and paths come from the file: what would end the line, or color
    /// the terminal, is escaped.
    pub(crate) fn new(
        setting: impl Into<String>,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            setting: one_line(setting.into()),
            what: one_line(what.into()),
            fix: one_line(fix.into()),
        }
    }
}

fn one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.escape_debug().to_string()
}

/// Everything that is wrong, reported at once.
#[derive(Debug)]
pub(crate) struct Problems(pub(crate) Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        writeln!(f, "the configuration has {count} {noun}:")?;
        for problem in &self.0 {
            writeln!(f, "\n  {}: {}", problem.setting, problem.what)?;
            writeln!(f, "    fix: {}", problem.fix)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The candidate that `word` is most likely a misspelling of.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::osa_distance(&word.to_lowercase(), &candidate.to_lowercase()),
                candidate,
            )
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| *distance <= candidate.len().div_ceil(5).min(3))
        .map(|(_, candidate)| candidate)
}

/// The same, or the shortest that begins with the word, or with which the word begins.
pub(crate) fn meant<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str> + Clone,
) -> Option<&'a str> {
    let begins = |long: &str, short: &str| {
        let rest = long.strip_prefix(short);
        rest.is_some_and(|rest| rest.starts_with('_'))
    };
    let word = word.to_lowercase().replace('-', "_");
    let near = nearest(&word, candidates.clone());
    near.or_else(|| {
        let related = candidates.filter(|it| begins(it, &word) || begins(&word, it));
        related.min_by_key(|candidate| candidate.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_finds_its_word_and_a_stranger_finds_none() {
        let words = ["MCP_TRANSPORT", "MCP_HOST", "BRAINGRID_API_URL"];
        assert_eq!(nearest("MCP_TRANSPROT", words), Some("MCP_TRANSPORT"));
        assert_eq!(
            nearest("BRAINGRID_APIURL", words),
            Some("BRAINGRID_API_URL")
        );
        assert_eq!(nearest("MCP_INSPECTOR_PORT", words), None);
        assert_eq!(nearest("prot", ["port", "bind"]), Some("port"));
        let keys = ["redis_ca_file", "redis_url", "issuer", "public_url"];
        for (word, expected) in [
            ("redis", Some("redis_url")),
            ("issuer_url", Some("issuer")),
            ("publicUrl", Some("public_url")),
            ("public-url", Some("public_url")),
            ("server", None),
            ("", None),
        ] {
            assert_eq!(meant(word, keys.into_iter()), expected, "{word}");
        }
    }
}
