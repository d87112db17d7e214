//! The layer of the environment.

use std::collections::BTreeMap;
use std::path::Path;

use config::ValueKind;
use secrecy::{ExposeSecret, SecretString};

use super::{Layer, Origin, both_given, relative, secret_file};
use crate::config::problem::{Problem, nearest};
use crate::config::settings::{self, Spec};

/// The process environment, or a table in its place.
#[derive(Debug, Default)]
pub(crate) struct Environment(pub(crate) BTreeMap<String, Result<SecretString, NotUnicode>>);

/// A variable whose value is not UTF-8.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NotUnicode;

/// The layer of the environment, as far as its settings are `wanted`. A `local` server is started
/// in whatever folder its client has open, so that a relative path would mean a stranger's file.
pub(crate) fn environment(
    environment: &Environment,
    wanted: impl Fn(&Spec) -> bool,
    local: bool,
    problems: &mut Vec<Problem>,
    warnings: &mut Vec<String>,
) -> Layer {
    let mut layer = Layer::default();
    for setting in settings::all().filter(|setting| wanted(setting)) {
        let given = variables(setting, environment, local, problems);
        let Some((name, value)) = given.first() else {
            continue;
        };
        for (other, other_value) in given.iter().skip(1) {
            if other_value.expose_secret() != value.expose_secret() {
                warnings.push(format!(
                    "{name} and {other} are both set and differ; {name} is used"
                ));
            }
        }
        let origin = Origin::Environment { name: name.clone() };
        if let Some(path) = setting.path_in(value.expose_secret())
            && local
            && path.is_relative()
        {
            problems.push(relative(name, path));
            continue;
        }
        if setting.secret {
            layer.put_secret(setting, value.clone(), origin);
        } else {
            layer.put(setting, ValueKind::from(value.expose_secret()), origin);
        }
    }
    layer
}

/// The variables of a setting that hold something, the strongest first.
fn variables(
    setting: &Spec,
    environment: &Environment,
    local: bool,
    problems: &mut Vec<Problem>,
) -> Vec<(String, SecretString)> {
    let mut given = Vec::new();
    for name in setting.env {
        let value = variable(name, environment, problems);
        if !setting.secret {
            given.extend(value.map(|value| ((*name).to_owned(), value)));
            continue;
        }
        let file_name = format!("{name}_FILE");
        let path = variable(&file_name, environment, problems);
        match (value, path) {
            (Some(_), Some(_)) => problems.push(both_given(name, name, &file_name)),
            (Some(value), None) => given.push(((*name).to_owned(), value)),
            (None, Some(path)) if local && Path::new(path.expose_secret()).is_relative() => {
                problems.push(relative(&file_name, Path::new(path.expose_secret())));
            }
            (None, Some(path)) => {
                let secret = secret_file(&file_name, Path::new(path.expose_secret()), problems);
                given.extend(secret.map(|secret| (file_name, secret)));
            }
            (None, None) => {}
        }
    }
    given
}

/// A variable that is set and not empty.
fn variable(
    name: &str,
    environment: &Environment,
    problems: &mut Vec<Problem>,
) -> Option<SecretString> {
    match environment.0.get(name)? {
        Ok(value) if value.expose_secret().is_empty() => None,
        Ok(value) => Some(value.clone()),
        Err(NotUnicode) => {
            problems.push(Problem::new(
                name,
                "its value is not UTF-8",
                "set it again as text",
            ));
            None
        }
    }
}

/// Warns of variables that look like ours and are not.
pub(crate) fn near_misses(environment: &Environment) -> Vec<String> {
    let with_files = |setting: &Spec| {
        let files = setting
            .env
            .iter()
            .filter(|_| setting.secret)
            .map(|name| format!("{name}_FILE"));
        setting
            .env
            .iter()
            .map(|name| (*name).to_owned())
            .chain(files)
            .collect::<Vec<_>>()
    };
    let names: Vec<String> = settings::all().flat_map(with_files).collect();
    let strangers = environment.0.keys().filter(|name| {
        let ours = ["AUTHORIZATION_SERVER_", "BRAINGRID_", "MCP_", "UPSTREAM_"];
        ours.iter().any(|begin| name.starts_with(begin)) && !names.contains(name)
    });
    strangers
        .filter_map(|name| {
            let near = nearest(name, names.iter().map(String::as_str))?;
            Some(format!(
                "{name} is set, but there is no such setting: did you mean {near}?"
            ))
        })
        .collect()
}
