//! The clients on this machine that are set up to use this server.

use super::check;
use super::finding::Finding;
use crate::config::Surroundings;
use crate::install::{self, Condition};
use crate::program;

/// The clients that have an entry for this server.
pub(super) fn check(around: &Surroundings) -> Vec<Finding> {
    let found = install::survey(around);
    if found.is_empty() {
        return vec![Finding::warning(
            check::CLIENTS,
            "no client on this machine is set up",
            format!(
                "run `{}`; see `{}`",
                program::run("install CLIENT"),
                program::run("install --help")
            ),
        )];
    }
    found.into_iter().map(about_client).collect()
}

fn install_again(word: &str) -> String {
    program::run(&format!("install {word}"))
}

fn about_client(found: install::Survey) -> Finding {
    let install::Survey {
        title,
        word,
        path,
        condition,
    } = found;
    let path = path.display();
    match condition {
        Condition::ThisProgram => {
            Finding::good(check::CLIENTS, format!("{title} starts this program"))
        }
        Condition::Hosted(url) => Finding::good(check::CLIENTS, format!("{title} uses {url}")),
        Condition::OtherProgram(program) => Finding::warning(
            check::CLIENTS,
            format!("{title} starts {program}, which is not this program ({path})"),
            format!("if that is not meant so, run `{}`", install_again(&word)),
        ),
        Condition::NoProgram(program) => Finding::problem(
            check::CLIENTS,
            format!("{title} starts {program}, which is not there ({path})"),
            format!("run `{}`", install_again(&word)),
        ),
        Condition::Broken(why) => Finding::problem(
            check::CLIENTS,
            format!("{title} cannot read {path}: {why}"),
            "correct the file by hand; its other servers do not work either".to_owned(),
        ),
    }
}
