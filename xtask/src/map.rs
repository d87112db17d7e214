//! The code map of docs/architecture.md is whole and true: every source file is on it, what is named
//! in a file is defined there, and the page around it stays one page.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use crate::docs::code_spans;

/// Words of the page without its map.
const LONGEST_PAGE: usize = 1_500;

/// The heading under which the map stands, a level-two one.
const MAP: &str = "## Code map";

/// A source file's path, and its text.
pub(crate) type Sources = BTreeMap<String, String>;

/// Whether a file belongs on the map: it ships, or is a tool of the repository's.
pub(crate) fn is_mapped(file: &str) -> bool {
    let of_a_crate = file.starts_with("crates/") && file.contains("/src/");
    let is_code = (of_a_crate || file.starts_with("xtask/src/")) && is_rust(file);
    let root = file.ends_with("/lib.rs") || file.ends_with("/src/main.rs");
    is_code && !root && !file.ends_with("/tests.rs") && !file.contains("/tests/")
}

fn is_rust(file: &str) -> bool {
    Path::new(file).extension().is_some_and(|it| it == "rs")
}

/// Everything that is wrong with the map.
pub(crate) fn faults(document: &str, sources: &Sources) -> Vec<String> {
    let named = named(document);
    // A module's name stands for the modules below it.
    let is_covered = |file: &String| {
        named.iter().any(|name| {
            let rest = file.strip_prefix(name.trim_end_matches(".rs"));
            name == file || rest.is_some_and(|rest| name.ends_with('/') || rest.starts_with('/'))
        })
    };
    let missing = sources
        .keys()
        .filter(|file| is_mapped(file) && !is_covered(file))
        .map(|file| format!("docs/architecture.md does not name {file}"));
    let mut faults: Vec<_> = missing.collect();
    faults.extend(misplaced(document, sources));
    let words = page(document).split_whitespace().count();
    if words > LONGEST_PAGE {
        faults.push(format!(
            "docs/architecture.md has {words} words beside its map, more than {LONGEST_PAGE}"
        ));
    }
    faults
}

/// The map's lines, each with the source folder of the crate whose heading it stands below.
fn map(document: &str) -> impl Iterator<Item = (String, &str)> {
    let lines = document.lines().skip_while(|line| *line != MAP).skip(1);
    let mut folder = String::new();
    lines
        .take_while(|line| !line.starts_with("## "))
        .map(move |line| {
            if let Some(heading) = line.strip_prefix("### ") {
                let name = code_spans(heading).into_iter().next().unwrap_or_default();
                folder = match name.as_str() {
                    "xtask" => "xtask/src/".to_owned(),
                    name => format!("crates/{name}/src/"),
                };
            }
            (folder.clone(), line)
        })
}

/// Files and folders on the map, by their paths from the root.
fn named(document: &str) -> BTreeSet<String> {
    map(document)
        .flat_map(|(folder, line)| {
            let names = code_spans(line).into_iter();
            names.map(move |name| in_full(&folder, &name))
        })
        .collect()
}

fn in_full(folder: &str, name: &str) -> String {
    if name.starts_with("crates/") || name.starts_with("xtask/") {
        name.to_owned()
    } else {
        format!("{folder}{name}")
    }
}

/// `call_tool` in `tools/mod.rs`, where that file defines no such thing.
fn misplaced(document: &str, sources: &Sources) -> Vec<String> {
    let mut found = Vec::new();
    let mapped: BTreeMap<&str, String> =
        map(document).map(|(folder, line)| (line, folder)).collect();
    for (number, line) in (1..).zip(document.lines()) {
        let folder = mapped.get(line).map_or("", String::as_str);
        for (thing, file) in places(line) {
            let path = in_full(folder, file);
            let text = sources.get(&path).or_else(|| sources.get(file));
            if !text.is_some_and(|text| defines(text, thing)) {
                found.push(format!(
                    "docs/architecture.md:{number} says that `{thing}` is in `{file}`"
                ));
            }
        }
    }
    found
}

/// What a line says is in which file: a name in code style, "in", and a file's.
fn places(line: &str) -> Vec<(&str, &str)> {
    let parts: Vec<_> = line.split('`').collect();
    let said = parts.windows(3).enumerate().filter_map(|(at, window)| {
        let [thing, between, file] = window else {
            return None;
        };
        (at % 2 == 1 && *between == " in " && is_rust(file)).then_some((*thing, *file))
    });
    said.collect()
}

/// Whether a text defines a function or a type of this name.
fn defines(text: &str, thing: &str) -> bool {
    let name = thing.rsplit("::").next().unwrap_or(thing);
    let kinds = ["fn", "struct", "enum", "trait", "type", "static", "const"];
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    kinds.iter().any(|kind| {
        let definition = format!("{kind} {name}");
        text.match_indices(&definition)
            .any(|(at, found)| text.get(at + found.len()..).is_some_and(ends))
    })
}

/// The document without its map.
fn page(document: &str) -> String {
    let before = document.lines().take_while(|line| *line != MAP);
    let behind = document.lines().skip_while(|line| *line != MAP).skip(1);
    let behind = behind.skip_while(|line| !line.starts_with("## "));
    before.chain(behind).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        let files = [
            ("crates/a/src/lib.rs", ""),
            ("crates/a/src/token.rs", "pub struct Token;\nfn parse() {}"),
            ("crates/a/src/tools/run.rs", "async fn call_tool() {}"),
            ("crates/a/src/tools/run/tests.rs", ""),
            ("crates/a/tests/it.rs", ""),
        ];
        let owned = files.map(|(file, text)| (file.to_owned(), text.to_owned()));
        owned.into()
    }

    fn of(map: &str, elsewhere: &str) -> Vec<String> {
        faults(
            &format!("## Code map\n### `a`\n{map}\n## Else\n{elsewhere}"),
            &sources(),
        )
    }

    #[test]
    fn every_file_is_named_or_in_a_folder_that_is() {
        assert!(of("`token.rs`, `tools/`", "").is_empty());
        assert!(of("`token.rs`, `tools.rs`", "").is_empty());
        assert_eq!(
            of("`token.rs`", "`tools/`"),
            ["docs/architecture.md does not name crates/a/src/tools/run.rs"]
        );
    }

    #[test]
    fn what_is_named_in_a_file_is_defined_there() {
        let map = "`Token::parse` in `token.rs`, `Token` in `token.rs`, `tools/`";
        assert!(of(map, "`call_tool` in `crates/a/src/tools/run.rs`").is_empty());
        assert_eq!(of("`Tok` in `token.rs`, `tools/`", "").len(), 1);
        assert_eq!(
            of(
                "`token.rs`, `tools/`",
                "`call_tool` in `crates/a/src/token.rs`"
            ),
            ["docs/architecture.md:5 says that `call_tool` is in `crates/a/src/token.rs`"]
        );
    }

    #[test]
    fn the_page_is_short_and_its_map_may_be_long() {
        let long = "word ".repeat(LONGEST_PAGE);
        assert!(of(&format!("`token.rs` `tools/` {long}"), "").is_empty());
        assert_eq!(of("`token.rs` `tools/`", &long).len(), 1);
    }
}
