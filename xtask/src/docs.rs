//! Documents name only what exists: relative links, file paths, crates and types.

use std::collections::{BTreeMap, BTreeSet};

/// What the documents may name.
pub(crate) struct Repository<'a> {
    /// Every file, relative to the root.
    pub(crate) files: &'a [String],
    /// The workspace's crates.
    pub(crate) crates: &'a [String],
    /// All Rust sources, one after the other.
    pub(crate) sources: &'a str,
}

/// Endings by which a word in code style is taken for a file.
const FILE_ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".yaml", ".yml", ".json"];

/// Whether a file is read by people: its links are checked.
pub(crate) fn is_document(file: &str) -> bool {
    has_ending(file, ".md")
}

/// Whether a file belongs to the program: its types can be named.
pub(crate) fn is_source(file: &str) -> bool {
    file.starts_with("crates/") && has_ending(file, ".rs")
}

fn has_ending(file: &str, ending: &str) -> bool {
    file.len() > ending.len() && file.ends_with(ending)
}

/// Relative links of one document that lead to no file, or to no heading of a document.
pub(crate) fn broken_links(
    document: &str,
    documents: &BTreeMap<&str, String>,
    files: &[String],
) -> Vec<String> {
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let text = documents.get(document).map_or("", String::as_str);
    let mut broken = Vec::new();
    for (number, link) in links(text) {
        if link.contains("://") || link.starts_with("mailto:") {
            continue;
        }
        let (path, heading) = link.split_once('#').unwrap_or((link, ""));
        let target = match path {
            "" => Some(document.to_owned()),
            path => joined(folder, path),
        };
        let found = target.is_some_and(|target| {
            let text = documents.get(target.as_str());
            let has_heading = |text: &String| heading.is_empty() || has_heading(text, heading);
            exists(&target, files) && text.is_none_or(has_heading)
        });
        if !found {
            broken.push(format!(
                "{document}:{number} links to {link}, which does not exist"
            ));
        }
    }
    broken
}

/// Whether a heading of the text has this anchor, in the way GitHub makes them.
fn has_heading(text: &str, anchor: &str) -> bool {
    let headings = prose(text).filter(|(_, line)| line.starts_with('#'));
    let mut anchors = headings.map(|(_, line)| {
        let kept = |c: &char| c.is_alphanumeric() || " -_".contains(*c);
        let words = line.trim_start_matches('#').trim().chars().filter(kept);
        words.collect::<String>().to_lowercase().replace(' ', "-")
    });
    anchors.any(|one| one == anchor)
}

/// The targets of `[text](target)` and `![text](target)` outside code blocks, with their lines.
fn links(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            let Some((target, behind)) = after.split_once(')') else {
                break;
            };
            found.push((number, target.split_whitespace().next().unwrap_or_default()));
            rest = behind;
        }
    }
    found
}

/// The lines outside fenced code blocks, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// A path below the root, or nothing if it leads out of the repository.
fn joined(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { folder };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// A file, or a folder with files in it.
fn exists(path: &str, files: &[String]) -> bool {
    let inside = |file: &String| {
        file.strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    path.is_empty() || files.iter().any(inside)
}

/// Names in code style that the repository does not have: paths (below a heading that names a
/// crate, that crate's), crates, and types.
pub(crate) fn unknown_names(document: &str, repository: &Repository<'_>) -> Vec<String> {
    let mut section: Option<String> = None;
    let mut unknown = Vec::new();
    for (number, line) in prose(document) {
        let spans = code_spans(line);
        if line.starts_with('#') {
            section = spans
                .iter()
                .find(|span| repository.crates.contains(span))
                .cloned();
        }
        for name in spans {
            if !is_known(&name, section.as_deref(), repository) {
                unknown.push(format!(
                    "docs/architecture.md:{number} names `{name}`, which does not exist"
                ));
            }
        }
    }
    unknown
}

fn is_known(name: &str, section: Option<&str>, repository: &Repository<'_>) -> bool {
    if is_path(name) {
        is_file(name.trim_end_matches('/'), section, repository.files)
    } else if is_crate(name) {
        repository.crates.iter().any(|one| one == name)
    } else if is_type(name) {
        has_word(repository.sources, name.split("::").next().unwrap_or(name))
    } else {
        true
    }
}

/// A path from the root; below a crate's heading also one of that crate's sources.
fn is_file(name: &str, section: Option<&str>, files: &[String]) -> bool {
    let own = section.is_some_and(|one| {
        let folders = [
            format!("crates/{one}/src/{name}"),
            format!("{one}/src/{name}"),
        ];
        folders.iter().any(|path| exists(path, files))
    });
    own || exists(name, files) || is_tail(name, section, files)
}

/// `tools/mod.rs` for `crates/mcp-core/src/tools/mod.rs`; not below a crate's heading, where a
/// path is that crate's.
fn is_tail(name: &str, section: Option<&str>, files: &[String]) -> bool {
    let below = format!("/{name}/");
    let at_end = format!("/{name}");
    section.is_none()
        && files
            .iter()
            .any(|file| file.ends_with(&at_end) || file.contains(&below))
}

fn is_path(name: &str) -> bool {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
    let rooted = name.starts_with('/');
    plain
        && !rooted
        && (name.ends_with('/') || FILE_ENDINGS.iter().any(|end| has_ending(name, end)))
}

fn is_crate(name: &str) -> bool {
    let ours = name.starts_with("mcp-") || name.starts_with("braingrid-") || name == "xtask";
    ours && name.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// `TokenVerifier`, `SessionTiers::resolve`; not `WWW-Authenticate` and not `PATH`.
fn is_type(name: &str) -> bool {
    let name = name.split("::").next().unwrap_or(name);
    let capital = name.chars().next().is_some_and(|c| c.is_ascii_uppercase());
    capital
        && name.chars().all(|c| c.is_ascii_alphanumeric())
        && name.chars().any(|c| c.is_ascii_lowercase())
        && name.chars().filter(char::is_ascii_uppercase).count() > 1
}

/// Names of tests in code style that no source has: `a_name_in_three_words`, or the same behind a
/// path.
pub(crate) fn unknown_tests(file: &str, document: &str, sources: &str) -> Vec<String> {
    let tests = tests(sources);
    let mut unknown = Vec::new();
    for (number, line) in prose(document) {
        for span in code_spans(line) {
            let name = span.rsplit("::").next().unwrap_or(&span);
            if is_test_name(name) && !tests.contains(name) {
                unknown.push(format!(
                    "{file}:{number} names the test `{span}`, which does not exist"
                ));
            }
        }
    }
    unknown
}

/// Tests are called by sentences, settings and fields by fewer words.
fn is_test_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.chars().all(plain) && name.split('_').filter(|word| !word.is_empty()).count() > 2
}

/// Every function below a test attribute.
fn tests(sources: &str) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in sources.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some((_, rest)) = line.split_once("fn ") {
            if marked {
                found.extend(rest.split(['(', '<']).next());
            }
            marked = false;
        }
    }
    found
}

fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text
            .get(at + word.len()..)
            .and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// The words in `code style` on one line.
pub(crate) fn code_spans(line: &str) -> Vec<String> {
    line.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<String> {
        let files = [
            "README.md",
            "docs/style.md",
            "crates/mcp-auth/src/token.rs",
            "docs/decisions/0001.md",
        ];
        files.map(str::to_owned).to_vec()
    }

    fn unknown(document: &str) -> Vec<String> {
        let crates = ["mcp-auth".to_owned(), "xtask".to_owned()];
        let sources = "pub struct AccessToken; fn verify_all() {}";
        unknown_names(
            document,
            &Repository {
                files: &files(),
                crates: &crates,
                sources,
            },
        )
    }

    fn broken(document: &str, text: &str) -> Vec<String> {
        let style = "# Style\n## The *guide*, in `short`\n".to_owned();
        let documents = [(document, text.to_owned()), ("docs/style.md", style)].into();
        broken_links(document, &documents, &files())
    }

    #[test]
    fn a_link_to_nothing_is_found_and_good_ones_pass() {
        let text = "# Here\n[a](../style.md#the-guide-in-short) [b](../../README.md) [c](../decisions/) \
                    [d](#here) [e](https://example.com/x) [f](gone.md)";
        assert_eq!(
            broken("docs/decisions/0001.md", text),
            ["docs/decisions/0001.md:2 links to gone.md, which does not exist"]
        );
    }

    #[test]
    fn a_link_to_a_heading_that_is_gone_is_found() {
        assert_eq!(
            broken("README.md", "[x](docs/style.md#gone) [y](#gone)").len(),
            2
        );
    }

    #[test]
    fn a_link_out_of_the_repository_is_found() {
        assert_eq!(broken("README.md", "[x](../other/file.md)").len(), 1);
    }

    #[test]
    fn links_in_code_blocks_are_no_links() {
        assert!(broken("README.md", "```\n[x](gone.md)\n```\n").is_empty());
    }

    #[test]
    fn names_that_exist_pass() {
        let text = "## `mcp-auth`\n`token.rs` has `AccessToken`; `docs/style.md`, `/health`, \
                    `WWW-Authenticate`, `docs/`, `AccessToken::parse`";
        assert_eq!(unknown(text), Vec::<String>::new());
    }

    #[test]
    fn a_moved_file_a_lost_crate_and_a_lost_type_are_found() {
        assert_eq!(unknown("## `mcp-auth`\n`verifier.rs`").len(), 1);
        assert_eq!(unknown("`mcp-gone`").len(), 1);
        assert_eq!(unknown("`TokenVerifier` and `Access`").len(), 1);
    }

    #[test]
    fn a_file_of_another_crate_does_not_count_below_a_crates_heading() {
        assert_eq!(unknown("## `xtask`\n`token.rs`").len(), 1);
        assert!(unknown("## Elsewhere\n`token.rs`").is_empty());
    }

    #[test]
    fn a_test_that_is_gone_is_found_and_others_pass() {
        let sources = "#[test]\nfn one_two_three() {\n#[tokio::test(start_paused = true)]\n\
                       #[ignore]\nasync fn four_five_six() {\nfn no_test_at_all() {";
        let document = "`one_two_three` `a::tests::four_five_six` `max_age` `ENV_NAME_LONG`\n\
                        `no_test_at_all`\n```\n`in_a_block`\n```\n";
        assert_eq!(
            unknown_tests("x.md", document, sources),
            ["x.md:2 names the test `no_test_at_all`, which does not exist"]
        );
    }
}
