//! The server that a client is told about: this program and its flags, or a URL.

use std::path::{Path, PathBuf};

use url::Url;

use super::clients::{Scope, Server};
use crate::config::{Flags, Kind, Surroundings, settings};
use crate::program;
use crate::tenants::AddressArgs;

/// The server that was asked for.
pub(super) fn chosen(
    remote: Option<String>,
    flags: &Flags,
    around: &Surroundings,
    scope: Scope,
) -> Result<Server, String> {
    let args = arguments(flags, scope)?;
    match remote {
        Some(_) if !args.is_empty() => Err(format!(
            "{} is for a server that runs here: leave it out with --remote",
            args.first().map_or("the flag", String::as_str)
        )),
        Some(url) => Ok(Server::Remote { url }),
        None => {
            let program = match scope {
                Scope::User => program(around)?,
                // A path of this machine would be dead on the next one.
                Scope::Project => PathBuf::from(env!("CARGO_PKG_NAME")),
            };
            let command = program.into_os_string().into_string();
            Ok(Server::Local {
                command: command.map_err(|_| "the path of this program is not UTF-8".to_owned())?,
                args,
            })
        }
    }
}

/// The URL of a hosted server's address for an organization or project, if one is named.
pub(super) fn at(remote: Option<&str>, address: &AddressArgs) -> Result<Option<String>, String> {
    let below = address.below();
    let Some(remote) = remote else {
        return match &address.organization {
            None => Ok(None),
            Some(_) => Err(
                "--organization is for a hosted server: add --remote URL. A server that runs here \
                 takes --organization-id"
                    .to_owned(),
            ),
        };
    };
    if below.is_empty() {
        return Ok(Some(remote.to_owned()));
    }
    let remote = remote.trim_end_matches('/');
    if !remote.ends_with("/mcp") {
        return Err(
            "--organization goes behind /mcp: give --remote without anything after that".to_owned(),
        );
    }
    Ok(Some(format!("{remote}{below}")))
}

/// The flags that were given, for the client to give them again. No secret has a flag.
fn arguments(flags: &Flags, scope: Scope) -> Result<Vec<String>, String> {
    let given = settings::all()
        .filter_map(|setting| Some((setting, setting.flag?, flags.get(setting.key)?)));
    let mut arguments = Vec::new();
    for (setting, flag, value) in given {
        if setting.key == "transport" || !setting.read_by(false) {
            return Err(format!(
                "--{flag} means nothing to a server that a client starts"
            ));
        }
        let of_this_machine = matches!(setting.kind, Kind::FilePath | Kind::Path);
        if of_this_machine && scope == Scope::Project {
            return Err(format!(
                "--{flag} names a path of this machine, and the file of a project is for all who \
                 have it: leave it out, or leave --scope project out"
            ));
        }
        arguments.push(format!("--{flag}"));
        match setting.kind {
            Kind::Switch => {}
            _ if of_this_machine => arguments.push(
                std::path::absolute(value)
                    .map_err(|error| format!("--{flag}: {error}"))?
                    .to_string_lossy()
                    .into_owned(),
            ),
            _ => arguments.push(value.clone()),
        }
    }
    Ok(arguments)
}

/// What the others of a project need for the program's name in its file.
pub(super) fn for_the_others(around: &Surroundings) -> String {
    let name = env!("CARGO_PKG_NAME");
    let path = around.variable("PATH").unwrap_or_default();
    let here = std::env::current_exe().is_ok_and(|program| program::leads_to(&program, path));
    let others = format!("everybody who has this project needs {name} in their PATH");
    if here {
        return others;
    }
    format!(
        "{others}, and here it is not: add this program's folder to PATH, or link it from there"
    )
}

/// The path of this program. Where `PATH` has it, then as it stands there: a package manager
/// keeps that path through an upgrade.
fn program(around: &Surroundings) -> Result<PathBuf, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("the path of this program is not known: {error}"))?;
    let path = around.variable("PATH").unwrap_or_default();
    Ok(on_path(&program, path).unwrap_or(program))
}

/// The file that a name means on `PATH`, its links resolved.
pub(super) fn on_path_as(name: &str, around: &Surroundings) -> Option<PathBuf> {
    let path = around.variable("PATH").unwrap_or_default();
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    let mut files = folders.map(|folder| folder.join(&name));
    files.find(|file| file.is_file())?.canonicalize().ok()
}

/// Whether a path, its links resolved, is this program.
pub(super) fn is_this_program(path: &Path) -> bool {
    let this = std::env::current_exe().and_then(|program| program.canonicalize());
    this.is_ok_and(|this| this == path)
}

fn on_path(program: &Path, path: &str) -> Option<PathBuf> {
    let (real, name) = (program.canonicalize().ok()?, program.file_name()?);
    let same = |candidate: &PathBuf| candidate.canonicalize().is_ok_and(|found| found == real);
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(same)
}

