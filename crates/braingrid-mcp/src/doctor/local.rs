//! What is on this machine: the user's credential, and the clients that start this program.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::check;
use super::finding::Finding;
use crate::config::{StdioSettings, Surroundings};
use crate::install::{self, Condition};

/// What to do about a credential that does not work.
pub(super) const NEW_CREDENTIAL: &str = "put a new token into BRAINGRID_API_TOKEN";

/// What a token says about its own life.
#[derive(Deserialize)]
struct Claims {
    exp: Option<u64>,
}

/// Whether there is a token, and whether it is over.
pub(super) fn credential(stdio: &StdioSettings) -> Finding {
    match &stdio.token {
        None => Finding::problem(
            check::CREDENTIAL,
            "there is none: the tools are listed, and calls fail",
            "set BRAINGRID_API_TOKEN, or BRAINGRID_API_TOKEN_FILE to a file that holds it",
        ),
        Some(token) => about(token, SystemTime::now()),
    }
}

fn about(token: &SecretString, now: SystemTime) -> Finding {
    let from = "BRAINGRID_API_TOKEN";
    let Some(end) = end_of(token) else {
        return Finding::good(
            check::CREDENTIAL,
            format!("{from}; it does not say when it ends"),
        );
    };
    match end.duration_since(now) {
        Ok(left) => Finding::good(
            check::CREDENTIAL,
            format!("{from}, for {} more", rough(left)),
        ),
        Err(over) => Finding::problem(
            check::CREDENTIAL,
            format!("{from} ended {} ago", rough(over.duration())),
            NEW_CREDENTIAL,
        ),
    }
}

/// The end that a JWT names. It is the user's own: nothing rests on what it says.
fn end_of(token: &SecretString) -> Option<SystemTime> {
    let payload = token.expose_secret().split('.').nth(1)?;
    let claims = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    UNIX_EPOCH.checked_add(Duration::from_secs(claims.exp?))
}

/// A duration as people say it.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The clients that have an entry for this server.
pub(super) fn clients(around: &Surroundings) -> Vec<Finding> {
    let found = install::survey(around);
    if found.is_empty() {
        return vec![Finding::warning(
            check::CLIENTS,
            "no client on this machine is set up",
            "run `braingrid-mcp install CLIENT`; see `braingrid-mcp install --help`",
        )];
    }
    found.into_iter().map(about_client).collect()
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
            format!("if that is not meant so, run `braingrid-mcp install {word}`"),
        ),
        Condition::NoProgram(program) => Finding::problem(
            check::CLIENTS,
            format!("{title} starts {program}, which is not there ({path})"),
            format!("run `braingrid-mcp install {word}`"),
        ),
        Condition::Broken(why) => Finding::problem(
            check::CLIENTS,
            format!("{title} cannot read {path}: {why}"),
            "correct the file by hand; its other servers do not work either".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Verdict;

    fn token(claims: &str) -> SecretString {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(claims);
        SecretString::from(format!("e30.{payload}.c2lnbmF0dXJl"))
    }

    #[test]
    fn a_token_says_how_long_it_lives() {
        let now = UNIX_EPOCH + Duration::from_hours(100);
        let says = |claims: &str| {
            let finding = about(&token(claims), now);
            (finding.verdict, finding.says)
        };
        let good = |text: &str| (Verdict::Good, format!("BRAINGRID_API_TOKEN{text}"));
        assert_eq!(says(r#"{"exp":361800}"#), good(", for 30 min more"));
        assert_eq!(says(r#"{"exp":460000}"#), good(", for 27 h more"));
        assert_eq!(says("{}"), good("; it does not say when it ends"));
        assert_eq!(says("no json"), good("; it does not say when it ends"));
        let over = (
            Verdict::Problem,
            "BRAINGRID_API_TOKEN ended 60 s ago".to_owned(),
        );
        assert_eq!(says(r#"{"exp":359940}"#), over);
    }
}
