//! What must hold for any configuration file, for the fuzz target and for the replay of its seeds.

use std::path::{Path, PathBuf};

use config::{FileFormat, Source as _, Value, ValueKind};

use super::layers::{self, Environment, Layer};
use super::parse::words::Transport;
use super::problem::{Problem, Problems};
use super::reader::Reader;
use super::settings::{self, TRANSPORT};
use super::{Flags, Surroundings, build, effective, effective_json, effective_text};

/// A part of every secret in the seeds, short enough to be seen in a value that is cut.
const MARK: &str = "5ec2e7a1";

/// In a folder that is not there, so that nothing of this machine is read.
const FILE: &str = "/nowhere/braingrid-mcp.toml";

/// Whatever a file holds, nothing panics, every problem says where it is and what to do, and what
/// stands in secrets alone is in no message.
pub(crate) fn file(data: &[u8]) {
    let Some(text) = crate::text::decode(data) else {
        return;
    };
    let values = config::File::from_str(&text, FileFormat::Toml).collect();
    let values: Vec<_> = values.unwrap_or_default().into_iter().collect();
    if values.iter().any(|(key, value)| leads_away(key, value)) {
        return;
    }
    let is_secret = !values.iter().any(|(key, value)| holds_mark(key, value));
    let mut problems = Vec::new();
    let layer = layers::of_text(Path::new(FILE), &text, |_| true, &mut problems);
    for (name, transport) in [("stdio", Transport::Stdio), ("http", Transport::Http)] {
        let (problems, said) = load(&layer, problems.clone(), name, transport);
        for problem in &problems {
            check(problem);
        }
        let said = format!("{said}{}", Problems(problems));
        assert!(
            !(is_secret && said.contains(MARK)),
            "a secret is shown: {said}"
        );
    }
}

/// The problems of a file, and all else that is said of it.
fn load(
    file: &Layer,
    problems: Vec<Problem>,
    name: &str,
    transport: Transport,
) -> (Vec<Problem>, String) {
    let around = Surroundings {
        environment: Environment::default(),
        directory: PathBuf::from("/nowhere"),
    };
    let flags = layers::flags(&Flags::from([(TRANSPORT.key, name.to_owned())]));
    let merged = layers::merge(vec![layers::defaults(), file.clone(), flags]);
    let mut reader = Reader::new(merged.unwrap_or_default(), problems, Vec::new());
    let config = build::read_config(&mut reader, transport, &around);
    let effective = effective(&reader, transport);
    let (text, json) = (effective_text(&effective), effective_json(&effective));
    (
        reader.problems,
        format!("{text}{json}{config:?}{:?}", reader.warnings),
    )
}

/// That a problem names a key and the file, or a setting that nobody gave; on a line of its own.
fn check(problem: &Problem) {
    let Problem { setting, what, fix } = problem;
    // What is no TOML has no key; the parser names the line, of a few faults only the fault.
    let is_placed = setting.ends_with(FILE) && (setting != FILE || what.contains("not valid TOML"));
    let is_unset = settings::all().any(|known| known.name() == setting);
    assert!(is_placed || is_unset, "no place: {problem:?}");
    assert!(!what.is_empty() && !fix.is_empty(), "no fix: {problem:?}");
    let parts = [setting, what, fix];
    let is_plain = |part: &&String| !part.contains(char::is_control);
    assert!(parts.iter().all(is_plain), "no line: {problem:?}");
}

/// Whether a value is the path of a file elsewhere, which would be read.
fn leads_away(key: &str, value: &Value) -> bool {
    match &value.kind {
        ValueKind::Table(table) => table.iter().any(|(key, value)| leads_away(key, value)),
        ValueKind::Array(entries) => entries.iter().any(|entry| leads_away(key, entry)),
        kind => key.ends_with("_file") && kind.to_string().contains(['/', '\\']),
    }
}

/// Whether the mark stands where it may be shown: in a key, or in a value that is no secret.
fn holds_mark(key: &str, value: &Value) -> bool {
    let is_key = |known: &str| known == key || known.strip_prefix("upstream_") == Some(key);
    let is_secret = |known: &super::Spec| known.secret && is_key(known.key);
    if key == "introspection_client_secret" || settings::all().any(is_secret) {
        return false;
    }
    let here = key.contains(MARK);
    here || match &value.kind {
        ValueKind::Table(table) => table.iter().any(|(key, value)| holds_mark(key, value)),
        ValueKind::Array(entries) => entries.iter().any(|entry| holds_mark(key, entry)),
        kind => kind.to_string().contains(MARK),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_files_of_the_fuzz_seeds_are_read_or_refused() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/config");
        let (mut seeds, mut with_secret) = (0, 0);
        for seed in std::fs::read_dir(folder).unwrap() {
            let seed = std::fs::read(seed.unwrap().path()).unwrap();
            file(&seed);
            seeds += 1;
            with_secret += usize::from(String::from_utf8_lossy(&seed).contains(MARK));
        }
        assert!(seeds > 0 && with_secret > 0, "{with_secret} of {seeds}");
    }
}