/// The URL of a hosted server; its origin alone means `/mcp` there.
pub(super) fn parse_url(text: &str) -> Result<String, String> {
    let mut url = Url::parse(text).map_err(|_| "write it as https://mcp.example.com/mcp")?;
    if !url.has_host() {
        return Err("it names no host".to_owned());
    }
    if !mcp_outbound::is_secure(&url) {
        return Err("use https; http is for this machine only".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("leave user and password out: clients log in by themselves".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("leave out what follows the path: no secret belongs into this file".to_owned());
    }
    if url.path() == "/" {
        url.set_path("/mcp");
    }
    Ok(url.to_string())
}

/// A name that every client takes.
pub(super) fn parse_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if text.is_empty() || text.len() > 64 || !text.chars().all(fits) {
        return Err("use letters, digits, - and _".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosted_server_is_named_without_secrets() {
        let url = |text| parse_url(text);
        let good = "https://mcp.example.com/mcp";
        assert_eq!(url(good).as_deref(), Ok(good));
        assert_eq!(url("https://mcp.example.com").as_deref(), Ok(good));
        assert_eq!(
            url("http://127.0.0.1:8080").as_deref(),
            Ok("http://127.0.0.1:8080/mcp")
        );
        for bad in [
            "mcp.example.com",
            "http://mcp.example.com/mcp",
            "https://ada:secret@mcp.example.com/mcp",
            "https://mcp.example.com/mcp?key=secret",
            "ftp://mcp.example.com/mcp",
        ] {
            let refusal = url(bad).unwrap_err();
            assert!(
                !refusal.contains("secret@") && !refusal.contains("key="),
                "{refusal}"
            );
        }
    }

    #[test]
    fn an_organization_and_a_project_follow_the_servers_address() {
        let address = |organization: Option<&str>, project: Option<&str>| AddressArgs {
            organization: organization.map(str::to_owned),
            project: project.map(str::to_owned),
        };
        let good = Some("https://mcp.test/x/mcp");
        let all = address(Some("org_1"), Some("PROJ-3"));
        assert_eq!(at(good, &address(None, None)), Ok(good.map(str::to_owned)));
        assert_eq!(
            at(good, &all).unwrap().unwrap(),
            "https://mcp.test/x/mcp/org_1/PROJ-3"
        );
        let slash = at(Some("https://mcp.test/mcp/"), &address(Some("org_1"), None));
        assert_eq!(slash.unwrap().unwrap(), "https://mcp.test/mcp/org_1");
        assert!(at(Some("https://mcp.test/mcp/org_2"), &all).is_err());
        assert!(at(None, &all).unwrap_err().contains("--organization-id"));
        assert_eq!(at(None, &address(None, None)), Ok(None));
    }

    #[test]
    fn flags_are_passed_on_if_the_local_server_reads_them() {
        let flags = |pairs: &[(&'static str, &str)]| -> Flags {
            pairs
                .iter()
                .map(|(key, value)| (*key, (*value).to_owned()))
                .collect()
        };
        let given = flags(&[("read_only", "true"), ("organization_id", "org_1")]);
        let local = |given: &Flags| arguments(given, Scope::User);
        let arguments = local(&given).unwrap();
        assert_eq!(arguments, ["--organization-id", "org_1", "--read-only"]);
        for key in ["transport", "port", "bind"] {
            assert!(local(&flags(&[(key, "1")])).is_err(), "{key}");
        }
    }

    #[test]
    fn what_decides_whether_a_login_works_can_be_kept_in_an_entry() {
        let without: Vec<_> = settings::all()
            .filter(|setting| setting.read_by(false) && !setting.secret && setting.flag.is_none())
            .filter(|setting| {
                use crate::config::Group::{Logs, Writes};
                !matches!(setting.group, Logs | Writes)
            })
            .map(|setting| setting.key)
            .collect();
        assert_eq!(without, ["environment"]);
        let given = [("oauth_issuer", "https://a.test"), ("client_id", "c")];
        let given = given.map(|(key, value)| (key, value.to_owned())).into();
        for scope in [Scope::User, Scope::Project] {
            assert_eq!(
                arguments(&given, scope).unwrap(),
                ["--oauth-issuer", "https://a.test", "--client-id", "c"]
            );
        }
        let folder = [("login_dir", "logins".to_owned())].into();
        assert!(Path::new(&arguments(&folder, Scope::User).unwrap()[1]).is_absolute());
        let refusal = arguments(&folder, Scope::Project).unwrap_err();
        assert!(refusal.contains("this machine"), "{refusal}");
    }

    #[test]
    fn a_link_on_the_path_outlives_the_version_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("1.2.3/braingrid-mcp");
        std::fs::create_dir_all(real.parent().unwrap()).unwrap();
        std::fs::write(&real, "").unwrap();
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        let path = format!("relative:{}", bin.display());
        assert_eq!(on_path(&real, &path), None);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&real, bin.join("braingrid-mcp")).unwrap();
            assert_eq!(on_path(&real, &path), Some(bin.join("braingrid-mcp")));
        }
    }
}
