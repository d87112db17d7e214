//! Packages of the Debian this runs on, for tests with real programs.

use std::process::Command;

use crate::shell;

/// Installs packages without starting or enabling the services that come with them. Nothing goes
/// to stdout, which belongs to `dev --json`.
const INSTALL: &str = r#"
set -eu
exec 1>&2
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  trap 'exit 130' INT TERM
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
fi
apt-get update -qq
apt-get install --yes -qq --no-install-recommends "$@"
if [ -d /run/systemd/system ]; then
  systemctl disable redis-server prometheus 2>/dev/null || true
fi
"#;

/// The command that installs these packages, if we may: as root, or by sudo without a password.
pub(crate) fn install(packages: &[&str]) -> Option<Command> {
    if !shell::answers(Command::new("apt-get").arg("--version")) {
        return None;
    }
    let id = shell::output(Command::new("id").arg("-u")).ok()?;
    let mut install = if id.trim() == "0" {
        Command::new("sh")
    } else if shell::answers(Command::new("sudo").args(["-n", "true"])) {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "sh"]);
        sudo
    } else {
        return None;
    };
    install.args(["-c", INSTALL, "sh"]).args(packages);
    Some(install)
}
