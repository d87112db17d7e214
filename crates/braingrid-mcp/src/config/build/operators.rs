//! The listener for operators, and where their commands find it.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;

use crate::config::reader::Reader;
use crate::config::settings::{self, Spec};
use crate::healthcheck::reachable;
use crate::operators::Tokens;

/// Where operators are listened to, as the documents have it.
const DEFAULT: &str = "127.0.0.1:9464";

/// The listener for operators.
#[derive(Debug, Clone)]
pub(crate) struct AdminSettings {
    /// Where to listen.
    pub(crate) listen: SocketAddr,
    /// `Host` names admitted beside loopback names and the address itself.
    pub(crate) allowed_hosts: Vec<String>,
    /// Who may do what.
    pub(crate) tokens_file: Option<PathBuf>,
    /// Whether numbers need a token, too.
    pub(crate) metrics_need_token: bool,
}

/// What the commands of operators need.
#[derive(Debug)]
pub(crate) struct OperatorSettings {
    /// The listener for operators.
    pub(crate) url: Url,
    /// Whose right it is.
    pub(crate) token: Option<SecretString>,
}

/// Whether their commands look at this setting.
pub(in crate::config) fn is_of_operators(setting: &Spec) -> bool {
    let keys = [
        settings::ADMIN_URL.key,
        settings::ADMIN_TOKEN.key,
        settings::ADMIN_BIND.key,
    ];
    keys.contains(&setting.key)
}

/// What is set for commands alone.
pub(super) fn read_for_commands(reader: &mut Reader) -> (Option<Url>, Option<SecretString>) {
    let url = reader.optional(&settings::ADMIN_URL);
    (url, reader.secret(&settings::ADMIN_TOKEN))
}

pub(in crate::config) fn read_operator(reader: &mut Reader) -> Option<OperatorSettings> {
    let (url, token) = read_for_commands(reader);
    let listen = reader.optional(&settings::ADMIN_BIND);
    let here = || {
        let listen = listen.map_or_else(|| DEFAULT.to_owned(), |it| reachable(it).to_string());
        format!("http://{listen}").parse().ok()
    };
    let url = url.or_else(here)?;
    Some(OperatorSettings { url, token })
}

pub(super) fn read_admin(reader: &mut Reader) -> Option<AdminSettings> {
    let allowed_hosts = reader.list(&settings::ADMIN_ALLOWED_HOSTS);
    let tokens_file = read_tokens_file(reader);
    let metrics_need_token = reader.value(&settings::ADMIN_METRICS);
    if metrics_need_token && tokens_file.is_none() {
        reader.report(
            &settings::ADMIN_METRICS,
            "it asks for a token, and there are none",
            "name a file of tokens with ADMIN_TOKENS_FILE, or leave the numbers open",
        );
    }
    let listen = reader.optional(&settings::ADMIN_BIND);
    if listen.is_none() && tokens_file.is_some() {
        reader.warnings.push(
            "ADMIN_TOKENS_FILE is set, and ADMIN_BIND is not: there is no listener for operators"
                .to_owned(),
        );
    }
    let listen = listen?;
    if !listen.ip().is_loopback() && !metrics_need_token {
        reader.warnings.push(
            "ADMIN_BIND is reached from other machines, and shows numbers to whoever asks: let a firewall \
             or a network policy decide who may, or set ADMIN_METRICS=token"
                .to_owned(),
        );
    }
    Some(AdminSettings {
        listen,
        allowed_hosts,
        tokens_file,
        metrics_need_token,
    })
}

/// A file that is not there yet is no mistake: where it comes from a secret store it may come later, and
/// until then nobody has a right.
fn read_tokens_file(reader: &mut Reader) -> Option<PathBuf> {
    let path = reader.optional(&settings::ADMIN_TOKENS_FILE)?;
    match Tokens::read(&path) {
        Ok(tokens) if tokens.is_empty() => reader.warnings.push(format!(
            "ADMIN_TOKENS_FILE: {} names nobody, so nobody has a right on the listener for operators",
            path.display()
        )),
        Ok(_) => {}
        Err(_) if !path.exists() => reader.warnings.push(format!(
            "ADMIN_TOKENS_FILE: {} is not there: nobody has a right on the listener for operators until \
             it is",
            path.display()
        )),
        Err(why) => reader.report(
            &settings::ADMIN_TOKENS_FILE,
            format!("{}: {why}", path.display()),
            "write a line for each operator: a name, read or write, and a token",
        ),
    }
    Some(path)
}
