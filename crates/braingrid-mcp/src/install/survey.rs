//! Which clients are set up, for whoever looks for what is wrong.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use super::clients::{Client, Description, Scope};
use super::entry::Place;
use super::file::ClientFile;
use super::{NAME, folders, server};
use crate::config::Surroundings;

/// A client that has an entry for this server, or a file that it cannot read.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The client's name as people write it.
    pub(crate) title: &'static str,
    /// What names this file on the command line.
    pub(crate) word: String,
    /// Its file.
    pub(crate) path: PathBuf,
    /// What the file says.
    pub(crate) condition: Condition,
}

/// What a client's file says about this server.
#[derive(Debug)]
pub(crate) enum Condition {
    ThisProgram,
    OtherProgram(String),
    /// A program that is not there.
    NoProgram(String),
    Hosted(String),
    Broken(String),
}

/// The clients that are set up, for this user and in this project.
pub(crate) fn survey(around: &Surroundings) -> Vec<Survey> {
    let folders = folders(around);
    let mut found: Vec<Survey> = Vec::new();
    for client in Client::value_variants() {
        for scope in Scope::value_variants() {
            let Ok(path) = client.file(*scope, &folders) else {
                continue;
            };
            if found.iter().any(|other| other.path == path) {
                // The home is the project: some clients have one file for both.
                continue;
            }
            if let Some(condition) = condition(client.about(), &path, *scope, around) {
                let (title, word) = (client.about().title, client.word());
                let word = match scope {
                    Scope::User => word,
                    Scope::Project => format!("{word} --scope project"),
                };
                found.push(Survey {
                    title,
                    word,
                    path,
                    condition,
                });
            }
        }
    }
    found
}

fn condition(
    about: &Description,
    path: &Path,
    scope: Scope,
    around: &Surroundings,
) -> Option<Condition> {
    let place = Place {
        container: about.container,
        name: NAME,
    };
    let found = match ClientFile::read(path, scope) {
        Ok(file) => about
            .format
            .find(file.text(), place)
            .map_err(|why| why.to_string()),
        Err(why) => Err(format!("{why:#}")),
    };
    let found = match found {
        Ok(found) => found?,
        Err(why) => return Some(Condition::Broken(why)),
    };
    if let Some(url) = found.url {
        return Some(Condition::Hosted(url));
    }
    let program = found.command?;
    if program == env!("CARGO_PKG_NAME") {
        return Some(match server::on_path_as(&program, around) {
            None => Condition::NoProgram(format!("{program} of PATH")),
            Some(real) if server::is_this_program(&real) => Condition::ThisProgram,
            Some(other) => Condition::OtherProgram(other.display().to_string()),
        });
    }
    Some(match std::fs::canonicalize(&program) {
        Err(_) if Path::new(&program).is_absolute() => Condition::NoProgram(program),
        Ok(real) if server::is_this_program(&real) => Condition::ThisProgram,
        _ => Condition::OtherProgram(program),
    })
}
