//! A real keychain for the tests of the login: GNOME Keyring on a session bus of its own.

use std::process::Command;

use crate::{debian, shell};

/// The programs, and the packages they are in.
const PROGRAMS: [&str; 2] = ["gnome-keyring-daemon", "dbus-run-session"];
const PACKAGES: [&str; 2] = ["gnome-keyring", "dbus-daemon"];

/// Installs what is missing where that is possible. Without it the one test that needs it passes
/// without having tested anything, so that is said here.
pub(crate) fn install_or_say() {
    if is_there() {
        return;
    }
    eprintln!("no GNOME Keyring in PATH: installing Debian's packages");
    let installed = debian::install(&PACKAGES).map(|mut install| shell::run(&mut install));
    if installed.is_none_or(|outcome| outcome.is_err()) || !is_there() {
        eprintln!(
            "SKIPPED: the login in a real keychain: it needs {}",
            PROGRAMS.join(" and ")
        );
    }
}

fn is_there() -> bool {
    let answers = |program| shell::answers(Command::new(program).arg("--version"));
    PROGRAMS.into_iter().all(answers)
}
